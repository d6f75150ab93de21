/* test_mixed.c - clients of 3.1, 3.1.1 and 5.0 on one broker, and what is asked of the stream beneath. */
#include "morec.h"

/* ---- from one version to another ----------------------------------------------------------------------- */

SPEC("U5-mixed-version")
TEST(properties_do_not_reach_clients_of_3_x)
{
    struct peer *p = connect5("a");
    struct peer *old[2] = { connect31("b"), connect311("c") };
    for (int i = 0; i < 2; i++)
        subscribe(old[i], "t", 2);
    send_publish(p, &(struct c_publish){
                        .topic = "t",
                        .payload = "x",
                        .retain = true,
                        .props = PROPS(prop_num(PROP_PAYLOAD_FORMAT, 1), prop_num(PROP_MESSAGE_EXPIRY, 60),
                                       prop_text(PROP_CONTENT_TYPE, "c"), prop_text(PROP_RESPONSE_TOPIC, "r"),
                                       prop_text(PROP_CORRELATION_DATA, "d"), prop_user("n", "v")) });
    for (int i = 0; i < 2; i++) {
        expect_hex(old[i], "30 04 00 01 't' 'x'");
        subscribe(old[i], "t", 2);
        expect_hex(old[i], "31 04 00 01 't' 'x'");
    }
}

SPEC("U5-mixed-version")
TEST(a_topic_alias_is_written_out_for_others)
{
    struct peer *p = connect5("a");
    struct peer *old = connect311("b");
    struct peer *new = connect5("c");
    subscribe(old, "t/x", 0);
    subscribe(new, "t/x", 0);
    send_publish(p, &(struct c_publish){
                        .topic = "t/x", .payload = "1", .props = PROPS(prop_num(PROP_TOPIC_ALIAS, 1)) });
    send_publish(
        p, &(struct c_publish){ .topic = "", .payload = "2", .props = PROPS(prop_num(PROP_TOPIC_ALIAS, 1)) });
    expect_hex(old, "30 06 00 03 't/x' '1' 30 06 00 03 't/x' '2'");
    expect_hex(new, "30 07 00 03 't/x' 00 '1' 30 07 00 03 't/x' 00 '2'");
}

SPEC("U5-mixed-version")
TEST(messages_of_3_x_reach_5_0_without_properties)
{
    struct peer *p = connect5("a");
    struct peer *old[2] = { connect31("b"), connect311("c") };
    subscribe(p, "t", 2);
    for (int i = 0; i < 2; i++) {
        publish(old[i], "t", "x", 0);
        expect_hex(p, "30 05 00 01 't' 00 'x'");
        publish(old[i], "t", "x", 2);
        take_publish(p, "t", "x", 2);
    }
}

/* Lifetimes are the broker's business: they hold for who cannot see them too. */
SPEC("U5-mixed-version", "MQTT-3.3.2-5")
TEST(messages_expire_for_clients_of_3_x_too)
{
    struct peer *away = connect_kept(4, "away", 0);
    subscribe(away, "t", 1);
    drop(away);
    struct peer *p = connect5("a");
    for (uint32_t expiry = 2; expiry <= 10; expiry += 8) {
        send_publish(p, &(struct c_publish){ .topic = "t",
                                             .payload = format("%u", expiry),
                                             .qos = 1,
                                             .pid = 1,
                                             .retain = true,
                                             .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, expiry)) });
        expect_packet(p, PK_PUBACK);
    }
    advance(5000);
    away = connect_kept(4, "away", 0);
    take_publish(away, "t", "10", 1);
    expect_nothing(away);
    advance(6000);
    subscribe(away, "t", 1);
    expect_nothing(away);
}

/* Codes are mapped: a 3.x client hears of a failure what its version can say. */
SPEC("U5-mixed-version")
TEST(a_wish_that_is_refused_on_5_0_is_refused_on_3_1_1_in_its_words)
{
    limits.shared = false;
    limits.client_id_bytes = 8;
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "$share/g/t", 1 }) });
    expect_codes(p, PK_SUBACK, 1, "9E");
    p = connect311("b");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "$share/g/t", 1 }) });
    expect_hex(p, "90 03 00 01 80");
    p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "too-long-a-name", .clean_start = true });
    expect_connack(p, 0x85);
    p = dial();
    send_connect(p, &(struct c_connect){ .version = 4, .client_id = "too-long-a-name", .clean_start = true });
    expect_connack(p, 2);
}

/* A session belongs to the client id, whatever version it speaks next. */
SPEC("U5-mixed-version")
TEST(a_session_goes_on_when_the_client_changes_its_version)
{
    struct peer *q = connect5("q");
    struct peer *p = connect_kept(4, "a", 0);
    subscribe(p, "t", 2);
    drop(p);
    send_publish(q, &(struct c_publish){ .topic = "t",
                                         .payload = "1",
                                         .qos = 2,
                                         .pid = 1,
                                         .props = PROPS(prop_text(PROP_CONTENT_TYPE, "c")) });
    expect_ack(q, PK_PUBREC, 1, 0);
    p = connect_kept(5, "a", 60);
    CHECK(connack_of(p)->session_present);
    struct packet pk = expect_publish(p, "t", "1");
    CHECK_STR(prop_string(&pk, PROP_CONTENT_TYPE), "c");
    drop(p);
    p = connect_kept(4, "a", 0); /* the same packet, in other words */
    CHECK(connack_of(p)->session_present);
    const uint8_t pid = (uint8_t)pk.pid;
    expect_hex(p, format("3C 06 00 01 't' 00 %02X '1'", pid));
    send_ack(p, PK_PUBREC, pid, 0);
    expect_ack(p, PK_PUBREL, pid, 0);
    send_ack(p, PK_PUBCOMP, pid, 0);
}

SPEC("U5-mixed-version")
TEST(clients_of_all_versions_take_each_other_over)
{
    for (int older = 3; older <= 5; older++) {
        for (int newer = 3; newer <= 5; newer++) {
            struct peer *p = connect_v(older, "a");
            struct peer *q = connect_v(newer, "a");
            expect_disconnect(p, 0x8E);
            leave(q);
        }
    }
}

/* ---- the stream ---------------------------------------------------------------------------------------- */

/* The core asks for a lossless ordered stream and for nothing else: where it is cut does not matter. One
 * conversation, its bytes in one piece, then in pieces of 40 bytes and of every smaller number. */
SPEC("MQTT-4.2-1", "MQTT311-7.1.1-1")
TEST(the_pieces_in_which_bytes_come_make_no_difference)
{
    struct bytes all = hex_bytes("10 0E 00 04 'MQTT' 05 02 00 00 00 00 01 'a' 82 07 00 01 00 00 01 't' 01"
                                 "30 05 00 01 't' 00 '1' 32 07 00 01 't' 00 02 00 '2' C0 00"
                                 "34 07 00 01 't' 00 03 00 '3' 62 02 00 03 A2 06 00 04 00 00 01 't' C0 00");
    struct bytes want = { 0 };
    for (size_t piece = all.len; piece > 0; piece = piece > 40 ? 40 : piece - 1) {
        struct peer *p = dial();
        for (size_t at = 0; at < all.len; at += piece)
            send_bytes(p, all.at + at, piece < all.len - at ? piece : all.len - at);
        size_t counts[16] = { 0 };
        while (unread(p) > 0)
            counts[expect_packet(p, PK_ANY).type]++;
        struct bytes got = raw_bytes(counts, sizeof counts);
        if (piece == all.len)
            want = got;
        CHECK_BYTES(got.at, got.len, want.at, want.len);
        CHECK_EQ(counts[PK_PUBLISH], 3);
        CHECK_EQ(counts[PK_PINGRESP], 2);
        drop(p);
    }
}

SPEC("MQTT-4.2-1", "MQTT311-7.1.1-1")
TEST(a_large_message_passes_whole_and_in_order)
{
    struct peer *p = connect5("a");
    struct peer *q = connect311("b");
    subscribe(p, "t", 1);
    char *payload = text_of('x', 300000);
    for (size_t i = 0; i < 300000; i++)
        payload[i] = (char)('!' + i * 7919 % 90);
    publish(q, "t", "before", 1);
    publish(q, "t", payload, 1);
    publish(q, "t", "behind", 1);
    take_publish(p, "t", "before", 1);
    struct packet pk = expect_packet(p, PK_PUBLISH);
    CHECK_BYTES(pk.payload, pk.payload_len, payload, 300000);
    send_ack(p, PK_PUBACK, pk.pid, 0);
    take_publish(p, "t", "behind", 1);
}

/* ---- conformance --------------------------------------------------------------------------------------- */

/* The shortest conversations that the standard knows, with nothing of our own in them: no property, no user
 * name, no configuration. */
SPEC("MQTT311-7.0.0-2")
TEST(nothing_but_the_standard_is_needed)
{
    static const struct midge_limits *const defaults[] = { &midge_limits_gateway, &midge_limits_chip };
    for (size_t i = 0; i < COUNT(defaults); i++) {
        limits = *defaults[i];
        struct peer *p = dial();
        send_hex(p, "10 0D 00 04 'MQTT' 04 02 00 3C 00 01 'a'");
        expect_hex(p, "20 02 00 00");
        send_hex(p, "82 06 00 01 00 01 '#' 02");
        expect_hex(p, "90 03 00 01 02");
        send_hex(p, "30 04 00 01 't' 'x'");
        expect_hex(p, "30 04 00 01 't' 'x'");
        send_hex(p, "C0 00");
        expect_hex(p, "D0 00");
        send_hex(p, "E0 00");
        expect_closed(p);
        struct peer *q = dial();
        send_hex(q, "10 0E 00 04 'MQTT' 05 02 00 3C 00 00 01 'a'");
        expect_connack(q, 0);
        send_hex(q, "E0 00");
        expect_closed(q);
    }
}
