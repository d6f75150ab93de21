/* log_event.c - what happens in the broker, as lines that read like Mosquitto's. */
#include "log.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 1024
#define SHOWN_BYTES 200 /* of a client id, a topic, a user name */
#define SHOWN_SIZE (4 * SHOWN_BYTES + 4)

struct to {
    midge_log_say say;
    void *user;
};

/* What a peer chose, as text that cannot forge a line or move a cursor. Returns out. */
static const char *show(struct midge_slice s, char out[SHOWN_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (uint32_t i = 0; i < s.len && i < SHOWN_BYTES; i++) {
        uint8_t c = s.data[i];
        /* 0xc2 0x80..0x9f are control characters too, so what follows 0xc2 is looked at */
        bool c1 = c >= 0x80 && c < 0xa0 && i > 0 && s.data[i - 1] == 0xc2;
        if (c >= 0x20 && c != 0x7f && c != '\\' && !c1) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    memcpy(at, s.len > SHOWN_BYTES ? "..." : "\0\0\0", 4);
    return out;
}

static const char *reason_of(const struct midge_event *e)
{
    if (e->kind == MIDGE_EV_DISCONNECTED && e->reason == MIDGE_RC_UNSPECIFIED && !e->by_client)
        return "connection lost";
    return midge_reason_text(e->reason);
}

static void say_connected(const struct to *to, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES], peer[MIDGE_PEER_TEXT], username[SHOWN_BYTES + 8] = "";
    char id[SHOWN_SIZE], name[SHOWN_SIZE];
    midge_peer_text(e->who.peer, peer, sizeof peer);
    if (e->who.username.data)
        snprintf(username, sizeof username, ", u'%.*s'", SHOWN_BYTES, show(e->who.username, name));
    int clean = e->clean_start, version = e->who.version == 5 ? 5 : e->who.version == 3 ? 1 : 2;
    snprintf(line, sizeof line, "New client connected from %s as %s (p%d, c%d, k%u%s).", peer,
             show(e->who.client_id, id), version, clean, e->keepalive_s, username);
    to->say(to->user, MIDGE_LOG_NOTICE, line);
}

static void say_disconnected(const struct to *to, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    const char *who = show(e->who.client_id, id);
    if (e->reason == MIDGE_RC_SUCCESS)
        snprintf(line, sizeof line, "Client %s disconnected.", who);
    else
        snprintf(line, sizeof line, "Client %s disconnected%s: %s (0x%02x).", who,
                 e->by_client ? " itself" : "", reason_of(e), e->reason);
    to->say(to->user, MIDGE_LOG_NOTICE, line);
}

static void say_refused(const struct to *to, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES], peer[MIDGE_PEER_TEXT];
    char id[SHOWN_SIZE];
    midge_peer_text(e->who.peer, peer, sizeof peer);
    snprintf(line, sizeof line, "Client %s from %s refused: %s (0x%02x).",
             e->who.client_id.len ? show(e->who.client_id, id) : "<unknown>", peer, reason_of(e), e->reason);
    to->say(to->user, MIDGE_LOG_NOTICE, line);
}

static void say_topic(const struct to *to, const struct midge_event *e)
{
    char line[2 * LINE_MAX_BYTES];
    char id[SHOWN_SIZE], topic[SHOWN_SIZE];
    bool on = e->kind == MIDGE_EV_SUBSCRIBED;
    const char *what = on ? "subscribed to" : "unsubscribed from";
    snprintf(line, sizeof line, "Client %s %s %s (QoS %u).", show(e->who.client_id, id), what,
             show(e->topic, topic), e->qos);
    to->say(to->user, on ? MIDGE_LOG_SUBSCRIBE : MIDGE_LOG_UNSUBSCRIBE, line);
}

static void say_dropped(const struct to *to, const struct midge_event *e)
{
    static const char *const why[MIDGE_DROP_REASONS] = {
        [MIDGE_DROP_QUEUE_MSGS] = "its queue has no room for more messages",
        [MIDGE_DROP_QUEUE_BYTES] = "its queue has no room for more bytes",
        [MIDGE_DROP_PACKET_SIZE] = "larger than its Maximum Packet Size",
        [MIDGE_DROP_RIGHT] = "no right to receive it",
    };
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    snprintf(line, sizeof line, "A message for client %s is dropped: %s.", show(e->who.client_id, id),
             e->reason < MIDGE_DROP_REASONS ? why[e->reason] : "?");
    to->say(to->user, MIDGE_LOG_DEBUG, line);
}

static void say_message(const struct to *to, const struct midge_event *e)
{
    char line[2 * LINE_MAX_BYTES];
    char id[SHOWN_SIZE], topic[SHOWN_SIZE];
    snprintf(line, sizeof line, "Received PUBLISH from %s (q%u, r%d, '%s', %u bytes).",
             show(e->who.client_id, id), e->message->qos, e->message->retain, show(e->message->topic, topic),
             e->message->payload.len);
    to->say(to->user, MIDGE_LOG_DEBUG, line);
}

static void say_session_ended(const struct to *to, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    snprintf(line, sizeof line, "Session of client %s ended%s.", show(e->who.client_id, id),
             e->reason == MIDGE_RC_QUOTA_EXCEEDED ? ": its room was needed" : "");
    to->say(to->user, e->reason ? MIDGE_LOG_NOTICE : MIDGE_LOG_DEBUG, line);
}

void midge_log_event(midge_log_say say, void *user, unsigned kinds, const struct midge_event *event)
{
    static const struct {
        void (*say)(const struct to *to, const struct midge_event *event);
        enum midge_log_level level; /* nothing is made up for nobody */
    } rows[] = {
        [MIDGE_EV_CONNECTED] = { say_connected, MIDGE_LOG_NOTICE },
        [MIDGE_EV_DISCONNECTED] = { say_disconnected, MIDGE_LOG_NOTICE },
        [MIDGE_EV_REFUSED] = { say_refused, MIDGE_LOG_NOTICE },
        [MIDGE_EV_SESSION_ENDED] = { say_session_ended, MIDGE_LOG_NOTICE },
        [MIDGE_EV_SUBSCRIBED] = { say_topic, MIDGE_LOG_SUBSCRIBE },
        [MIDGE_EV_UNSUBSCRIBED] = { say_topic, MIDGE_LOG_UNSUBSCRIBE },
        [MIDGE_EV_MESSAGE] = { say_message, MIDGE_LOG_DEBUG },
        [MIDGE_EV_DROPPED] = { say_dropped, MIDGE_LOG_DEBUG },
    };
    const struct to to = { say, user };
    if (event->kind == MIDGE_EV_LOW_MEMORY)
        say(user, MIDGE_LOG_WARNING, "The memory limit is reached: publishers are refused.");
    else if (event->kind == MIDGE_EV_STORE_FAILED)
        say(user, MIDGE_LOG_ERROR, "The store failed: nobody is served until a restart finds it in order.");
    else if ((size_t)event->kind < sizeof rows / sizeof *rows && rows[event->kind].say &&
             (kinds & 1u << rows[event->kind].level))
        rows[event->kind].say(&to, event);
}
