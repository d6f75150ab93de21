/* fuzz_talk.c - conversations of up to four clients, a local one and the host, as the input says, on the specification
 * tests' harness: each packet of the broker's is held against rules.c, memory and books after each step.
 *
 * Input: limits, then one step after the other: what, who, and what it needs. Bytes are pulled, cut and held back as
 * the input says, memory is refused, the broker is killed and restored.
 */
#include "fuzz.h"

#include "spec/peer.h"
#include "spec/store.h"

enum { PEERS = 4, STEPS = 400 };

static struct input in;
static struct peer *at[PEERS];
static size_t answered[PEERS]; /* of peer->arrived */
static struct midge_local *local;

static const char *const ids[] = { "a", "b", "c", "" };
static const char *const topics[] = { "a", "a/b", "a/c", "$x", "/", "long/topic/name/of/many/levels" };
static const char *const filters[] = { "a",    "#",          "a/+",         "+/b",  "$share/g/a", "$share/g/#",
                                       "a/#/", "$SYS/#",     "$x",          "+",    "/#",         "$share/h/+/b",
                                       "a/b",  "$share/g/+", "long/topic/#" };

/* ---- what a client says -------------------------------------------------------------------------------- */

static struct prop choose_prop(void)
{
    switch (choose(&in, 12)) {
    case 0: return prop_num(PROP_MESSAGE_EXPIRY, choose(&in, 4));
    case 1: return prop_num(PROP_TOPIC_ALIAS, choose(&in, 5));
    case 2: return prop_user("name", "value");
    case 3: return prop_num(PROP_SUBSCRIPTION_ID, choose(&in, 4));
    case 4: return prop_num(PROP_SESSION_EXPIRY, choose(&in, 2) ? 4294967295u : choose(&in, 100));
    case 5: return prop_num(PROP_RECEIVE_MAXIMUM, choose(&in, 4));
    case 6: return prop_num(PROP_MAXIMUM_PACKET_SIZE, choose(&in, 60));
    case 7: return prop_num(PROP_TOPIC_ALIAS_MAXIMUM, choose(&in, 4));
    case 8: return prop_num(PROP_REQUEST_PROBLEM, choose(&in, 2));
    case 9: return prop_text(PROP_RESPONSE_TOPIC, topics[choose(&in, 6)]);
    case 10: return prop_text(PROP_AUTH_METHOD, "m");
    default: return prop_num(PROP_WILL_DELAY, choose(&in, 8));
    }
}

static struct props choose_props(void)
{
    const size_t n = choose(&in, 4);
    struct prop *list = keep((n + 1) * sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = choose_prop();
    return (struct props){ list, n };
}

static char *choose_payload(void)
{
    const unsigned n = choose(&in, 4);
    return text_of('x', n == 3 ? choose(&in, 255) * 20u : n);
}

static bool is_up(unsigned who)
{
    return at[who] && conn_of(at[who]);
}

static void say_connect(unsigned who)
{
    if (at[who])
        drop(at[who]);
    at[who] = try_dial(who + 1);
    answered[who] = 0;
    if (!at[who])
        return;
    const struct c_will will = {
        .topic = topics[choose(&in, 6)], .payload = "w", .qos = (uint8_t)choose(&in, 3),
        .retain = choose(&in, 2), .props = choose_props(),
    };
    const unsigned flags = take_u8(&in);
    const struct c_connect c = {
        .version = (uint8_t)(3 + choose(&in, 3)), .client_id = ids[choose(&in, 4)], .clean_start = flags & 1,
        .keepalive = flags & 2 ? 10 : 0, .will = flags & 4 ? &will : NULL, .username = flags & 8 ? "u" : NULL,
        .props = choose_props(),
    };
    send_connect(at[who], &c);
}

static void say_publish(unsigned who)
{
    const struct c_publish p = {
        .topic = choose(&in, 8) ? topics[choose(&in, 6)] : "", .payload = choose_payload(),
        .pid = (uint16_t)(1 + choose(&in, 3)), .qos = (uint8_t)choose(&in, 3), .retain = choose(&in, 3) == 1,
        .dup = choose(&in, 4) == 1, .props = choose_props(),
    };
    send_publish(at[who], &p);
}

static void say_subscribe(unsigned who, bool not_any_more)
{
    struct c_filter list[3];
    const size_t n = 1 + choose(&in, 3);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct c_filter){ filters[choose(&in, sizeof filters / sizeof filters[0])], take_u8(&in) & 0x3F };
    const struct c_subscribe s = {
        .pid = (uint16_t)(1 + choose(&in, 3)), .filters = list, .count = n, .props = choose_props()
    };
    if (not_any_more)
        send_unsubscribe(at[who], &s);
    else
        send_subscribe(at[who], &s);
}

/* What a well-behaved client would answer to all that has come. */
static void answer_all(unsigned who)
{
    struct peer *p = at[who];
    while (conn_of(p) && answered[who] < p->arrived.len / sizeof(struct arrived)) {
        const struct arrived *list = (const struct arrived *)(const void *)p->arrived.at;
        const struct packet pk = list[answered[who]++].packet;
        if (pk.type == PK_PUBLISH && pk.qos)
            send_ack(p, pk.qos == 1 ? PK_PUBACK : PK_PUBREC, pk.pid, 0);
        else if (pk.type == PK_PUBREC && pk.reason < 0x80)
            send_ack(p, PK_PUBREL, pk.pid, 0);
        else if (pk.type == PK_PUBREL)
            send_ack(p, PK_PUBCOMP, pk.pid, 0);
    }
}

static void say_ack(unsigned who)
{
    const enum packet_type type = PK_PUBACK + choose(&in, 4);
    const uint16_t pid = (uint16_t)(1 + choose(&in, 4));
    send_ack(at[who], type, pid, choose(&in, 8) ? 0 : 0x92);
}

static void say_raw(unsigned who)
{
    const struct midge_slice raw = take_bytes(&in, choose(&in, 40));
    send_bytes(at[who], raw.data, raw.len);
}

/* ---- what else happens --------------------------------------------------------------------------------- */

static void on_local(void *user, const struct midge_message *message)
{
    (void)user;
    (void)message;
}

static struct midge_slice text_slice(const char *s)
{
    return (struct midge_slice){ (const uint8_t *)s, (uint32_t)strlen(s) };
}

static void local_step(void)
{
    enum midge_err err = MIDGE_OK;
    const struct midge_publication p = {
        .topic = text_slice(topics[choose(&in, 6)]), .payload = text_slice("local"),
        .qos = (uint8_t)choose(&in, 3), .retain = choose(&in, 2),
    };
    const struct midge_subscription s = {
        .filter = text_slice(filters[choose(&in, sizeof filters / sizeof filters[0])]), .qos = (uint8_t)choose(&in, 3),
        .on_message = on_local,
    };
    switch (choose(&in, 5)) {
    case 0:
        if (!local)
            local = midge_local_open(broker, &(struct midge_local_config){ .client_id = text_slice("b") }, now, &err);
        break;
    case 1: err = local ? midge_local_subscribe(local, &s, now) : err; break;
    case 2: err = local ? midge_local_unsubscribe(local, s.filter, now) : err; break;
    case 3: err = midge_publish(broker, local, &p, now); break;
    default:
        if (local)
            midge_local_close(local, now);
        local = NULL;
    }
    (void)err;
    settle();
}

static void kill_and_restore(void)
{
    if (!config.store)
        return;
    run_mode.refuse = 0;
    local = NULL;
    crash(choose(&in, 3) * 1000u);
    memset(at, 0, sizeof at);
}

static void step(void)
{
    static const midge_ms spans[] = { 1, 100, 1500, 15001, 100000 };
    const unsigned what = choose(&in, 20), who = choose(&in, PEERS);
    switch (what) {
    case 0:
    case 1: say_connect(who); return;
    case 2: run_mode.pull = choose(&in, 40); return;
    case 3: run_mode.feed = choose(&in, 40); return;
    case 4: advance(spans[choose(&in, 5)]); return;
    case 5: local_step(); return;
    case 6: run_mode.refuse = run_mode.refuse ? run_mode.refuse : run_blocks() + 1 + choose(&in, 8); return;
    case 7: kill_and_restore(); return;
    default: break;
    }
    if (!is_up(who))
        return;
    switch (what) {
    case 8: say_raw(who); break;
    case 9: say_ack(who); break;
    case 10: send_disconnect(at[who], (uint8_t)(choose(&in, 2) ? 4 : 0), choose_props()); break;
    case 11: drop(at[who]); break;
    case 12: hold(at[who]); break;
    case 13: resume(at[who]); break;
    case 14: say_subscribe(who, true); break;
    case 15: send_ping(at[who]); break;
    case 16: say_subscribe(who, false); break;
    case 17: answer_all(who); break;
    default: say_publish(who); break;
    }
}

static void choose_limits(void)
{
    const unsigned flags = take_u8(&in);
    if (flags & 1)
        limits = midge_limits_chip;
    if (flags & 2) {
        limits.queue_msgs = choose(&in, 4);
        limits.queue_policy = (uint8_t)choose(&in, 4);
    }
    if (flags & 4) {
        limits.memory_bytes = 4000 + take_u8(&in) * 100u;
        limits.reserve_bytes = 1000;
    }
    if (flags & 8)
        limits.sessions = 1 + choose(&in, 3);
    if (flags & 16)
        limits.inflight = (uint16_t)(1 + choose(&in, 2));
    if (flags & 32)
        limits.retained_msgs = choose(&in, 3);
    if (flags & 64)
        config.sys_interval_s = 1;
    run_mode.durable = flags & 128;
}

static void converse(void)
{
    memset(at, 0, sizeof at);
    memset(answered, 0, sizeof answered);
    local = NULL;
    choose_limits();
    start();
    for (unsigned i = 0; in.left && i < STEPS; i++)
        step();
    for (struct peer *p = peers; p; p = p->next) {
        resume(p);
        read_all(p);
        p->close_expected = true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct test t = { .name = "converse", .file = __FILE__, .run = converse };
    in = (struct input){ bytes, n };
    const bool trace = getenv("TRACE");
    run_mode = (struct run_mode){ .trace = trace };
    MUST(run_test(&t));
    return 0;
}
