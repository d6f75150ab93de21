/* test_auth.c - AUTH back and forth at CONNECT, and again later; and what needs rights. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ __VA_ARGS__ })
#define METHOD(name) prop_text(PROP_AUTH_METHOD, name)
#define DATA(text) prop_text(PROP_AUTH_DATA, text)

/* ---- a host that knows the method PEN: it asks "who?" and wants to hear "me" --------------------------- */

static struct {
    unsigned asked;
    enum midge_login_step step;
    char method[32], data[32], client_id[32], username[32];
    bool tag_was_kept;
    bool later;
    struct midge_conn *conn;
} seen;

static void show(char out[32], struct midge_slice s)
{
    memset(out, 0, 32);
    if (s.len)
        memcpy(out, s.data, s.len < 31 ? s.len : 31);
}

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ (const uint8_t *)s, (uint32_t)strlen(s) };
}

static struct midge_login_answer judge(enum midge_login_step step, const char *method, const char *data)
{
    static int tag;
    if (strcmp(method, "PEN") != 0)
        return (struct midge_login_answer){ .answer = MIDGE_DENY, .reason = 0x8C };
    if (step != MIDGE_LOGIN_AUTH)
        return (struct midge_login_answer){ .answer = MIDGE_CONTINUE, .data = text("who?"), .tag = &tag };
    if (strcmp(data, "again") == 0)
        return (struct midge_login_answer){ .answer = MIDGE_CONTINUE, .data = text("who now?") };
    if (strcmp(data, "me") == 0)
        return (struct midge_login_answer){ .answer = MIDGE_ALLOW, .data = text("welcome") };
    return (struct midge_login_answer){ .answer = MIDGE_DENY, .reason = 0x87 };
}

static void on_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    seen.asked++;
    seen.step = in->step;
    seen.conn = in->conn;
    seen.tag_was_kept = in->who.tag != NULL;
    show(seen.method, in->method);
    show(seen.data, in->auth_data);
    show(seen.client_id, in->who.client_id);
    show(seen.username, in->who.username);
    *out = in->method.data ? judge(in->step, seen.method, seen.data)
                           : (struct midge_login_answer){ .answer = MIDGE_ALLOW };
    if (seen.later)
        *out = (struct midge_login_answer){ .answer = MIDGE_LATER, .tag = out->tag };
}

static void install(void)
{
    memset(&seen, 0, sizeof seen);
    hooks.login = on_login;
}

static struct peer *begin(const char *id)
{
    install();
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = id, .clean_start = true, .username = "name",
                            .props = PROPS(METHOD("PEN"), DATA("hello"))));
    return p;
}

static void expect_auth(struct peer *p, uint8_t reason, const char *data)
{
    const struct packet pk = expect_packet(p, PK_AUTH);
    CHECK_EQ(pk.reason, reason);
    CHECK_STR(prop_string(&pk, PROP_AUTH_METHOD), "PEN");
    CHECK_STR(prop_string(&pk, PROP_AUTH_DATA), data);
}

static struct peer *log_in(const char *id)
{
    struct peer *p = begin(id);
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("me")));
    expect_connack(p, 0);
    return p;
}

/* ---- at CONNECT ---------------------------------------------------------------------------------------- */

SPEC("MQTT-4.12.0-2", "MQTT-4.12.0-5", "MQTT-4.12.0-3")
TEST(an_exchange_of_auth_packets_ends_in_a_connack_with_the_same_method)
{
    struct peer *p = begin("a");
    CHECK_EQ(seen.step, MIDGE_LOGIN_CONNECT);
    CHECK_STR(seen.method, "PEN");
    CHECK_STR(seen.data, "hello");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("again")));
    CHECK_EQ(seen.step, MIDGE_LOGIN_AUTH);
    CHECK_STR(seen.client_id, "a");
    CHECK_STR(seen.username, "name");
    CHECK(seen.tag_was_kept);
    expect_auth(p, 0x18, "who now?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("me")));
    const struct packet pk = expect_connack(p, 0);
    CHECK_STR(prop_string(&pk, PROP_AUTH_METHOD), "PEN");
    CHECK_STR(prop_string(&pk, PROP_AUTH_DATA), "welcome");
    CHECK_EQ(seen.asked, 3);
}

SPEC("MQTT-4.12.0-1")
TEST(a_method_that_nobody_knows_is_refused)
{
    install();
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(METHOD("X"))));
    expect_connack(p, 0x8C);
    hooks.login = NULL; /* a host that knows no method at all */
    p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(METHOD("PEN"))));
    expect_connack(p, 0x8C);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-4.12.0-3")
TEST(a_client_may_only_go_on_with_0x18)
{
    struct peer *p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x19, PROPS(METHOD("PEN"), DATA("me")));
    expect_connack(p, 0x82);
    p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_hex(p, "F0 08 00 06 15 00 03 'PEN'");
    const struct packet pk = expect_packet(p, PK_CONNACK);
    CHECK(pk.reason == 0x82 || pk.reason == 0x81);
    expect_closed(p);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-4.12.0-4")
TEST(a_wrong_proof_is_refused_at_any_step)
{
    struct peer *p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("nobody")));
    expect_connack(p, 0x87);
    p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("again")));
    expect_auth(p, 0x18, "who now?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("nobody")));
    expect_connack(p, 0x87);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-4.12.0-5", "U5-3.15-nomethod")
TEST(a_client_that_changes_or_forgets_the_method_in_the_exchange_is_refused)
{
    struct peer *p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PAN"), DATA("me")));
    expect_connack(p, 0x82);
    p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(DATA("me")));
    expect_connack(p, 0x82);
    p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_hex(p, "F0 02 18 00");
    expect_connack(p, 0x82);
}

SPEC("MQTT-3.1.2-30")
TEST(with_a_method_nothing_but_auth_and_disconnect_may_come_before_connack)
{
    static const char *const packets[] = {
        "30 04 00 01 't' 00", "82 07 00 01 00 00 01 't' 00", "C0 00",
        "40 02 00 01",        "A2 06 00 02 00 00 01 't'",
    };
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "#", 0);
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        struct peer *p = begin("a");
        expect_auth(p, 0x18, "who?");
        send_hex(p, packets[i]);
        expect_connack(p, 0x82);
    }
    expect_nothing(watcher);
}

SPEC("MQTT-3.1.2-30")
TEST(with_a_method_a_disconnect_before_connack_is_lawful)
{
    struct peer *p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_disconnect(p, 0, NO_PROPS);
    expect_closed(p);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-4.12.0-6")
TEST(without_a_method_in_connect_there_is_no_auth_and_none_in_connack)
{
    install();
    struct peer *p = connect5("a");
    CHECK(!has_prop(connack_of(p), PROP_AUTH_METHOD));
    CHECK(!has_prop(connack_of(p), PROP_AUTH_DATA));
    expect_nothing(p);
}

static void continue_always(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    (void)in;
    *out = (struct midge_login_answer){ .answer = MIDGE_CONTINUE, .data = { (const uint8_t *)"?", 1 } };
}

SPEC("MQTT-4.12.0-6")
TEST(a_host_that_would_go_on_without_a_method_denies)
{
    hooks.login = continue_always;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a"));
    expect_connack(p, 0x87);
    p = dial();
    send_connect(p, CONNECT(.version = 4, .client_id = "a"));
    expect_connack(p, 5);
}

SPEC("MQTT-4.12.0-7")
TEST(auth_from_a_client_that_named_no_method_is_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_auth(p, 0x19, PROPS(METHOD("PEN"), DATA("me")));
    expect_disconnect(p, 0x82);
    p = connect5("a");
    send_hex(p, "F0 00");
    expect_disconnect(p, 0x82);
    p = connect5("a");
    send_hex(p, "F0 02 19 00");
    expect_disconnect(p, 0x82);
}

SPEC("U5-3.1.2.11.10-nomethod")
TEST(authentication_data_without_a_method_is_a_protocol_error)
{
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .props = PROPS(DATA("x"))));
    expect_connack(p, 0x82);
}

SPEC("MQTT-4.12.0-2")
TEST(a_host_may_answer_each_step_later)
{
    install();
    seen.later = true;
    struct peer *p = dial();
    send_connect(p, CONNECT(.client_id = "a", .clean_start = true, .props = PROPS(METHOD("PEN"))));
    expect_nothing(p);
    struct midge_login_answer answer = { .answer = MIDGE_CONTINUE, .data = text("who?") };
    midge_login_done(live_conn(p), &answer, now);
    settle();
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("me")));
    expect_nothing(p);
    answer = (struct midge_login_answer){ .answer = MIDGE_ALLOW };
    midge_login_done(live_conn(p), &answer, now);
    settle();
    const struct packet pk = expect_connack(p, 0);
    CHECK_STR(prop_string(&pk, PROP_AUTH_METHOD), "PEN");
    CHECK(!has_prop(&pk, PROP_AUTH_DATA));
}

/* ---- flags, codes -------------------------------------------------------------------------------------- */

SPEC("MQTT-3.15.1-1")
TEST(the_flags_of_auth_have_to_be_0)
{
    for (unsigned flags = 1; flags < 16; flags++) {
        struct peer *p = log_in("a");
        send_body(p, 0xF0 | flags, "19 06 15 00 03 'PEN'");
        expect_disconnect(p, 0x81);
    }
    struct peer *p = begin("a");
    expect_auth(p, 0x18, "who?");
    send_body(p, 0xF1, "18 06 15 00 03 'PEN'");
    expect_connack(p, 0x81);
}

SPEC("MQTT-3.15.2-1")
TEST(a_reason_code_that_a_client_may_not_put_into_auth_is_a_protocol_error)
{
    static const char *const bodies[] = {
        "01 06 15 00 03 'PEN'", "17 06 15 00 03 'PEN'", "1A 06 15 00 03 'PEN'",
        "80 06 15 00 03 'PEN'", "00 06 15 00 03 'PEN'",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct peer *p = log_in("a");
        send_body(p, 0xF0, bodies[i]);
        expect_disconnect(p, 0x82);
    }
}

SPEC("U5-3.15-nomethod")
TEST(auth_without_a_method_is_a_protocol_error)
{
    struct peer *p = log_in("a");
    send_hex(p, "F0 00");
    expect_disconnect(p, 0x82);
    p = log_in("a");
    send_hex(p, "F0 02 19 00");
    expect_disconnect(p, 0x82);
}

/* ---- again, on a connection that is up ----------------------------------------------------------------- */

SPEC("MQTT-4.12.0-5", "MQTT-3.15.2-1")
TEST(a_client_may_authenticate_again)
{
    struct peer *p = log_in("a");
    send_auth(p, 0x19, PROPS(METHOD("PEN"), DATA("hello again")));
    CHECK_EQ(seen.step, MIDGE_LOGIN_REAUTH);
    CHECK_STR(seen.data, "hello again");
    CHECK(seen.tag_was_kept);
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("me")));
    CHECK_EQ(seen.step, MIDGE_LOGIN_AUTH);
    expect_auth(p, 0x00, "welcome");
    send_ping(p);
    expect_packet(p, PK_PINGRESP);
    send_auth(p, 0x19, PROPS(METHOD("PEN"))); /* and again */
    expect_auth(p, 0x18, "who?");
}

SPEC("MQTT-4.12.1-1")
TEST(authenticating_again_with_another_method_ends_the_connection)
{
    struct peer *p = log_in("a");
    send_auth(p, 0x19, PROPS(METHOD("PAN"), DATA("me")));
    expect_disconnect(p, 0x82);
}

SPEC("MQTT-4.12.0-3")
TEST(auth_0x18_without_an_exchange_is_a_protocol_error)
{
    struct peer *p = log_in("a");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("me")));
    expect_disconnect(p, 0x82);
}

SPEC("MQTT-4.12.0-3")
TEST(starting_again_within_an_exchange_is_a_protocol_error)
{
    struct peer *p = log_in("a");
    send_auth(p, 0x19, PROPS(METHOD("PEN")));
    expect_auth(p, 0x18, "who?");
    send_auth(p, 0x19, PROPS(METHOD("PEN")));
    expect_disconnect(p, 0x82);
}

SPEC("MQTT-4.12.1-2")
TEST(a_second_authentication_that_fails_ends_the_connection_and_until_then_all_goes_on)
{
    struct peer *p = log_in("a");
    subscribe(p, "t", 0);
    send_auth(p, 0x19, PROPS(METHOD("PEN")));
    expect_auth(p, 0x18, "who?");
    publish(p, "t", "in between", 0);
    expect_publish(p, "t", "in between");
    send_auth(p, 0x18, PROPS(METHOD("PEN"), DATA("nobody")));
    expect_disconnect(p, 0x87);
}

/* ---- Maximum Packet Size: the broker puts no text into AUTH, and what does not fit cannot be left out -- */

SPEC("MQTT-3.15.2-2", "MQTT-3.15.2-3", "MQTT-3.1.2-24")
TEST(auth_carries_neither_reason_string_nor_user_properties_and_never_exceeds_the_clients_size)
{
    install();
    struct peer *p = dial();
    send_connect(
        p, CONNECT(.client_id = "a", .props = PROPS(METHOD("PEN"), prop_num(PROP_MAXIMUM_PACKET_SIZE, 17))));
    const struct packet pk = expect_packet(p, PK_AUTH); /* 2 + 1 + 1 + 6 + 7 */
    CHECK_EQ(pk.len, 17);
    CHECK(!has_prop(&pk, PROP_REASON_STRING) && !has_prop(&pk, PROP_USER));
    drop(p);
    p = dial();
    send_connect(
        p, CONNECT(.client_id = "a", .props = PROPS(METHOD("PEN"), prop_num(PROP_MAXIMUM_PACKET_SIZE, 16))));
    expect_closed(p);
}

/* ---- rights -------------------------------------------------------------------------------------------- */

static bool may_not_publish(void *user, const struct midge_who *who, enum midge_access what,
                            struct midge_slice topic)
{
    (void)user;
    (void)who;
    (void)topic;
    return what != MIDGE_ACCESS_PUBLISH;
}

SPEC("U5-3.3.4-0x87")
TEST(a_message_that_the_client_may_not_publish_is_refused_with_not_authorized_and_reaches_nobody)
{
    struct peer *watcher = connect5("watcher"), *p = connect5("p");
    subscribe(watcher, "#", 0);
    hooks.allow = may_not_publish;
    send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = 1 });
    expect_ack(p, PK_PUBACK, 1, 0x87);
    send_publish(p, &(struct c_publish){ .topic = "t", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, 0x87);
    send_publish(p, &(struct c_publish){ .topic = "t" });
    expect_nothing(p);
    expect_nothing(watcher);
}

SPEC("MQTT311-3.3.5-2")
TEST(a_message_that_a_3_1_1_client_may_not_publish_is_acknowledged_or_ends_the_connection)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        hooks.allow = NULL;
        struct peer *watcher = connect5("watcher"), *p = connect311("p");
        subscribe(watcher, "#", 0);
        hooks.allow = may_not_publish;
        send_publish(p, &(struct c_publish){ .topic = "t", .qos = qos, .pid = 1 });
        if (is_closed(p))
            expect_closed(p);
        else
            expect_ack(p, qos == 1 ? PK_PUBACK : PK_PUBREC, 1, 0);
        expect_nothing(watcher);
        leave(watcher);
        drop(p);
    }
}
