/* test_v31.c - MQTT 3.1, where it differs from 3.1.1. */
#include "harness.h"

#define CONNECT(...) (&(struct c_connect){ .version = 3, __VA_ARGS__ })

SPEC("V31-name")
TEST(the_name_mqisdp_with_level_3_is_mqtt_3_1)
{
    struct peer *p = dial();
    send_hex(p, "10 0F 00 06 'MQIsdp' 03 02 00 3C 00 01 'a'");
    expect_hex(p, "20 02 00 00");
    expect_nothing(p);
}

SPEC("V31-clientid")
TEST(an_empty_3_1_client_id_is_refused_with_code_2)
{
    for (int clean = 0; clean <= 1; clean++) {
        struct peer *p = dial();
        send_connect(p, CONNECT(.clean_start = clean));
        expect_hex(p, "20 02 00 02");
        expect_closed(p);
    }
}

SPEC("V31-clientid")
TEST(a_3_1_client_id_of_more_than_23_characters_is_accepted)
{
    connect31(text_of('x', 23));
    connect31(text_of('x', 24));
    connect31(text_of('x', 100));
}

SPEC("V31-connack")
TEST(a_3_1_client_is_never_told_session_present)
{
    struct peer *p = connect5("p"), *a = connect_as(CONNECT(.client_id = "a"));
    subscribe(a, "t", 1);
    drop(a);
    publish(p, "t", "x", 1);
    a = dial();
    send_connect(a, CONNECT(.client_id = "a"));
    expect_hex(a, "20 02 00 00");
    take_publish(a, "t", "x", 1); /* but it was */
}

SPEC("V31-dup")
TEST(a_3_1_client_may_set_dup_on_what_it_sends_again)
{
    struct peer *a = connect31("a");
    send_hex(a, "8A 06 00 01 00 01 't' 01");
    expect_hex(a, "90 03 00 01 01");
    send_hex(a, "34 05 00 01 'u' 00 02");
    expect_hex(a, "50 02 00 02");
    send_hex(a, "6A 02 00 02");
    expect_hex(a, "70 02 00 02");
    send_hex(a, "AA 05 00 03 00 01 't'");
    expect_hex(a, "B0 02 00 03");
}

SPEC("V31-dup")
TEST(a_3_1_1_client_may_not)
{
    static const char *const packets[] = { "8A 06 00 01 00 01 't' 01", "AA 05 00 03 00 01 't'",
                                           "6A 02 00 02" };
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        struct peer *a = connect311("a");
        send_hex(a, packets[i]);
        expect_closed(a);
    }
}

SPEC("V31-retry")
TEST(nothing_is_sent_again_on_a_timer)
{
    struct peer *p = connect5("p"), *a = connect31("a");
    subscribe(a, "t", 2);
    publish(p, "t", "one", 1);
    publish(p, "t", "two", 2);
    expect_publish(a, "t", "one");
    expect_publish(a, "t", "two");
    advance(3600 * 1000);
    expect_nothing(a);
}

SPEC("V31-retry")
TEST(what_a_3_1_client_sends_again_by_its_own_timer_is_taken_once)
{
    struct peer *sub = connect5("s"), *a = connect31("a");
    subscribe(sub, "t", 2);
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 2, .pid = 9 });
    expect_hex(a, "50 02 00 09");
    take_publish(sub, "t", "x", 2);
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = "x", .qos = 2, .pid = 9, .dup = true });
    expect_hex(a, "50 02 00 09");
    expect_nothing(sub);
}

static bool may_not_subscribe(void *user, const struct midge_who *who, enum midge_access what,
                              struct midge_slice topic)
{
    (void)user;
    (void)who;
    (void)topic;
    return what != MIDGE_ACCESS_SUBSCRIBE;
}

SPEC("V31-suback")
TEST(a_3_1_client_is_never_sent_a_suback_code_above_2)
{
    struct peer *a = connect31("a"), *b = connect31("b");
    subscribe(a, "t0", 0);
    subscribe(a, "t1", 1);
    subscribe(a, "t2", 2);
    hooks.allow = may_not_subscribe;
    send_subscribe(b, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 1 }) });
    if (is_closed(b)) {
        expect_closed(b);
        return;
    }
    const struct packet pk = expect_packet(b, PK_SUBACK);
    CHECK(pk.codes[0] <= 2);
}

static bool had_username, had_password;

static void on_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    had_username = in->who.username.data != NULL;
    had_password = in->password.data != NULL;
    out->answer = MIDGE_ALLOW;
}

SPEC("V31-userpass")
TEST(a_3_1_client_may_announce_a_user_name_and_a_password_and_leave_them_out)
{
    hooks.login = on_login;
    struct peer *p = dial();
    send_body(p, 0x10, "00 06 'MQIsdp' 03 C2 00 00 00 01 'a'");
    expect_hex(p, "20 02 00 00");
    CHECK(!had_username && !had_password);
    p = dial();
    send_body(p, 0x10, "00 06 'MQIsdp' 03 C2 00 00 00 01 'b' 00 01 'u'");
    expect_hex(p, "20 02 00 00");
    CHECK(had_username && !had_password);
    p = dial();
    send_body(p, 0x10, "00 06 'MQIsdp' 03 C2 00 00 00 01 'c' 00 01 'u' 00 01 'p'");
    expect_hex(p, "20 02 00 00");
    CHECK(had_username && had_password);
}

SPEC("V31-userpass")
TEST(a_3_1_user_name_that_is_cut_short_is_malformed)
{
    struct peer *p = dial();
    send_body(p, 0x10, "00 06 'MQIsdp' 03 82 00 00 00 01 'a' 00 02 'u'");
    expect_closed(p);
}

SPEC("V31-utf8")
TEST(strings_of_3_1_clients_have_to_be_utf_8_without_u_0000_too)
{
    static const char *const connects[] = {
        "00 06 'MQIsdp' 03 02 00 00 00 02 C0 80",
        "00 06 'MQIsdp' 03 02 00 00 00 03 ED A0 80",
        "00 06 'MQIsdp' 03 02 00 00 00 02 'a' 00",
        "00 06 'MQIsdp' 03 82 00 00 00 01 'a' 00 01 00",
        "00 06 'MQIsdp' 03 06 00 00 00 01 'a' 00 01 FF 00 00",
    };
    static const char *const publishes[] = { "00 02 C0 80", "00 03 ED A0 80", "00 03 'a' 00 'b'" };
    for (size_t i = 0; i < sizeof connects / sizeof connects[0]; i++) {
        struct peer *p = dial();
        send_body(p, 0x10, connects[i]);
        expect_closed(p);
    }
    for (size_t i = 0; i < sizeof publishes / sizeof publishes[0]; i++) {
        struct peer *p = connect31("a");
        send_body(p, 0x30, publishes[i]);
        expect_closed(p);
    }
    CHECK_EQ(stats().sessions, 0);
}

SPEC("V31-dollar")
TEST(wildcards_of_3_1_clients_do_not_see_topics_that_begin_with_a_dollar_sign)
{
    struct peer *p = connect5("p"), *a = connect31("a");
    subscribe(a, "#", 0);
    subscribe(a, "+/x", 0);
    publish(p, "$own/x", "hidden", 0);
    expect_nothing(a);
    subscribe(a, "$own/#", 0);
    publish(p, "$own/x", "shown", 0);
    expect_publish(a, "$own/x", "shown");
    expect_nothing(a);
}

SPEC("V31-zero-retained")
TEST(an_empty_retained_message_of_a_3_1_client_clears_the_topic)
{
    struct peer *a = connect31("a");
    publish_retained(a, "t", "kept", 1);
    CHECK_EQ(stats().retained, 1);
    publish_retained(a, "t", "", 1);
    CHECK_EQ(stats().retained, 0);
    subscribe(a, "t", 0);
    expect_nothing(a);
}

SPEC("V31-keepalive")
TEST(a_3_1_client_has_one_and_a_half_times_its_keep_alive)
{
    struct peer *a = connect_as(CONNECT(.client_id = "a", .keepalive = 2));
    advance(2999);
    expect_nothing(a);
    advance(1);
    expect_closed(a);
}

SPEC("V31-will")
TEST(the_will_of_a_3_1_client_has_qos_and_retain_and_comes_at_any_end_but_disconnect)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "w", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        const struct c_will will = { .topic = "w", .payload = "gone", .qos = qos, .retain = qos == 2 };
        drop(connect_as(CONNECT(.client_id = "a", .clean_start = true, .will = &will)));
        take_publish(watcher, "w", "gone", qos);
    }
    CHECK_EQ(stats().retained, 1);
    leave(connect_as(CONNECT(.client_id = "a", .will = &(struct c_will){ .topic = "w" })));
    expect_nothing(watcher);
}
