/* test_alias.c - topic aliases, both ways. */
#include "more.h"

#define ALIAS(n) PROPS(prop_num(PROP_TOPIC_ALIAS, n))

/* ---- from the client ------------------------------------------------------------------------------- */

SPEC("MQTT-3.3.2-12")
TEST(every_alias_up_to_the_maximum_can_be_set_used_and_set_again)
{
    limits.alias_in = 7;
    struct peer *s = connect5("s");
    subscribe(s, "#", 1);
    struct peer *p = connect5("p");
    CHECK_EQ(prop_number(connack_of(p), PROP_TOPIC_ALIAS_MAXIMUM), 7);
    for (int round = 0; round < 2; round++) {
        for (uint16_t i = 1; i <= 7; i++) {
            const char *topic = format("t/%d/%u", round, i);
            send_publish(p, &(struct c_publish){ .topic = topic, .payload = "set", .props = ALIAS(i) });
            expect_publish(s, topic, "set");
        }
        for (uint16_t i = 7; i >= 1; i--) {
            send_publish(p, &(struct c_publish){ .topic = "", .payload = "used", .props = ALIAS(i) });
            expect_publish(s, format("t/%d/%u", round, i), "used");
        }
    }
    expect_nothing(p);
}

SPEC("MQTT-3.3.2-12", "MQTT-3.3.4-1")
TEST(aliases_work_at_every_qos_and_with_retain)
{
    struct peer *s = connect5("s");
    subscribe(s, "a", 2);
    struct peer *p = connect5("p");
    send_publish(p,
                 &(struct c_publish){ .topic = "a", .payload = "0", .qos = 1, .pid = 1, .props = ALIAS(1) });
    expect_ack(p, PK_PUBACK, 1, 0);
    take_publish(s, "a", "0", 1);
    send_publish(p,
                 &(struct c_publish){ .topic = "", .payload = "1", .qos = 1, .pid = 2, .props = ALIAS(1) });
    expect_ack(p, PK_PUBACK, 2, 0);
    take_publish(s, "a", "1", 1);
    send_publish(p, &(struct c_publish){
                        .topic = "", .payload = "2", .qos = 2, .pid = 3, .retain = true, .props = ALIAS(1) });
    expect_ack(p, PK_PUBREC, 3, 0);
    take_publish(s, "a", "2", 2);
    struct peer *late = connect5("late");
    subscribe(late, "a", 0);
    expect_publish(late, "a", "2");
}

SPEC("MQTT-3.3.2-12")
TEST(an_alias_is_set_though_its_message_goes_nowhere)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "no", .qos = 1, .pid = 1, .props = ALIAS(1) });
    expect_ack(p, PK_PUBACK, 1, MIDGE_RC_NOT_AUTHORIZED);
    denied.topic = NULL;
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x", .props = ALIAS(1) });
    expect_publish(s, "no", "x");
    send_publish(p, &(struct c_publish){ .topic = "y", .payload = "1", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, 0);
    expect_publish(s, "y", "1");
    send_publish(p, &(struct c_publish){ /* the same message again, this time with an alias */
                                         .topic = "y",
                                         .payload = "1",
                                         .qos = 2,
                                         .pid = 2,
                                         .dup = true,
                                         .props = ALIAS(2) });
    expect_ack(p, PK_PUBREC, 2, 0);
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "2", .props = ALIAS(2) });
    expect_publish(s, "y", "2");
}

SPEC("MQTT-3.3.2-12")
TEST(the_aliases_of_two_clients_are_strangers)
{
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    struct peer *p = connect5("p");
    struct peer *q = connect5("q");
    send_publish(p, &(struct c_publish){ .topic = "p", .payload = "1", .props = ALIAS(1) });
    send_publish(q, &(struct c_publish){ .topic = "q", .payload = "1", .props = ALIAS(1) });
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "2", .props = ALIAS(1) });
    send_publish(q, &(struct c_publish){ .topic = "", .payload = "2", .props = ALIAS(1) });
    expect_publish(s, "p", "1");
    expect_publish(s, "q", "1");
    expect_publish(s, "p", "2");
    struct packet got = expect_publish(s, "q", "2");
    CHECK_EQ(got.prop_count, 0); /* a client's alias is its own: not forwarded */
}

SPEC("MQTT-3.2.2-17", "MQTT-3.3.2-9")
TEST(an_alias_above_the_maximum_ends_the_connection)
{
    limits.alias_in = 5;
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(6) });
    expect_disconnect(p, MIDGE_RC_TOPIC_ALIAS_INVALID);
    p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(65535) });
    expect_disconnect(p, MIDGE_RC_TOPIC_ALIAS_INVALID);
    expect_nothing(s);
}

SPEC("MQTT-3.2.2-18")
TEST(any_alias_ends_the_connection_where_none_is_allowed)
{
    limits.alias_in = 0;
    struct peer *p = connect5("p");
    CHECK(!has_prop(connack_of(p), PROP_TOPIC_ALIAS_MAXIMUM));
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(1) });
    expect_disconnect(p, MIDGE_RC_TOPIC_ALIAS_INVALID);
}

SPEC("MQTT-3.3.2-8")
TEST(alias_0_ends_the_connection)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(0) });
    expect_disconnect(p, MIDGE_RC_TOPIC_ALIAS_INVALID);
}

SPEC("MQTT-3.3.2-7")
TEST(aliases_end_with_the_connection)
{
    struct peer *p = stay5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(1) });
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x", .props = ALIAS(1) });
    expect_nothing(p);
    drop(p);
    p = stay5("p");
    CHECK(connack_of(p)->session_present);
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x", .props = ALIAS(1) });
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("U5-3.3.2.1-empty")
TEST(an_empty_topic_without_an_alias_ends_the_connection)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x" });
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("U5-3.3.2.3.4-unknown")
TEST(an_alias_that_was_never_set_ends_the_connection)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = ALIAS(2) });
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x", .props = ALIAS(3) });
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}

/* ---- to the client --------------------------------------------------------------------------------- */

SPEC("MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8", "MQTT-3.3.2-10")
TEST(aliases_to_a_client_stay_within_its_maximum_and_mean_the_right_topic)
{
    struct peer *s = connect5_with("s", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 3));
    struct peer *p = connect5("p");
    subscribe(s, "#", 0);
    uint32_t seed = 5;
    unsigned alone = 0, used[4] = { 0 };
    for (int i = 0; i < 200; i++) {
        const char *topic = format("t/%u", roll(&seed, 2) ? 0 : roll(&seed, 10));
        publish(p, topic, format("%d", i), 0);
        struct packet got = expect_publish(s, topic, format("%d", i)); /* the harness looks aliases up */
        CHECK(got.alias <= 3);
        used[got.alias]++;
        alone += got.alias_alone;
    }
    CHECK(used[1] && used[2] && used[3]);
    CHECK(alone > 60); /* a topic of every second message need not be sent */
}

SPEC("MQTT-3.3.2-10")
TEST(the_alias_used_longest_ago_gives_way)
{
    struct peer *s = connect5_with("s", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 2));
    struct peer *p = connect5("p");
    subscribe(s, "#", 0);
    static const struct {
        const char *topic;
        bool alone;
    } steps[] = { { "a", false }, { "b", false }, { "a", true },  { "b", true }, { "a", true },
                  { "c", false }, { "a", true },  { "b", false }, { "a", true } };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        publish(p, steps[i].topic, "x", 0);
        CHECK_EQ(expect_publish(s, steps[i].topic, "x").alias_alone, steps[i].alone);
    }
}

SPEC("MQTT-3.1.2-27")
TEST(a_client_that_allows_no_alias_gets_none)
{
    struct peer *s0 = connect5_with("s0", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 0));
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s0, "#", 0);
    subscribe(s, "#", 0);
    for (int i = 0; i < 3; i++) {
        publish(p, "a/long/topic", "x", 0);
        CHECK_EQ(expect_publish(s0, "a/long/topic", "x").alias, 0);
        CHECK_EQ(expect_publish(s, "a/long/topic", "x").alias, 0);
    }
}

SPEC("MQTT-3.1.2-26")
TEST(the_brokers_own_limit_on_aliases_holds_too)
{
    limits.alias_out = 2;
    struct peer *s = connect5_with("s", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 65535));
    struct peer *p = connect5("p");
    subscribe(s, "#", 0);
    for (int i = 0; i < 10; i++) {
        publish(p, format("t/%d", i % 4), "x", 0);
        CHECK(expect_publish(s, format("t/%d", i % 4), "x").alias <= 2);
    }
}

SPEC("MQTT-3.3.2-7", "MQTT-4.4.0-1")
TEST(what_is_sent_again_names_its_topic_on_the_new_connection)
{
    const struct c_connect c = { .version = 5,
                                 .client_id = "s",
                                 .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 60),
                                                prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 5)) };
    struct peer *s = connect_as(&c);
    struct peer *p = connect5("p");
    subscribe(s, "#", 1);
    publish(p, "a", "1", 1);
    publish(p, "a", "2", 1);
    expect_publish(s, "a", "1");
    CHECK(expect_publish(s, "a", "2").alias_alone);
    drop(s);
    s = connect_as(&c);
    CHECK(!expect_publish(s, "a", "1").alias_alone);
    expect_publish(s, "a", "2");
}

SPEC("MQTT-3.1.2-25", "MQTT-3.3.2-10")
TEST(an_alias_whose_first_message_was_too_large_is_not_taken_for_known)
{
    struct peer *s =
        connect5_with("s", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 5), prop_num(PROP_MAXIMUM_PACKET_SIZE, 60));
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    publish(p, "a", text_of('x', 100), 0);
    expect_nothing(s);
    publish(p, "a", "small", 0);
    CHECK(!expect_publish(s, "a", "small").alias_alone);
}

SPEC("MQTT-3.1.2-24", "MQTT-3.1.2-25")
TEST(an_alias_does_not_make_a_message_too_large)
{
    struct peer *s =
        connect5_with("s", prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 5), prop_num(PROP_MAXIMUM_PACKET_SIZE, 60));
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    const char *payload = text_of('x', 60 - 2 - 3 - 1); /* fits, if no alias is added */
    publish(p, "a", payload, 0);
    expect_publish(s, "a", payload);
}

SPEC("MQTT-3.1.2-27")
TEST(a_3_1_1_client_gets_no_alias)
{
    struct peer *s = connect311("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "1", .props = ALIAS(1) });
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "2", .props = ALIAS(1) });
    expect_hex(s, "30 04 00 01 'a1'");
    expect_hex(s, "30 04 00 01 'a2'");
}
