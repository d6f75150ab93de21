/* bridge.c - when a bridge dials whom, what it says first, and what becomes of it.
 *
 * It speaks as src/client does, which obeys what a client has to [MQTT311-7.0.0-1]. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define HELLO_MS 20000u    /* for CONNACK */
#define PROBE_MS 5000u     /* before the first look for the first address */
#define PROBE_CAP_MS 300000u

void bridge_tell(struct midge_bridge *b, enum midge_bridge_event_kind kind, uint8_t reason, const char *text)
{
    const struct midge_bridge_event event = { .kind = kind, .address = b->address, .reason = reason, .text = text };
    if (b->o->event)
        b->o->event(b->o->user, &event);
}

void bridge_break(struct midge_bridge *b, uint8_t reason)
{
    if (!b->broken)
        b->reason = reason;
    b->broken = true;
}

static void touch(struct midge_bridge *b, midge_ms now)
{
    if (now > b->now)
        b->now = now;
}

static bool is_v5(const struct midge_bridge *b)
{
    return bridge_or(b->o->version, 5) == 5;
}

/* ---- the other broker's session ------------------------------------------------------------------------ */

static uint32_t random_below(struct midge_bridge *b, uint32_t n)
{
    return b->o->random && n ? b->o->random(b->o->user) % n : n / 2;
}

static void say_state(struct midge_bridge *b)
{
    struct midge_message m = { .topic = bridge_text(b->notify_topic), .payload = bridge_text("1"), .retain = true };
    struct midge_client_packet p = { .type = PUBLISH, .message = &m };
    m.retain = !b->far_no_retain && !b->o->outgoing_no_retain;
    if (!b->o->no_notifications && !b->o->notify_local_only && midge_client_send(b->far, &p) != MIDGE_OK)
        bridge_break(b, MIDGE_RC_QUOTA_EXCEEDED);
}

static void ask_far(struct midge_bridge *b, const struct midge_bridge_map *map)
{
    uint8_t room[1024];
    struct midge_filter_request f = { .qos = map->qos,
                                      .no_local = true,
                                      .retain_as_published = true,
                                      .retain_handling = is_v5(b) ? 1 : 0 };
    enum midge_err err = MIDGE_ERR_INVALID;
    bool fits = bridge_map_filter(map, false, &f.filter, room, sizeof room);
    if (fits && (map->direction & MIDGE_BRIDGE_IN))
        err = midge_client_subscribe(b->far, &f, 1, 0, (void *)(uintptr_t)map);
    else if (fits)
        err = b->o->no_unsubscribe || b->o->clean_session || !b->far_present
            ? MIDGE_OK
            : midge_client_unsubscribe(b->far, &f, 1, NULL);
    if (err != MIDGE_OK)
        bridge_break(b, MIDGE_RC_IMPLEMENTATION_SPECIFIC);
}

static void on_granted(struct midge_bridge *b, const struct midge_client_event *e)
{
    const struct midge_bridge_map *map = e->token;
    if (map && e->codes.len && e->codes.data[0] >= MIDGE_RC_UNSPECIFIED)
        bridge_tell(b, MIDGE_BRIDGE_EV_NO_GRANT, e->codes.data[0], map->pattern);
}

static uint16_t window_of(const struct midge_bridge *b, uint16_t far)
{
    uint16_t own = is_v5(b) ? 100 : 20; /* Mosquitto takes no more from a client of 3.x, and cannot say so */
    own = b->o->inflight ? b->o->inflight : own;
    return far < own ? far : own;
}

static void on_connected(struct midge_bridge *b, const struct midge_client_session *s)
{
    b->far_present = s->session_present;
    b->far_qos = s->maximum_qos;
    b->far_no_retain = !s->retain;
    b->far_window = window_of(b, s->receive_maximum);
    if (!b->far_present)
        b->flush_left = 0;
    else if (!b->near_present) /* not yet that of bridge_near_open */
        b->flush_left = UINT16_MAX;
    b->lowered.count = b->flushed.count = 0;
    b->phase = PHASE_UP;
    b->tried = 0;
    b->delay_ms = 0;
    b->idle_at = b->now + (midge_ms)bridge_or(b->o->idle_s, 60) * 1000;
    b->probe_at = b->now + b->probe_ms;
    if (b->address == 0)
        b->probe_ms = PROBE_MS;
    for (size_t i = 0; i < b->o->map_count; i++)
        ask_far(b, &b->o->maps[i]);
    say_state(b);
    if (!bridge_near_open(b)) {
        bridge_break(b, MIDGE_RC_SERVER_UNAVAILABLE);
        return;
    }
    b->stats.ups++;
    bridge_notify_local(b, true);
    bridge_tell(b, MIDGE_BRIDGE_EV_UP, 0, NULL);
}

static void far_event(void *user, const struct midge_client_event *e)
{
    struct midge_bridge *b = user;
    if (e->kind == MIDGE_CLIENT_CONNECTED)
        on_connected(b, e->session);
    else if (e->kind == MIDGE_CLIENT_SUBSCRIBED)
        on_granted(b, e);
    else if (e->kind == MIDGE_CLIENT_DROPPED)
        bridge_dropped(b, true, e);
    else if (e->kind == MIDGE_CLIENT_REFUSED && e->reason == MIDGE_RC_UNSUPPORTED_VERSION && !is_v5(b))
        b->not_private = true;
    b->answered |= e->kind == MIDGE_CLIENT_CONNECTED || e->kind == MIDGE_CLIENT_REFUSED;
    if (e->kind == MIDGE_CLIENT_REFUSED || e->kind == MIDGE_CLIENT_DISCONNECTED)
        b->reason = b->broken ? b->reason : e->reason;
}

static void near_event(void *user, const struct midge_client_event *e)
{
    struct midge_bridge *b = user;
    if (e->kind == MIDGE_CLIENT_CONNECTED) {
        b->near_up = true;
        b->near_present = e->session->session_present;
    } else if (e->kind == MIDGE_CLIENT_SUBSCRIBED) {
        on_granted(b, e);
    } else if (e->kind == MIDGE_CLIENT_DROPPED) {
        bridge_dropped(b, false, e);
    } else if (e->kind == MIDGE_CLIENT_DISCONNECTED && b->conn && b->phase == PHASE_UP) {
        bridge_break(b, e->reason);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void fill_texts(struct midge_bridge *b)
{
    const struct midge_bridge_options *o = b->o;
    snprintf(b->fetched, sizeof b->fetched, "+%s", o->node);
    snprintf(b->client_id, sizeof b->client_id, "%s", o->client_id ? o->client_id : o->name);
    if (o->local_client_id)
        snprintf(b->local_client_id, sizeof b->local_client_id, "%s", o->local_client_id);
    else
        snprintf(b->local_client_id, sizeof b->local_client_id, "local.%s", b->client_id);
    if (o->notify_topic)
        snprintf(b->notify_topic, sizeof b->notify_topic, "%s", o->notify_topic);
    else
        snprintf(b->notify_topic, sizeof b->notify_topic, "$SYS/broker/connection/%s/state", b->client_id);
}

static const char *check(const struct midge_bridge_options *o)
{
    const char *wrong = o->map_count ? NULL : "a bridge without a topic";
    for (size_t i = 0; i < o->map_count && !wrong; i++)
        wrong = midge_bridge_map_wrong(&o->maps[i]);
    if (!wrong && (!o->name || !o->node || !o->address_count))
        wrong = "a bridge needs a name, a node and an address";
    if (!wrong && o->version && (o->version < 3 || o->version > 5))
        wrong = "MQTT has the versions 3, 4 and 5";
    return wrong;
}

static bool make_clients(struct midge_bridge *b)
{
    b->far_hooks =
        (struct midge_client_hooks){ .user = b, .event = far_event, .packet = bridge_from_far };
    b->near_hooks =
        (struct midge_client_hooks){ .user = b, .event = near_event, .packet = bridge_from_near };
    b->far_config = (struct midge_client_config){ .memory = b->o->memory,
                                                  .hooks = &b->far_hooks,
                                                  .connect_ms = HELLO_MS,
                                                  .receive_maximum = b->o->inflight ? b->o->inflight : 100,
                                                  .send_bytes = b->o->packet_bytes,
                                                  .alias_out = 16 };
    b->near_config = (struct midge_client_config){ .memory = b->o->memory, .hooks = &b->near_hooks };
    b->far = midge_client_new(&b->far_config, b->now);
    b->near = midge_client_new(&b->near_config, b->now);
    return b->far && b->near;
}

static bool make_policies(struct midge_bridge *b)
{
    const struct midge_bridge_options *o = b->o;
    b->policies = o->memory->alloc(o->memory->user, o->map_count);
    for (size_t i = 0; b->policies && i < o->map_count; i++)
        b->policies[i] = o->maps[i].policy;
    b->inside = (struct midge_inside){ .queue_bytes = o->queue_bytes,
                                       .queue_msgs = o->queue_msgs,
                                       .policies = b->policies,
                                       .policy_count = (uint32_t)o->map_count,
                                       .tells_age = is_v5(b),
                                       .no_bridged = o->split_horizon };
    return b->policies != NULL;
}

static void release(struct midge_bridge *b)
{
    const struct midge_memory *memory = b->o->memory;
    midge_client_free(b->far);
    midge_client_free(b->near);
    if (b->policies)
        memory->free(memory->user, b->policies, b->o->map_count);
    memory->free(memory->user, b, sizeof *b);
}

/* From now on there is a session here that messages wait in. */
static bool visit(struct midge_bridge *b)
{
    b->far_present = true; /* for all that is known, it has forgotten nothing */
    b->far_qos = 2;
    b->far_window = 1;
    bool there = bridge_near_open(b);
    bool present = b->near_present;
    bridge_near_close(b, b->o->local_clean_session);
    b->near_present = present;
    return there;
}

struct midge_bridge *midge_bridge_new(const struct midge_bridge_options *options, struct midge *m, midge_ms now,
                                      const char **why)
{
    *why = check(options);
    if (*why)
        return NULL;
    *why = "no memory for a bridge";
    struct midge_bridge *b = options->memory->alloc(options->memory->user, sizeof *b);
    if (!b)
        return NULL;
    memset(b, 0, sizeof *b);
    b->o = options;
    b->m = m;
    b->now = now;
    b->due = now;
    b->probe_ms = PROBE_MS;
    fill_texts(b);
    if (make_policies(b) && make_clients(b)) {
        *why = "this broker has no room for a bridge's session";
        if (visit(b)) {
            bridge_notify_local(b, false);
            *why = NULL;
            return b;
        }
    }
    release(b);
    return NULL;
}

void midge_bridge_free(struct midge_bridge *b, bool end_session, midge_ms now)
{
    if (!b)
        return;
    touch(b, now);
    midge_client_lost(b->far, b->now);
    bridge_near_close(b, false);
    if (end_session) {
        enum midge_err err =
            midge_kick(b->m, bridge_text(b->local_client_id), MIDGE_RC_ADMINISTRATIVE_ACTION, true, b->now);
        (void)err; /* there is none: as well */
    } else {
        midge_inside_forget(b->m, bridge_text(b->local_client_id));
    }
    release(b);
}

void midge_bridge_unsubscribe(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    midge_bridge_lost(b, NULL, b->now);
    bridge_near_unsubscribe(b);
    bridge_near_close(b, b->o->local_clean_session);
}

static void leave(struct midge_bridge *b)
{
    bool has_will = !b->o->no_notifications && !b->o->notify_local_only;
    b->leaving = true;
    bool silent = has_will && !is_v5(b); /* the will says that it is gone; after a DISCONNECT of 3.x it would not */
    uint8_t reason = has_will ? MIDGE_RC_DISCONNECT_WITH_WILL : MIDGE_RC_SUCCESS;
    if (silent || midge_client_disconnect(b->far, reason, NULL, b->now) != MIDGE_OK)
        bridge_break(b, MIDGE_RC_SUCCESS);
}

void midge_bridge_stop(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    b->stopped = true;
    if (b->phase == PHASE_UP || b->phase == PHASE_HELLO)
        leave(b);
    else
        b->phase = PHASE_OVER;
}

/* ---- whom to dial, and when ---------------------------------------------------------------------------- */

static uint64_t waiting(const struct midge_bridge *b)
{
    struct midge_books books[3];
    if (midge_get_books(b->m, bridge_text(b->local_client_id), books) != MIDGE_OK)
        return 0;
    return books[1].queued + books[1].inflight + books[2].queued + books[2].inflight;
}

static bool wants_to(const struct midge_bridge *b)
{
    return b->o->start != MIDGE_BRIDGE_LAZY || waiting(b) >= bridge_or(b->o->threshold, 10);
}

int midge_bridge_dial(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    if (b->phase != PHASE_WAIT || b->now < b->due || !wants_to(b))
        return -1;
    b->phase = PHASE_DIAL;
    if (b->go_first)
        b->address = 0;
    b->go_first = false;
    return (int)b->address;
}

/* Each wait is drawn between the shortest and three times the last. */
static uint32_t next_delay(struct midge_bridge *b)
{
    uint32_t base = bridge_or(b->o->restart_s, 5) * 1000;
    uint32_t cap = b->o->restart_cap_s ? b->o->restart_cap_s * 1000 : b->o->restart_s ? base : 30000;
    uint32_t most = b->delay_ms ? b->delay_ms * 3 : base;
    uint32_t delay = most > base ? base + random_below(b, most - base + 1) : base;
    return delay < cap ? delay : cap;
}

/* The next address at once, until all have been tried. */
static void plan(struct midge_bridge *b, bool was_up)
{
    size_t n = b->o->address_count;
    b->phase = b->stopped || (b->o->start == MIDGE_BRIDGE_ONCE && was_up) ? PHASE_OVER : PHASE_WAIT;
    b->due = b->now;
    if (b->go_first || b->leaving)
        return;
    b->address = (b->address + 1) % n;
    if (++b->tried < n)
        return;
    b->tried = 0;
    b->delay_ms = next_delay(b);
    b->due = b->now + b->delay_ms;
}

bool midge_bridge_probe(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    if (b->o->round_robin || b->phase != PHASE_UP || b->address == 0 || b->now < b->probe_at)
        return false;
    b->probe_at = b->now + b->probe_ms;
    return true;
}

/* If it can be reached and is of no use, the next look is later. */
void midge_bridge_first_is_back(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    if (b->phase != PHASE_UP || b->address == 0)
        return;
    b->probe_ms = b->probe_ms * 2 < PROBE_CAP_MS ? b->probe_ms * 2 : PROBE_CAP_MS;
    b->go_first = true;
    leave(b);
}

/* ---- the transport ------------------------------------------------------------------------------------- */

void midge_bridge_connected(struct midge_bridge *b, midge_ms now)
{
    const struct midge_bridge_options *o = b->o;
    touch(b, now);
    const struct midge_publication will = { .topic = bridge_text(b->notify_topic),
                                            .payload = bridge_text("0"),
                                            .retain = !o->outgoing_no_retain };
    const struct midge_client_options hello = {
        .version = (uint8_t)bridge_or(o->version, 5),
        .bridge = !o->not_private && !b->not_private,
        .clean_start = o->clean_session,
        .resume = true,
        .keepalive_s = o->keepalive_s ? o->keepalive_s : 60,
        .session_expiry_s = o->clean_session ? 0 : bridge_or(o->session_expiry_s, UINT32_MAX),
        .client_id = bridge_text(b->client_id),
        .username = bridge_text(o->username),
        .password = o->password,
        .will = o->no_notifications || o->notify_local_only ? NULL : &will,
    };
    b->phase = PHASE_HELLO;
    b->broken = b->leaving = b->answered = false;
    b->reason = 0;
    if (midge_client_connect(b->far, &hello, b->now) != MIDGE_OK)
        bridge_break(b, MIDGE_RC_QUOTA_EXCEEDED);
}

void midge_bridge_recv(struct midge_bridge *b, const void *bytes, size_t n, midge_ms now)
{
    touch(b, now);
    if (b->broken)
        return;
    midge_client_recv(b->far, bytes, n, b->now);
    bridge_near_push(b);
}

size_t midge_bridge_pull(struct midge_bridge *b, void *out, size_t room, midge_ms now)
{
    touch(b, now);
    return b->broken ? 0 : midge_client_pull(b->far, out, room, b->now);
}

unsigned midge_bridge_status(const struct midge_bridge *b)
{
    if (b->phase != PHASE_HELLO && b->phase != PHASE_UP)
        return 0;
    if (b->broken)
        return MIDGE_STATUS_CLOSE;
    unsigned near = b->conn ? midge_status(b->conn) & MIDGE_STATUS_PAUSED : 0;
    return midge_client_status(b->far) | near;
}

void midge_bridge_lost(struct midge_bridge *b, const char *why, midge_ms now)
{
    touch(b, now);
    bool was_up = b->phase == PHASE_UP;
    if (b->phase == PHASE_WAIT || b->phase == PHASE_OVER)
        return;
    midge_client_lost(b->far, b->now);
    bridge_near_close(b, b->o->local_clean_session);
    b->near_present = !b->o->local_clean_session;
    if (was_up)
        bridge_notify_local(b, false);
    if (b->phase == PHASE_HELLO && !b->answered)
        b->not_private = !b->not_private; /* some just hang up when they do not know that bit */
    bridge_tell(b, was_up ? MIDGE_BRIDGE_EV_DOWN : MIDGE_BRIDGE_EV_FAILED, b->reason, why);
    plan(b, was_up);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

void midge_bridge_turn(struct midge_bridge *b, midge_ms now)
{
    touch(b, now);
    if (b->phase != PHASE_HELLO && b->phase != PHASE_UP)
        return;
    midge_client_tick(b->far, b->now);
    if (b->phase != PHASE_UP || b->leaving)
        return;
    bridge_near_pull(b);
    if (b->conn && (midge_status(b->conn) & MIDGE_STATUS_CLOSE))
        bridge_break(b, MIDGE_RC_SERVER_UNAVAILABLE);
    if (b->o->start == MIDGE_BRIDGE_LAZY && b->now >= b->idle_at)
        leave(b);
}

static midge_ms sooner(midge_ms a, midge_ms b)
{
    return a < b ? a : b;
}

midge_ms midge_bridge_deadline(const struct midge_bridge *b)
{
    if (b->phase == PHASE_WAIT)
        return b->o->start == MIDGE_BRIDGE_LAZY && !wants_to(b) ? MIDGE_NEVER : b->due;
    if (b->phase != PHASE_HELLO && b->phase != PHASE_UP)
        return MIDGE_NEVER;
    midge_ms due = midge_client_deadline(b->far);
    if (b->phase == PHASE_UP && !b->o->round_robin && b->address)
        due = sooner(due, b->probe_at);
    if (b->phase == PHASE_UP && b->o->start == MIDGE_BRIDGE_LAZY)
        due = sooner(due, b->idle_at);
    return b->phase == PHASE_UP ? sooner(due, bridge_near_credit_at(b)) : due;
}

void midge_bridge_get_stats(const struct midge_bridge *b, struct midge_bridge_stats *out)
{
    *out = b->stats;
    out->up = b->phase == PHASE_UP;
    out->address = b->address;
    out->memory = sizeof *b + midge_client_memory_used(b->far) + midge_client_memory_used(b->near);
}
