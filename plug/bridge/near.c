/* near.c - this broker's side: a client of it without a socket. */
#include "internal.h"

#include <string.h>

/* ---- bytes between them -------------------------------------------------------------------------------- */

void bridge_near_push(struct midge_bridge *b)
{
    size_t n;
    while (b->conn && (n = midge_client_pull(b->near, b->buffer, sizeof b->buffer, b->now)))
        midge_recv(b->conn, b->buffer, n, b->now);
}

/* Of what waited, so many may go now. */
static bool has_credit(struct midge_bridge *b)
{
    uint32_t rate = b->o->replay_per_s;
    if (!rate || !b->draining)
        return true;
    b->credit += (int64_t)(b->now - b->credit_at) * rate;
    b->credit_at = b->now;
    int64_t most = rate > 10 ? (int64_t)rate * 100 : 1000; /* a tenth of a second's worth at once */
    if (b->credit > most)
        b->credit = most;
    return b->credit > 0;
}

static bool far_is_full(const struct midge_bridge *b)
{
    return midge_client_memory_used(b->far) > bridge_or((uint32_t)b->o->buffer_bytes, 16384);
}

midge_ms bridge_near_credit_at(const struct midge_bridge *b)
{
    uint32_t rate = b->o->replay_per_s;
    if (!rate || !b->draining || !b->conn || b->credit > 0 || far_is_full(b) ||
        !(midge_status(b->conn) & MIDGE_STATUS_PULL))
        return MIDGE_NEVER;
    return b->credit_at + (midge_ms)(-b->credit / rate) + 1;
}

void bridge_near_pull(struct midge_bridge *b)
{
    bool limited = b->o->replay_per_s && b->draining;
    size_t room = limited ? 128 : sizeof b->buffer;
    while (b->conn && !b->broken && !far_is_full(b) && has_credit(b)) {
        size_t n = midge_pull(b->conn, b->buffer, room, b->now);
        if (!n) {
            b->draining = false;
            return;
        }
        midge_client_recv(b->near, b->buffer, n, b->now);
        bridge_near_push(b);
    }
}

/* Until `done` or nothing more comes: a few bytes at a time, so that as little as can be of what waits does. */
static void talk(struct midge_bridge *b, const bool *done)
{
    uint8_t bytes[64];
    size_t n = 1;
    bridge_near_push(b);
    while (b->conn && !*done && n) {
        n = midge_pull(b->conn, bytes, sizeof bytes, b->now);
        midge_client_recv(b->near, bytes, n, b->now);
        bridge_near_push(b);
    }
}

/* ---- open and close ------------------------------------------------------------------------------------ */

static bool subscribe(struct midge_bridge *b)
{
    uint8_t room[1024];
    for (size_t i = 0; i < b->o->map_count; i++) {
        const struct midge_bridge_map *map = &b->o->maps[i];
        struct midge_filter_request f = { .qos = map->qos,
                                          .no_local = true,
                                          .retain_as_published = true,
                                          .retain_handling = 1 };
        if (!(map->direction & MIDGE_BRIDGE_OUT))
            continue;
        if (!bridge_map_filter(map, true, &f.filter, room, sizeof room) ||
            midge_client_subscribe(b->near, &f, 1, (uint32_t)(i + 1), (void *)(uintptr_t)map) != MIDGE_OK)
            return false;
    }
    return true;
}

static bool connect(struct midge_bridge *b)
{
    b->near_up = false;
    const struct midge_client_options hello = {
        .version = 5,
        .clean_start = b->o->local_clean_session,
        .resume = true,
        .session_expiry_s = UINT32_MAX,
        .client_id = bridge_text(b->local_client_id),
    };
    const struct midge_peer peer = { .inside = &b->inside, .forgets = !b->far_present };
    b->conn = midge_accept(b->m, &peer, b->now);
    if (!b->conn || midge_client_connect(b->near, &hello, b->now) != MIDGE_OK)
        return false;
    talk(b, &b->near_up);
    return b->near_up;
}

bool bridge_near_open(struct midge_bridge *b)
{
    bool sets = b->far_qos < 2 || b->flush_left;
    uint16_t window = b->far_window < BRIDGE_SET || !sets ? b->far_window : BRIDGE_SET;
    b->near_config.receive_maximum = window;
    if (!connect(b) || !subscribe(b))
        return false;
    b->draining = true;
    b->credit = 0;
    b->credit_at = b->now;
    bridge_near_push(b);
    return true;
}

/* This broker does so while it is handed the packets. */
void bridge_near_unsubscribe(struct midge_bridge *b)
{
    uint8_t room[1024];
    if (!b->conn && !connect(b))
        return;
    for (size_t i = 0; i < b->o->map_count; i++) {
        struct midge_filter_request f = { .qos = 0 };
        if ((b->o->maps[i].direction & MIDGE_BRIDGE_OUT) &&
            bridge_map_filter(&b->o->maps[i], true, &f.filter, room, sizeof room) &&
            midge_client_unsubscribe(b->near, &f, 1, NULL) == MIDGE_OK)
            bridge_near_push(b);
    }
}

void bridge_near_close(struct midge_bridge *b, bool end_session)
{
    const uint32_t at_once = 0;
    if (!b->conn)
        return;
    if (midge_client_disconnect(b->near, MIDGE_RC_SUCCESS, end_session ? &at_once : NULL, b->now) == MIDGE_OK)
        bridge_near_push(b);
    midge_lost(b->conn, b->now);
    b->conn = NULL;
    b->near_up = false;
    midge_client_lost(b->near, b->now);
}

/* ---- notifications ------------------------------------------------------------------------------------- */

void bridge_notify_local(struct midge_bridge *b, bool up)
{
    const struct midge_publication p = { .topic = bridge_text(b->notify_topic),
                                         .payload = bridge_text(up ? "1" : "0"),
                                         .qos = 1,
                                         .retain = true };
    if (b->o->no_notifications)
        return;
    enum midge_err err = midge_publish(b->m, NULL, &p, b->now);
    (void)err; /* no memory, or no retained messages here: nobody is told */
}
