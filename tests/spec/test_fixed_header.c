/* test_fixed_header.c - the first byte and the Remaining Length, of every packet, both ways. */
#include "morec.h"

/* A lawful packet of each type that a client sends; its low nibble is what it has to be. */
struct form {
    uint8_t first;
    const char *body5, *body3; /* NULL: the version has no such packet */
};
static const struct form forms[] = {
    { 0x40, "00 01", "00 01" },
    { 0x50, "00 01", "00 01" },
    { 0x62, "00 01", "00 01" },
    { 0x70, "00 01", "00 01" },
    { 0x82, "00 01 00 00 01 't' 00", "00 01 00 01 't' 00" },
    { 0xA2, "00 01 00 00 01 't'", "00 01 00 01 't'" },
    { 0xC0, "", "" },
    { 0xE0, "", "" },
    { 0xF0, "18 05 15 00 02 'me'", NULL },
};

static void continue_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    out->answer = in->step == MIDGE_LOGIN_CONNECT ? MIDGE_ALLOW : MIDGE_CONTINUE;
}

/* A client that may send any of `forms` once: it has an authentication method. */
static struct peer *connect_with_method(void)
{
    return connect_as(&(struct c_connect){
        .client_id = "a", .clean_start = true, .props = PROPS(prop_text(PROP_AUTH_METHOD, "me")) });
}

/* ---- flags of what arrives ----------------------------------------------------------------------------- */

static void refuse_flags(const struct form *f)
{
    hooks.login = continue_login;
    for (uint8_t flags = 0; flags < 16; flags++) {
        const uint8_t first = (uint8_t)((f->first & 0xF0) | flags);
        if (first == f->first)
            continue;
        struct peer *p = connect_with_method();
        send_body(p, first, f->body5);
        expect_disconnect(p, 0x81);
        if (!f->body3)
            continue;
        p = connect311("b");
        send_body(p, first, f->body3);
        expect_closed(p);
    }
}

SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-2", "MQTT-3.14.1-1", "MQTT311-3.14.1-1", "MQTT-3.15.1-1")
TEST(reserved_flags_with_another_value_are_malformed)
{
    for (size_t i = 0; i < COUNT(forms); i++)
        refuse_flags(&forms[i]);
}

SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-2")
TEST(reserved_flags_of_connect_have_to_be_0)
{
    for (uint8_t flags = 1; flags < 16; flags++) {
        struct peer *p = dial();
        send_body(p, 0x10u | flags, "00 04 'MQTT' 05 02 00 00 00 00 01 'a'");
        expect_closed(p);
        p = dial();
        send_body(p, 0x10u | flags, "00 04 'MQTT' 04 02 00 00 00 01 'a'");
        expect_closed(p);
    }
    CHECK_EQ(stats().sessions, 0);
}

/* Each packet with the flags that it has to have is taken. */
SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-2")
TEST(prescribed_flags_are_accepted)
{
    hooks.login = continue_login;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct peer *p = connect_with_method();
        struct peer *q = connect311("b");
        if (forms[i].first == 0xF0)
            send_body(p, 0xF0, "19 05 15 00 02 'me'"); /* starts what the other goes on with */
        send_body(p, forms[i].first, forms[i].body5);
        if (forms[i].body3)
            send_body(q, forms[i].first, forms[i].body3);
        read_all(p);
        read_all(q);
        if (forms[i].first == 0xE0) {
            expect_closed(p);
            expect_closed(q);
            continue;
        }
        send_ping(p);
        send_ping(q);
        expect_hex(p, "D0 00");
        expect_hex(q, "D0 00");
        leave(p);
        leave(q);
    }
}

SPEC("MQTT-3.6.1-1", "MQTT311-3.6.1-1")
TEST(pubrel_has_flags_0010)
{
    refuse_flags(&forms[2]);
}

SPEC("MQTT-3.8.1-1", "MQTT311-3.8.1-1")
TEST(subscribe_has_flags_0010)
{
    refuse_flags(&forms[4]);
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("MQTT-3.10.1-1", "MQTT311-3.10.1-1")
TEST(unsubscribe_has_flags_0010)
{
    refuse_flags(&forms[5]);
}

/* 3.1 clients say that they send again; the other bits are as bad as ever. */
SPEC("V31-dup")
TEST(a_client_of_3_1_may_set_dup_on_what_it_sends_again)
{
    struct peer *p = connect31("a");
    struct peer *q = connect5("b");
    send_body(p, 0x82, "00 01 00 01 't' 01");
    expect_hex(p, "90 03 00 01 01");
    send_body(p, 0x8A, "00 01 00 01 't' 01");
    expect_hex(p, "90 03 00 01 01");
    publish(q, "t", "x", 1);
    take_publish(p, "t", "x", 1);
    send_body(p, 0xAA, "00 02 00 01 't'");
    expect_hex(p, "B0 02 00 02");
    send_body(p, 0x34, "00 01 'u' 00 03 'x'");
    expect_hex(p, "50 02 00 03");
    send_body(p, 0x6A, "00 03");
    expect_hex(p, "70 02 00 03");

    static const uint8_t bad[] = { 0x80, 0x81, 0x83, 0x84, 0x86, 0x88, 0x8B, 0x8E, 0xA0, 0xA8, 0x60, 0x68 };
    for (size_t i = 0; i < COUNT(bad); i++) {
        p = connect31("c");
        send_body(p, bad[i],
                  bad[i] >> 4 == 6   ? "00 01"
                  : bad[i] >> 4 == 8 ? "00 01 00 01 't' 00"
                                     : "00 01 00 01 't'");
        expect_closed(p);
    }
}

SPEC("U5-2.1.2-0")
TEST(packet_type_0_is_malformed)
{
    for (unsigned flags = 0; flags < 16; flags += 5) {
        struct peer *p = connect5("a");
        send_body(p, flags, "");
        expect_disconnect(p, 0x81);
        p = connect311("a");
        send_body(p, flags, "");
        expect_closed(p);
        p = dial();
        send_body(p, flags, "");
        expect_closed(p);
    }
}

/* Type 15 came with 5.0. */
SPEC("MQTT311-2.2.2-2", "MQTT311-4.8.0-1")
TEST(packet_type_15_is_reserved_in_3_1_1)
{
    struct peer *p = connect311("a");
    send_hex(p, "F0 00");
    expect_closed(p);
    p = connect31("a");
    send_hex(p, "F0 00");
    expect_closed(p);
}

/* ---- flags of what is sent ----------------------------------------------------------------------------- */

/* Every packet that a broker sends, looked at here for its flags; rules.c looks at them in every test. */
SPEC("MQTT-2.1.3-1", "MQTT311-2.2.2-1")
TEST(the_broker_sends_the_prescribed_flags)
{
    hooks.login = continue_login;
    for (int v = 4; v <= 5; v++) {
        struct peer *q = connect_v(v, "q");
        struct peer *p = v == 5 ? connect_with_method() : connect311("a");
        CHECK_EQ(connack_of(p)->bytes[0], 0x20);
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 2 }) });
        CHECK_EQ(expect_packet(p, PK_SUBACK).bytes[0], 0x90);
        send_publish(q, &(struct c_publish){ .topic = "t", .qos = 1, .pid = 1 });
        CHECK_EQ(expect_packet(q, PK_PUBACK).bytes[0], 0x40);
        struct packet pk = expect_packet(p, PK_PUBLISH);
        CHECK_EQ(pk.bytes[0], 0x32);
        send_ack(p, PK_PUBACK, pk.pid, 0);
        send_publish(q, &(struct c_publish){ .topic = "t", .qos = 2, .pid = 1 });
        CHECK_EQ(expect_packet(q, PK_PUBREC).bytes[0], 0x50);
        send_ack(q, PK_PUBREL, 1, 0);
        CHECK_EQ(expect_packet(q, PK_PUBCOMP).bytes[0], 0x70);
        pk = expect_packet(p, PK_PUBLISH);
        CHECK_EQ(pk.bytes[0], 0x34);
        send_ack(p, PK_PUBREC, pk.pid, 0);
        CHECK_EQ(expect_packet(p, PK_PUBREL).bytes[0], 0x62);
        send_ack(p, PK_PUBCOMP, pk.pid, 0);
        send_unsubscribe(p, &(struct c_subscribe){ .pid = 2, FILTERS({ "t", 0 }) });
        CHECK_EQ(expect_packet(p, PK_UNSUBACK).bytes[0], 0xB0);
        send_ping(p);
        CHECK_EQ(expect_packet(p, PK_PINGRESP).bytes[0], 0xD0);
        if (v == 5) {
            send_auth(p, 0x19, PROPS(prop_text(PROP_AUTH_METHOD, "me")));
            CHECK_EQ(expect_packet(p, PK_AUTH).bytes[0], 0xF0);
            send_hex(p, "00 00");
            struct packet bye = expect_packet(p, PK_DISCONNECT);
            CHECK_EQ(bye.bytes[0], 0xE0);
            expect_closed(p);
        } else {
            leave(p);
        }
        leave(q);
    }
}

/* ---- the Remaining Length ------------------------------------------------------------------------------ */

SPEC("MQTT-1.5.5-1")
TEST(a_length_that_is_not_the_shortest_is_malformed)
{
    static const char *const bad[] = {
        "C0 80 00", /* 0 in two bytes */
        "C0 80 80 00",
        "C0 80 80 80 00",
        "40 82 00 00 01", /* 2 in two */
        "40 82 80 80 00 00 01",
        "30 FF 80 00 00 01 't' 00", /* 127 in three */
        "30 84 00 00 01 't' 00",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct peer *p = connect5("a");
        send_hex(p, bad[i]);
        expect_disconnect(p, 0x81);
    }
}

SPEC("MQTT-1.5.5-1")
TEST(a_length_in_a_property_that_is_not_the_shortest_is_malformed)
{
    static const char *const bad[] = {
        "30 07 00 01 't' 80 80 00 'x'",         /* property length 0 in three bytes */
        "30 08 00 01 't' 82 00 01 01 'x'",      /* 2 in two */
        "82 0B 00 01 03 0B 81 00 00 01 't' 00", /* Subscription Identifier 1 in two */
        "82 0C 00 01 05 0B 81 80 80 00 00 01 't' 00",
        "82 0D 00 01 06 0B FF FF FF FF 01 00 01 't' 00", /* and in five */
        "30 08 00 01 't' FF FF FF FF 01",
        "30 07 00 01 't' 03 81 00 00", /* a property's own number: one byte is enough */
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct bytes b = hex_bytes(bad[i]);
        b.at[1] = (uint8_t)(b.len - 2);
        struct peer *p = connect5("a");
        send_all(p, b);
        expect_disconnect(p, 0x81);
    }
}

SPEC("U5-1.5.5-long", "MQTT-1.5.5-1")
TEST(a_length_of_five_bytes_is_malformed_at_the_fifth)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        send_hex(p, "30 FF FF FF");
        expect_nothing(p);
        send_hex(p, "FF");
        expect_disconnect(p, 0x81); /* it says already that a fifth would follow */
    }
    struct peer *p = dial();
    send_hex(p, "10 FF FF FF FF 01");
    expect_closed(p);
}

/* The edges of each number of bytes, both ways: what is sent uses the shortest form, rules.c sees to it. */
SPEC("MQTT-1.5.5-1")
TEST(lengths_at_the_edges_are_read_and_written)
{
    static const size_t remaining[] = { 127, 128, 16383, 16384, 2097151, 2097152 };
    struct peer *p = connect5("a");
    struct peer *q = connect311("b");
    subscribe(p, "t", 0);
    subscribe(q, "t", 0);
    for (size_t i = 0; i < COUNT(remaining); i++) {
        char *payload = text_of('x', remaining[i] - 3);
        const size_t header = remaining[i] < 128       ? 2
                              : remaining[i] < 16384   ? 3
                              : remaining[i] < 2097152 ? 4
                                                       : 5;
        send_publish(q, &(struct c_publish){ .topic = "t", .payload = payload });
        struct packet pk = expect_packet(q, PK_PUBLISH);
        CHECK_EQ(pk.len, header + remaining[i]);
        CHECK_BYTES(pk.payload, pk.payload_len, payload, remaining[i] - 3);
        payload[remaining[i] - 4] = '\0'; /* 5.0 has a byte more: the empty section */
        pk = expect_packet(p, PK_PUBLISH);
        CHECK_EQ(pk.payload_len, remaining[i] - 3);
        send_publish(p, &(struct c_publish){ .topic = "t", .payload = payload });
        pk = expect_packet(p, PK_PUBLISH);
        CHECK_EQ(pk.len, header + remaining[i]);
        CHECK_EQ(expect_packet(q, PK_PUBLISH).payload_len, remaining[i] - 4);
    }
}

/* A Subscription Identifier is the other number of this kind that travels. */
SPEC("MQTT-1.5.5-1")
TEST(subscription_identifiers_at_the_edges_are_read_and_written)
{
    static const uint32_t ids[] = { 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455 };
    struct peer *p = connect5("a");
    for (size_t i = 0; i < COUNT(ids); i++) {
        send_subscribe(p, &(struct c_subscribe){ .pid = 1,
                                                 .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, ids[i])),
                                                 FILTERS({ "t", 0 }) });
        expect_codes(p, PK_SUBACK, 1, "00");
        publish(p, "t", "", 0);
        struct packet pk = expect_publish(p, "t", "");
        const size_t id_bytes = ids[i] < 128 ? 1 : ids[i] < 16384 ? 2 : ids[i] < 2097152 ? 3 : 4;
        CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), ids[i]);
        CHECK_EQ(pk.len, 2 + 3 + 1 + 1 + id_bytes);
    }
}
