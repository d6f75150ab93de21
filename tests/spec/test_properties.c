/* test_properties.c - the property section: which property where, how often, and what goes with a message. */
#include "morec.h"

/* ---- every property in every packet -------------------------------------------------------------------- */

/* Packets that a client sends with properties; the will's section is inside CONNECT. */
enum where {
    CONNECT,
    WILL,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    UNSUBSCRIBE,
    DISCONNECT,
    AUTH,
    WHERES
};
#define IN(where) (1u << (where))
#define ACKS (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP))
#define EVERY (IN(WHERES) - 1)

/* Section 2.2.2.2, table 2-4, with a lawful value in hex. */
static const struct rule {
    const char *property;
    unsigned where;
} rules[] = {
    { "01 01", IN(PUBLISH) | IN(WILL) },                /* Payload Format Indicator */
    { "02 00 00 00 3C", IN(PUBLISH) | IN(WILL) },       /* Message Expiry Interval */
    { "03 00 01 'c'", IN(PUBLISH) | IN(WILL) },         /* Content Type */
    { "08 00 01 'r'", IN(PUBLISH) | IN(WILL) },         /* Response Topic */
    { "09 00 02 00 FF", IN(PUBLISH) | IN(WILL) },       /* Correlation Data */
    { "0B 07", IN(SUBSCRIBE) },                         /* Subscription Identifier */
    { "11 00 00 00 05", IN(CONNECT) | IN(DISCONNECT) }, /* Session Expiry Interval */
    { "12 00 01 'i'", 0 },                              /* Assigned Client Identifier */
    { "13 00 0A", 0 },                                  /* Server Keep Alive */
    { "15 00 02 'me'", IN(CONNECT) | IN(AUTH) },        /* Authentication Method */
    { "16 00 01 'd'", IN(CONNECT) | IN(AUTH) },         /* Authentication Data */
    { "17 01", IN(CONNECT) },                           /* Request Problem Information */
    { "18 00 00 00 05", IN(WILL) },                     /* Will Delay Interval */
    { "19 01", IN(CONNECT) },                           /* Request Response Information */
    { "1A 00 01 'i'", 0 },                              /* Response Information */
    { "1C 00 01 's'", IN(DISCONNECT) }, /* Server Reference: not for a client to send, but there */
    { "1F 00 01 'r'", ACKS | IN(DISCONNECT) | IN(AUTH) }, /* Reason String */
    { "21 00 0A", IN(CONNECT) },                          /* Receive Maximum */
    { "22 00 0A", IN(CONNECT) },                          /* Topic Alias Maximum */
    { "23 00 01", IN(PUBLISH) },                          /* Topic Alias */
    { "24 01", 0 },                                       /* Maximum QoS */
    { "25 01", 0 },                                       /* Retain Available */
    { "26 00 01 'n' 00 01 'v'", EVERY },                  /* User Property */
    { "27 00 00 04 00", IN(CONNECT) },                    /* Maximum Packet Size */
    { "28 01", 0 },                                       /* Wildcard Subscription Available */
    { "29 01", 0 },                                       /* Subscription Identifier Available */
    { "2A 01", 0 },                                       /* Shared Subscription Available */
};
#define ID_SUBSCRIPTION 5
#define ID_USER 22

static void let_in(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    out->answer = in->step == MIDGE_LOGIN_CONNECT ? MIDGE_ALLOW : MIDGE_CONTINUE;
}

/* The packet with this section. CONNECT, AUTH: the method, which the data needs, is put before it. */
static struct bytes packet_with(enum where where, struct bytes section)
{
    static const struct {
        uint8_t first;
        const char *before, *after;
    } packets[WHERES] = {
        [CONNECT] = { 0x10, "00 04 'MQTT' 05 02 00 00", "00 01 'a'" },
        [WILL] = { 0x10, "00 04 'MQTT' 05 06 00 00 05 15 00 02 'me' 00 01 'a'", "00 01 'w' 00 01 'x'" },
        [PUBLISH] = { 0x30, "00 01 't'", "'x'" },
        [PUBACK] = { 0x40, "00 01 00", "" },
        [PUBREC] = { 0x50, "00 01 00", "" },
        [PUBREL] = { 0x62, "00 01 00", "" },
        [PUBCOMP] = { 0x70, "00 01 00", "" },
        [SUBSCRIBE] = { 0x82, "00 01", "00 01 't' 00" },
        [UNSUBSCRIBE] = { 0xA2, "00 01", "00 01 't'" },
        [DISCONNECT] = { 0xE0, "00", "" },
        [AUTH] = { 0xF0, "19", "" },
    };
    return packet_bytes(packets[where].first, join3(hex_bytes(packets[where].before), counted_bytes(section),
                                                    hex_bytes(packets[where].after)));
}

/* A section that is lawful there but for what `property` breaks. */
static struct bytes section_with(enum where where, struct bytes property)
{
    const bool is_method = property.len > 0 && property.at[0] == PROP_AUTH_METHOD;
    const bool needs_method = (where == CONNECT || where == AUTH) && !is_method;
    return join(hex_bytes(needs_method ? "15 00 02 'me'" : ""), property);
}

static struct peer *connect_with_method(void)
{
    return connect_as(&(struct c_connect){
        .client_id = "a",
        .clean_start = true,
        .props = PROPS(prop_text(PROP_AUTH_METHOD, "me"), prop_num(PROP_SESSION_EXPIRY, 60)) });
}

/* Sends it from a client that may; the peer is at CONNACK, or at the answer. */
static struct peer *send_from_client(enum where where, struct bytes packet)
{
    struct peer *p = where == CONNECT || where == WILL ? dial() : connect_with_method();
    send_all(p, packet);
    return p;
}

static void expect_refusal(struct peer *p, enum where where, uint8_t reason)
{
    if (where == CONNECT || where == WILL)
        expect_connack(p, reason);
    else
        expect_disconnect(p, reason);
}

/* It was taken: the client is up, or has left. */
static void expect_taken_up(struct peer *p, enum where where)
{
    if (where == CONNECT || where == WILL)
        expect_connack(p, 0);
    read_all(p);
    if (where == DISCONNECT) {
        expect_closed(p);
        return;
    }
    send_ping(p);
    expect_hex(p, "D0 00");
    leave(p);
}

SPEC("U5-2.2.2.2-type")
TEST(a_property_is_accepted_only_where_the_table_allows_it)
{
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(rules); i++) {
        for (enum where where = 0; where < WHERES; where++) {
            struct bytes section = section_with(where, hex_bytes(rules[i].property));
            struct peer *p = send_from_client(where, packet_with(where, section));
            if (rules[i].where & IN(where))
                expect_taken_up(p, where);
            else if (i == ID_SUBSCRIPTION && where == PUBLISH)
                expect_refusal(p, where,
                               0x82); /* a PUBLISH may carry it, but not from a client [MQTT-3.3.4-6] */
            else
                expect_refusal(p, where, 0x81);
        }
    }
}

SPEC("U5-2.2.2.2-type")
TEST(an_unknown_property_is_malformed)
{
    static const char *const unknown[] = { "00 00", "04 00",    "0A 00",       "10 00",
                                           "14 00", "1B 00",    "20 00",       "2B 00",
                                           "7F 00", "80 01 00", "83 01 00 00", "FF FF FF 7F 00" };
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(unknown); i++) {
        for (enum where where = 0; where < WHERES; where++) {
            struct bytes section = section_with(where, hex_bytes(unknown[i]));
            expect_refusal(send_from_client(where, packet_with(where, section)), where, 0x81);
        }
    }
}

SPEC("U5-2.2.2.2-dup")
TEST(a_property_that_is_repeated_is_a_protocol_error)
{
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(rules); i++) {
        for (enum where where = 0; where < WHERES; where++) {
            if (!(rules[i].where & IN(where)))
                continue;
            struct bytes once = hex_bytes(rules[i].property);
            struct bytes section = section_with(where, join(once, once));
            struct peer *p = send_from_client(where, packet_with(where, section));
            if (i == ID_USER)
                expect_taken_up(p, where);
            else
                expect_refusal(p, where, 0x82);
        }
    }
}

/* A value that ends before it is whole, whatever the section's length says. */
SPEC("U5-2.2.2.2-type", "U5-2.2.2-len")
TEST(a_property_cut_off_is_malformed)
{
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(rules); i++) {
        for (enum where where = 0; where < WHERES; where++) {
            if (!(rules[i].where & IN(where)))
                continue;
            struct bytes whole = hex_bytes(rules[i].property);
            for (size_t n = 1; n < whole.len; n++) {
                struct bytes section = section_with(where, first_bytes(whole, n));
                expect_refusal(send_from_client(where, packet_with(where, section)), where, 0x81);
            }
        }
    }
}

SPEC("U5-2.2.2-len")
TEST(a_section_that_is_longer_than_the_packet_is_malformed)
{
    static const char *const lengths[] = { "01", "02", "7F", "FF 7F", "FF FF FF 7F" };
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (int first = 0x30; first <= 0xE0; first += 0x10) {
            const bool is_ack = first >= 0x40 && first <= 0x70;
            if (first == 0x90 || first == 0xB0 || first == 0xC0 || first == 0xD0)
                continue;
            const unsigned flags = first == 0x60 || first == 0x80 || first == 0xA0 ? 2 : 0;
            const char *before = first == 0x30   ? "00 01 't'"
                                 : is_ack        ? "00 01 00"
                                 : first == 0xE0 ? "00"
                                                 : "00 01";
            struct peer *p = connect5("a");
            send_body(p, (unsigned)first | flags, format("%s %s", before, lengths[i]));
            expect_disconnect(p, 0x81);
        }
        struct peer *p = dial();
        send_body(p, 0x10, format("00 04 'MQTT' 05 02 00 00 %s", lengths[i]));
        expect_connack(p, 0x81);
    }
}

/* Nothing may stand between the section and the end of packets that end with it. */
SPEC("U5-2.2.2-len")
TEST(bytes_behind_the_last_section_are_malformed)
{
    static const struct {
        unsigned first;
        const char *body;
    } trailing[] = { { 0x40, "00 01 00 00 00" }, { 0x50, "00 01 00 00 00" },
                     { 0x62, "00 01 00 00 00" }, { 0x70, "00 01 00 00 00" },
                     { 0xE0, "00 00 00" },       { 0xE0, "00 05 11 00 00 00 00 00" } };
    for (size_t i = 0; i < COUNT(trailing); i++) {
        struct peer *p = connect5("a");
        send_body(p, trailing[i].first, trailing[i].body);
        expect_disconnect(p, 0x81);
    }
}

SPEC("MQTT-2.2.2-1")
TEST(a_compulsory_section_is_not_left_out)
{
    struct peer *p = dial();
    send_body(p, 0x10, "00 04 'MQTT' 05 02 00 00");
    expect_connack(p, 0x81);
    p = dial(); /* as 3.1.1 would write it: the client id's length is taken for that of a section */
    send_body(p, 0x10, "00 04 'MQTT' 05 02 00 00 00 01 'a'");
    expect_connack(p, 0x81);
    static const struct {
        unsigned first;
        const char *body;
    } without[] = {
        { 0x30, "00 01 't'" }, { 0x32, "00 01 't' 00 01" }, { 0x82, "00 01" }, { 0xA2, "00 01" }
    };
    for (size_t i = 0; i < COUNT(without); i++) {
        p = connect5("a");
        send_body(p, without[i].first, without[i].body);
        expect_disconnect(p, 0x81);
    }
}

/* Where nothing is to be said the section is one byte 0, or, if that is lawful, left out with the reason. */
SPEC("MQTT-2.2.2-1")
TEST(no_properties_are_written_as_length_0)
{
    limits.receive_maximum = 65535;
    limits.alias_in = 0;
    limits.packet_bytes = 268435460; /* as much as there can be: CONNACK has nothing to announce */
    struct peer *p = dial();
    send_hex(p, "10 0E 00 04 'MQTT' 05 02 00 00 00 00 01 'a'");
    expect_hex(p, "20 03 00 00 00");
    struct peer *q = connect5("b");
    send_hex(p, "82 07 00 01 00 00 01 't' 02");
    expect_hex(p, "90 04 00 01 00 02");
    send_hex(q, "34 07 00 01 't' 00 05 00 'x'");
    expect_hex(q, "50 02 00 05");
    send_hex(q, "62 02 00 05");
    expect_hex(q, "70 02 00 05");
    expect_hex(p, "34 07 00 01 't' 00 01 00 'x'");
    send_hex(p, "50 02 00 01");
    expect_hex(p, "62 02 00 01");
    send_hex(p, "70 02 00 01");
    send_hex(p, "A2 06 00 02 00 00 01 't'");
    expect_hex(p, "B0 04 00 02 00 00");
}

SPEC("MQTT-1.5.7-1")
TEST(both_halves_of_a_pair_are_there_and_are_utf_8)
{
    static const char *const bad[] = { "26 00 01 'n'", "26 00 01 FF 00 01 'v'", "26 00 01 'n' 00 01 FF",
                                       "26 00 02 'n' 00 00 01 'v'", "26 00 01 'n' 00 02 'v' 00" };
    hooks.login = let_in;
    for (size_t i = 0; i < COUNT(bad); i++)
        for (enum where where = 0; where < WHERES; where++)
            expect_refusal(
                send_from_client(where, packet_with(where, section_with(where, hex_bytes(bad[i])))), where,
                0x81);
}

SPEC("MQTT-1.5.7-1")
TEST(a_pair_of_empty_texts_is_a_pair)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", 0);
    send_publish(p,
                 &(struct c_publish){ .topic = "t", .props = PROPS(prop_user("", ""), prop_user("", "v")) });
    expect_hex(p, "30 0F 00 01 't' 0B 26 00 00 00 00 26 00 00 00 01 'v'");
}

SPEC("U5-3.1.2.11.6-bool")
TEST(properties_that_are_0_or_1_are_nothing_else)
{
    static const char *const bad[] = { "17 02", "17 FF", "19 02", "19 80" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct peer *p = dial();
        send_all(p, packet_with(CONNECT, hex_bytes(bad[i])));
        expect_connack(p, 0x82);
    }
    struct peer *p = connect5("a");
    send_all(p, packet_with(PUBLISH, hex_bytes("01 02")));
    expect_disconnect(p, 0x82);
    p = dial();
    send_all(p, packet_bytes(
                    0x10, hex_bytes("00 04 'MQTT' 05 06 00 00 00 00 01 'a' 02 01 02 00 01 'w' 00 01 'x'")));
    expect_connack(p, 0x82);
}

/* ---- problem information ------------------------------------------------------------------------------- */

static struct peer *connect_asking_for_problems(const char *id, uint32_t wanted)
{
    return connect_as(&(struct c_connect){
        .client_id = id, .clean_start = true, .props = PROPS(prop_num(PROP_REQUEST_PROBLEM, wanted)) });
}

static bool allow_nothing(void *user, const struct midge_who *who, enum midge_access what,
                          struct midge_slice topic)
{
    (void)user;
    (void)who;
    (void)what;
    (void)topic;
    return false;
}

static bool explains(const struct packet *pk)
{
    return has_prop(pk, PROP_REASON_STRING) || has_prop(pk, PROP_USER);
}

/* Provokes a failure code in each kind of acknowledgement; true if one of them says more than the code. */
static bool any_explanation(struct peer *p)
{
    bool any = false;
    send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = 1 });
    struct packet pk = expect_ack(p, PK_PUBACK, 1, 0x87);
    any |= explains(&pk);
    send_publish(p, &(struct c_publish){ .topic = "t", .qos = 2, .pid = 2 });
    pk = expect_ack(p, PK_PUBREC, 2, 0x87);
    any |= explains(&pk);
    send_ack(p, PK_PUBREL, 3, 0);
    pk = expect_ack(p, PK_PUBCOMP, 3, 0x92);
    any |= explains(&pk);
    send_ack(p, PK_PUBREC, 4, 0);
    pk = expect_ack(p, PK_PUBREL, 4, 0x92);
    any |= explains(&pk);
    send_subscribe(p, &(struct c_subscribe){ .pid = 5, FILTERS({ "t", 0 }) });
    pk = expect_packet(p, PK_SUBACK);
    CHECK_EQ(pk.codes[0], 0x87);
    any |= explains(&pk);
    send_unsubscribe(p, &(struct c_subscribe){ .pid = 6, FILTERS({ "bad#", 0 }) });
    pk = expect_packet(p, PK_UNSUBACK);
    CHECK_EQ(pk.codes[0], 0x8F);
    any |= explains(&pk);
    return any;
}

SPEC("MQTT-3.1.2-29")
TEST(without_problem_information_acknowledgements_say_no_more_than_the_code)
{
    hooks.allow = allow_nothing;
    CHECK(!any_explanation(connect_asking_for_problems("a", 0)));
}

/* The other half of the rule: who asks is told. */
SPEC("MQTT-3.1.2-29")
TEST(with_problem_information_acknowledgements_say_why)
{
    hooks.allow = allow_nothing;
    CHECK(any_explanation(connect_asking_for_problems("a", 1)));
    CHECK(any_explanation(connect5("b"))); /* 1 is the default */
}

/* PUBLISH is exempt: User Properties are the publisher's. */
SPEC("MQTT-3.1.2-29", "MQTT-3.3.2-17")
TEST(without_problem_information_user_properties_of_messages_still_come)
{
    struct peer *p = connect_asking_for_problems("a", 0);
    subscribe(p, "t", 0);
    send_publish(p, &(struct c_publish){ .topic = "t", .props = PROPS(prop_user("n", "v")) });
    struct packet pk = expect_publish(p, "t", "");
    CHECK_EQ(count_prop(&pk, PROP_USER), 1);
}

/* ---- what travels with a message ----------------------------------------------------------------------- */

static const struct prop *sent;
static size_t sent_count;

/* The properties that were sent are there, each as it was, in order; and none besides. */
static void check_same(const struct packet *pk)
{
    CHECK_EQ(pk->prop_count, sent_count);
    for (size_t i = 0; i < sent_count; i++) {
        CHECK_EQ(pk->props[i].id, sent[i].id);
        CHECK_EQ(pk->props[i].number, sent[i].number);
        CHECK_BYTES(pk->props[i].value, pk->props[i].value_len, sent[i].value, sent[i].value_len);
        if (sent[i].id == PROP_USER)
            CHECK_BYTES(pk->props[i].name, pk->props[i].name_len, sent[i].name, sent[i].name_len);
    }
}

/* By all ways: live, at each QoS, queued, retained, shared, and through a will. */
static void check_all_ways(struct props props)
{
    sent = props.at;
    sent_count = props.count;
    struct peer *q = connect5("q");
    struct peer *away = connect_kept(5, "away", 60);
    struct peer *p = connect5("p");
    struct peer *s = connect5("s");
    subscribe(away, "t", 1);
    subscribe(p, "t", 2);
    subscribe(s, "$share/g/t", 0);
    drop(away);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        send_publish(
            q, &(struct c_publish){
                   .topic = "t", .payload = "x", .qos = qos, .pid = 9, .retain = true, .props = props });
        if (qos == 1)
            expect_ack(q, PK_PUBACK, 9, 0);
        if (qos == 2) {
            expect_ack(q, PK_PUBREC, 9, 0);
            send_ack(q, PK_PUBREL, 9, 0);
            expect_ack(q, PK_PUBCOMP, 9, 0);
        }
        struct packet pk = take_publish(p, "t", "x", qos);
        check_same(&pk);
        pk = expect_publish(s, "t", "x");
        check_same(&pk);
    }
    away = connect_kept(5, "away", 60);
    for (int i = 0; i < 2; i++) {
        struct packet pk = take_publish(away, "t", "x", 1);
        check_same(&pk);
    }
    subscribe(q, "t", 0);
    struct packet pk = expect_publish(q, "t", "x");
    CHECK(pk.retain);
    check_same(&pk);
    leave(q);

    struct peer *w = connect_as(&(struct c_connect){
        .client_id = "w",
        .clean_start = true,
        .will = &(const struct c_will){ .topic = "t", .payload = "gone", .props = props } });
    drop(w);
    pk = expect_publish(p, "t", "gone");
    check_same(&pk);
    read_all(s);
    read_all(away);
}

SPEC("MQTT-3.3.2-4")
TEST(the_payload_format_is_forwarded_unchanged)
{
    check_all_ways(PROPS(prop_num(PROP_PAYLOAD_FORMAT, 0)));
}

SPEC("MQTT-3.3.2-4")
TEST(the_payload_format_text_is_forwarded_unchanged)
{
    check_all_ways(PROPS(prop_num(PROP_PAYLOAD_FORMAT, 1)));
}

SPEC("MQTT-3.3.2-4", "MQTT-2.2.2-1")
TEST(no_properties_are_forwarded_as_none)
{
    check_all_ways(NO_PROPS);
}

SPEC("MQTT-3.3.2-15")
TEST(the_response_topic_is_forwarded_unchanged)
{
    check_all_ways(PROPS(prop_text(PROP_RESPONSE_TOPIC, "re/\xC3\xA4/x")));
}

SPEC("MQTT-3.3.2-20")
TEST(the_content_type_is_forwarded_unchanged)
{
    check_all_ways(PROPS(prop_text(PROP_CONTENT_TYPE, "application/x-\xE2\x82\xAC")));
}

SPEC("MQTT-3.3.2-16")
TEST(correlation_data_is_forwarded_unchanged)
{
    static const uint8_t any[] = { 0, 1, 0xFF, 0xC0, 0x80, 0x26, 0 };
    check_all_ways(PROPS(prop_binary(PROP_CORRELATION_DATA, any, sizeof any)));
}

SPEC("MQTT-3.3.2-16")
TEST(correlation_data_of_any_length_is_forwarded_unchanged)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", 0);
    static const size_t lengths[] = { 0, 1, 127, 128, 4096, 65535 };
    for (size_t i = 0; i < COUNT(lengths); i++) {
        uint8_t *data = keep(lengths[i] + 1);
        for (size_t k = 0; k < lengths[i]; k++)
            data[k] = (uint8_t)(k * 131 >> 3);
        send_publish(
            p, &(struct c_publish){ .topic = "t",
                                    .props = PROPS(prop_binary(PROP_CORRELATION_DATA, data, lengths[i])) });
        struct packet pk = expect_publish(p, "t", "");
        const struct prop *got = nth_prop(&pk, PROP_CORRELATION_DATA, 0);
        CHECK_BYTES(got->value, got->value_len, data, lengths[i]);
    }
}

/* Names repeat, values are empty, other properties stand between: nothing is merged or sorted. */
SPEC("MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.1.3-10")
TEST(user_properties_are_forwarded_unchanged_and_in_order)
{
    check_all_ways(PROPS(prop_user("z", "1"), prop_user("a", "2"), prop_text(PROP_CONTENT_TYPE, "c"),
                         prop_user("a", "1"), prop_user("", ""), prop_user("z", "1"),
                         prop_num(PROP_PAYLOAD_FORMAT, 1), prop_user("\xC3\xA4", "\xE2\x82\xAC"),
                         prop_user("A", "2"), prop_user("a", ""), prop_text(PROP_RESPONSE_TOPIC, "r"),
                         prop_user("last", "\x7F")));
}

SPEC("MQTT-3.3.2-17", "MQTT-3.3.2-18")
TEST(many_user_properties_are_forwarded_in_order)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", 0);
    struct prop *props = keep(300 * sizeof *props);
    for (int i = 0; i < 300; i++)
        props[i] = prop_user(format("%d", i % 7), format("%d", i));
    send_publish(p, &(struct c_publish){ .topic = "t", .props = { props, 300 } });
    struct packet pk = expect_publish(p, "t", "");
    CHECK_EQ(count_prop(&pk, PROP_USER), 300);
    for (size_t i = 0; i < 300; i++)
        CHECK_STR(nth_prop(&pk, PROP_USER, i)->value, format("%zu", i));
}

SPEC("MQTT-3.1.3-10")
TEST(user_properties_of_a_delayed_will_keep_their_order)
{
    struct peer *p = connect5("a");
    subscribe(p, "w", 0);
    struct peer *w = connect_as(&(struct c_connect){
        .client_id = "w",
        .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60)),
        .will = &(const struct c_will){ .topic = "w",
                                        .props = PROPS(prop_user("b", "1"), prop_num(PROP_WILL_DELAY, 5),
                                                       prop_user("a", "2"), prop_user("b", "3"),
                                                       prop_user("b", "1"), prop_user("a", "2")) } });
    drop(w);
    advance(6000);
    struct packet pk = expect_publish(p, "w", "");
    CHECK_EQ(pk.prop_count, 5); /* the delay is for the broker */
    static const char *const values[] = { "1", "2", "3", "1", "2" };
    for (size_t i = 0; i < 5; i++)
        CHECK_STR(nth_prop(&pk, PROP_USER, i)->value, values[i]);
}
