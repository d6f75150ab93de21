/* report.c - what happens, as Mosquitto's log lines and as events of ESP-IDF's default event loop. */
#include "esp.h"

#include "esp_event.h"

#include <stdio.h>
#include <string.h>

const char *const MIDGE_EVENT = "MIDGE_EVENT";

/* What a peer chose, as text that cannot forge a line or move a cursor. Returns out. */
static const char *show(struct midge_slice s, char *out, size_t size)
{
    size_t n = 0;
    for (; n < s.len && n + 1 < size; n++)
        out[n] = (char)(s.data[n] < ' ' || s.data[n] == 0x7f ? '?' : s.data[n]);
    out[n] = '\0';
    return out;
}

/* Waits for nobody: a loop that is full loses the event, and says so itself in debug builds. */
static void post(enum midge_esp_event_id id, const struct midge_esp_event *event)
{
    if (MIDGE_ESP_EVENTS)
        esp_event_post(MIDGE_EVENT, id, event, sizeof *event, 0);
}

void midge_esp_report_state(bool running)
{
    const struct midge_esp_event event = { .reason = 0 };
    ESP_LOGI(MIDGE_TAG, "midge version " MIDGE_VERSION " %s", running ? "running" : "terminating");
    post(running ? MIDGE_ESP_READY : MIDGE_ESP_STOPPED, &event);
}

static void say_connected(const struct midge_event *e, const char *id)
{
    char peer[MIDGE_PEER_TEXT], name[32];
    int version = e->who.version == 5 ? 5 : e->who.version == 3 ? 1 : 2;
    bool named = e->who.username.data != NULL;
    midge_esp_peer_text(e->who.peer, peer, sizeof peer);
    ESP_LOGI(MIDGE_TAG, "New client connected from %s as %s (p%d, c%d, k%u%s%s%s).", peer, id, version,
             e->clean_start, e->keepalive_s, named ? ", u'" : "", show(e->who.username, name, sizeof name),
             named ? "'" : "");
}

void midge_esp_report(void *unused, const struct midge_event *e)
{
    struct midge_esp_event event = { .reason = e->reason };
    const char *id = show(e->who.client_id, event.client_id, sizeof event.client_id);
    (void)unused;
    switch (e->kind) {
    case MIDGE_EV_CONNECTED:
        say_connected(e, id);
        post(MIDGE_ESP_CLIENT_UP, &event);
        break;
    case MIDGE_EV_DISCONNECTED:
        ESP_LOGI(MIDGE_TAG, "Client %s disconnected (0x%02x).", id, e->reason);
        post(MIDGE_ESP_CLIENT_DOWN, &event);
        break;
    case MIDGE_EV_REFUSED:
        ESP_LOGW(MIDGE_TAG, "Client %s refused (0x%02x).", id, e->reason);
        break;
    case MIDGE_EV_LOW_MEMORY:
        ESP_LOGW(MIDGE_TAG, "The memory limit is reached: publishers are refused.");
        post(MIDGE_ESP_LOW_MEMORY, &event);
        break;
    default:
        break;
    }
}
