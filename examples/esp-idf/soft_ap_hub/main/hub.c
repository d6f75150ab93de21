/* hub.c - an ESP32 as access point and broker for its sensors, in a block of memory that is its own. */
#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "esp_wifi.h"
#include "midge_esp.h"
#include "midge_esp_nvs.h"
#include "nvs_flash.h"

#include <string.h>

#define BROKER_BYTES (48 * 1024) /* all that it may ever take */

static const char *const TAG = "hub";

static void start_access_point(void)
{
    const wifi_init_config_t init = WIFI_INIT_CONFIG_DEFAULT();
    wifi_config_t config = { .ap = { .max_connection = CONFIG_EXAMPLE_STATIONS, .authmode = WIFI_AUTH_WPA2_PSK } };
    strlcpy((char *)config.ap.ssid, CONFIG_EXAMPLE_SSID, sizeof config.ap.ssid);
    strlcpy((char *)config.ap.password, CONFIG_EXAMPLE_PASSPHRASE, sizeof config.ap.password);
    esp_netif_create_default_wifi_ap();
    ESP_ERROR_CHECK(esp_wifi_init(&init));
    ESP_ERROR_CHECK(esp_wifi_set_mode(WIFI_MODE_AP));
    ESP_ERROR_CHECK(esp_wifi_set_config(WIFI_IF_AP, &config));
    ESP_ERROR_CHECK(esp_wifi_start());
}

/* Beside the usual report: what sensors say. */
static void on_event(void *user, const struct midge_event *e)
{
    midge_esp_report(user, e);
    if (e->kind == MIDGE_EV_MESSAGE)
        ESP_LOGI(TAG, "%.*s: %u bytes", (int)e->message->topic.len, (const char *)e->message->topic.data,
                 (unsigned)e->message->payload.len);
}

void app_main(void)
{
    static _Alignas(8) uint8_t block[BROKER_BYTES];
    static struct midge_memory memory;
    const struct midge_hooks hooks = { .event = on_event };
    const struct midge_esp_nvs_config nvs = { .relaxed_ms = 30000 }; /* all that a power cut may lose */
    const struct midge_esp_config config = { .memory = &memory, .hooks = &hooks, .nvs = &nvs };
    if (strlen(CONFIG_EXAMPLE_PASSPHRASE) < 8) {
        ESP_LOGE(TAG, "set a passphrase: idf.py menuconfig, Example Configuration");
        return;
    }
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    start_access_point();
    struct midge_esp *hub = midge_arena_memory(block, sizeof block, &memory) ? midge_esp_new(&config) : NULL;
    if (!hub || midge_esp_listen(hub, "0.0.0.0", 1883, NULL)) {
        ESP_LOGE(TAG, "no broker");
        return;
    }
    midge_esp_run(hub); /* in this task, for ever */
}
