/* test_publish.c - PUBLISH: its form, its packet id, who gets it and at which QoS. */
#include "more.h"

/* ---- the answer ------------------------------------------------------------------------------------ */

SPEC("MQTT-3.3.4-1", "MQTT311-3.3.4-1")
TEST(qos_0_is_not_answered_qos_1_by_puback_qos_2_by_pubrec)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x" });
        expect_nothing(p);
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 1, .pid = 10 });
        expect_taken(p, PK_PUBACK, 10);
        send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 2, .pid = 11 });
        expect_taken(p, PK_PUBREC, 11);
        expect_nothing(p);
        leave(p);
    }
}

SPEC("MQTT-2.2.1-5", "MQTT311-2.3.1-6")
TEST(acknowledgements_carry_the_id_of_the_publish)
{
    static const uint16_t pids[] = { 1, 0x1234, 65535 };
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        for (size_t i = 0; i < 3; i++) {
            send_publish(p, &(struct c_publish){ .topic = "a", .payload = "1", .qos = 1, .pid = pids[i] });
            expect_ack(p, PK_PUBACK, pids[i], 0);
            take_publish(s, "a", "1", 1);
            send_publish(p, &(struct c_publish){ .topic = "a", .payload = "2", .qos = 2, .pid = pids[i] });
            expect_ack(p, PK_PUBREC, pids[i], 0);
            send_ack(p, PK_PUBREL, pids[i], 0);
            expect_ack(p, PK_PUBCOMP, pids[i], 0);
            struct packet got = expect_publish(s, "a", "2");
            send_ack(s, PK_PUBREC, got.pid, 0);
            expect_ack(s, PK_PUBREL, got.pid, 0);
            send_ack(s, PK_PUBCOMP, got.pid, 0);
        }
        leave(p);
        leave(s);
    }
}

SPEC("MQTT-2.2.1-6", "MQTT-3.8.4-2", "MQTT-3.10.4-5", "MQTT311-2.3.1-7", "MQTT311-3.8.4-2",
     "MQTT311-3.10.4-4")
TEST(suback_and_unsuback_carry_the_id_of_the_request)
{
    static const uint16_t pids[] = { 1, 256, 0x1234, 65535 };
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        for (size_t i = 0; i < 4; i++) {
            send_subscribe(p, &(struct c_subscribe){ .pid = pids[i], FILTERS({ "a/b", 1 }) });
            CHECK_EQ(expect_packet(p, PK_SUBACK).pid, pids[i]);
            send_unsubscribe(p, &(struct c_subscribe){ .pid = pids[i], FILTERS({ "a/b", 0 }) });
            CHECK_EQ(expect_packet(p, PK_UNSUBACK).pid, pids[i]);
        }
        leave(p);
    }
}

/* ---- its form -------------------------------------------------------------------------------------- */

SPEC("MQTT-2.2.1-2", "MQTT311-2.3.1-5")
TEST(a_qos_0_publish_has_no_packet_id)
{
    struct peer *s5 = connect5("s5");
    struct peer *s4 = connect311("s4");
    struct peer *p5 = connect5("p5");
    struct peer *p4 = connect311("p4");
    subscribe(s5, "a", 2);
    subscribe(s4, "a", 2);
    send_hex(p5, "30 06 00 01 'a' 00 'hi'");
    expect_hex(s5, "30 06 00 01 'a' 00 'hi'");
    expect_hex(s4, "30 05 00 01 'a' 'hi'");
    send_hex(p4, "30 05 00 01 'a' 'hi'");
    expect_hex(s5, "30 06 00 01 'a' 00 'hi'");
    expect_hex(s4, "30 05 00 01 'a' 'hi'");
}

SPEC("MQTT-2.2.1-3", "MQTT311-2.3.1-1")
TEST(a_publish_with_packet_id_0_ends_the_connection)
{
    struct peer *s = connect5("s");
    subscribe(s, "a", 2);
    for (int qos = 1; qos <= 2; qos++) {
        struct peer *p = connect5("p");
        send_hex(p, qos == 1 ? "32 06 00 01 'a' 00 00 00" : "34 06 00 01 'a' 00 00 00");
        expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
        p = connect311("p");
        send_hex(p, qos == 1 ? "32 05 00 01 'a' 00 00" : "34 05 00 01 'a' 00 00");
        expect_closed(p);
    }
    expect_nothing(s);
}

SPEC("MQTT-2.2.1-3", "MQTT311-2.3.1-1")
TEST(subscribe_and_unsubscribe_with_packet_id_0_end_the_connection)
{
    struct peer *p = connect5("p");
    send_hex(p, "82 07 00 00 00 00 01 'a' 00");
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
    p = connect5("p");
    send_hex(p, "A2 06 00 00 00 00 01 'a'");
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
    p = connect311("p");
    send_hex(p, "82 06 00 00 00 01 'a' 00");
    expect_closed(p);
    p = connect311("p");
    send_hex(p, "A2 05 00 00 00 01 'a'");
    expect_closed(p);
}

SPEC("MQTT-3.3.2-1", "MQTT311-3.3.2-1")
TEST(the_topic_is_the_first_field_and_has_to_fit)
{
    static const char *const v5[] = {
        "30 04 00 09 'ab'",      /* longer than the packet */
        "30 01 00",              /* half a length */
        "30 00",                 /* none */
        "32 03 00 01 'a'",       /* no packet id */
        "32 05 00 01 'a' 00 01", /* no property length */
        "30 04 00 01 'a' 05",    /* properties run past the end */
    };
    for (size_t i = 0; i < sizeof v5 / sizeof v5[0]; i++) {
        struct peer *p = connect5("p");
        send_hex(p, v5[i]);
        expect_disconnect(p, MIDGE_RC_MALFORMED);
    }
    for (size_t i = 0; i < 4; i++) {
        struct peer *p = connect311("p");
        send_hex(p, v5[i]);
        expect_closed(p);
    }
}

SPEC("MQTT-3.3.2-1", "MQTT311-3.3.2-1", "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT311-1.5.3-1", "MQTT311-1.5.3-2",
     "MQTT-4.7.3-2", "MQTT311-4.7.3-2")
TEST(a_topic_that_is_not_well_formed_utf8_ends_the_connection)
{
    static const char *const bad[] = { "FF 41 42", "C0 80 41", "ED A0 80", "41 00 42" };
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    for (size_t i = 0; i < 4; i++) {
        struct peer *p = connect5("p");
        send_hex(p, format("30 07 00 03 %s 00 78", bad[i]));
        expect_disconnect(p, MIDGE_RC_MALFORMED);
        p = connect311("p");
        send_hex(p, format("30 06 00 03 %s 78", bad[i]));
        expect_closed(p);
    }
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT311-3.3.2-2", "MQTT311-4.7.1-1")
TEST(a_topic_with_wildcards_ends_the_connection_and_reaches_nobody)
{
    static const char *const bad[] = { "a/#", "a/+", "#", "+", "a/b+", "a#/b", "a/+/c" };
    struct peer *s = connect5("s");
    subscribe(s, "#", 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct peer *p = connect5("p");
        send_publish(
            p, &(struct c_publish){ .topic = bad[i], .payload = "x", .qos = 1, .pid = 1, .retain = true });
        expect_disconnect(p, MIDGE_RC_TOPIC_NAME_INVALID);
        p = connect311("p");
        send_publish(
            p, &(struct c_publish){ .topic = bad[i], .payload = "x", .qos = 1, .pid = 1, .retain = true });
        expect_closed(p);
    }
    expect_nothing(s);
    CHECK_EQ(stats().retained, 0);
}

SPEC("MQTT-3.3.2-2")
TEST(a_topic_with_wildcards_is_refused_with_an_alias_too)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a/+", .props = PROPS(prop_num(PROP_TOPIC_ALIAS, 1)) });
    expect_disconnect(p, MIDGE_RC_TOPIC_NAME_INVALID);
}

SPEC("MQTT311-4.7.3-1", "MQTT-4.7.3-1", "U5-3.3.2.1-empty")
TEST(an_empty_topic_ends_the_connection)
{
    struct peer *p = connect311("p");
    send_hex(p, "30 03 00 00 78");
    expect_closed(p);
    p = connect5("p");
    send_hex(p, "30 04 00 00 00 78");
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("MQTT-4.7.3-3", "MQTT311-4.7.3-3")
TEST(a_topic_may_have_65535_bytes)
{
    struct peer *s = connect5("s");
    struct peer *p = connect311("p");
    const char *topic = text_of('t', 65535);
    subscribe(s, topic, 1);
    publish(p, topic, "x", 1);
    take_publish(s, topic, "x", 1);
}

SPEC("MQTT-3.3.1-4", "MQTT311-3.3.1-4")
TEST(qos_3_ends_the_connection)
{
    struct peer *s = connect5("s");
    subscribe(s, "#", 2);
    struct peer *p = connect5("p");
    send_hex(p, "36 07 00 01 'a' 00 01 00 'x'");
    expect_disconnect(p, MIDGE_RC_MALFORMED);
    p = connect311("p");
    send_hex(p, "36 06 00 01 'a' 00 01 'x'");
    expect_closed(p);
    expect_nothing(s);
}

SPEC("MQTT-3.3.1-2", "MQTT311-3.3.1-2")
TEST(dup_with_qos_0_ends_the_connection)
{
    struct peer *s = connect5("s");
    subscribe(s, "#", 2);
    struct peer *p = connect5("p");
    send_hex(p, "38 05 00 01 'a' 00 'x'");
    expect_disconnect(p, MIDGE_RC_MALFORMED);
    p = connect311("p");
    send_hex(p, "38 04 00 01 'a' 'x'");
    expect_closed(p);
    expect_nothing(s);
}

SPEC("MQTT-4.3.1-1", "MQTT-3.3.1-2", "MQTT311-4.3.1-1", "MQTT311-3.3.1-2")
TEST(qos_0_goes_out_with_qos_0_and_dup_0)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0 | OPT_RETAIN_AS_PUBLISHED);
    send_hex(p, "3A 07 00 01 'a' 00 05 00 'x'"); /* QoS 1 with DUP, to a QoS 0 subscription */
    expect_hex(p, "40 02 00 05");
    expect_hex(s, "30 05 00 01 'a' 00 'x'");
    publish_retained(p, "a", "y", 0);
    expect_hex(s, "31 05 00 01 'a' 00 'y'");
}

SPEC("MQTT-3.3.1-3", "MQTT311-3.3.1-3")
TEST(dup_is_not_passed_on)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a", 2);
        for (uint8_t qos = 1; qos <= 2; qos++) {
            send_publish(
                p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = qos, .pid = 7, .dup = true });
            expect_taken(p, qos == 1 ? PK_PUBACK : PK_PUBREC, 7);
            struct packet got = take_publish(s, "a", "x", qos);
            CHECK(!got.dup);
        }
        leave(p);
        leave(s);
    }
}

SPEC("MQTT-3.3.4-6")
TEST(a_client_that_sends_a_subscription_identifier_is_cut_off)
{
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 1)) });
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
    expect_nothing(s);
}

/* ---- who gets it ----------------------------------------------------------------------------------- */

/* Section 4.7, level by level, as slowly as it can be said. */
static bool matches(const char *filter, const char *topic)
{
    if (topic[0] == '$' && (filter[0] == '+' || filter[0] == '#'))
        return false;
    for (;;) {
        size_t f = strcspn(filter, "/"), t = strcspn(topic, "/");
        if (filter[0] == '#')
            return true;
        if (!(f == 1 && filter[0] == '+') && !(f == t && memcmp(filter, topic, f) == 0))
            return false;
        if (!topic[t])
            return !filter[f] || strcmp(filter + f, "/#") == 0;
        if (!filter[f])
            return false;
        filter += f + 1;
        topic += t + 1;
    }
}

static const char *random_name(uint32_t *seed, bool is_filter)
{
    static const char *const levels[] = { "a", "b", "", "ab", "$x", "+", "+" };
    char text[64] = "";
    uint32_t n = 1 + roll(seed, 4);
    for (uint32_t i = 0; i < n; i++) {
        bool last = i + 1 == n;
        if (i)
            strcat(text, "/");
        strcat(text, is_filter && last && roll(seed, 3) == 0 ? "#" : levels[roll(seed, is_filter ? 7 : 5)]);
    }
    if (!text[0])
        strcat(text, "a");
    return format("%s", text);
}

SPEC("MQTT-3.3.2-3", "MQTT311-3.3.2-3", "MQTT-4.7.2-1", "MQTT311-4.7.2-1", "MQTT-4.7.3-4", "MQTT311-4.7.3-4")
TEST(what_is_delivered_matches_the_filter)
{
    uint32_t seed = 20240607;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    unsigned hits = 0;
    for (int i = 0; i < 40; i++) {
        const char *filter = random_name(&seed, true);
        subscribe(s, filter, 0);
        for (int k = 0; k < 25; k++) {
            const char *topic = random_name(&seed, false);
            publish(p, topic, filter, 0);
            if (matches(filter, topic)) {
                hits++;
                expect_publish(s, topic, filter);
            }
            expect_nothing(s);
        }
        unsubscribe(s, filter);
    }
    CHECK(hits > 100 && hits < 900);
}

SPEC("MQTT-4.5.0-1", "MQTT311-4.5.0-1")
TEST(a_message_goes_to_every_session_that_matches)
{
    static const char *const filters[] = { "a/b", "a/+", "#", "+/b", "a/#", "a/b/#" };
    struct peer *here[6];
    for (size_t i = 0; i < 6; i++) {
        here[i] = connect5(format("here%zu", i));
        subscribe(here[i], filters[i], 1);
        struct peer *away = i % 2 ? stay5(format("away%zu", i)) : stay311(format("away%zu", i));
        subscribe(away, filters[i], 1);
        leave(away);
    }
    struct peer *p = connect5("p");
    publish(p, "a/b", "x", 1);
    for (size_t i = 0; i < 6; i++) {
        take_publish(here[i], "a/b", "x", 1);
        struct peer *away = i % 2 ? stay5(format("away%zu", i)) : stay311(format("away%zu", i));
        CHECK(connack_of(away)->session_present);
        take_publish(away, "a/b", "x", 1);
        expect_nothing(away);
        expect_nothing(here[i]);
    }
}

SPEC("MQTT-3.8.4-8", "MQTT311-3.8.4-6")
TEST(delivered_at_the_lower_of_published_and_granted_qos)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        for (uint8_t granted = 0; granted <= 2; granted++) {
            struct peer *s = connect_version(v, "s");
            subscribe(s, "a", granted);
            for (uint8_t published = 0; published <= 2; published++) {
                publish(p, "a", "x", published);
                take_publish(s, "a", "x", published < granted ? published : granted);
            }
            leave(s);
        }
        leave(p);
    }
}

SPEC("MQTT-3.8.4-8", "MQTT311-3.8.4-6")
TEST(retained_messages_too_are_delivered_at_the_lower_qos)
{
    struct peer *p = connect5("p");
    for (uint8_t published = 0; published <= 2; published++) {
        publish_retained(p, "a", "x", published);
        for (uint8_t granted = 0; granted <= 2; granted++) {
            struct peer *s = connect311("s");
            subscribe(s, "a", granted);
            take_publish(s, "a", "x", published < granted ? published : granted);
            leave(s);
        }
    }
}

SPEC("MQTT-3.3.4-2", "MQTT311-3.3.5-1")
TEST(overlapping_filters_deliver_at_the_highest_qos_granted)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        struct peer *p = connect_version(v, "p");
        subscribe(s, "a/#", 0);
        subscribe(s, "a/b", 2);
        subscribe(s, "+/b", 1);
        publish(p, "a/b", "x", 2);
        take_publish(s, "a/b", "x", 2);
        expect_nothing(s); /* one copy, as this broker does it */
        leave(p);
        leave(s);
    }
}

SPEC("MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT-3.3.4-5")
TEST(one_copy_carries_the_identifier_of_each_subscription_that_has_one)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    static const char *const filters[] = { "a/#", "a/b", "+/b" };
    static const uint32_t ids[] = { 1, 268435455, 300 };
    for (uint16_t i = 0; i < 3; i++) {
        send_subscribe(s, &(struct c_subscribe){ .pid = (uint16_t)(i + 1),
                                                 .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, ids[i])),
                                                 FILTERS({ filters[i], 0 }) });
        expect_packet(s, PK_SUBACK);
    }
    subscribe(s, "#", 0); /* has none */
    publish(p, "a/b", "x", 0);
    struct packet got = expect_publish(s, "a/b", "x");
    CHECK_EQ(count_prop(&got, PROP_SUBSCRIPTION_ID), 3);
    uint64_t sum = 0;
    for (size_t i = 0; i < 3; i++)
        sum += nth_prop(&got, PROP_SUBSCRIPTION_ID, i)->number;
    CHECK_EQ(sum, 1 + 268435455ull + 300);
    expect_nothing(s);
}

/* ---- what is refused ------------------------------------------------------------------------------- */

SPEC("MQTT311-3.3.5-2", "U5-3.3.4-0x87")
TEST(a_publish_that_is_not_allowed_is_answered_and_goes_nowhere)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    struct peer *s = connect5("s");
    subscribe(s, "#", 2);
    struct peer *p5 = connect5("p5");
    struct peer *p4 = connect311("p4");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        const struct c_publish pub = {
            .topic = "no", .payload = "x", .qos = qos, .pid = qos, .retain = true
        };
        send_publish(p5, &pub);
        send_publish(p4, &pub);
        if (qos) {
            expect_ack(p5, qos == 1 ? PK_PUBACK : PK_PUBREC, qos, MIDGE_RC_NOT_AUTHORIZED);
            expect_ack(p4, qos == 1 ? PK_PUBACK : PK_PUBREC, qos, 0); /* 3.1.1: as if it had been taken */
        }
    }
    send_ack(p4, PK_PUBREL, 2, 0);
    expect_ack(p4, PK_PUBCOMP, 2, 0);
    expect_nothing(p5);
    expect_nothing(p4);
    expect_nothing(s);
    CHECK_EQ(stats().retained, 0);
}

SPEC("U5-3.3.4-0x10")
TEST(a_publish_that_nobody_subscribes_to_is_told_so)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 1, .pid = 1 });
    expect_ack(p, PK_PUBACK, 1, MIDGE_RC_NO_MATCHING_SUBSCRIBERS);
    send_publish(p, &(struct c_publish){ .topic = "a", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, MIDGE_RC_NO_MATCHING_SUBSCRIBERS);
    send_ack(p, PK_PUBREL, 2, 0);
    expect_ack(p, PK_PUBCOMP, 2, 0);
    struct peer *q = connect311("q"); /* no codes in 3.1.1 */
    send_publish(q, &(struct c_publish){ .topic = "a", .qos = 1, .pid = 1 });
    expect_hex(q, "40 02 00 01");
}

SPEC("MQTT-3.2.2-9", "MQTT-3.2.2-11", "U5-3.3.1.1")
TEST(more_than_the_maximum_qos_ends_the_connection)
{
    for (uint8_t most = 0; most <= 1; most++) {
        limits.max_qos = most;
        struct peer *p = connect5("p");
        CHECK_EQ(prop_number(connack_of(p), PROP_MAXIMUM_QOS), most);
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = (uint8_t)(most + 1), .pid = 1 });
        expect_disconnect(p, MIDGE_RC_QOS_NOT_SUPPORTED);
        p = connect311("p");
        send_publish(p, &(struct c_publish){ .topic = "a", .qos = (uint8_t)(most + 1), .pid = 1 });
        expect_closed(p);
    }
}

SPEC("MQTT-3.2.2-9")
TEST(a_broker_with_qos_2_does_not_announce_a_maximum)
{
    struct peer *p = connect5("p");
    CHECK(!has_prop(connack_of(p), PROP_MAXIMUM_QOS));
}

SPEC("MQTT-3.2.2-10")
TEST(a_broker_without_qos_2_grants_less_to_those_who_ask)
{
    limits.max_qos = 0;
    struct peer *p = connect5("p");
    send_hex(p, "82 0F 00 01 00 00 01 'a' 00 00 01 'b' 01 00 01 'c' 02");
    expect_hex(p, "90 06 00 01 00 00 00 00");
    limits.max_qos = 1;
    p = connect311("q");
    send_hex(p, "82 0A 00 01 00 01 'a' 02 00 01 'b' 01");
    expect_hex(p, "90 04 00 01 01 01");
}

SPEC("MQTT-3.2.2-14", "U5-3.3.1.1")
TEST(retain_where_it_is_not_served_ends_the_connection)
{
    limits.retain = false;
    struct peer *p = connect5("p");
    CHECK_EQ(prop_number(connack_of(p), PROP_RETAIN_AVAILABLE), 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .retain = true });
    expect_disconnect(p, MIDGE_RC_RETAIN_NOT_SUPPORTED);
    p = connect311("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .retain = true });
    expect_closed(p);
    CHECK_EQ(stats().retained, 0);
}

SPEC("MQTT-3.2.2-15", "U5-3.3.1.1")
TEST(a_packet_over_the_maximum_is_refused_by_its_fixed_header)
{
    limits.packet_bytes = 4096;
    struct peer *p = connect5("p");
    CHECK_EQ(prop_number(connack_of(p), PROP_MAXIMUM_PACKET_SIZE), 4096);
    size_t before = memory_used();
    send_hex(p, "30 FE 1F"); /* 3 bytes of header and 4094: one too many */
    expect_disconnect(p, MIDGE_RC_PACKET_TOO_LARGE);
    CHECK(memory_used() <= before);
    p = connect311("p");
    send_hex(p, "30 FE 1F");
    expect_closed(p);
}

SPEC("MQTT-3.2.2-15")
TEST(a_packet_of_exactly_the_maximum_is_taken)
{
    limits.packet_bytes = 4096;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    const char *payload = text_of('x', 4096 - 3 - 4);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = payload });
    expect_publish(s, "a", payload);
}
