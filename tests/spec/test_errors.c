/* test_errors.c - what a peer may get wrong: the right code, the close, and nobody else notices. */
#include "morec.h"

/* ---- malformed, or against the rules ------------------------------------------------------------------- */

/* One of each: what cannot be read is malformed (0x81), what can be read and breaks a rule is a protocol
 * error (0x82), and a code of its own goes before both. */
static const struct {
    uint8_t reason;
    unsigned first;
    const char *body;
} mistakes[] = {
    { 0x81, 0x00, "" },                   /* no such packet */
    { 0x81, 0x36, "00 01 't' 00 01 00" }, /* QoS 3 */
    { 0x81, 0x38, "00 01 't' 00" },       /* DUP at QoS 0 */
    { 0x81, 0x30, "00 05 't' 00" },       /* a topic beyond the packet */
    { 0x81, 0x30, "00 01 FF 00" },        /* not UTF-8 */
    { 0x81, 0x30, "00 01 't' 01 FE" },    /* no such property */
    { 0x81, 0x41, "00 01" },              /* flags */
    { 0x81, 0x80, "00 01 00 00 01 't' 00" },
    { 0x81, 0x82, "00 01 00 00 01 't' 40" }, /* reserved bits */
    { 0x81, 0x82, "00 01 00 00 01 't'" },    /* no options */
    { 0x81, 0xA2, "00 01 00 00 02 't'" },
    { 0x81, 0xC0, "00" },
    { 0x81, 0xE1, "" },
    { 0x82, 0x10, "00 04 'MQTT' 05 02 00 00 00 00 01 'a'" }, /* a second CONNECT */
    { 0x82, 0x30, "00 00 00" },                              /* no topic and no alias */
    { 0x82, 0x32, "00 01 't' 00 00 00" },                    /* packet id 0 */
    { 0x82, 0x30, "00 01 't' 04 01 00 01 00" },              /* a property twice */
    { 0x82, 0x30, "00 01 't' 02 0B 01" },                    /* a client's Subscription Identifier */
    { 0x82, 0x40, "00 01 01" },                              /* no such reason */
    { 0x82, 0x82, "00 01 00" },                              /* no filter */
    { 0x82, 0x82, "00 01 00 00 01 't' 03" },                 /* QoS 3 */
    { 0x82, 0x82, "00 01 02 0B 00 00 01 't' 00" },           /* identifier 0 */
    { 0x82, 0xA2, "00 01 00" },
    { 0x82, 0xE0, "03" },
    { 0x82, 0xF0, "18 05 15 00 02 'me'" }, /* AUTH without a method in CONNECT */
    { 0x90, 0x30, "00 03 'a/#' 00" },
    { 0x94, 0x30, "00 01 't' 03 23 00 00" }, /* alias 0 */
    { 0x94, 0x30, "00 01 't' 03 23 FF FF" },
};

SPEC("U5-1.2-mp", "MQTT-4.13.1-1", "MQTT-4.13.2-1")
TEST(malformed_packets_and_protocol_errors_have_their_codes)
{
    limits.alias_in = 10;
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        struct peer *p = connect5("a");
        send_body(p, mistakes[i].first, mistakes[i].body);
        expect_disconnect(p, mistakes[i].reason);
    }
}

SPEC("U5-1.2-mp", "MQTT-4.13.1-1")
TEST(a_packet_beyond_the_limit_has_a_code_of_its_own)
{
    limits.packet_bytes = 4096;
    struct peer *p = connect5("a");
    send_hex(p, "30 FF FF FF 7F");
    expect_disconnect(p, 0x95);
}

/* ---- only the offender --------------------------------------------------------------------------------- */

SPEC("MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT311-4.8.0-1")
TEST(an_error_ends_the_offender_s_connection_and_no_other)
{
    struct peer *others[10];
    for (int i = 0; i < 10; i++) {
        others[i] = connect_v(3 + i % 3, format("other%d", i));
        subscribe(others[i], "safe/#", 1);
    }
    for (int v = 4; v <= 5; v++) {
        for (size_t i = 0; i < COUNT(mistakes); i++) {
            struct peer *p = connect_v(v, "a");
            send_body(p, mistakes[i].first, mistakes[i].body);
            read_all(p);
            if (v == 5 || is_closed(p))
                expect_closed(p);
            else
                drop(p); /* 3.1.1 has no properties: a few of these are lawful in it */
        }
    }
    for (int i = 0; i < 10; i++) {
        send_ping(others[i]);
        expect_hex(others[i], "D0 00");
    }
    struct peer *q = connect5("q");
    publish(q, "safe/1", "x", 1);
    for (int i = 0; i < 10; i++)
        take_publish(others[i], "safe/1", "x", 1);
}

SPEC("MQTT311-4.8.0-1", "MQTT-4.13.1-1")
TEST(the_session_of_the_offender_lives_on)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_kept(v, "a", 60);
        struct peer *q = connect_v(v, "b");
        subscribe(p, "t", 1);
        send_hex(p, "C0 01 00");
        expect_disconnect(p, 0x81);
        publish(q, "t", "x", 1);
        p = connect_kept(v, "a", 60);
        CHECK(connack_of(p)->session_present);
        take_publish(p, "t", "x", 1);
        leave(p);
        leave(q);
        leave(connect_v(v, "a"));
    }
}

/* Nothing that stands behind the error in the same bytes is done. */
SPEC("MQTT-4.13.1-1", "MQTT311-4.8.0-1")
TEST(what_follows_an_error_is_not_done)
{
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    struct peer *p = connect5("a");
    send_hex(p, "C0 01 00 30 05 00 01 't' 00 'x'");
    expect_disconnect(p, 0x81);
    p = connect311("a");
    send_hex(p, "C0 01 00 30 04 00 01 't' 'x'");
    expect_closed(p);
    expect_nothing(watch);
}

/* What was whole before it is done. */
SPEC("MQTT-4.13.1-1", "MQTT311-4.8.0-1")
TEST(what_stands_before_an_error_is_done)
{
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    struct peer *p = connect5("a");
    send_hex(p, "32 07 00 01 't' 00 01 00 'x' C0 01 00");
    expect_ack(p, PK_PUBACK, 1, 0);
    expect_disconnect(p, 0x81);
    expect_publish(watch, "t", "x");
}

/* The code is not all: the close comes though the client neither reads nor closes. */
SPEC("MQTT-4.13.2-1")
TEST(an_error_closes_whether_or_not_the_code_can_be_sent)
{
    struct peer *p = connect5("a");
    hold(p);
    send_hex(p, "C0 01 00");
    advance(limits.linger_ms + 1);
    CHECK_EQ(stats().clients, 0);
    resume(p);
    read_all(p);
    expect_closed(p);
    CHECK_EQ(stats().connections, 0);
}

/* ---- packets of the other direction -------------------------------------------------------------------- */

SPEC("U5-wrongdir")
TEST(packets_that_only_a_server_sends_are_a_protocol_error)
{
    static const struct {
        unsigned first;
        const char *body;
    } wrong[] = { { 0x20, "00 00 00" },
                  { 0x20, "00 00" },
                  { 0x20, "" },
                  { 0x90, "00 01 00 00" },
                  { 0x90, "00 01 00" },
                  { 0x90, "" },
                  { 0xB0, "00 01 00 00" },
                  { 0xB0, "00 01" },
                  { 0xB0, "" },
                  { 0xD0, "" } };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        for (int v = 3; v <= 5; v++) {
            struct peer *p = connect_v(v, "a");
            send_body(p, wrong[i].first, wrong[i].body);
            expect_disconnect(p, 0x82);
        }
        struct peer *p = dial();
        send_body(p, wrong[i].first, wrong[i].body);
        expect_closed(p);
    }
}

/* ---- truncations --------------------------------------------------------------------------------------- */

/* A packet, and which of its beginnings are packets too (one bit a length). */
struct whole {
    unsigned first;
    const char *body;
    uint32_t lawful;
};
static const struct whole whole5[] = {
    { 0x30, "00 01 't' 06 03 00 03 'c/d'", 0 },
    { 0x32, "00 01 't' 00 01 03 01 01 23", 0 },
    { 0x34, "00 01 't' 00 01 00", 0 },
    { 0x40, "00 01 00 07 1F 00 04 'text'", 1 << 2 | 1 << 3 },
    { 0x50, "00 01 10 07 1F 00 04 'text'", 1 << 2 | 1 << 3 },
    { 0x62, "00 01 92 07 1F 00 04 'text'", 1 << 2 | 1 << 3 },
    { 0x70, "00 01 92 07 1F 00 04 'text'", 1 << 2 | 1 << 3 },
    { 0x82, "00 01 02 0B 01 00 01 't' 01 00 01 'u' 00", 1 << 9 },
    { 0xA2, "00 01 00 00 01 't' 00 01 'u'", 1 << 6 },
    { 0xE0, "04 05 11 00 00 00 00", 1 << 0 | 1 << 1 },
    { 0xF0, "19 05 15 00 02 'me'", 0 },
};
static const struct whole whole3[] = {
    { 0x30, "00 01 't'", 0 },
    { 0x32, "00 01 't' 00 01", 0 },
    { 0x40, "00 01", 0 },
    { 0x50, "00 01", 0 },
    { 0x62, "00 01", 0 },
    { 0x70, "00 01", 0 },
    { 0x82, "00 01 00 01 't' 01 00 01 'u' 00", 1 << 6 },
    { 0xA2, "00 01 00 01 't' 00 01 'u'", 1 << 5 },
};

static bool is_malformed_or_error(struct peer *p)
{
    const uint8_t reason = expect_packet(p, PK_DISCONNECT).reason;
    return reason == 0x81 || reason == 0x82;
}

static void let_in(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    out->answer = in->step == MIDGE_LOGIN_CONNECT ? MIDGE_ALLOW : MIDGE_CONTINUE;
}

static void cut_everywhere(int version, const struct whole *w)
{
    struct bytes body = hex_bytes(w->body);
    for (size_t n = 0; n < body.len; n++) {
        if (w->lawful >> n & 1)
            continue;
        struct peer *p =
            version == 5
                ? connect_as(&(struct c_connect){ .client_id = "a",
                                                  .clean_start = true,
                                                  .props = PROPS(prop_text(PROP_AUTH_METHOD, "me")) })
                : connect311("a");
        send_all(p, packet_bytes((uint8_t)w->first, first_bytes(body, n)));
        CHECK(version == 4 || is_malformed_or_error(p));
        expect_closed(p);
    }
}

SPEC("U5-truncated", "MQTT-4.13.1-1")
TEST(packets_that_end_too_early_are_malformed)
{
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(whole5); i++)
        cut_everywhere(5, &whole5[i]);
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("U5-truncated", "MQTT311-4.8.0-1")
TEST(packets_of_3_1_1_that_end_too_early_close_the_connection)
{
    for (size_t i = 0; i < COUNT(whole3); i++)
        cut_everywhere(4, &whole3[i]);
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("U5-truncated", "MQTT-3.1.4-1", "MQTT311-3.1.4-1")
TEST(a_connect_that_ends_too_early_is_refused)
{
    struct bytes body5 =
        hex_bytes("00 04 'MQTT' 05 C6 00 00 05 11 00 00 00 00 00 01 'a' 02 01 00 00 01 'w' 00 01 'x' "
                  "00 01 'u' 00 01 'p'");
    struct bytes body311 =
        hex_bytes("00 04 'MQTT' 04 C6 00 00 00 01 'a' 00 01 'w' 00 01 'x' 00 01 'u' 00 01 'p'");
    for (size_t n = 0; n < body5.len; n++) {
        struct peer *p = dial();
        send_all(p, packet_bytes(0x10, first_bytes(body5, n)));
        expect_refused(p, 0x81);
    }
    for (size_t n = 0; n < body311.len; n++) {
        struct peer *p = dial();
        send_all(p, packet_bytes(0x10, first_bytes(body311, n)));
        expect_closed(p);
    }
    CHECK_EQ(stats().sessions, 0);
}

/* Every type, with up to 16 zeros for a body. */
SPEC("U5-truncated")
TEST(packets_of_zeros_do_no_harm)
{
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    for (int v = 3; v <= 5; v++) {
        for (unsigned type = 0; type < 16; type++) {
            for (size_t n = 0; n <= 16; n++) {
                const unsigned flags = type == 6 || type == 8 || type == 10 ? 2 : 0;
                struct peer *p = connect_v(v, "a");
                send_all(p, packet_bytes((uint8_t)(type << 4 | flags), (struct bytes){ keep(16), n }));
                read_all(p);
                if (type == 12 && n == 0)
                    leave(p);
                else
                    expect_closed(p);
            }
        }
    }
    expect_nothing(watch);
}

/* Each bit of good packets, turned over one at a time: whatever it makes of them, the broker lives. */
SPEC("U5-truncated", "MQTT-4.13.1-1", "MQTT311-4.8.0-1")
TEST(packets_with_one_bit_turned_do_no_harm_to_others)
{
    struct peer *other = connect5("other");
    subscribe(other, "safe", 0);
    for (int v = 4; v <= 5; v++) {
        const struct whole *w = v == 5 ? whole5 : whole3;
        const size_t count = v == 5 ? COUNT(whole5) : COUNT(whole3);
        for (size_t i = 0; i < count; i++) {
            struct bytes good = body_bytes(w[i].first, w[i].body);
            for (size_t bit = 0; bit < 8 * good.len; bit++) {
                struct bytes b = raw_bytes(good.at, good.len);
                b.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
                struct peer *p = connect_v(v, "a");
                send_all(p, b);
                read_all(p);
                if (is_closed(p))
                    expect_closed(p);
                drop(p);
            }
        }
    }
    read_all(other);
    struct peer *q = connect5("q");
    publish(q, "safe", "x", 0);
    expect_publish(other, "safe", "x");
}

/* ---- transient failures -------------------------------------------------------------------------------- */

/* Memory that fails at the nth request from now. */
static struct {
    const struct midge_memory *under;
    int left; /* requests that still succeed; < 0 = all */
    bool failed;
} failing;

static bool fails_now(void)
{
    if (failing.left < 0 || failing.left-- > 0)
        return false;
    failing.left = 0;
    failing.failed = true;
    return true;
}

static void *failing_alloc(void *user, size_t n)
{
    (void)user;
    return fails_now() ? NULL : failing.under->alloc(failing.under->user, n);
}

static void *failing_resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    return n > old && fails_now() ? NULL : failing.under->resize(failing.under->user, p, old, n);
}

static void failing_free(void *user, void *p, size_t n)
{
    (void)user;
    failing.under->free(failing.under->user, p, n);
}

static const struct midge_memory failing_memory = { .alloc = failing_alloc,
                                                    .free = failing_free,
                                                    .resize = failing_resize };

static void install_failing(void)
{
    failing.under = config.memory;
    failing.left = -1;
    config.memory = &failing_memory;
}

/* Sends the packet again and again, with the first, second, third ... request for memory failing, until none
 * does. Each time it was done, or the connection was closed; and the broker serves the next one. */
static void fail_each(const char *packet)
{
    bool again = true;
    for (int n = 0; again; n++) {
        struct peer *q = connect311("q");
        subscribe(q, "t/#", 1);
        struct peer *p = connect311("a");
        publish_retained(p, "r", "kept", 1);
        failing.left = n;
        failing.failed = false;
        send_hex(p, packet);
        failing.left = -1;
        again = failing.failed;
        read_all(p);
        read_all(q);
        if (is_closed(p)) {
            CHECK(failing.failed);
            expect_closed(p);
        } else {
            leave(p);
        }
        if (is_closed(q))
            expect_closed(q);
        drop(q);
        CHECK(n < 50);
    }
    CHECK_EQ(stats().clients, 0);
}

SPEC("MQTT311-4.8.0-2")
TEST(a_packet_that_memory_fails_for_ends_its_connection_only)
{
    static const char *const packets[] = {
        "30 06 00 03 't/x' 'x'",
        "31 06 00 03 't/x' 'x'",
        "32 08 00 03 't/x' 00 01 'x'",
        "33 08 00 03 'u/x' 00 01 'x'",
        "34 08 00 03 't/x' 00 01 'x'",
        "62 02 00 07",
        "82 0D 00 01 00 03 'a/b' 01 00 02 '/+' 00",
        "82 06 00 01 00 01 'r' 01",
        "82 0F 00 01 00 0A '$share/g/t' 01",
        "A2 06 00 01 00 02 't/'",
        "C0 00",
    };
    install_failing();
    for (size_t i = 0; i < COUNT(packets); i++)
        fail_each(packets[i]);
}

/* One that memory failed for is not acknowledged: the client brings it again. */
SPEC("MQTT311-4.8.0-2")
TEST(a_message_that_memory_fails_for_is_not_acknowledged)
{
    install_failing();
    bool done = false;
    for (int n = 0; !done; n++) {
        struct peer *q = connect311("q");
        subscribe(q, "t", 1);
        struct peer *p = connect311("a");
        failing.left = n;
        failing.failed = false;
        send_hex(p, "32 06 00 01 't' 00 01 'x'");
        failing.left = -1;
        settle();
        if (unread(p) > 0) {
            expect_hex(p, "40 02 00 01");
            take_publish(q, "t", "x", 1);
            done = !failing.failed;
        }
        if (is_closed(p))
            expect_closed(p);
        drop(p);
        read_all(q);
        if (is_closed(q))
            expect_closed(q);
        drop(q);
    }
}

SPEC("MQTT311-4.8.0-2")
TEST(a_connect_that_memory_fails_for_is_refused_and_leaves_nothing)
{
    install_failing();
    start();
    const struct c_will will = { .topic = "w", .payload = "x" };
    struct bytes connect = connect_bytes(&(struct c_connect){ .version = 4,
                                                              .client_id = "a",
                                                              .clean_start = true,
                                                              .will = &will,
                                                              .username = "u",
                                                              .password = "p" });
    bool done = false;
    for (int n = 0; !done; n++) {
        struct peer *p = dial();
        failing.left = n;
        failing.failed = false;
        send_all(p, connect);
        failing.left = -1;
        settle();
        done = !failing.failed;
        if (is_closed(p)) {
            read_all(p);
            expect_closed(p);
        } else {
            expect_connack(p, 0);
            leave(p);
        }
        CHECK_EQ(stats().sessions, 0);
        CHECK_EQ(stats().connections, 0);
        CHECK(n < 50);
    }
}
