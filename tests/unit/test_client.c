/* test_client.c - midge_client against a server made of bytes: each test with input and output cut in
 * several ways. */
#include "codec/packet.h"
#include "midge/midge_client.h"
#include "wire.h"

#include <stdio.h>

/* ---- the rig: one client, its memory, and a diary of what it told ------------------------------------ */

/* How bytes are handed over in this run. */
static const struct mode {
    const char *name;
    size_t feed, pull;
} modes[] = { { "whole", 65536, 65536 }, { "byte by byte", 1, 1 }, { "in sevens", 7, 7 } };
static const struct mode *mode = &modes[0];

struct rig {
    struct midge_client_config config;
    struct midge_client_hooks hooks;
    struct midge_memory memory;
    struct midge_client *c;
    midge_ms now;
    size_t live, blocks; /* bytes and blocks that the client holds */
    long allocs_left;    /* then the next allocation fails; < 0 = never */
    uint8_t answer;      /* of the message hook */
    void (*on_event)(struct rig *r, const struct midge_client_event *e); /* a test's own */
    char diary[2048];
};

static void *rig_alloc(void *user, size_t n)
{
    struct rig *r = user;
    if (r->allocs_left == 0)
        return NULL;
    if (r->allocs_left > 0)
        r->allocs_left--;
    r->live += n;
    r->blocks++;
    return malloc(n);
}

static void rig_release(void *user, void *p, size_t n)
{
    struct rig *r = user;
    r->live -= n;
    r->blocks--;
    free(p);
}

static void *rig_resize(void *user, void *p, size_t old, size_t n)
{
    void *moved = rig_alloc(user, n);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < n ? old : n);
    rig_release(user, p, old);
    return moved;
}

static void note(struct rig *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct rig *r, const char *format, ...)
{
    size_t len = strlen(r->diary);
    va_list args;
    va_start(args, format);
    vsnprintf(r->diary + len, sizeof r->diary - len, format, args);
    va_end(args);
}

static void on_event(void *user, const struct midge_client_event *e)
{
    struct rig *r = user;
    static const char *const names[] = { "connected", "refused",    "disconnected", "published",
                                         "dropped",   "subscribed", "unsubscribed", "auth" };
    note(r, "%s", names[e->kind]);
    if (e->kind == MIDGE_CLIENT_CONNECTED)
        note(r, " sp=%d", e->session->session_present);
    else if (e->kind != MIDGE_CLIENT_SUBSCRIBED && e->kind != MIDGE_CLIENT_UNSUBSCRIBED)
        note(r, " %02X", e->reason);
    if (e->kind == MIDGE_CLIENT_DISCONNECTED)
        note(r, e->by_server ? " by server" : "");
    if (e->token)
        note(r, " %s", (const char *)e->token);
    for (uint32_t i = 0; i < e->codes.len; i++)
        note(r, " %02X", e->codes.data[i]);
    if (e->auth_data.data)
        note(r, " '%.*s'", (int)e->auth_data.len, (const char *)e->auth_data.data);
    note(r, "; ");
    if (r->on_event)
        r->on_event(r, e);
}

static uint8_t on_message(void *user, const struct midge_message *m)
{
    struct rig *r = user;
    note(r, "message %.*s q%d%s%s '%.*s'; ", (int)m->topic.len, (const char *)m->topic.data, m->qos,
         m->retain ? " retained" : "", m->dup ? " dup" : "", (int)m->payload.len,
         (const char *)m->payload.data);
    return r->answer;
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->allocs_left = -1;
    r->now = 1000000;
    r->memory =
        (struct midge_memory){ .user = r, .alloc = rig_alloc, .free = rig_release, .resize = rig_resize };
    r->hooks = (struct midge_client_hooks){ .user = r, .event = on_event, .message = on_message };
    r->config = (struct midge_client_config){
        .memory = &r->memory,
        .hooks = &r->hooks,
        .queue_msgs = 100,
        .queue_bytes = 100000,
        .connect_ms = 10000,
    };
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    if (r->c) {
        midge_client_lost(r->c, r->now);
        midge_client_free(r->c);
    }
    bool clean = r->live == 0 && r->blocks == 0; /* everything was given back */
    if (!clean)
        fprintf(stderr, "%zu bytes in %zu blocks are left\n", r->live, r->blocks);
    free(r);
    return clean ? 0 : -1;
}

static void start(struct rig *r)
{
    r->c = midge_client_new(&r->config, r->now);
    assert_non_null(r->c);
}

/* The bytes arrive, in the pieces of this run, each in a block of its own. */
static void feed(struct rig *r, struct midge_slice bytes)
{
    for (uint32_t at = 0; at < bytes.len;) {
        uint32_t n = bytes.len - at < mode->feed ? bytes.len - at : (uint32_t)mode->feed;
        struct midge_slice piece = wire_copy(midge_slice_of(bytes.data + at, n));
        midge_client_recv(r->c, piece.data, piece.len, r->now);
        wire_free(piece);
        at += n;
    }
}

/* All that the client has to send. Static storage, until the next call. */
static struct midge_slice pull(struct rig *r)
{
    static uint8_t out[200000];
    size_t len = 0;
    for (;;) {
        size_t n = midge_client_pull(r->c, out + len, mode->pull, r->now);
        if (n == 0)
            break;
        len += n;
        assert_true(len + mode->pull <= sizeof out);
    }
    assert_false(midge_client_status(r->c) & MIDGE_STATUS_PULL);
    return midge_slice_of(out, len);
}

static void expect_bytes(struct rig *r, struct midge_slice wanted, int line)
{
    struct midge_slice got = pull(r);
    if (midge_slice_equal(got, wanted))
        return;
    fprintf(stderr, "line %d, %s: sent", line, mode->name);
    for (uint32_t i = 0; i < got.len; i++)
        fprintf(stderr, " %02X", got.data[i]);
    fprintf(stderr, "\n");
    assert_slice(got, wanted);
}
#define expect_sent(r, ...) expect_bytes((r), BYTES(__VA_ARGS__), __LINE__)
#define expect_silence(r) expect_bytes((r), (struct midge_slice){ 0 }, __LINE__)

/* What was told since the last time. */
static void expect_told(struct rig *r, const char *wanted)
{
    assert_string_equal(r->diary, wanted);
    r->diary[0] = '\0';
}

static void expect_close(struct rig *r)
{
    expect_silence(r);
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_CLOSE);
}

static const struct midge_client_options options4 = {
    .version = 4,
    .clean_start = false,
    .client_id = { (const uint8_t *)"me", 2 },
};
static const struct midge_client_options options5 = {
    .version = 5,
    .session_expiry_s = 60,
    .client_id = { (const uint8_t *)"me", 2 },
};

static const struct midge_client_options options_auth = {
    .version = 5,
    .client_id = { (const uint8_t *)"me", 2 },
    .auth_method = { (const uint8_t *)"m", 1 },
};

#define CONNECT4 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, 2, 'm', 'e'
#define CONNECT5 0x10, 20, 0, 4, 'M', 'Q', 'T', 'T', 5, 0, 0, 0, 5, 0x11, 0, 0, 0, 60, 0, 2, 'm', 'e'

/* Connected, with the diary and the output empty. `connack`: what the server answers. */
static void open_with(struct rig *r, const struct midge_client_options *options, struct midge_slice connack)
{
    if (!r->c)
        start(r);
    assert_int_equal(midge_client_connect(r->c, options, r->now), MIDGE_OK);
    pull(r);
    feed(r, connack);
    assert_true(midge_client_is_connected(r->c));
    r->diary[0] = '\0';
}
#define open4(r) open_with((r), &options4, BYTES(0x20, 2, 0, 0))
#define open5(r) open_with((r), &options5, BYTES(0x20, 3, 0, 0, 0))

static void lose(struct rig *r)
{
    midge_client_lost(r->c, r->now);
}

static enum midge_err publish(struct rig *r, uint8_t qos, const char *topic, const char *payload,
                              const char *token)
{
    struct midge_publication p = { .topic = midge_slice_str(topic),
                                   .payload = midge_slice_str(payload),
                                   .qos = qos };
    return midge_client_publish(r->c, &p, (void *)(uintptr_t)token, r->now);
}
#define must_publish(r, qos, topic, payload, token)                                                          \
    assert_int_equal(publish((r), (qos), (topic), (payload), (token)), MIDGE_OK)

static void wait(struct rig *r, midge_ms ms)
{
    r->now += ms;
    midge_client_tick(r->c, r->now);
}

/* ---- CONNECT and CONNACK ----------------------------------------------------------------------------- */

SPEC("MQTT-3.1.0-1", "MQTT311-3.1.0-1", "MQTT-3.1.2-30")
static void connect_is_the_first_packet_and_nothing_follows_before_connack(void **state)
{
    struct rig *r = *state;
    start(r);
    must_publish(r, 1, "t", "x", "one");
    expect_silence(r);
    assert_int_equal(midge_client_connect(r->c, &options4, r->now), MIDGE_OK);
    must_publish(r, 0, "t", "y", "two");
    expect_sent(r, CONNECT4);
    expect_silence(r);
    feed(r, BYTES(0x20, 2, 0, 0));
    expect_told(r, "connected sp=0; ");
    expect_sent(r, 0x32, 6, 0, 1, 't', 0, 1, 'x', 0x30, 4, 0, 1, 't', 'y');
    expect_told(r, "published 00 two; ");
}

SPEC("MQTT-3.1.3-1", "MQTT311-3.1.3-1")
static void connect_carries_every_field(void **state)
{
    struct rig *r = *state;
    r->config.receive_maximum = 10;
    r->config.packet_bytes = 1000;
    r->config.alias_in = 3;
    start(r);
    const struct midge_user_property user = { TEXT("k"), TEXT("v") };
    const struct midge_publication will = {
        .topic = TEXT("w"),
        .payload = TEXT("gone"),
        .qos = 1,
        .retain = true,
        .has_expiry = true,
        .expiry_s = 9,
        .has_payload_format = true,
        .payload_format = 1,
        .content_type = TEXT("c"),
        .response_topic = TEXT("r"),
        .correlation_data = TEXT("d"),
        .user_properties = &user,
        .user_property_count = 1,
    };
    struct midge_client_options o = {
        .version = 5,
        .clean_start = true,
        .keepalive_s = 30,
        .session_expiry_s = 7,
        .client_id = TEXT("me"),
        .username = TEXT("u"),
        .password = TEXT("p"),
        .auth_method = TEXT("m"),
        .auth_data = TEXT("a"),
        .request_response_info = true,
        .no_problem_info = true,
        .user_properties = &user,
        .user_property_count = 1,
        .will = &will,
        .will_delay_s = 5,
    };
    assert_int_equal(midge_client_connect(r->c, &o, r->now), MIDGE_OK);
    struct midge_slice sent = pull(r);
    struct midge_connect c;
    assert_int_equal(midge_decode_connect(wire_body(sent), &c), MIDGE_RC_SUCCESS);
    assert_int_equal(c.version, 5);
    assert_true(c.clean_start && c.has_will && c.will_retain && c.has_username && c.has_password);
    assert_int_equal(c.will_qos, 1);
    assert_int_equal(c.keepalive_s, 30);
    assert_int_equal(c.session_expiry_s, 7);
    assert_int_equal(midge_props_number(&c.props, PROP_RECEIVE_MAXIMUM), 10);
    assert_int_equal(midge_props_number(&c.props, PROP_MAXIMUM_PACKET_SIZE), 1000);
    assert_int_equal(midge_props_number(&c.props, PROP_TOPIC_ALIAS_MAXIMUM), 3);
    assert_int_equal(midge_props_number(&c.props, PROP_REQUEST_RESPONSE), 1);
    assert_int_equal(midge_props_number(&c.props, PROP_REQUEST_PROBLEM), 0);
    assert_int_equal(c.props.user_count, 1);
    assert_slice(midge_props_text(&c.props, PROP_AUTH_METHOD), TEXT("m"));
    assert_slice(midge_props_text(&c.props, PROP_AUTH_DATA), TEXT("a"));
    assert_slice(c.client_id, TEXT("me"));
    assert_slice(c.username, TEXT("u"));
    assert_slice(c.password, TEXT("p"));
    assert_slice(c.will_topic, TEXT("w"));
    assert_slice(c.will_payload, TEXT("gone"));
    assert_int_equal(midge_props_number(&c.will_props, PROP_WILL_DELAY), 5);
    assert_int_equal(midge_props_number(&c.will_props, PROP_MESSAGE_EXPIRY), 9);
    assert_int_equal(midge_props_number(&c.will_props, PROP_PAYLOAD_FORMAT), 1);
    assert_int_equal(c.will_props.user_count, 1);
    assert_slice(midge_props_text(&c.will_props, PROP_CONTENT_TYPE), TEXT("c"));
    assert_slice(midge_props_text(&c.will_props, PROP_RESPONSE_TOPIC), TEXT("r"));
    assert_slice(midge_props_text(&c.will_props, PROP_CORRELATION_DATA), TEXT("d"));
    lose(r);

    o.version = 4; /* the same on 3.1.1, with the bridge bit: no property anywhere */
    o.bridge = true;
    o.auth_method = o.auth_data = (struct midge_slice){ 0 };
    assert_int_equal(midge_client_connect(r->c, &o, r->now), MIDGE_OK);
    expect_sent(r, 0x10, 29, 0, 4, 'M', 'Q', 'T', 'T', 0x84, 0xEE, 0, 30, 0, 2, 'm', 'e', 0, 1, 'w', 0, 4,
                'g', 'o', 'n', 'e', 0, 1, 'u', 0, 1, 'p');
}

SPEC("MQTT311-3.1.2-22", "MQTT311-3.1.3-7", "V31-clientid", "U5-3.1.2.11.10-nomethod", "MQTT-3.1.3-4")
static void options_that_break_the_standard_are_refused(void **state)
{
    struct rig *r = *state;
    start(r);
    const struct midge_publication bad_will = { .topic = TEXT("a/#") };
    const struct midge_client_options bad[] = {
        { .version = 2, .client_id = TEXT("me") },
        { .version = 6, .client_id = TEXT("me") },
        { .version = 4, .client_id = TEXT("me"), .password = TEXT("p") },
        { .version = 4, .clean_start = false },
        { .version = 3, .clean_start = true },
        { .version = 4, .client_id = BYTES(0xFF) },
        { .version = 4, .client_id = TEXT("me"), .username = BYTES(0) },
        { .version = 4, .client_id = TEXT("me"), .auth_method = TEXT("m") },
        { .version = 5, .client_id = TEXT("me"), .auth_data = TEXT("d") },
        { .version = 5, .client_id = TEXT("me"), .will = &bad_will },
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(midge_client_connect(r->c, &bad[i], r->now), MIDGE_ERR_INVALID);
    expect_silence(r);

    struct midge_client_options good = { .version = 5, .password = TEXT("p") };
    assert_int_equal(midge_client_connect(r->c, &good, r->now), MIDGE_OK);
    assert_int_equal(midge_client_connect(r->c, &good, r->now), MIDGE_ERR_INVALID); /* one at a time */
}

SPEC("MQTT-4.13.2-1")
static void a_refusal_ends_the_connection(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_connect(r->c, &options4, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 2, 0, 5));
    expect_told(r, "refused 87; ");
    expect_close(r);
    lose(r);
    expect_told(r, "disconnected 87 by server; ");

    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 0, 0x8A, 0));
    expect_close(r);
    lose(r);
    expect_told(r, "refused 8A; disconnected 8A by server; ");
}

static void connack_tells_what_the_server_serves(struct rig *r, const struct midge_client_event *e)
{
    (void)r;
    if (e->kind != MIDGE_CLIENT_CONNECTED)
        return;
    assert_int_equal(e->session->maximum_qos, 1);
    assert_false(e->session->retain);
    assert_false(e->session->wildcards);
    assert_false(e->session->subscription_ids);
    assert_false(e->session->shared);
    assert_int_equal(e->session->keepalive_s, 7);
    assert_int_equal(e->session->receive_maximum, 5);
    assert_int_equal(e->session->topic_alias_maximum, 6);
    assert_int_equal(e->session->maximum_packet_size, 300);
    assert_int_equal(e->session->session_expiry_s, 9);
    assert_slice(e->session->assigned_id, TEXT("a-1"));
}

static void the_host_is_told_the_server_s_limits(void **state)
{
    struct rig *r = *state;
    r->on_event = connack_tells_what_the_server_serves;
    open_with(r, &options5,
              BYTES(0x20, 38, 0, 0, 35, 0x11, 0, 0, 0, 9, 0x13, 0, 7, 0x21, 0, 5, 0x22, 0, 6, 0x24, 1, 0x25,
                    0, 0x27, 0, 0, 1, 44, 0x28, 0, 0x29, 0, 0x2A, 0, 0x12, 0, 3, 'a', '-', '1'));
}

/* ---- session present --------------------------------------------------------------------------------- */

struct present {
    bool clean_start, resume, known; /* known: an earlier connection made a session */
    bool closes;
};

SPEC("MQTT-3.2.2-4", "MQTT-3.2.2-2", "MQTT311-3.2.2-1")
static void an_unexpected_session_closes(void **state)
{
    struct rig *r = *state;
    const struct present rows[] = {
        { false, false, false, true }, { false, true, false, false }, { false, false, true, false },
        { true, false, true, true },   { true, true, true, true },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        start(r);
        if (rows[i].known) {
            open5(r);
            lose(r);
        }
        struct midge_client_options o = options5;
        o.clean_start = rows[i].clean_start;
        o.resume = rows[i].resume;
        r->diary[0] = '\0';
        assert_int_equal(midge_client_connect(r->c, &o, r->now), MIDGE_OK);
        pull(r);
        feed(r, BYTES(0x20, 3, 1, 0, 0));
        assert_int_equal(midge_client_is_connected(r->c), !rows[i].closes);
        if (rows[i].closes) {
            expect_sent(r, 0xE0, 1, 0x82);
            expect_close(r);
        } else {
            expect_told(r, "connected sp=1; ");
        }
        lose(r);
        midge_client_free(r->c);
    }
    r->c = NULL;
}

SPEC("MQTT-3.2.2-4")
static void a_session_that_ended_with_its_connection_is_not_expected_again(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = { .version = 5, .client_id = TEXT("me") }; /* expiry 0 */
    open_with(r, &o, BYTES(0x20, 3, 0, 0, 0));
    lose(r);
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 1, 0, 0));
    expect_sent(r, 0xE0, 1, 0x82);
}

SPEC("MQTT-3.2.2-5")
static void without_a_session_what_was_sent_is_forgotten_and_the_rest_is_sent(void **state)
{
    struct rig *r = *state;
    open5(r);
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    must_publish(r, 2, "t", "3", "three");
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 1, 0, '1', 0x34, 7, 0, 1, 't', 0, 2, 0, '2', 0x34, 7, 0, 1, 't', 0,
                3, 0, '3');
    feed(r, BYTES(0x50, 2, 0, 3));                    /* PUBREC */
    feed(r, BYTES(0x34, 7, 0, 1, 'q', 0, 9, 0, 'x')); /* and one of QoS 2 from the server */
    lose(r);
    must_publish(r, 1, "t", "4", "four");
    expect_told(r, "message q q2 'x'; disconnected 80; ");

    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 0, 0, 0));
    expect_told(r, "dropped 80 three; dropped 80 one; dropped 80 two; connected sp=0; ");
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 4, 0, '4');
    assert_int_equal(midge_client_held(r->c), 1);
    feed(r, BYTES(0x34, 7, 0, 1, 'q', 0, 9, 0, 'x')); /* its id is new again */
    expect_told(r, "message q q2 'x'; ");
}

static void mqtt31_does_not_tell_and_keeps(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = { .version = 3, .client_id = TEXT("me") };
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    must_publish(r, 1, "t", "1", "one");
    pull(r);
    lose(r);
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    expect_sent(r, 0x3A, 6, 0, 1, 't', 0, 1, '1');
}

/* ---- publishing -------------------------------------------------------------------------------------- */

SPEC("MQTT-4.3.1-1", "MQTT-4.3.2-1", "MQTT-4.3.2-2", "MQTT-4.3.3-1", "MQTT-4.3.3-4", "MQTT311-4.3.1-1",
     "MQTT311-4.3.2-1", "MQTT311-4.3.3-1", "MQTT311-2.3.1-1", "MQTT311-2.3.1-5")
static void each_qos_is_acknowledged_in_its_way(void **state)
{
    struct rig *r = *state;
    open4(r);
    must_publish(r, 0, "t", "0", "zero");
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    expect_sent(r, 0x30, 4, 0, 1, 't', '0', 0x32, 6, 0, 1, 't', 0, 1, '1', 0x34, 6, 0, 1, 't', 0, 2, '2');
    expect_told(r, "published 00 zero; ");
    feed(r, BYTES(0x40, 2, 0, 1));
    expect_told(r, "published 00 one; ");
    expect_silence(r);
    feed(r, BYTES(0x50, 2, 0, 2));
    expect_told(r, "");
    expect_sent(r, 0x62, 2, 0, 2);
    assert_int_equal(midge_client_held(r->c), 1);
    feed(r, BYTES(0x70, 2, 0, 2));
    expect_told(r, "published 00 two; ");
    assert_int_equal(midge_client_held(r->c), 0);
    expect_silence(r);
}

SPEC("MQTT-4.4.0-2", "MQTT-4.3.3-4", "MQTT-4.3.3-9")
static void a_refusal_is_an_acknowledgement_too(void **state)
{
    struct rig *r = *state;
    open5(r);
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    pull(r);
    feed(r, BYTES(0x40, 3, 0, 1, 0x97, 0x50, 4, 0, 2, 0x87, 0));
    expect_told(r, "published 97 one; published 87 two; ");
    expect_silence(r); /* no PUBREL */
    must_publish(r, 2, "t", "3", "three");
    pull(r);
    feed(r, BYTES(0x50, 3, 0, 3, 0x80));
    expect_told(r, "published 80 three; ");
    lose(r);
    r->diary[0] = '\0';
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    expect_silence(r); /* and not again */
}

SPEC("MQTT-4.4.0-1", "MQTT-4.6.0-1", "MQTT-4.6.0-4", "MQTT-3.3.1-1", "MQTT-4.3.2-3", "MQTT-4.3.3-3",
     "MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT311-4.4.0-1", "MQTT311-4.6.0-1", "MQTT311-4.6.0-4",
     "MQTT311-2.3.1-3", "MQTT311-3.3.1-1")
static void a_resumed_session_sends_again_in_order(void **state)
{
    struct rig *r = *state;
    open4(r);
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    must_publish(r, 2, "t", "3", "three");
    must_publish(r, 2, "t", "4", "four");
    must_publish(r, 1, "t", "5", "five");
    pull(r);
    feed(r, BYTES(0x50, 2, 0, 4, 0x50, 2, 0, 2));
    expect_sent(r, 0x62, 2, 0, 4, 0x62, 2, 0, 2); /* PUBRELs as the PUBRECs came */
    lose(r);
    must_publish(r, 0, "t", "6", "six");
    for (int again = 0; again < 2; again++) { /* lost once more half way, and nothing changes */
        open_with(r, &options4, BYTES(0x20, 2, 1, 0));
        uint8_t few[10];
        assert_int_equal(midge_client_pull(r->c, few, sizeof few, r->now), sizeof few);
        lose(r);
        must_publish(r, 1, "t", "7", "seven");
    }
    open_with(r, &options4, BYTES(0x20, 2, 1, 0));
    expect_sent(r, 0x62, 2, 0, 4, 0x62, 2, 0, 2, 0x3A, 6, 0, 1, 't', 0, 1, '1', 0x3C, 6, 0, 1, 't', 0, 3, '3',
                0x3A, 6, 0, 1, 't', 0, 5, '5', 0x30, 4, 0, 1, 't', '6', 0x32, 6, 0, 1, 't', 0, 6, '7', 0x32,
                6, 0, 1, 't', 0, 7, '7');
    feed(r, BYTES(0x70, 2, 0, 4, 0x70, 2, 0, 2, 0x40, 2, 0, 1, 0x50, 2, 0, 3, 0x40, 2, 0, 5));
    expect_sent(r, 0x62, 2, 0, 3);
    expect_told(
        r, "published 00 six; published 00 four; published 00 two; published 00 one; published 00 five; ");
}

SPEC("MQTT-2.2.1-3", "MQTT-4.3.2-1", "MQTT311-2.3.1-2", "MQTT311-2.3.1-1")
static void packet_ids_are_never_0_and_not_used_twice(void **state)
{
    struct rig *r = *state;
    r->config.queue_msgs = 5;
    open4(r);
    must_publish(r, 1, "t", "kept", "kept"); /* id 1 stays in use */
    pull(r);
    for (unsigned i = 2; i < 65536 + 10; i++) {
        must_publish(r, 1, "t", "x", "more");
        uint8_t out[64];
        assert_int_equal(midge_client_pull(r->c, out, sizeof out, r->now), 8);
        unsigned wanted = i < 65536 ? i : i - 65534; /* 0 and 1 are left out */
        assert_int_equal(out[5] << 8 | out[6], wanted);
        midge_client_recv(r->c, BYTES(0x40, 2, out[5], out[6]).data, 4, r->now);
        r->diary[0] = '\0';
    }
}

SPEC("MQTT-3.3.4-7", "MQTT-3.3.4-8", "MQTT-4.9.0-1", "MQTT-4.9.0-2", "MQTT-4.9.0-3", "U5-4.9-quota")
static void the_server_s_receive_maximum_holds_back_qos_1_and_2_only(void **state)
{
    struct rig *r = *state;
    open_with(r, &options5, BYTES(0x20, 6, 0, 0, 3, 0x21, 0, 2));
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    must_publish(r, 1, "t", "3", "three");
    must_publish(r, 0, "t", "0", "zero");
    struct midge_filter_request f = { .filter = TEXT("f") };
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, "sub"), MIDGE_OK);
    expect_sent(r, 0x82, 7, 0, 1, 0, 0, 1, 'f', 0, 0x32, 7, 0, 1, 't', 0, 2, 0, '1', 0x34, 7, 0, 1, 't', 0, 3,
                0, '2', 0x30, 5, 0, 1, 't', 0, '0');
    feed(r, BYTES(0x32, 6, 0, 1, 'q', 0, 9, 0)); /* what comes is acknowledged all the same */
    expect_sent(r, 0x40, 2, 0, 9);
    feed(r, BYTES(0x50, 2, 0, 3)); /* PUBREC alone gives nothing back */
    expect_sent(r, 0x62, 2, 0, 3);
    feed(r, BYTES(0x70, 2, 0, 3));
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 4, 0, '3');
    must_publish(r, 1, "t", "4", "four");
    must_publish(r, 1, "t", "5", "five");
    must_publish(r, 1, "t", "6", "six");
    feed(r, BYTES(0x40, 2, 0, 99, 0x40, 2, 0, 99)); /* acknowledgements of nothing do not widen the window */
    expect_silence(r);
    feed(r, BYTES(0x40, 2, 0, 2));
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 5, 0, '4');
    feed(r, BYTES(0x40, 2, 0, 4, 0x40, 2, 0, 5));
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 6, 0, '5', 0x32, 7, 0, 1, 't', 0, 7, 0, '6');
}

SPEC("MQTT-3.2.2-11", "MQTT-3.2.2-14", "MQTT-3.2.2-15")
static void what_the_server_does_not_serve_is_not_sent(void **state)
{
    struct rig *r = *state;
    open_with(r, &options5, BYTES(0x20, 12, 0, 0, 9, 0x24, 1, 0x25, 0, 0x27, 0, 0, 0, 20));
    must_publish(r, 2, "t", "2", "qos");
    struct midge_publication kept = { .topic = TEXT("t"), .retain = true };
    assert_int_equal(midge_client_publish(r->c, &kept, "retain", r->now), MIDGE_OK);
    must_publish(r, 0, "t", "0123456789ABCDEF", "large"); /* 22 bytes */
    must_publish(r, 0, "t", "0123456789ABCD", "fits");    /* 20 */
    expect_sent(r, 0x30, 18, 0, 1, 't', 0, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C',
                'D');
    expect_told(r, "dropped 9B qos; dropped 9A retain; dropped 95 large; published 00 fits; ");
    struct midge_filter_request f = { .filter = TEXT("a/long/filter") };
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, NULL), MIDGE_ERR_INVALID);
    f.filter = TEXT("a/long/filt"); /* 20 bytes */
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, NULL), MIDGE_OK);
    lose(r);

    open_with(r, &options_auth, BYTES(0x20, 12, 0, 0, 9, 0x15, 0, 1, 'm', 0x27, 0, 0, 0, 11));
    assert_int_equal(midge_client_auth(r->c, true, BYTES(0)), MIDGE_ERR_INVALID); /* 12 bytes */
    assert_int_equal(midge_client_auth(r->c, true, TEXT("")), MIDGE_OK);
}

static void leave(struct rig *r, const struct midge_client_event *e)
{
    if (e->kind == MIDGE_CLIENT_DROPPED || e->kind == MIDGE_CLIENT_CONNECTED)
        assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
}

static void a_callback_may_disconnect_when_a_publication_is_dropped(void **state)
{
    struct rig *r = *state;
    open_with(r, &options5, BYTES(0x20, 5, 0, 0, 2, 0x24, 1));
    r->on_event = leave;
    must_publish(r, 2, "t", "2", "qos");
    must_publish(r, 1, "t", "1", "stays");
    expect_sent(r, 0xE0, 0);
    expect_close(r);
    expect_told(r, "dropped 9B qos; ");
}

SPEC("MQTT-3.3.4-6")
static void a_publication_carries_its_properties_and_no_subscription_id(void **state)
{
    struct rig *r = *state;
    open5(r);
    const struct midge_user_property users[] = { { TEXT("k"), TEXT("1") }, { TEXT("k"), TEXT("2") } };
    struct midge_publication p = {
        .topic = TEXT("t"),
        .payload = TEXT("x"),
        .has_expiry = true,
        .expiry_s = 60,
        .has_payload_format = true,
        .payload_format = 1,
        .content_type = TEXT("c"),
        .response_topic = TEXT("r"),
        .correlation_data = TEXT(""),
        .user_properties = users,
        .user_property_count = 2,
    };
    assert_int_equal(midge_client_publish(r->c, &p, NULL, r->now), MIDGE_OK);
    r->now += 10500;
    expect_sent(r, 0x30, 37, 0, 1, 't', 32, 0x02, 0, 0, 0, 50, 0x01, 1, 0x03, 0, 1, 'c', 0x08, 0, 1, 'r',
                0x09, 0, 0, 0x26, 0, 1, 'k', 0, 1, '1', 0x26, 0, 1, 'k', 0, 1, '2', 'x');
}

static void what_expired_before_it_was_sent_is_dropped(void **state)
{
    struct rig *r = *state;
    open5(r);
    struct midge_publication p = { .topic = TEXT("t"), .qos = 1, .has_expiry = true, .expiry_s = 2 };
    assert_int_equal(midge_client_publish(r->c, &p, "sent", r->now), MIDGE_OK);
    expect_sent(r, 0x32, 11, 0, 1, 't', 0, 1, 5, 0x02, 0, 0, 0, 2);
    lose(r);
    assert_int_equal(midge_client_publish(r->c, &p, "late", r->now), MIDGE_OK);
    r->now += 2000;
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    expect_sent(r, 0x3A, 11, 0, 1, 't', 0, 1, 5, 0x02, 0, 0, 0, 0); /* begun is begun [MQTT-4.3.3-7] */
    expect_told(r, "dropped 83 late; ");
}

SPEC("MQTT-3.3.1-4", "MQTT-3.3.2-1", "MQTT-3.3.2-2", "MQTT-3.3.2-14", "MQTT-4.7.3-1", "MQTT311-3.3.2-2")
static void publications_that_break_the_standard_are_refused(void **state)
{
    struct rig *r = *state;
    start(r);
    static uint8_t longer[65536];
    memset(longer, 'x', sizeof longer);
    const struct midge_user_property bad_user = { TEXT("k"), BYTES(0xFF) };
    const struct midge_publication bad[] = {
        { .topic = { 0 } },
        { .topic = TEXT("a/+") },
        { .topic = TEXT("#") },
        { .topic = BYTES('a', 0) },
        { .topic = { longer, sizeof longer } },
        { .topic = TEXT("t"), .qos = 3 },
        { .topic = TEXT("t"), .payload_format = 2 },
        { .topic = TEXT("t"), .response_topic = TEXT("r/#") },
        { .topic = TEXT("t"), .content_type = BYTES(0xC0, 0x80) },
        { .topic = TEXT("t"), .correlation_data = { longer, sizeof longer } },
        { .topic = TEXT("t"), .user_properties = &bad_user, .user_property_count = 1 },
        { .topic = TEXT("t"), .payload = { longer, UINT32_MAX } },
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(midge_client_publish(r->c, &bad[i], NULL, r->now), MIDGE_ERR_INVALID);
    assert_int_equal(midge_client_held(r->c), 0);
    const struct midge_publication longest = { .topic = { longer, 65535 } }; /* [MQTT-4.7.3-3] */
    assert_int_equal(midge_client_publish(r->c, &longest, NULL, r->now), MIDGE_OK);
}

static void the_queue_has_two_limits(void **state)
{
    struct rig *r = *state;
    r->config.queue_msgs = 2;
    r->config.queue_bytes = 12;
    open4(r);
    must_publish(r, 1, "t", "1234", "a");
    assert_int_equal(publish(r, 1, "t", "56789AB", "b"), MIDGE_ERR_FULL); /* 13 bytes */
    must_publish(r, 1, "t", "5678", "c");
    assert_int_equal(publish(r, 0, "t", "", "d"), MIDGE_ERR_FULL); /* 3 messages, 11 bytes */
    pull(r);
    assert_int_equal(publish(r, 0, "t", "", "d"), MIDGE_ERR_FULL); /* sent is still held */
    feed(r, BYTES(0x40, 2, 0, 1));
    must_publish(r, 1, "t", "1234", "e");
}

static void an_acknowledgement_that_comes_before_the_last_byte_is_not_lost(void **state)
{
    struct rig *r = *state;
    open4(r);
    must_publish(r, 1, "t", "again", "one");
    must_publish(r, 2, "t", "again", "two");
    pull(r);
    lose(r);
    open_with(r, &options4, BYTES(0x20, 2, 1, 0));
    uint8_t out[64];
    assert_int_equal(midge_client_pull(r->c, out, 3, r->now), 3);
    feed(r, BYTES(0x40, 2, 0, 1)); /* of the sending before */
    assert_int_equal(midge_client_pull(r->c, out + 3, 9, r->now), 9);
    assert_memory_equal(out, BYTES(0x3A, 10, 0, 1, 't', 0, 1, 'a', 'g', 'a', 'i', 'n').data, 12);
    expect_told(r, "published 00 one; ");
    assert_int_equal(midge_client_pull(r->c, out, 3, r->now), 3);
    feed(r, BYTES(0x50, 2, 0, 2));
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_PULL); /* the rest of it */
    expect_sent(r, 1, 't', 0, 2, 'a', 'g', 'a', 'i', 'n', 0x62, 2, 0, 2);
}

static void a_packet_that_was_cut_off_by_the_end_is_sent_again_with_dup(void **state)
{
    struct rig *r = *state;
    uint8_t out[4];
    open5(r);
    must_publish(r, 1, "t", "1", "one");
    must_publish(r, 2, "t", "2", "two");
    assert_int_equal(midge_client_pull(r->c, out, 4, r->now), 4);
    lose(r);
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    expect_sent(r, 0x3A, 7, 0, 1, 't', 0, 1, 0, '1', 0x34, 7, 0, 1, 't', 0, 2, 0, '2');
    lose(r);

    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    assert_int_equal(midge_client_pull(r->c, out, 4, r->now), 4);
    feed(r, BYTES(0x40, 3, 0, 1, 0x97)); /* acknowledged meanwhile */
    lose(r);
    expect_told(r, "published 97 one; disconnected 80; ");
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    assert_int_equal(midge_client_pull(r->c, out, 4, r->now), 4);
    feed(r, BYTES(0x50, 2, 0, 2));
    lose(r);
    open_with(r, &options5, BYTES(0x20, 6, 1, 0, 3, 0x21, 0, 1));
    expect_sent(r, 0x62, 2, 0, 2);
    must_publish(r, 1, "t", "3", "three");
    must_publish(r, 1, "t", "4", "four");
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 3, 0, '3');
    feed(r, BYTES(0x70, 2, 0, 2)); /* took nothing of this connection's window: gives nothing back */
    expect_silence(r);
    feed(r, BYTES(0x40, 2, 0, 3));
    expect_sent(r, 0x32, 7, 0, 1, 't', 0, 4, 0, '4');
}

SPEC("U5-4.9-quota")
static void a_resumed_pubrel_does_not_widen_the_window(void **state)
{
    struct rig *r = *state;
    open5(r);
    must_publish(r, 2, "t", "1", "one");
    pull(r);
    feed(r, BYTES(0x50, 2, 0, 1));
    pull(r);
    lose(r);
    open_with(r, &options5, BYTES(0x20, 6, 1, 0, 3, 0x21, 0, 1));
    must_publish(r, 1, "t", "2", "two");
    must_publish(r, 1, "t", "3", "three");
    expect_sent(r, 0x62, 2, 0, 1, 0x32, 7, 0, 1, 't', 0, 2, 0, '2');
    feed(r, BYTES(0x70, 2, 0, 1));
    expect_silence(r);
}

SPEC("U5-3.6-0x92", "U5-2.4-ack")
static void acknowledgements_of_nothing(void **state)
{
    struct rig *r = *state;
    open5(r);
    feed(r, BYTES(0x40, 2, 0, 5, 0x70, 2, 0, 5)); /* of a session that was lost: harmless */
    expect_silence(r);
    feed(r, BYTES(0x50, 2, 0, 5));
    expect_sent(r, 0x62, 3, 0, 5, 0x92);
    feed(r, BYTES(0x62, 2, 0, 5));
    expect_sent(r, 0x70, 3, 0, 5, 0x92);
    must_publish(r, 2, "t", "x", "two");
    pull(r);
    feed(r, BYTES(0x40, 2, 0, 1)); /* PUBACK for QoS 2 */
    expect_sent(r, 0xE0, 1, 0x82);
    expect_close(r);
}

/* ---- topic aliases ----------------------------------------------------------------------------------- */

SPEC("MQTT-3.2.2-17", "MQTT-3.3.2-9", "MQTT-3.3.2-7")
static void aliases_stay_within_the_server_s_maximum_and_the_oldest_gives_way(void **state)
{
    struct rig *r = *state;
    r->config.alias_out = 10;
    for (int connection = 0; connection < 2; connection++) {
        open_with(r, &options5, BYTES(0x20, 6, 0, 0, 3, 0x22, 0, 2));
        must_publish(r, 0, "a", "1", NULL);
        must_publish(r, 0, "b", "2", NULL);
        must_publish(r, 0, "a", "3", NULL);
        must_publish(r, 0, "c", "4", NULL);
        must_publish(r, 0, "b", "5", NULL);
        expect_sent(r, 0x30, 8, 0, 1, 'a', 3, 0x23, 0, 1, '1', 0x30, 8, 0, 1, 'b', 3, 0x23, 0, 2, '2', 0x30,
                    7, 0, 0, 3, 0x23, 0, 1, '3', 0x30, 8, 0, 1, 'c', 3, 0x23, 0, 2, '4', 0x30, 8, 0, 1, 'b',
                    3, 0x23, 0, 1, '5');
        lose(r); /* and with the connection they are gone */
    }
}

static void an_alias_that_would_make_the_packet_too_large_is_left_out(void **state)
{
    struct rig *r = *state;
    r->config.alias_out = 10;
    open_with(r, &options5, BYTES(0x20, 11, 0, 0, 8, 0x22, 0, 2, 0x27, 0, 0, 0, 12));
    must_publish(r, 0, "a", "123", NULL);
    must_publish(r, 0, "a", "12", NULL);
    must_publish(r, 0, "a", "123456", NULL);
    expect_sent(r, 0x30, 10, 0, 1, 'a', 3, 0x23, 0, 1, '1', '2', '3', 0x30, 8, 0, 0, 3, 0x23, 0, 1, '1', '2',
                0x30, 10, 0, 1, 'a', 0, '1', '2', '3', '4', '5', '6');
}

SPEC("MQTT-3.2.2-18")
static void no_alias_where_the_server_wants_none(void **state)
{
    struct rig *r = *state;
    r->config.alias_out = 10;
    open5(r);
    must_publish(r, 0, "a", "1", NULL);
    expect_sent(r, 0x30, 5, 0, 1, 'a', 0, '1');
    lose(r);
    open4(r);
    must_publish(r, 0, "a", "1", NULL);
    expect_sent(r, 0x30, 4, 0, 1, 'a', '1');
}

SPEC("MQTT-3.3.2-10", "MQTT-3.3.2-7", "MQTT-3.3.2-8", "U5-3.3.2.3.4-unknown")
static void every_alias_up_to_our_maximum_is_taken(void **state)
{
    struct rig *r = *state;
    r->config.alias_in = 2;
    open5(r);
    feed(r, BYTES(0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1, 0x30, 7, 0, 1, 'b', 3, 0x23, 0, 2, 0x30, 6, 0, 0, 3,
                  0x23, 0, 1));
    feed(r, BYTES(0x30, 7, 0, 1, 'c', 3, 0x23, 0, 1, 0x30, 6, 0, 0, 3, 0x23, 0, 1, 0x30, 6, 0, 0, 3, 0x23, 0,
                  2));
    expect_told(r, "message a q0 ''; message b q0 ''; message a q0 ''; message c q0 ''; message c q0 ''; "
                   "message b q0 ''; ");
    feed(r, BYTES(0x30, 7, 0, 1, 'd', 3, 0x23, 0, 3));
    expect_sent(r, 0xE0, 1, 0x94);
    expect_close(r);
    lose(r);

    open5(r);
    feed(r, BYTES(0x30, 6, 0, 0, 3, 0x23, 0, 1)); /* not set on this connection */
    expect_sent(r, 0xE0, 1, 0x82);
}

/* ---- messages from the server ------------------------------------------------------------------------ */

SPEC("MQTT-4.6.0-2", "MQTT-4.6.0-3", "MQTT-4.5.0-2", "MQTT-3.3.4-1", "MQTT-4.3.3-8", "MQTT-4.3.3-11",
     "MQTT311-4.6.0-2", "MQTT311-4.6.0-3", "MQTT311-4.5.0-2", "MQTT311-3.3.4-1", "MQTT311-4.3.2-2",
     "MQTT311-4.3.3-2")
static void messages_are_acknowledged_in_their_order(void **state)
{
    struct rig *r = *state;
    open4(r);
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 9, '1', 0x34, 6, 0, 1, 'a', 0, 3, '2', 0x31, 4, 0, 1, 'a', '3', 0x32,
                  6, 0, 1, 'a', 0, 7, '4', 0x34, 6, 0, 1, 'a', 0, 1, '5'));
    expect_told(r, "message a q1 '1'; message a q2 '2'; message a q0 retained '3'; message a q1 '4'; message "
                   "a q2 '5'; ");
    expect_sent(r, 0x40, 2, 0, 9, 0x50, 2, 0, 3, 0x40, 2, 0, 7, 0x50, 2, 0, 1);
    feed(r, BYTES(0x62, 2, 0, 1, 0x62, 2, 0, 3));
    expect_sent(r, 0x70, 2, 0, 1, 0x70, 2, 0, 3);
}

SPEC("MQTT-4.3.3-10", "MQTT-4.3.3-12", "MQTT-4.3.2-5", "MQTT311-4.3.3-2")
static void qos_2_is_handed_over_once(void **state)
{
    struct rig *r = *state;
    open5(r);
    feed(r, BYTES(0x34, 7, 0, 1, 'a', 0, 3, 0, 'x'));
    expect_told(r, "message a q2 'x'; ");
    lose(r); /* PUBREC was not even sent */
    r->diary[0] = '\0';
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    feed(r, BYTES(0x3C, 7, 0, 1, 'a', 0, 3, 0, 'x'));
    expect_told(r, "");
    expect_sent(r, 0x50, 2, 0, 3);
    feed(r, BYTES(0x62, 2, 0, 3));
    expect_sent(r, 0x70, 2, 0, 3);
    feed(r, BYTES(0x34, 7, 0, 1, 'a', 0, 3, 0, 'y')); /* a new one */
    expect_told(r, "message a q2 'y'; ");
    feed(r, BYTES(0x32, 7, 0, 1, 'a', 0, 4, 0, 'z', 0x3A, 7, 0, 1, 'a', 0, 4, 0, 'z'));
    expect_told(r, "message a q1 'z'; message a q1 dup 'z'; ");
}

SPEC("MQTT-3.4.2-1", "MQTT-3.5.2-1", "MQTT-4.3.3-9")
static void a_refused_message_is_said_to_be_on_5_and_comes_again_on_3x(void **state)
{
    struct rig *r = *state;
    open5(r);
    r->answer = 0x97;
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 1, 0, 0x34, 6, 0, 1, 'a', 0, 2, 0, 0x30, 4, 0, 1, 'a', 0));
    expect_sent(r, 0x40, 3, 0, 1, 0x97, 0x50, 3, 0, 2, 0x97);
    r->answer = 0x8E; /* no code for an acknowledgement */
    feed(r, BYTES(0x34, 6, 0, 1, 'a', 0, 2, 0));
    expect_sent(r, 0x50, 3, 0, 2, 0x80);
    expect_told(r, "message a q1 ''; message a q2 ''; message a q0 ''; message a q2 ''; ");
    lose(r);

    open4(r);
    r->answer = 0x97;
    feed(r, BYTES(0x30, 3, 0, 1, 'a'));
    expect_silence(r);
    assert_true(midge_client_is_connected(r->c));
    feed(r, BYTES(0x34, 5, 0, 1, 'a', 0, 2));
    expect_close(r);
    lose(r);
    expect_told(r, "message a q0 ''; message a q2 ''; disconnected 97; ");
    r->answer = 0;
    open_with(r, &options4, BYTES(0x20, 2, 1, 0));
    feed(r, BYTES(0x3C, 5, 0, 1, 'a', 0, 2));
    expect_told(r, "message a q2 dup ''; ");
}

SPEC("MQTT-3.3.4-9")
static void our_receive_maximum_is_not_passed(void **state)
{
    struct rig *r = *state;
    r->config.receive_maximum = 2;
    open5(r);
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 1, 0, 0x34, 6, 0, 1, 'a', 0, 2, 0));
    pull(r); /* PUBACK and PUBREC: one is open */
    feed(r, BYTES(0x34, 6, 0, 1, 'a', 0, 3, 0));
    pull(r);
    feed(r, BYTES(0x3C, 6, 0, 1, 'a', 0, 3, 0, 0x62, 2, 0, 2)); /* the same again is none more */
    expect_sent(r, 0x50, 2, 0, 3, 0x70, 2, 0, 2);
    feed(r, BYTES(0x62, 2, 0, 77)); /* and what was not open gives nothing back */
    pull(r);
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 4, 0));
    assert_true(midge_client_is_connected(r->c));
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 5, 0)); /* the PUBACK of 4 was not sent yet */
    expect_sent(r, 0xE0, 1, 0x93);
    expect_close(r);
}

static void each_connection_begins_to_count_anew(void **state)
{
    struct rig *r = *state;
    r->config.receive_maximum = 1;
    open5(r);
    feed(r, BYTES(0x32, 6, 0, 1, 'a', 0, 1, 0)); /* the PUBACK is not sent any more */
    lose(r);
    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    expect_silence(r);
    feed(r, BYTES(0x3A, 6, 0, 1, 'a', 0, 1, 0));
    expect_sent(r, 0x40, 2, 0, 1);
}

static uint8_t leave_and_refuse(void *user, const struct midge_message *m)
{
    struct rig *r = user;
    (void)m;
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    return 0x97;
}

static void the_first_word_on_the_end_counts(void **state)
{
    struct rig *r = *state;
    r->hooks.message = leave_and_refuse;
    open4(r);
    feed(r, BYTES(0x32, 5, 0, 1, 'a', 0, 1));
    expect_sent(r, 0xE0, 0);
    lose(r);
    expect_told(r, "disconnected 00; ");
}

static void on_3x_open_qos_2_ids_are_bounded_too(void **state)
{
    struct rig *r = *state;
    r->config.receive_maximum = 4;
    open4(r);
    for (uint8_t i = 1; i <= 8; i++)
        feed(r, BYTES(0x34, 5, 0, 1, 'a', 0, i));
    assert_true(midge_client_is_connected(r->c));
    feed(r, BYTES(0x34, 5, 0, 1, 'a', 0, 9));
    expect_close(r);
    lose(r);
}

struct seen {
    uint8_t ids;
    bool expiry;
};

static uint8_t look_at_props(void *user, const struct midge_message *m)
{
    struct seen *seen = user;
    struct midge_property p;
    for (uint32_t at = 0; midge_props_next(m->props, &at, &p);)
        seen->ids = (uint8_t)(seen->ids + (p.id == PROP_SUBSCRIPTION_ID));
    seen->expiry = m->has_expiry && m->expiry_s == 9;
    return 0;
}

static void a_message_shows_its_properties(void **state)
{
    struct rig *r = *state;
    struct seen seen = { 0 };
    r->hooks.user = &seen;
    r->hooks.event = NULL;
    r->hooks.message = look_at_props;
    open5(r);
    feed(r, BYTES(0x30, 13, 0, 1, 'a', 9, 0x0B, 1, 0x0B, 2, 0x02, 0, 0, 0, 9));
    assert_int_equal(seen.ids, 2);
    assert_true(seen.expiry);
}

static void without_hooks_everything_is_taken(void **state)
{
    struct rig *r = *state;
    r->config.hooks = NULL;
    open4(r);
    feed(r, BYTES(0x32, 5, 0, 1, 'a', 0, 1));
    expect_sent(r, 0x40, 2, 0, 1);
}

static void a_port_that_does_not_send_is_asked_to_stop_reading(void **state)
{
    struct rig *r = *state;
    open4(r);
    for (unsigned i = 1; i <= 255; i++)
        feed(r, BYTES(0x32, 5, 0, 1, 'a', 0, (uint8_t)i));
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_PULL);
    feed(r, BYTES(0x32, 5, 0, 1, 'a', 1, 0));
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_PULL | MIDGE_STATUS_PAUSED);
    struct midge_slice acks = pull(r);
    assert_int_equal(acks.len, 256 * 4);
    for (unsigned i = 1; i <= 256; i++)
        assert_int_equal(acks.data[i * 4 - 2] << 8 | acks.data[i * 4 - 1], i);
    assert_int_equal(midge_client_status(r->c), 0);
}

/* Bytes that ask for memory when there is none. */
SPEC("MQTT311-4.8.0-2")
static void without_memory_for_what_comes_the_connection_ends(void **state)
{
    struct rig *r = *state;
    r->config.alias_in = 1;
    const struct {
        long allocs;
        struct midge_slice bytes;
    } rows[] = {
        { 0, BYTES(0x30, 6, 0, 1) },                     /* a packet in pieces */
        { 0, BYTES(0x32, 6, 0, 1, 'a', 0, 1, 0) },       /* PUBACK */
        { 1, BYTES(0x34, 6, 0, 1, 'a', 0, 1, 0) },       /* id of QoS 2 */
        { 0, BYTES(0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1) }, /* table of aliases */
        { 1, BYTES(0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1) }, /* alias */
        { 0, BYTES(0x62, 2, 0, 1) },                     /* PUBCOMP */
        { 0, BYTES(0x50, 2, 0, 1) },                     /* PUBREL */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        start(r);
        open5(r);
        r->allocs_left = rows[i].allocs;
        midge_client_recv(r->c, rows[i].bytes.data, rows[i].bytes.len, r->now);
        r->allocs_left = -1;
        expect_sent(r, 0xE0, 1, 0x97);
        expect_told(r, "");
        lose(r);
        midge_client_free(r->c);
        r->diary[0] = '\0';
    }
    r->c = NULL;
}

static void without_memory_for_connect_nothing_is_begun(void **state)
{
    struct rig *r = *state;
    start(r);
    for (r->allocs_left = 0;; r->allocs_left++) {
        long n = r->allocs_left;
        enum midge_err err = midge_client_connect(r->c, &options_auth, r->now);
        if (err == MIDGE_OK)
            break;
        assert_int_equal(err, MIDGE_ERR_NO_MEMORY);
        assert_int_equal(midge_client_status(r->c), 0);
        assert_true(n < 10);
        r->allocs_left = n;
    }
    r->allocs_left = -1;
}

/* ---- subscribing ------------------------------------------------------------------------------------- */

SPEC("MQTT-3.8.1-1", "MQTT-3.8.3-2", "MQTT-3.10.3-2", "MQTT311-3.8.3-3", "MQTT311-3.10.3-2", "MQTT-3.9.3-1")
static void subscriptions_are_asked_for_and_answered(void **state)
{
    struct rig *r = *state;
    const struct midge_filter_request f[] = {
        { .filter = TEXT("a"), .qos = 1 },
        { .filter = TEXT("b/#"),
          .qos = 2,
          .no_local = true,
          .retain_as_published = true,
          .retain_handling = 2 },
    };
    start(r);
    assert_int_equal(midge_client_subscribe(r->c, f, 2, 0, NULL), MIDGE_ERR_INVALID); /* not connected */
    open5(r);
    assert_int_equal(midge_client_subscribe(r->c, f, 0, 0, NULL), MIDGE_ERR_INVALID);
    assert_int_equal(midge_client_subscribe(r->c, f, 2, 268435456, NULL), MIDGE_ERR_INVALID);
    const struct midge_filter_request bad[] = {
        { .filter = { 0 } },
        { .filter = BYTES(0xFF) },
        { .filter = TEXT("a"), .qos = 3 },
        { .filter = TEXT("a"), .retain_handling = 3 },
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(midge_client_subscribe(r->c, &bad[i], 1, 0, NULL), MIDGE_ERR_INVALID);

    assert_int_equal(midge_client_subscribe(r->c, f, 2, 7, "sub"), MIDGE_OK);
    assert_int_equal(midge_client_unsubscribe(r->c, f, 2, "unsub"), MIDGE_OK);
    expect_sent(r, 0x82, 15, 0, 1, 2, 0x0B, 7, 0, 1, 'a', 1, 0, 3, 'b', '/', '#', 0x2E, 0xA2, 11, 0, 2, 0, 0,
                1, 'a', 0, 3, 'b', '/', '#');
    feed(r, BYTES(0xB0, 5, 0, 2, 0, 0, 0x11));
    feed(r, BYTES(0x90, 5, 0, 1, 0, 1, 0x87));
    expect_told(r, "unsubscribed unsub 00 11; subscribed sub 01 87; ");
    lose(r);

    open4(r);
    assert_int_equal(midge_client_subscribe(r->c, f, 2, 7, "sub"), MIDGE_OK);
    assert_int_equal(midge_client_unsubscribe(r->c, f, 2, "unsub"), MIDGE_OK);
    expect_sent(r, 0x82, 12, 0, 3, 0, 1, 'a', 1, 0, 3, 'b', '/', '#', 2, 0xA2, 10, 0, 4, 0, 1, 'a', 0, 3, 'b',
                '/', '#');
    feed(r, BYTES(0x90, 4, 0, 3, 1, 0x80, 0xB0, 2, 0, 4));
    expect_told(r, "subscribed sub 01 80; unsubscribed unsub; ");
}

static void requests_end_with_their_connection(void **state)
{
    struct rig *r = *state;
    const struct midge_filter_request f = { .filter = TEXT("a") };
    open4(r);
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, "sent"), MIDGE_OK);
    pull(r);
    assert_int_equal(midge_client_unsubscribe(r->c, &f, 1, "unsent"), MIDGE_OK);
    uint8_t half[3];
    assert_int_equal(midge_client_pull(r->c, half, 3, r->now), 3);
    lose(r);
    expect_told(r, "dropped 80 unsent; dropped 80 sent; disconnected 80; ");
    open4(r);
    expect_silence(r);
    feed(r, BYTES(0x32, 5, 0, 1, 'a', 0, 1));
    assert_int_equal(midge_client_pull(r->c, half, 3, r->now), 3); /* half a PUBACK */
    lose(r);
    assert_int_equal(midge_client_connect(r->c, &options4, r->now), MIDGE_OK);
    expect_sent(r, CONNECT4);
}

/* ---- keep alive -------------------------------------------------------------------------------------- */

static struct midge_client_options with_keepalive(uint8_t version, uint16_t seconds)
{
    struct midge_client_options o = version == 5 ? options5 : options4;
    o.keepalive_s = seconds;
    return o;
}

SPEC("MQTT-3.1.2-20", "MQTT311-3.1.2-23")
static void pingreq_in_time_and_only_when_silent(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = with_keepalive(4, 10);
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    assert_int_equal(midge_client_deadline(r->c), r->now + 7500);
    wait(r, 7499);
    expect_silence(r);
    wait(r, 1);
    expect_sent(r, 0xC0, 0);
    wait(r, 10);
    expect_silence(r); /* once */
    feed(r, BYTES(0xD0, 0));
    assert_int_equal(midge_client_deadline(r->c), r->now - 10 + 7500);

    wait(r, 5000); /* sending counts, but so does hearing nothing */
    must_publish(r, 0, "t", "", NULL);
    pull(r);
    feed(r, BYTES(0x30, 3, 0, 1, 'a'));
    wait(r, 7000);
    expect_silence(r);
    wait(r, 500);
    expect_sent(r, 0xC0, 0);
}

static void somebody_who_only_sends_asks_for_a_sign_of_life_too(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = with_keepalive(4, 10);
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    for (int s = 1; s <= 7; s++) {
        wait(r, 1000);
        must_publish(r, 0, "t", "", NULL);
        expect_sent(r, 0x30, 3, 0, 1, 't');
    }
    wait(r, 500);
    expect_sent(r, 0xC0, 0);
    must_publish(r, 0, "t", "xyz", NULL);
    uint8_t half[4];
    assert_int_equal(midge_client_pull(r->c, half, 4, r->now), 4);
    wait(r, 7499);
    assert_true(midge_client_is_connected(r->c));
    wait(r, 1); /* 15 s without a byte */
    expect_close(r);
    lose(r);
    expect_told(
        r,
        "published 00; published 00; published 00; published 00; published 00; published 00; published 00; "
        "dropped 80; disconnected 8D; ");
}

static void time_comes_with_each_call_and_does_not_go_back(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = with_keepalive(4, 10);
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    midge_ms opened = r->now;
    r->now += 2000; /* and no tick */
    must_publish(r, 0, "t", "", NULL);
    pull(r);
    assert_int_equal(midge_client_deadline(r->c), opened + 7500);
    r->now += 1000;
    feed(r, BYTES(0x30, 3, 0, 1, 'a'));
    assert_int_equal(midge_client_deadline(r->c), opened + 2000 + 7500);
    r->now -= 2500;
    feed(r, BYTES(0x30, 3, 0, 1, 'a'));
    must_publish(r, 0, "t", "", NULL);
    pull(r);
    midge_client_tick(r->c, 0);
    assert_int_equal(midge_client_deadline(r->c), opened + 3000 + 7500);
    r->now += 2600;
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    assert_int_equal(midge_client_deadline(r->c), r->now + 5000);
    lose(r);
    midge_client_free(r->c);

    r->c = midge_client_new(&r->config, r->now);
    assert_int_equal(midge_client_connect(r->c, &options4, r->now - 5), MIDGE_OK);
    assert_int_equal(midge_client_deadline(r->c), r->now + 10000);
}

static void what_was_due_on_one_connection_is_not_on_the_next(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = with_keepalive(5, 10);
    open_with(r, &o, BYTES(0x20, 3, 0, 0, 0));
    wait(r, 7500); /* PINGREQ is due */
    feed(r, BYTES(0xE0, 0));
    lose(r);
    expect_told(r, "disconnected 00 by server; ");
    open_with(r, &o, BYTES(0x20, 3, 1, 0, 0));
    expect_silence(r);
    wait(r, 7500);
    pull(r);
    lose(r);
    expect_told(r, "disconnected 80; "); /* not by the server, this time */
    open_with(r, &o, BYTES(0x20, 3, 1, 0, 0));
    assert_int_equal(midge_client_deadline(r->c), r->now + 7500);
}

SPEC("MQTT-3.1.2-21", "MQTT-3.2.2-21")
static void the_server_s_keep_alive_is_the_one_in_force(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = with_keepalive(5, 60);
    open_with(r, &o, BYTES(0x20, 6, 0, 0, 3, 0x13, 0, 4));
    assert_int_equal(midge_client_deadline(r->c), r->now + 3000);
    wait(r, 3000);
    expect_sent(r, 0xC0, 0);
    assert_int_equal(midge_client_deadline(r->c), r->now + 3000);
    wait(r, 3000);
    expect_close(r);
    lose(r);
    open_with(r, &o, BYTES(0x20, 6, 0, 0, 3, 0x13, 0, 0)); /* and it may switch it off */
    assert_int_equal(midge_client_deadline(r->c), MIDGE_NEVER);
    wait(r, 1000000000);
    expect_silence(r);
    assert_true(midge_client_is_connected(r->c));
}

static void a_server_that_does_not_answer_connect_is_left(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_deadline(r->c), MIDGE_NEVER);
    r->now += 5;
    assert_int_equal(midge_client_connect(r->c, &options4, r->now), MIDGE_OK);
    pull(r);
    assert_int_equal(midge_client_deadline(r->c), r->now + 10000);
    wait(r, 9999);
    assert_int_equal(midge_client_status(r->c), 0);
    wait(r, 1);
    expect_close(r);
    lose(r);
    expect_told(r, "disconnected 88; ");
}

/* ---- the end ----------------------------------------------------------------------------------------- */

SPEC("MQTT-3.14.4-1", "MQTT-3.14.4-2", "MQTT311-3.14.4-1", "MQTT311-3.14.4-2")
static void nothing_follows_disconnect(void **state)
{
    struct rig *r = *state;
    open4(r);
    must_publish(r, 1, "t", "x", "one");
    feed(r, BYTES(0x32, 5, 0, 1, 'a', 0, 1));
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    must_publish(r, 1, "t", "y", "two");
    feed(r, BYTES(0x32, 5, 0, 1, 'b', 0, 2)); /* nor is anything read */
    expect_sent(r, 0xE0, 0);
    expect_close(r);
    const uint32_t never = UINT32_MAX;
    assert_int_equal(midge_client_disconnect(r->c, 0x04, &never, r->now), MIDGE_OK); /* too late */
    expect_silence(r);
    lose(r);
    expect_told(r, "message a q1 ''; disconnected 00; ");
    assert_int_equal(midge_client_held(r->c), 2);
}

static void a_half_sent_packet_is_finished_before_disconnect(void **state)
{
    struct rig *r = *state;
    open5(r);
    must_publish(r, 1, "t", "xyz", "one");
    uint8_t out[4];
    assert_int_equal(midge_client_pull(r->c, out, 4, r->now), 4);
    assert_int_equal(midge_client_disconnect(r->c, 0x04, NULL, r->now), MIDGE_OK);
    uint8_t most[9];
    assert_int_equal(midge_client_pull(r->c, most, sizeof most, r->now), sizeof most);
    assert_memory_equal(most, BYTES('t', 0, 1, 0, 'x', 'y', 'z', 0xE0, 1).data, sizeof most);
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_PULL); /* one byte more */
    expect_sent(r, 4);
    expect_close(r);
}

SPEC("U5-3.14.2.2.2", "MQTT-3.14.2-1")
static void disconnect_may_change_the_session_s_expiry(void **state)
{
    struct rig *r = *state;
    const uint32_t hour = 3600, none = 0;
    open5(r);
    assert_int_equal(midge_client_disconnect(r->c, 0x8E, NULL, r->now),
                     MIDGE_ERR_INVALID); /* a server's code */
    assert_int_equal(midge_client_disconnect(r->c, 0, &hour, r->now), MIDGE_OK);
    expect_sent(r, 0xE0, 7, 0, 5, 0x11, 0, 0, 0x0E, 0x10);
    lose(r);

    open_with(r, &options5, BYTES(0x20, 3, 1, 0, 0));
    assert_int_equal(midge_client_disconnect(r->c, 0, &none, r->now), MIDGE_OK);
    pull(r);
    lose(r);
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 1, 0, 0)); /* but it has ended */
    assert_false(midge_client_is_connected(r->c));
    lose(r);

    struct midge_client_options o = { .version = 5, .client_id = TEXT("me") };
    open_with(r, &o, BYTES(0x20, 3, 0, 0, 0));
    assert_int_equal(midge_client_disconnect(r->c, 0, &hour, r->now), MIDGE_ERR_INVALID);
    lose(r);
    open4(r);
    assert_int_equal(midge_client_disconnect(r->c, 0, &hour, r->now), MIDGE_ERR_INVALID);
}

static void disconnect_before_connect_was_sent_sends_nothing(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK); /* no transport */
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    expect_close(r);
    lose(r);
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    uint8_t out[1];
    assert_int_equal(midge_client_pull(r->c, out, 1, r->now), 1);
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    struct midge_slice rest = pull(r);
    assert_memory_equal(rest.data + rest.len - 3, BYTES('e', 0xE0, 0).data, 3);
    expect_close(r);
}

static void a_peer_that_takes_no_bytes_is_closed_after_a_while(void **state)
{
    struct rig *r = *state;
    open4(r);
    must_publish(r, 0, "t", "xyz", "half");
    uint8_t out[4];
    assert_int_equal(midge_client_pull(r->c, out, 4, r->now), 4);
    assert_int_equal(midge_client_disconnect(r->c, 0, NULL, r->now), MIDGE_OK);
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_PULL);
    assert_int_equal(midge_client_deadline(r->c), r->now + 5000);
    wait(r, 5000);
    assert_int_equal(midge_client_status(r->c), MIDGE_STATUS_CLOSE);
    assert_int_equal(midge_client_deadline(r->c), MIDGE_NEVER);
    lose(r);
    expect_told(r, "dropped 80 half; disconnected 00; ");
}

static void the_server_s_disconnect_is_told_with_its_reason(void **state)
{
    struct rig *r = *state;
    uint8_t half[4];
    open5(r);
    must_publish(r, 0, "t", "xyz", "half");
    assert_int_equal(midge_client_pull(r->c, half, sizeof half, r->now), sizeof half);
    feed(r, BYTES(0xE0, 1, 0x8E));
    expect_told(r, "disconnected 8E by server; ");
    expect_close(r); /* no answer to it, and nobody to read the other half */
    lose(r);
    expect_told(r, "dropped 80 half; ");
}

struct broken {
    uint8_t version;
    struct midge_slice bytes;
    uint8_t reason; /* as the host is told, and on 5.0 the server */
};

SPEC("MQTT-4.13.1-1", "MQTT-4.13.2-1", "U5-1.2-mp", "MQTT-2.1.3-1", "MQTT-1.5.5-1", "U5-wrongdir",
     "U5-2.1.2-0", "MQTT311-4.8.0-1", "MQTT311-2.2.2-2", "MQTT-3.2.0-2", "MQTT-3.14.2-2", "U5-1.5.5-long",
     "MQTT-3.3.1-4", "MQTT-3.8.4-6")
static void a_server_that_breaks_the_rules_is_left_with_the_reason(void **state)
{
    struct rig *r = *state;
    r->config.packet_bytes = 100;
    const struct broken rows[] = {
        { 5, BYTES(0x00, 0), 0x81 },
        { 5, BYTES(0x10, 2, 0, 0), 0x82 },
        { 5, BYTES(0x20, 3, 0, 0, 0), 0x82 },
        { 5, BYTES(0x21, 3, 0, 0, 0), 0x82 },
        { 5, BYTES(0x36, 6, 0, 1, 'a', 0, 1, 0), 0x81 },
        { 5, BYTES(0x38, 4, 0, 1, 'a', 0), 0x81 },
        { 5, BYTES(0x32, 6, 0, 1, 'a', 0, 0, 0), 0x82 },
        { 5, BYTES(0x30, 4, 0, 1, '#', 0), 0x90 },
        { 5, BYTES(0x30, 4, 0, 1, 0xFF, 0), 0x81 },
        { 5, BYTES(0x30, 4, 0, 0, 0, 'x'), 0x82 },
        { 5, BYTES(0x30, 7, 0, 1, 'a', 3, 0x23, 0, 0), 0x94 },
        { 5, BYTES(0x30, 7, 0, 1, 'a', 3, 0x23, 0, 1), 0x94 }, /* we allow none */
        { 5, BYTES(0x41, 2, 0, 1), 0x81 },
        { 5, BYTES(0x40, 1, 0), 0x81 },
        { 5, BYTES(0x40, 3, 0, 1, 0x8E), 0x82 },
        { 5, BYTES(0x60, 2, 0, 1), 0x81 },
        { 5, BYTES(0x6A, 2, 0, 1), 0x81 },
        { 5, BYTES(0x82, 7, 0, 1, 0, 0, 1, 'a', 0), 0x82 },
        { 5, BYTES(0x90, 4, 0, 9, 0, 0), 0x82 }, /* of nothing that was asked */
        { 5, BYTES(0xA2, 6, 0, 1, 0, 0, 1, 'a'), 0x82 },
        { 5, BYTES(0xB0, 4, 0, 9, 0, 0), 0x82 },
        { 5, BYTES(0xC0, 0), 0x82 },
        { 5, BYTES(0xD0, 1, 0), 0x81 },
        { 5, BYTES(0xD1, 0), 0x81 },
        { 5, BYTES(0xE0, 1, 0x04), 0x82 },
        { 5, BYTES(0xE0, 7, 0, 5, 0x11, 0, 0, 0, 1), 0x82 },
        { 5, BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'), 0x82 },
        { 5, BYTES(0x30, 0x80, 0x00), 0x81 },
        { 5, BYTES(0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01), 0x81 },
        { 5, BYTES(0x30, 99), 0x95 }, /* from its length alone */
        { 4, BYTES(0x00, 0), 0x81 },
        { 4, BYTES(0x20, 2, 0, 0), 0x82 },
        { 4, BYTES(0x36, 5, 0, 1, 'a', 0, 1), 0x81 },
        { 4, BYTES(0x30, 3, 0, 1, '+'), 0x90 },
        { 4, BYTES(0x40, 3, 0, 1, 0), 0x81 },
        { 4, BYTES(0x6A, 2, 0, 1), 0x81 },
        { 4, BYTES(0xE0, 0), 0x82 },
        { 4, BYTES(0xF0, 0), 0x81 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].version == 5)
            open5(r);
        else
            open4(r);
        feed(r, rows[i].bytes);
        assert_false(midge_client_is_connected(r->c));
        if (rows[i].version == 5)
            expect_sent(r, 0xE0, 1, rows[i].reason);
        expect_close(r); /* 3.x: without DISCONNECT, which would say that all is well */
        lose(r);
        char told[32];
        snprintf(told, sizeof told, "disconnected %02X; ", rows[i].reason);
        expect_told(r, told);
    }
}

SPEC("V31-dup")
static void mqtt31_servers_may_set_dup_on_pubrel(void **state)
{
    struct rig *r = *state;
    struct midge_client_options o = { .version = 3, .client_id = TEXT("me") };
    open_with(r, &o, BYTES(0x20, 2, 0, 0));
    feed(r, BYTES(0x6A, 2, 0, 1));
    expect_sent(r, 0x70, 2, 0, 1);
}

static void the_largest_packet_we_take_is_taken(void **state)
{
    struct rig *r = *state;
    r->config.packet_bytes = 10;
    open5(r);
    feed(r, BYTES(0x30, 8, 0, 1, 'a', 0, '1', '2', '3', '4'));
    expect_told(r, "message a q0 '1234'; ");
}

static void an_answer_before_the_question_is_no_answer(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    feed(r, BYTES(0x20, 3, 0, 0, 0));
    expect_close(r); /* not even CONNECT */
    lose(r);
    expect_told(r, "disconnected 82; ");
}

SPEC("MQTT-3.2.0-1", "MQTT-3.14.0-1", "MQTT311-3.2.0-1")
static void nothing_but_connack_or_auth_may_come_first(void **state)
{
    struct rig *r = *state;
    start(r);
    const struct midge_slice bad[] = {
        BYTES(0x30, 4, 0, 1, 'a', 0),
        BYTES(0xD0, 0),
        BYTES(0xE0, 0),
        BYTES(0x90, 4, 0, 1, 0, 0),
        BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'), /* no method was named */
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
        pull(r);
        feed(r, bad[i]);
        expect_sent(r, 0xE0, 1, 0x82);
        expect_close(r);
        lose(r);
    }
}

/* ---- AUTH -------------------------------------------------------------------------------------------- */

/* Answers each challenge at once, from inside the callback. */
static void answer_challenge(struct rig *r, const struct midge_client_event *e)
{
    if (e->kind == MIDGE_CLIENT_AUTH && e->reason == 0x18)
        assert_int_equal(midge_client_auth(r->c, false, TEXT("ans")), MIDGE_OK);
}

SPEC("MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-4.12.1-1", "MQTT-3.1.2-30")
static void auth_goes_to_and_fro(void **state)
{
    struct rig *r = *state;
    r->on_event = answer_challenge;
    start(r);
    assert_int_equal(midge_client_connect(r->c, &options_auth, r->now), MIDGE_OK);
    must_publish(r, 0, "t", "", NULL);
    pull(r);
    assert_int_equal(midge_client_auth(r->c, false, TEXT("x")), MIDGE_ERR_INVALID); /* nobody asked */
    assert_int_equal(midge_client_auth(r->c, true, TEXT("x")), MIDGE_ERR_INVALID);  /* not connected */
    feed(r, BYTES(0xF0, 10, 0x18, 8, 0x15, 0, 1, 'm', 0x16, 0, 1, 'q'));
    expect_told(r, "auth 18 'q'; ");
    expect_sent(r, 0xF0, 12, 0x18, 10, 0x15, 0, 1, 'm', 0x16, 0, 3, 'a', 'n', 's');
    feed(r, BYTES(0x20, 7, 0, 0, 4, 0x15, 0, 1, 'm'));
    expect_told(r, "connected sp=0; ");
    expect_sent(r, 0x30, 4, 0, 1, 't', 0);

    assert_int_equal(midge_client_auth(r->c, true, TEXT("new")), MIDGE_OK);
    assert_int_equal(midge_client_auth(r->c, true, TEXT("new")), MIDGE_ERR_INVALID); /* one at a time */
    expect_sent(r, 0xF0, 12, 0x19, 10, 0x15, 0, 1, 'm', 0x16, 0, 3, 'n', 'e', 'w');
    feed(r, BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'));
    expect_sent(r, 0xF0, 12, 0x18, 10, 0x15, 0, 1, 'm', 0x16, 0, 3, 'a', 'n', 's');
    feed(r, BYTES(0xF0, 6, 0x00, 4, 0x15, 0, 1, 'm'));
    expect_told(r, "published 00; auth 18; auth 00; ");
    assert_true(midge_client_is_connected(r->c));
    feed(r, BYTES(0xF0, 6, 0x00, 4, 0x15, 0, 1, 'm')); /* out of the blue */
    expect_sent(r, 0xE0, 1, 0x82);
}

static void a_challenge_is_answered_once_and_in_time(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_connect(r->c, &options_auth, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'));
    assert_int_equal(midge_client_auth(r->c, false, TEXT("")), MIDGE_OK);
    assert_int_equal(midge_client_auth(r->c, false, TEXT("")), MIDGE_ERR_INVALID);
    feed(r, BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'));
    pull(r);
    feed(r, BYTES(0x20, 7, 0, 0, 4, 0x15, 0, 1, 'm'));
    assert_int_equal(midge_client_auth(r->c, false, TEXT("")), MIDGE_ERR_INVALID); /* it was let in without */
    assert_int_equal(midge_client_auth(r->c, true, TEXT("")), MIDGE_OK);
    pull(r);
    lose(r);
    assert_int_equal(midge_client_connect(r->c, &options_auth, r->now), MIDGE_OK);
    pull(r);
    assert_int_equal(midge_client_auth(r->c, false, TEXT("")), MIDGE_ERR_INVALID);
    feed(r, BYTES(0x20, 7, 0, 0, 4, 0x15, 0, 1, 'm'));
    assert_int_equal(midge_client_auth(r->c, true, TEXT("")), MIDGE_OK); /* the earlier one is over */
}

SPEC("MQTT-4.12.0-7")
static void without_a_method_no_auth_is_sent(void **state)
{
    struct rig *r = *state;
    start(r);
    assert_int_equal(midge_client_auth(r->c, true, TEXT("x")), MIDGE_ERR_INVALID);
    open5(r);
    assert_int_equal(midge_client_auth(r->c, true, TEXT("x")), MIDGE_ERR_INVALID);
    assert_int_equal(midge_client_auth(r->c, false, TEXT("x")), MIDGE_ERR_INVALID);
    expect_silence(r);
}

SPEC("MQTT-4.12.0-5", "MQTT-4.12.0-6", "MQTT-4.12.0-2")
static void another_method_than_ours_ends_the_connection(void **state)
{
    struct rig *r = *state;
    start(r);
    const struct midge_slice bad[] = {
        BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'n'),
        BYTES(0xF0, 6, 0x00, 4, 0x15, 0, 1, 'm'),
        BYTES(0x20, 7, 0, 0, 4, 0x15, 0, 1, 'n'),
        BYTES(0x20, 3, 0, 0, 0),
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(midge_client_connect(r->c, &options_auth, r->now), MIDGE_OK);
        pull(r);
        feed(r, bad[i]);
        expect_sent(r, 0xE0, 1, 0x82);
        lose(r);
    }
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 7, 0, 0, 4, 0x15, 0, 1, 'm')); /* and none where we named none */
    expect_sent(r, 0xE0, 1, 0x82);
}

/* ---- callbacks, pieces, memory ----------------------------------------------------------------------- */

static void publish_another(struct rig *r, const struct midge_client_event *e)
{
    if (e->kind == MIDGE_CLIENT_PUBLISHED && strcmp(e->token, "more") == 0)
        must_publish(r, 0, "t", "2", "last");
    if (e->kind == MIDGE_CLIENT_DISCONNECTED)
        must_publish(r, 1, "t", "3", "later");
}

static void callbacks_may_publish_and_disconnect(void **state)
{
    struct rig *r = *state;
    r->on_event = publish_another;
    open4(r);
    must_publish(r, 0, "t", "1", "more");
    expect_sent(r, 0x30, 4, 0, 1, 't', '1', 0x30, 4, 0, 1, 't', '2');
    lose(r);
    expect_told(r, "published 00 more; published 00 last; disconnected 80; ");
    assert_int_equal(midge_client_held(r->c), 1);
}

static void a_callback_may_disconnect_while_connack_is_handled(void **state)
{
    struct rig *r = *state;
    open5(r);
    must_publish(r, 1, "t", "1", "one");
    pull(r);
    lose(r);
    r->on_event = leave;
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 0, 0, 0, 0x30, 4, 0, 1, 'a', 0)); /* session lost: "one" is dropped */
    expect_sent(r, 0xE0, 0);
    expect_close(r);
    lose(r);
    expect_told(r, "disconnected 80; dropped 80 one; disconnected 00; ");
    assert_int_equal(midge_client_connect(r->c, &options5, r->now), MIDGE_OK);
    pull(r);
    feed(r, BYTES(0x20, 3, 0, 0, 0));
    expect_sent(r, 0xE0, 0);
    expect_told(r, "connected sp=0; ");
}

static void a_large_packet_arrives_in_pieces_of_any_size(void **state)
{
    struct rig *r = *state;
    enum { SIZE = 5000 };
    uint8_t packet[3 + SIZE] = { 0x30, SIZE % 128 | 0x80, SIZE / 128, 0, 1, 'a' };
    memset(packet + 6, 'x', SIZE - 3);
    r->hooks.message = NULL;
    open4(r);
    for (size_t piece = 1; piece < sizeof packet; piece = piece * 3 + 1) {
        for (size_t at = 0; at < sizeof packet; at += piece) {
            size_t n = sizeof packet - at < piece ? sizeof packet - at : piece;
            midge_client_recv(r->c, packet + at, n, r->now);
            assert_true(midge_client_memory_used(r->c) <= 2 * SIZE + 2000);
        }
        assert_true(midge_client_is_connected(r->c));
    }
    size_t before = midge_client_memory_used(r->c);
    midge_client_recv(r->c, BYTES(0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 'a').data, 8, r->now);
    assert_true(midge_client_memory_used(r->c) - before <= 256); /* announced is not sent */
    assert_true(midge_client_is_connected(r->c));
}

static void the_memory_limit_holds_and_answers_keep_their_share(void **state)
{
    struct rig *r = *state;
    r->config.memory_bytes = 4000;
    r->config.queue_msgs = 1000;
    open5(r);
    enum midge_err err;
    do
        err = publish(r, 1, "t", "0123456789012345678901234567890123456789", NULL);
    while (err == MIDGE_OK);
    assert_int_equal(err, MIDGE_ERR_NO_MEMORY);
    assert_true(midge_client_memory_used(r->c) <= 4000 - 500);
    feed(r, BYTES(0x34, 6, 0, 1, 'a', 0, 1, 0)); /* its id and PUBREC find room */
    assert_true(midge_client_is_connected(r->c));
    assert_true(r->live <= 4000);
}

/* A life with everything in it; whatever fails for want of memory, the next step is tried. */
static void a_life(struct rig *r)
{
    const struct midge_filter_request f = { .filter = TEXT("f") };
    const struct midge_client_options *o = &options_auth;
    r->c = midge_client_new(&r->config, r->now);
    if (!r->c)
        return;
    for (int connection = 0; connection < 2; connection++) {
        (void)!publish(r, 1, "t", "1", NULL);
        (void)!midge_client_connect(r->c, o, r->now);
        pull(r);
        feed(r, BYTES(0xF0, 6, 0x18, 4, 0x15, 0, 1, 'm'));
        (void)!midge_client_auth(r->c, false, TEXT("x"));
        pull(r);
        feed(r, BYTES(0x20, 10, 0, 0, 7, 0x15, 0, 1, 'm', 0x22, 0, 2));
        (void)!midge_client_subscribe(r->c, &f, 1, 0, NULL);
        (void)!publish(r, 2, "t", "2", NULL);
        (void)!publish(r, 0, "u", "3", NULL);
        pull(r);
        feed(r, BYTES(0x32, 9, 0, 1, 'a', 0, 1, 3, 0x23, 0, 1, 0x34, 8, 0, 0, 0, 2, 3, 0x23, 0, 1));
        for (uint8_t i = 3; i < 30; i++)
            feed(r, BYTES(0x34, 6, 0, 1, 'a', 0, i, 0));
        pull(r);
        feed(r, BYTES(0x50, 2, 0, 2, 0x50, 2, 0, 77));
        pull(r);
        midge_client_lost(r->c, r->now);
    }
    midge_client_free(r->c);
    r->c = NULL;
}

static void each_allocation_may_fail(void **state)
{
    struct rig *r = *state;
    r->config.alias_in = r->config.alias_out = 2;
    for (long n = 0;; n++) {
        r->allocs_left = n;
        r->diary[0] = '\0';
        a_life(r);
        assert_int_equal(r->live, 0);
        assert_int_equal(r->blocks, 0);
        if (r->allocs_left > 0)
            break; /* it got through */
        assert_true(n < 500);
    }
}

static void freeing_a_client_in_the_middle_gives_everything_back(void **state)
{
    struct rig *r = *state;
    const struct midge_filter_request f = { .filter = TEXT("f") };
    r->config.alias_in = r->config.alias_out = 2;
    open_with(r, &options_auth, BYTES(0x20, 10, 0, 0, 7, 0x15, 0, 1, 'm', 0x22, 0, 2));
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, NULL), MIDGE_OK);
    must_publish(r, 1, "t", "1", NULL);
    must_publish(r, 2, "t", "1", NULL);
    pull(r);
    feed(r, BYTES(0x50, 2, 0, 3, 0x34, 9, 0, 1, 'a', 0, 1, 3, 0x23, 0, 1));
    assert_int_equal(midge_client_subscribe(r->c, &f, 1, 0, NULL), MIDGE_OK);
    midge_client_recv(r->c, BYTES(0x30, 9, 0, 1).data, 4, r->now);
    must_publish(r, 0, "t", "1", NULL);
    midge_client_free(r->c);
    r->c = NULL;
    assert_int_equal(r->live, 0);
    midge_client_free(NULL);
}

/* ---- against Midge itself: two sessions, and a network that cuts anywhere ------------------------------- */

struct side {
    struct midge_client_config config;
    struct midge_client_hooks hooks;
    struct midge_client_options options;
    struct midge_client *c;
    struct midge_conn *conn; /* NULL: no network */
    uint32_t next[3];        /* numbers expected, by QoS */
    bool subscribed;
};

static struct pair {
    struct midge *broker;
    midge_ms now;
    uint32_t seed;
    struct side from, to;
} pair;

static uint32_t dice(uint32_t sides)
{
    pair.seed ^= pair.seed << 13;
    pair.seed ^= pair.seed >> 17;
    pair.seed ^= pair.seed << 5;
    return pair.seed % sides;
}

/* QoS 1: nothing is missing, what comes twice came before. QoS 2: each once, in order. */
static uint8_t pair_message(void *user, const struct midge_message *m)
{
    struct side *s = user;
    uint32_t number;
    memcpy(&number, m->payload.data, sizeof number);
    if (m->qos == 2)
        assert_int_equal(number, s->next[2]);
    if (m->qos == 1)
        assert_true(number <= s->next[1]);
    if (number == s->next[m->qos])
        s->next[m->qos]++;
    return 0;
}

static void pair_event(void *user, const struct midge_client_event *e)
{
    struct side *s = user;
    s->subscribed = s->subscribed || e->kind == MIDGE_CLIENT_SUBSCRIBED;
    assert_int_not_equal(e->kind, MIDGE_CLIENT_REFUSED);
    if (e->kind == MIDGE_CLIENT_DISCONNECTED)
        assert_int_equal(e->reason, MIDGE_RC_UNSPECIFIED); /* the network alone, never one of the two */
}

static void side_connect(struct side *s)
{
    struct midge_peer peer = { .user = s };
    assert_int_equal(midge_client_connect(s->c, &s->options, pair.now), MIDGE_OK);
    s->conn = midge_accept(pair.broker, &peer, pair.now);
    assert_non_null(s->conn);
}

static void side_lose(struct side *s)
{
    if (!s->conn)
        return;
    midge_client_lost(s->c, pair.now);
    midge_lost(s->conn, pair.now);
    s->conn = NULL;
}

static void side_start(struct side *s, const struct midge_memory *memory, uint8_t version,
                       struct midge_slice id)
{
    *s = (struct side){
        .hooks = { .user = s, .event = pair_event, .message = pair_message },
        .config = { .memory = memory,
                    .hooks = &s->hooks,
                    .queue_msgs = 50,
                    .queue_bytes = 100000,
                    .receive_maximum = (uint16_t)(1 + dice(20)),
                    .alias_in = (uint16_t)dice(4),
                    .alias_out = (uint16_t)dice(4) },
        .options = { .version = version, .session_expiry_s = 1000000, .client_id = id },
    };
    if (version != MIDGE_V50)
        s->config.receive_maximum = 0; /* which 3.x could not be told */
    s->c = midge_client_new(&s->config, pair.now);
    assert_non_null(s->c);
    side_connect(s);
}

/* Some bytes each way, or the end of the network, or a new one. */
static void side_step(struct side *s)
{
    uint8_t bytes[300];
    if (!s->conn) {
        if (dice(20) == 0)
            side_connect(s);
        return;
    }
    size_t n = midge_client_pull(s->c, bytes, 1 + dice(sizeof bytes), pair.now);
    midge_recv(s->conn, bytes, n, pair.now);
    n = midge_pull(s->conn, bytes, 1 + dice(sizeof bytes), pair.now);
    midge_client_recv(s->c, bytes, n, pair.now);
    assert_false(midge_status(s->conn) & MIDGE_STATUS_CLOSE);
    assert_false(midge_client_status(s->c) & MIDGE_STATUS_CLOSE);
    if (s->subscribed && dice(300) == 0)
        side_lose(s);
}

static void pair_publish(uint32_t sent[3], uint32_t count)
{
    uint8_t qos = (uint8_t)dice(3);
    static const char *const topics[] = { "a/0", "a/1", "a/2" };
    uint8_t payload[40] = { 0 };
    memcpy(payload, &sent[qos], sizeof sent[qos]);
    struct midge_publication p = {
        .topic = midge_slice_str(topics[qos]),
        .payload = midge_slice_of(payload, 4 + dice(36)),
        .qos = qos,
    };
    if (sent[qos] < count && midge_client_publish(pair.from.c, &p, NULL, pair.now) == MIDGE_OK)
        sent[qos]++;
}

static void pair_run(struct rig *r, uint8_t version, uint32_t seed)
{
    enum { COUNT_EACH = 100, STEPS = 200000 };
    struct midge_limits limits = midge_limits_gateway;
    struct midge_config config = { .memory = &r->memory, .limits = &limits };
    pair = (struct pair){ .now = r->now, .seed = seed * 7919 + version };
    pair.broker = midge_new(&config, pair.now);
    assert_non_null(pair.broker);
    side_start(&pair.from, &r->memory, version, TEXT("from"));
    side_start(&pair.to, &r->memory, version, TEXT("to"));

    const struct midge_filter_request filter = { .filter = TEXT("a/#"), .qos = 2 };
    while (!midge_client_is_connected(pair.to.c))
        side_step(&pair.to);
    assert_int_equal(midge_client_subscribe(pair.to.c, &filter, 1, 0, NULL), MIDGE_OK);
    while (!pair.to.subscribed)
        side_step(&pair.to);
    pair.from.subscribed = true; /* from here on it may be cut */

    uint32_t sent[3] = { 0 };
    long step = 0;
    while (pair.to.next[1] < COUNT_EACH || pair.to.next[2] < COUNT_EACH ||
           midge_client_held(pair.from.c) > 0) {
        pair.now += dice(3);
        midge_tick(pair.broker, pair.now);
        if (dice(3) == 0)
            pair_publish(sent, COUNT_EACH);
        side_step(&pair.from);
        side_step(&pair.to);
        assert_true(step++ < STEPS); /* nothing is stuck */
    }
    side_lose(&pair.from);
    side_lose(&pair.to);
    midge_client_free(pair.from.c);
    midge_client_free(pair.to.c);
    midge_free(pair.broker);
}

SPEC("MQTT-4.3.3-10", "MQTT-4.4.0-1", "MQTT-4.6.0-1", "MQTT-4.6.0-5", "MQTT311-4.4.0-1", "MQTT311-4.6.0-6")
static void with_midge_nothing_is_lost_or_doubled_whatever_is_cut(void **state)
{
    for (uint8_t version = 3; version <= 5; version++) {
        for (uint32_t seed = 1; seed <= 5; seed++)
            pair_run(*state, version, seed);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connect_is_the_first_packet_and_nothing_follows_before_connack),
        TEST(connect_carries_every_field),
        TEST(options_that_break_the_standard_are_refused),
        TEST(a_refusal_ends_the_connection),
        TEST(the_host_is_told_the_server_s_limits),
        TEST(an_unexpected_session_closes),
        TEST(a_session_that_ended_with_its_connection_is_not_expected_again),
        TEST(without_a_session_what_was_sent_is_forgotten_and_the_rest_is_sent),
        TEST(mqtt31_does_not_tell_and_keeps),
        TEST(each_qos_is_acknowledged_in_its_way),
        TEST(a_refusal_is_an_acknowledgement_too),
        TEST(a_resumed_session_sends_again_in_order),
        TEST(packet_ids_are_never_0_and_not_used_twice),
        TEST(the_server_s_receive_maximum_holds_back_qos_1_and_2_only),
        TEST(a_resumed_pubrel_does_not_widen_the_window),
        TEST(what_the_server_does_not_serve_is_not_sent),
        TEST(a_callback_may_disconnect_when_a_publication_is_dropped),
        TEST(a_publication_carries_its_properties_and_no_subscription_id),
        TEST(what_expired_before_it_was_sent_is_dropped),
        TEST(publications_that_break_the_standard_are_refused),
        TEST(the_queue_has_two_limits),
        TEST(an_acknowledgement_that_comes_before_the_last_byte_is_not_lost),
        TEST(a_packet_that_was_cut_off_by_the_end_is_sent_again_with_dup),
        TEST(acknowledgements_of_nothing),
        TEST(aliases_stay_within_the_server_s_maximum_and_the_oldest_gives_way),
        TEST(no_alias_where_the_server_wants_none),
        TEST(an_alias_that_would_make_the_packet_too_large_is_left_out),
        TEST(every_alias_up_to_our_maximum_is_taken),
        TEST(messages_are_acknowledged_in_their_order),
        TEST(qos_2_is_handed_over_once),
        TEST(a_refused_message_is_said_to_be_on_5_and_comes_again_on_3x),
        TEST(our_receive_maximum_is_not_passed),
        TEST(the_first_word_on_the_end_counts),
        TEST(each_connection_begins_to_count_anew),
        TEST(on_3x_open_qos_2_ids_are_bounded_too),
        TEST(a_message_shows_its_properties),
        TEST(without_hooks_everything_is_taken),
        TEST(a_port_that_does_not_send_is_asked_to_stop_reading),
        TEST(without_memory_for_connect_nothing_is_begun),
        TEST(without_memory_for_what_comes_the_connection_ends),
        TEST(subscriptions_are_asked_for_and_answered),
        TEST(requests_end_with_their_connection),
        TEST(pingreq_in_time_and_only_when_silent),
        TEST(somebody_who_only_sends_asks_for_a_sign_of_life_too),
        TEST(what_was_due_on_one_connection_is_not_on_the_next),
        TEST(time_comes_with_each_call_and_does_not_go_back),
        TEST(the_server_s_keep_alive_is_the_one_in_force),
        TEST(a_server_that_does_not_answer_connect_is_left),
        TEST(nothing_follows_disconnect),
        TEST(a_half_sent_packet_is_finished_before_disconnect),
        TEST(disconnect_may_change_the_session_s_expiry),
        TEST(disconnect_before_connect_was_sent_sends_nothing),
        TEST(a_peer_that_takes_no_bytes_is_closed_after_a_while),
        TEST(the_server_s_disconnect_is_told_with_its_reason),
        TEST(a_server_that_breaks_the_rules_is_left_with_the_reason),
        TEST(mqtt31_servers_may_set_dup_on_pubrel),
        TEST(an_answer_before_the_question_is_no_answer),
        TEST(the_largest_packet_we_take_is_taken),
        TEST(nothing_but_connack_or_auth_may_come_first),
        TEST(auth_goes_to_and_fro),
        TEST(a_challenge_is_answered_once_and_in_time),
        TEST(without_a_method_no_auth_is_sent),
        TEST(another_method_than_ours_ends_the_connection),
        TEST(callbacks_may_publish_and_disconnect),
        TEST(a_callback_may_disconnect_while_connack_is_handled),
        TEST(a_large_packet_arrives_in_pieces_of_any_size),
        TEST(the_memory_limit_holds_and_answers_keep_their_share),
        TEST(each_allocation_may_fail),
        TEST(freeing_a_client_in_the_middle_gives_everything_back),
    };
    const struct CMUnitTest pairs[] = { TEST(with_midge_nothing_is_lost_or_doubled_whatever_is_cut) };
    int failed = cmocka_run_group_tests(pairs, NULL, NULL);
    for (size_t i = 0; i < COUNT(modes); i++) {
        mode = &modes[i];
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
