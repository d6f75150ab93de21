/* test_connect.c - CONNECT: what is let in, what is refused and how, what is never answered at all. */
#include "harness.h"

/* ---- what the tests share ------------------------------------------------------------------------------ */

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A variable header with these flags and Keep Alive 0; for 5.0 with an empty property section. */
#define V311(flags) "00 04 'MQTT' 04 " flags " 00 00 "
#define V5(flags) "00 04 'MQTT' 05 " flags " 00 00 00 "

static struct peer *dial_with(const char *connect_body)
{
    struct peer *p = dial();
    send_body(p, 0x10, connect_body);
    return p;
}

/* Closed without a word. */
static void refuse_silently(const char *connect_body)
{
    struct peer *p = dial_with(connect_body);
    expect_closed(p);
}

/* CONNACK with a code, and closed. */
static void refuse_with(uint8_t code, const char *connect_body)
{
    struct peer *p = dial_with(connect_body);
    expect_connack(p, code);
}

/* Ill-formed: 5.0 clients are told, 3.1.1 has no code for it. */
static void malformed_v5(const char *body)
{
    refuse_with(0x81, body);
}

/* What the login hook was shown last. */
static struct {
    unsigned asked;
    char client_id[128], username[128], password[128];
    bool has_username, has_password;
    struct midge_login_answer answer;
} login;

static void copy_slice(char out[128], struct midge_slice s)
{
    memset(out, 0, 128);
    if (s.len)
        memcpy(out, s.data, s.len < 127 ? s.len : 127);
}

static void on_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    login.asked++;
    copy_slice(login.client_id, in->who.client_id);
    copy_slice(login.username, in->who.username);
    copy_slice(login.password, in->password);
    login.has_username = in->who.username.data != NULL;
    login.has_password = in->password.data != NULL;
    *out = login.answer;
}

static void answer_logins_with(struct midge_login_answer answer)
{
    memset(&login, 0, sizeof login);
    login.answer = answer;
    hooks.login = on_login;
}

static void deny_logins(uint8_t reason)
{
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_DENY, .reason = reason });
}

/* ---- the first packet ---------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.0-1", "MQTT311-3.1.0-1")
TEST(a_first_packet_that_is_not_connect_closes_the_connection_without_an_answer)
{
    static const char *const first[] = {
        "C0 00",       "30 03 00 01 'a'", "82 06 00 01 00 01 'a' 00", "E0 00", "F0 00",
        "40 02 00 01", "20 02 00 00",     "'GET / HTTP/1.1'",
    };
    for (size_t i = 0; i < COUNT(first); i++) {
        struct peer *p = dial();
        send_hex(p, first[i]);
        expect_closed(p);
    }
}

SPEC("MQTT311-3.1.0-1", "U5-3.1.4-limit")
TEST(a_length_that_a_stranger_claims_pins_no_memory)
{
    struct peer *p = dial();
    const size_t before = memory_used();
    send_hex(p, "30 FF FF FF 7F");
    expect_closed(p);

    p = dial();
    send_hex(p, "10 F0 FF 03 00 04 'MQTT' 05");
    CHECK(memory_used() < before + limits.hello_bytes);
}

SPEC("U5-3.1.4-limit")
TEST(a_connect_larger_than_the_limit_is_refused_by_its_header_alone)
{
    struct peer *p = dial();
    send_hex(p, "10 FF FF FF 7F");
    expect_closed(p);
}

SPEC("U5-3.1.4-limit")
TEST(megabytes_behind_a_login_that_is_not_decided_stay_within_the_limit)
{
    limits.packet_bytes = 100000;
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_LATER });
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "flood", .clean_start = true });
    char *flood = text_of('x', 65536);
    for (unsigned i = 0; i < 40; i++) {
        send_bytes(p, flood, 65536);
        CHECK(memory_used() < 300000);
    }
    expect_nothing(p);
    CHECK(is_paused(p));
}

SPEC("U5-3.1.4-limit")
TEST(a_port_that_reads_on_while_the_login_is_not_decided_is_stopped_at_the_limit)
{
    limits.packet_bytes = 1000;
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_LATER });
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "flood", .clean_start = true });
    const char *flood = text_of('x', 600);
    midge_recv(live_conn(p), flood, 600, now);
    settle();
    expect_nothing(p);
    midge_recv(live_conn(p), flood, 600, now);
    settle();
    expect_closed(p);
}

SPEC("U5-3.1.4-limit")
TEST(a_connect_that_does_not_come_in_time_is_given_up)
{
    struct peer *silent = dial(), *slow = dial();
    send_hex(slow, "10 0C 00 04");
    advance(limits.hello_ms - 1);
    expect_nothing(silent);
    expect_nothing(slow);
    advance(1);
    expect_closed(silent);
    expect_closed(slow);
}

SPEC("MQTT-3.1.0-2")
TEST(a_second_connect_is_a_protocol_error_and_the_will_is_published)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "will", 0);
    struct peer *p =
        connect_as(&(struct c_connect){ .client_id = "a",
                                        .clean_start = true,
                                        .will = &(struct c_will){ .topic = "will", .payload = "gone" } });
    send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true });
    expect_disconnect(p, 0x82);
    expect_publish(watcher, "will", "gone");
}

SPEC("MQTT311-3.1.0-2")
TEST(a_second_connect_closes_a_3_1_1_client_and_the_will_is_published)
{
    struct peer *watcher = connect311("watcher");
    subscribe(watcher, "will", 0);
    struct peer *p =
        connect_as(&(struct c_connect){ .version = 4,
                                        .client_id = "a",
                                        .clean_start = true,
                                        .will = &(struct c_will){ .topic = "will", .payload = "gone" } });
    send_connect(p, &(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true });
    expect_closed(p);
    expect_publish(watcher, "will", "gone");
}

/* ---- name, level, flags -------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.2-1", "MQTT311-3.1.2-1")
TEST(an_unknown_protocol_name_is_closed_and_never_taken_for_mqtt)
{
    refuse_silently("00 04 'MQTX' 04 02 00 00 00 01 'a'");
    refuse_silently("00 04 'MQTX' 05 02 00 00 00 00 01 'a'");
    refuse_silently("00 04 'mqtt' 04 02 00 00 00 01 'a'");
    refuse_silently("00 00 04 02 00 00 00 01 'a'");
    refuse_silently("00 05 'MQTT5' 05 02 00 00 00 00 01 'a'");
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-3.1.2-2")
TEST(a_level_above_5_is_answered_with_unsupported_protocol_version)
{
    struct peer *p = dial_with("00 04 'MQTT' 06 02 00 00 00 00 01 'a'");
    expect_hex(p, "20 ?? 00 84");
    read_all(p);
    expect_closed(p);
}

SPEC("MQTT311-3.1.2-2")
TEST(a_level_below_4_with_the_name_mqtt_is_answered_with_code_1)
{
    static const char *const bodies[] = {
        "00 04 'MQTT' 03 02 00 00 00 01 'a'",
        "00 04 'MQTT' 00 02 00 00 00 01 'a'",
        "00 06 'MQIsdp' 04 02 00 00 00 01 'a'",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct peer *p = dial_with(bodies[i]);
        expect_hex(p, "20 02 00 01");
        expect_closed(p);
    }
}

SPEC("MQTT311-3.1.2-2")
TEST(the_bridge_bit_of_the_level_is_understood)
{
    struct peer *p = dial_with("00 04 'MQTT' 84 02 00 00 00 01 'a'");
    expect_hex(p, "20 02 00 00");
    p = dial_with("00 06 'MQIsdp' 83 02 00 00 00 01 'b'");
    expect_hex(p, "20 02 00 00");
}

SPEC("MQTT311-3.1.2-2")
TEST(a_bridge_hears_nothing_of_its_own_and_sees_retain_as_published)
{
    struct peer *bridge = dial_with("00 04 'MQTT' 84 02 00 00 00 01 'a'");
    struct peer *other = dial_with("00 04 'MQTT' 04 02 00 00 00 01 'b'");
    expect_hex(bridge, "20 02 00 00");
    expect_hex(other, "20 02 00 00");
    send_hex(bridge, "82 06 00 01 00 01 't' 00");
    expect_hex(bridge, "90 03 00 01 00");
    send_hex(bridge, "30 04 00 01 't' 'x'");
    expect_nothing(bridge);
    send_hex(other, "31 04 00 01 't' 'y'");
    expect_hex(bridge, "31 04 00 01 't' 'y'");
}

SPEC("MQTT-3.1.2-2")
TEST(level_5_has_no_bridge_bit)
{
    refuse_with(0x84, "00 04 'MQTT' 85 02 00 00 00 00 01 'a'");
}

SPEC("MQTT-3.1.2-3", "MQTT311-3.1.2-3")
TEST(the_reserved_connect_flag_has_to_be_0)
{
    malformed_v5(V5("03") "00 01 'a'");
    refuse_silently(V311("03") "00 01 'a'");
    CHECK_EQ(stats().sessions, 0);
}

/* ---- the payload --------------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.2-16", "MQTT311-3.1.2-18")
TEST(a_user_name_that_the_flags_do_not_announce_is_malformed)
{
    malformed_v5(V5("02") "00 01 'a' 00 01 'u'");
    refuse_silently(V311("02") "00 01 'a' 00 01 'u'");
}

SPEC("MQTT-3.1.2-17", "MQTT311-3.1.2-19")
TEST(a_user_name_that_the_flags_announce_has_to_be_there)
{
    malformed_v5(V5("82") "00 01 'a'");
    malformed_v5(V5("82") "00 01 'a' 00 02 'u'");
    refuse_silently(V311("82") "00 01 'a'");
    refuse_silently(V311("82") "00 01 'a' 00 02 'u'");
}

SPEC("MQTT-3.1.2-18", "MQTT311-3.1.2-20")
TEST(a_password_that_the_flags_do_not_announce_is_malformed)
{
    malformed_v5(V5("82") "00 01 'a' 00 01 'u' 00 01 'p'");
    refuse_silently(V311("82") "00 01 'a' 00 01 'u' 00 01 'p'");
}

SPEC("MQTT-3.1.2-19", "MQTT311-3.1.2-21")
TEST(a_password_that_the_flags_announce_has_to_be_there)
{
    malformed_v5(V5("C2") "00 01 'a' 00 01 'u'");
    malformed_v5(V5("42") "00 01 'a'");
    malformed_v5(V5("42") "00 01 'a' 00 02 'p'");
    refuse_silently(V311("C2") "00 01 'a' 00 01 'u'");
    refuse_silently(V311("C2") "00 01 'a' 00 01 'u' 00 02 'p'");
}

SPEC("MQTT-3.1.2-19")
TEST(a_password_without_a_user_name_is_lawful_in_5_0)
{
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_ALLOW });
    struct peer *p = dial_with(V5("42") "00 01 'a' 00 02 'pw'");
    expect_connack(p, 0);
    CHECK(!login.has_username);
    CHECK_STR(login.password, "pw");
}

SPEC("MQTT311-3.1.2-22")
TEST(a_password_without_a_user_name_is_malformed_in_3_1_1)
{
    refuse_silently(V311("42") "00 01 'a' 00 02 'pw'");
}

SPEC("MQTT-3.1.3-1", "MQTT311-3.1.3-1")
TEST(the_payload_is_read_in_the_order_id_will_user_password)
{
    for (uint8_t version = 4; version <= 5; version++) {
        answer_logins_with((struct midge_login_answer){ .answer = MIDGE_ALLOW });
        struct peer *watcher = connect5("watcher");
        subscribe(watcher, "#", 0);
        struct peer *p = connect_as(
            &(struct c_connect){ .version = version,
                                 .client_id = "the-id",
                                 .clean_start = true,
                                 .will = &(struct c_will){ .topic = "the/topic", .payload = "the will" },
                                 .username = "the-user",
                                 .password = "the-password" });
        CHECK_STR(login.client_id, "the-id");
        CHECK_STR(login.username, "the-user");
        CHECK_STR(login.password, "the-password");
        drop(p);
        expect_publish(watcher, "the/topic", "the will");
        leave(watcher);
    }
}

SPEC("MQTT-3.1.3-1", "MQTT311-3.1.3-1")
TEST(bytes_behind_the_payload_are_malformed)
{
    malformed_v5(V5("C2") "00 01 'a' 00 01 'u' 00 01 'p' 00");
    malformed_v5(V5("02") "00 01 'a' 00");
    refuse_silently(V311("C2") "00 01 'a' 00 01 'u' 00 01 'p' 00");
    refuse_silently(V311("02") "00 01 'a' 00");
}

SPEC("MQTT-3.1.3-3", "MQTT311-3.1.3-3")
TEST(a_connect_without_a_client_id_field_is_malformed)
{
    malformed_v5(V5("02"));
    malformed_v5(V5("02") "00");
    refuse_silently(V311("02"));
    refuse_silently(V311("02") "00");
}

/* ---- client identifiers -------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.3-5", "MQTT311-3.1.3-5")
TEST(every_client_id_of_1_to_23_letters_and_digits_is_accepted)
{
    static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (uint8_t version = 3; version <= 5; version++) {
        for (int n = 1; n <= 23; n++)
            leave(connect_as(&(struct c_connect){
                .version = version, .clean_start = true, .client_id = format("%.*s", n, all + 2 * n) }));
    }
}

SPEC("MQTT311-3.1.3-5", "MQTT-3.1.3-5")
TEST(longer_client_ids_and_other_characters_are_accepted_too)
{
    leave(connect311(text_of('x', 24)));
    leave(connect311(text_of('x', 64)));
    leave(connect5("Geraet/+#$ \xC3\xA4\xE2\x82\xAC"));
    limits.connect_bytes = 70000;
    leave(connect311(text_of('x', 65535)));
    leave(connect5(text_of('x', 65535)));
}

SPEC("MQTT-3.1.3-6", "MQTT-3.1.3-7")
TEST(an_empty_client_id_is_given_one_that_is_told_and_can_be_used_again)
{
    struct peer *a = connect_as(
        &(struct c_connect){ .clean_start = true, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60)) });
    struct peer *b = connect5("");
    const char *id_a = prop_string(connack_of(a), PROP_ASSIGNED_ID),
               *id_b = prop_string(connack_of(b), PROP_ASSIGNED_ID);
    CHECK(strlen(id_a) > 0 && strcmp(id_a, id_b) != 0);
    subscribe(a, "kept", 1);
    drop(a);

    a = connect_as(&(struct c_connect){ .client_id = id_a });
    CHECK(connack_of(a)->session_present);
    CHECK(!has_prop(connack_of(a), PROP_ASSIGNED_ID));
    publish(b, "kept", "still here", 1);
    take_publish(a, "kept", "still here", 1);
}

SPEC("MQTT311-3.1.3-6", "MQTT311-3.1.3-7")
TEST(clients_with_empty_ids_in_3_1_1_do_not_take_each_other_over)
{
    struct peer *a = connect311(""), *b = connect311("");
    subscribe(a, "a", 0);
    subscribe(b, "b", 0);
    publish(a, "b", "hello", 0);
    publish(b, "a", "hello", 0);
    expect_publish(a, "a", "hello");
    expect_publish(b, "b", "hello");
    CHECK_EQ(stats().sessions, 2);
}

SPEC("MQTT-3.1.3-6")
TEST(an_empty_client_id_without_clean_start_is_lawful_in_5_0)
{
    struct peer *p = connect_as(&(struct c_connect){ .clean_start = false });
    CHECK(!connack_of(p)->session_present);
    CHECK(strlen(prop_string(connack_of(p), PROP_ASSIGNED_ID)) > 0);
}

SPEC("MQTT311-3.1.3-8", "MQTT311-3.1.3-7")
TEST(an_empty_client_id_without_clean_session_is_refused_with_code_2)
{
    struct peer *p = dial_with(V311("00") "00 00");
    expect_hex(p, "20 02 00 02");
    expect_closed(p);
}

SPEC("MQTT-3.1.3-8", "MQTT311-3.1.3-9")
TEST(a_client_id_above_the_limit_is_refused_as_not_valid)
{
    limits.client_id_bytes = 30;
    leave(connect5(text_of('x', 30)));
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = text_of('x', 31), .clean_start = true });
    expect_connack(p, 0x85);
    p = dial();
    send_connect(p, &(struct c_connect){ .version = 4, .client_id = text_of('x', 31), .clean_start = true });
    expect_hex(p, "20 02 00 02");
    expect_closed(p);
}

SPEC("MQTT-3.2.2-16")
TEST(ten_thousand_assigned_ids_are_all_distinct_and_none_is_that_of_a_stored_session)
{
    struct peer *first = connect_as(
        &(struct c_connect){ .clean_start = true, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 600)) });
    const char *taken = prop_string(connack_of(first), PROP_ASSIGNED_ID);
    drop(first);
    for (unsigned i = 0; i < 10000; i++) {
        struct peer *p = connect_as(
            &(struct c_connect){ .clean_start = false, .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 600)) });
        CHECK(!connack_of(p)->session_present);
        CHECK(strcmp(prop_string(connack_of(p), PROP_ASSIGNED_ID), taken) != 0);
        drop(p);
    }
    CHECK_EQ(stats().sessions, 10001); /* one each: no two had the same */
}

/* ---- validation ---------------------------------------------------------------------------------------- */

static struct bytes good_connect(uint8_t version)
{
    return connect_bytes(&(struct c_connect){
        .version = version,
        .client_id = "client",
        .clean_start = true,
        .keepalive = 60,
        .props =
            PROPS(prop_num(PROP_SESSION_EXPIRY, 60), prop_user("k", "v"), prop_num(PROP_RECEIVE_MAXIMUM, 9)),
        .will =
            &(struct c_will){
                .topic = "will", .payload = "w", .qos = 1, .props = PROPS(prop_num(PROP_WILL_DELAY, 5)) },
        .username = "user",
        .password = "pass" });
}

/* After a broken CONNECT: closed, and no more was said than one CONNACK (the rules see to that). */
static void expect_turned_away(struct peer *p)
{
    read_all(p);
    expect_closed(p);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-3.1.4-1", "MQTT311-3.1.4-1", "MQTT311-3.2.2-6", "MQTT-3.14.0-1")
TEST(a_connect_cut_short_at_any_place_is_turned_away_and_makes_no_session)
{
    for (uint8_t version = 3; version <= 5; version++) {
        const struct bytes whole = good_connect(version);
        for (size_t n = 2; n < whole.len; n++) {
            struct bytes shorter = join((struct bytes){ NULL, 0 }, (struct bytes){ whole.at, n });
            shorter.at[1] = (uint8_t)(n - 2);
            struct peer *p = dial();
            send_all(p, shorter);
            if (version == 3 && !is_closed(p))
                drop(p); /* 3.1 may leave user name and password out [V31-userpass] */
            else
                expect_turned_away(p);
            read_all(p);
            CHECK(version != 4 || unread(p) == 0);
        }
    }
}

SPEC("MQTT311-3.1.4-1", "MQTT311-3.2.2-6")
TEST(a_malformed_3_1_1_connect_gets_no_connack)
{
    const struct bytes whole = good_connect(4);
    for (size_t n = 12; n < whole.len; n++) {
        struct bytes shorter = join((struct bytes){ NULL, 0 }, (struct bytes){ whole.at, n });
        shorter.at[1] = (uint8_t)(n - 2);
        struct peer *p = dial();
        send_all(p, shorter);
        expect_closed(p);
    }
}

SPEC("MQTT-3.1.4-1", "MQTT311-3.1.4-1")
TEST(no_single_wrong_bit_in_a_connect_does_harm)
{
    for (uint8_t version = 3; version <= 5; version++) {
        const struct bytes whole = good_connect(version);
        for (size_t bit = 16; bit < whole.len * 8; bit++) {
            struct bytes wrong = join((struct bytes){ NULL, 0 }, whole);
            wrong.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct peer *p = dial();
            send_all(p, wrong);
            CHECK(is_closed(p) || unread(p) > 0); /* accepted or not, it was decided */
            read_all(p);
            if (is_closed(p))
                expect_closed(p);
            drop(p);
        }
    }
}

SPEC("MQTT-3.1.4-2", "MQTT-3.2.2-7", "MQTT-3.2.2-8")
TEST(a_login_that_the_host_denies_is_told_its_reason_and_closed)
{
    static const uint8_t reasons[] = { 0x80, 0x83, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x97, 0x9F };
    for (size_t i = 0; i < COUNT(reasons); i++) {
        deny_logins(reasons[i]);
        struct peer *p = dial();
        send_connect(p, &(struct c_connect){
                            .client_id = "a", .clean_start = true, .username = "u", .password = "bad" });
        expect_connack(p, reasons[i]);
    }
    deny_logins(0); /* none given */
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true });
    expect_connack(p, 0x87);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT311-3.2.2-5", "MQTT311-3.2.2-6")
TEST(a_denied_3_1_1_client_gets_the_return_code_that_fits_and_is_closed)
{
    static const uint8_t codes[][2] = { { 0x86, 4 }, { 0x87, 5 }, { 0x88, 3 },
                                        { 0x89, 3 }, { 0x85, 2 }, { 0x8A, 5 } };
    for (size_t i = 0; i < COUNT(codes); i++) {
        deny_logins(codes[i][0]);
        struct peer *p = dial();
        send_connect(p, &(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true });
        expect_connack(p, codes[i][1]);
    }
}

SPEC("MQTT-3.1.4-5", "MQTT311-3.1.4-4")
TEST(a_lawful_connect_is_answered_with_connack_0)
{
    struct peer *p = dial_with(V311("02") "00 01 'a'");
    expect_hex(p, "20 02 00 00");
    expect_nothing(p);
    p = dial_with(V5("02") "00 01 'b'");
    expect_hex(p, "20 ?? 00 00");
    read_all(p);
    expect_nothing(p);
}

SPEC("MQTT-3.1.4-6", "MQTT311-3.1.4-5")
TEST(what_comes_behind_a_refused_connect_in_the_same_segment_is_not_processed)
{
    for (uint8_t version = 4; version <= 5; version++) {
        hooks.login = NULL;
        struct peer *watcher = connect5("watcher");
        subscribe(watcher, "#", 0);
        deny_logins(0x86);
        struct peer *p = dial();
        const struct bytes connect =
            connect_bytes(&(struct c_connect){ .version = version, .client_id = "a", .clean_start = true });
        send_all(p,
                 join(connect, hex_bytes(version == 5 ? "30 05 00 01 't' 00 'x'" : "30 04 00 01 't' 'x'")));
        expect_connack(p, version == 5 ? 0x86 : 4);
        expect_nothing(watcher);
        hooks.login = NULL;
        leave(watcher);
    }
}

SPEC("MQTT-3.1.4-5", "MQTT311-3.1.4-4")
TEST(what_comes_behind_an_accepted_connect_in_the_same_segment_is_processed)
{
    struct peer *p = dial();
    const struct bytes connect =
        connect_bytes(&(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true });
    send_all(p, join(connect, hex_bytes("82 06 00 07 00 01 't' 01 C0 00")));
    expect_hex(p, "20 02 00 00  90 03 00 07 01  D0 00");
}

SPEC("U5-3.1.4-limit")
TEST(a_login_that_the_host_decides_later_holds_what_came_behind_until_then)
{
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_LATER });
    struct peer *p = dial();
    const struct bytes connect =
        connect_bytes(&(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true });
    send_all(p, join(connect, hex_bytes("82 06 00 07 00 01 't' 01 C0 00")));
    expect_nothing(p);
    midge_login_done(live_conn(p), &(struct midge_login_answer){ .answer = MIDGE_ALLOW }, now);
    settle();
    expect_hex(p, "20 02 00 00  90 03 00 07 01  D0 00");
}

SPEC("MQTT-3.1.4-6", "MQTT311-3.1.4-5")
TEST(a_login_that_the_host_denies_later_loses_what_came_behind)
{
    struct peer *watcher = connect5("watcher");
    subscribe(watcher, "#", 0);
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_LATER });
    struct peer *p = dial();
    const struct bytes connect =
        connect_bytes(&(struct c_connect){ .version = 4, .client_id = "a", .clean_start = true });
    send_all(p, join(connect, hex_bytes("30 04 00 01 't' 'x'")));
    midge_login_done(live_conn(p), &(struct midge_login_answer){ .answer = MIDGE_DENY, .reason = 0x86 }, now);
    settle();
    expect_hex(p, "20 02 00 04");
    expect_closed(p);
    expect_nothing(watcher);
}

SPEC("U5-3.1.4-limit")
TEST(a_login_that_is_never_decided_is_given_up_in_time)
{
    answer_logins_with((struct midge_login_answer){ .answer = MIDGE_LATER });
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true });
    advance(limits.hello_ms);
    expect_closed(p);
}

SPEC("MQTT-3.1.4-2")
TEST(a_client_id_that_the_host_gives_is_the_one_that_counts)
{
    answer_logins_with((struct midge_login_answer){
        .answer = MIDGE_ALLOW, .client_id = { (const uint8_t *)"from-certificate", 16 } });
    struct peer *a = connect_as(&(struct c_connect){ .client_id = "x", .clean_start = true });
    struct peer *b = connect_as(&(struct c_connect){ .client_id = "y", .clean_start = true });
    expect_disconnect(a, 0x8E);
    expect_nothing(b);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.4-2")
TEST(above_the_limit_of_connections_a_client_is_refused)
{
    limits.connections = 2;
    connect5("a");
    connect311("b");
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "c", .clean_start = true });
    const struct packet pk = expect_packet(p, PK_CONNACK);
    CHECK(pk.reason == 0x89 || pk.reason == 0x97);
    expect_closed(p);
}

SPEC("MQTT-3.1.4-2")
TEST(at_the_limit_of_connections_a_client_that_comes_back_takes_its_own_place)
{
    limits.connections = 2;
    struct peer *a = connect5("a");
    connect5("b");
    connect5("a");
    expect_disconnect(a, 0x8E);
}

SPEC("MQTT-3.1.4-2")
TEST(more_user_properties_than_the_limit_refuse_the_connect)
{
    limits.user_properties = 2;
    const struct props two = PROPS(prop_user("a", "1"), prop_user("b", "2"));
    const struct props three = PROPS(prop_user("a", "1"), prop_user("b", "2"), prop_user("c", "3"));
    connect_as(&(struct c_connect){
        .client_id = "a", .props = two, .will = &(struct c_will){ .topic = "w", .props = two } });
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "b", .props = three });
    expect_connack(p, 0x97);
    p = dial();
    send_connect(
        p, &(struct c_connect){ .client_id = "b", .will = &(struct c_will){ .topic = "w", .props = three } });
    expect_connack(p, 0x97);
}

/* ---- versions side by side ----------------------------------------------------------------------------- */

SPEC("U5-mixed-version")
TEST(a_5_0_message_reaches_a_3_1_1_client_without_its_properties)
{
    struct peer *old = connect311("old"), *p = connect5("new");
    subscribe(old, "t", 1);
    send_publish(p,
                 &(struct c_publish){ .topic = "t",
                                      .payload = "x",
                                      .qos = 1,
                                      .pid = 1,
                                      .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 60), prop_user("k", "v"),
                                                     prop_text(PROP_CONTENT_TYPE, "text"),
                                                     prop_num(PROP_PAYLOAD_FORMAT, 1)) });
    expect_ack(p, PK_PUBACK, 1, 0);
    expect_hex(old, "32 06 00 01 't' ?? ?? 'x'");
}

SPEC("U5-mixed-version")
TEST(the_expiry_of_a_5_0_message_holds_for_a_3_1_1_client_too)
{
    struct peer *old = connect_as(&(struct c_connect){ .version = 4, .client_id = "old" }),
                *p = connect5("new");
    subscribe(old, "t", 1);
    drop(old);
    const struct props expiry = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 2));
    send_publish(
        p, &(struct c_publish){ .topic = "t", .payload = "short", .qos = 1, .pid = 1, .props = expiry });
    expect_ack(p, PK_PUBACK, 1, 0);
    publish(p, "t", "long", 1);
    advance(3000);
    old = connect_as(&(struct c_connect){ .version = 4, .client_id = "old" });
    take_publish(old, "t", "long", 1);
    expect_nothing(old);
}

SPEC("U5-mixed-version")
TEST(a_3_1_1_message_reaches_a_5_0_client_with_an_empty_property_section)
{
    struct peer *old = connect311("old"), *p = connect5("new");
    subscribe(p, "t", 0);
    publish(old, "t", "x", 0);
    expect_hex(p, "30 05 00 01 't' 00 'x'");
}

SPEC("U5-mixed-version")
TEST(a_session_made_by_a_3_1_1_client_is_resumed_by_a_5_0_client_of_the_same_id)
{
    struct peer *old = connect_as(&(struct c_connect){ .version = 4, .client_id = "same" }),
                *p = connect5("other");
    subscribe(old, "t", 1);
    drop(old);
    publish(p, "t", "x", 1);
    struct peer *new = connect_as(&(struct c_connect){ .version = 5, .client_id = "same" });
    CHECK(connack_of(new)->session_present);
    take_publish(new, "t", "x", 1);
}

/* ---- Server Reference ---------------------------------------------------------------------------------- */

static void refuse_with_reference(uint8_t reason, bool told)
{
    answer_logins_with((struct midge_login_answer){
        .answer = MIDGE_DENY, .reason = reason, .server = { (const uint8_t *)"other:1883", 10 } });
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "a", .clean_start = true });
    const struct packet pk = expect_connack(p, reason);
    CHECK_EQ(has_prop(&pk, PROP_SERVER_REFERENCE), told);
    if (told)
        CHECK_STR(prop_string(&pk, PROP_SERVER_REFERENCE), "other:1883");
}

SPEC("U5-4.11-ref")
TEST(a_server_reference_goes_with_the_two_reasons_that_send_a_client_elsewhere_and_no_other)
{
    refuse_with_reference(0x9C, true);
    refuse_with_reference(0x9D, true);
    refuse_with_reference(0x87, false);
}
