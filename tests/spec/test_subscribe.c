/* test_subscribe.c - SUBSCRIBE: one answer, one code a filter, what replaces what, and how many copies. */
#include "morec.h"

static bool allow_all_but_secret(void *user, const struct midge_who *who, enum midge_access what,
                                 struct midge_slice topic)
{
    (void)user;
    (void)who;
    return what != MIDGE_ACCESS_SUBSCRIBE || topic.len != 6 || memcmp(topic.data, "secret", 6) != 0;
}

static bool allow_no_subscribe(void *user, const struct midge_who *who, enum midge_access what,
                               struct midge_slice topic)
{
    (void)user;
    (void)who;
    (void)topic;
    return what != MIDGE_ACCESS_SUBSCRIBE;
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

SPEC("MQTT-3.8.4-1", "MQTT-3.8.4-7")
TEST(a_subscribe_is_answered_even_if_all_is_denied)
{
    hooks.allow = allow_no_subscribe;
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 7, FILTERS({ "a", 0 }, { "b/#", 2 }) });
    expect_codes(p, PK_SUBACK, 7, "87 87");
    struct peer *q = connect5("b");
    publish(q, "a", "x", 1);
    expect_nothing(p);
}

SPEC("MQTT311-3.8.4-1", "MQTT311-3.9.3-2")
TEST(a_subscribe_of_3_1_1_is_answered_even_if_all_is_denied)
{
    hooks.allow = allow_no_subscribe;
    struct peer *p = connect311("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 7, FILTERS({ "a", 0 }, { "b/#", 2 }) });
    expect_hex(p, "90 04 00 07 80 80");
    struct peer *q = connect311("b");
    publish(q, "a", "x", 1);
    expect_nothing(p);
}

/* 3.1 has no code for a failure: who cannot be told is not left to believe that it subscribed. */
SPEC("V31-suback")
TEST(a_client_of_3_1_never_sees_the_failure_code)
{
    hooks.allow = allow_all_but_secret;
    struct peer *p = connect31("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a", 2 }, { "b", 1 }, { "c", 0 }) });
    expect_hex(p, "90 05 00 01 02 01 00");
    send_subscribe(p, &(struct c_subscribe){ .pid = 2, FILTERS({ "d", 1 }, { "secret", 1 }) });
    expect_closed(p);
}

SPEC("MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2")
TEST(codes_stand_in_the_order_of_the_filters)
{
    hooks.allow = allow_all_but_secret;
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){
                          .pid = 0x1234,
                          FILTERS({ "q2", 2 }, { "secret", 2 }, { "q0", 0 }, { "bad#", 1 }, { "q1", 1 }) });
    expect_codes(p, PK_SUBACK, 0x1234, "02 87 00 8F 01");
}

SPEC("MQTT311-3.8.4-5", "MQTT311-3.9.3-1", "MQTT311-3.9.3-2")
TEST(codes_of_3_1_1_stand_in_the_order_of_the_filters)
{
    hooks.allow = allow_all_but_secret;
    struct peer *p = connect311("a");
    send_subscribe(p, &(struct c_subscribe){
                          .pid = 0x1234, FILTERS({ "q2", 2 }, { "secret", 2 }, { "q0", 0 }, { "q1", 1 }) });
    expect_hex(p, "90 06 12 34 02 80 00 01");
}

/* Granted is the lower of what is asked for and what is served. */
SPEC("MQTT-3.8.4-7", "MQTT-3.9.3-2", "MQTT311-3.8.4-5")
TEST(the_code_is_the_qos_that_is_granted)
{
    limits.max_qos = 1;
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a", 0 }, { "b", 1 }, { "c", 2 }) });
        expect_codes(p, PK_SUBACK, 1, "00 01 01");
        leave(p);
    }
}

SPEC("MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT311-3.8.4-4", "MQTT311-3.8.4-5")
TEST(many_filters_in_one_packet_are_answered_in_one)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct c_filter filters[64];
        struct bytes codes = { .at = keep(64), .len = 64 };
        for (uint8_t i = 0; i < 64; i++) {
            filters[i] = (struct c_filter){ format("f/%d", i), i % 3 };
            codes.at[i] = i % 3;
        }
        send_subscribe(p, &(struct c_subscribe){ .pid = 9, .filters = filters, .count = 64 });
        struct packet ack = expect_packet(p, PK_SUBACK);
        CHECK_BYTES(ack.codes, ack.code_count, codes.at, codes.len);
        expect_nothing(p);
        for (int i = 0; i < 64; i += 21) {
            publish(p, format("f/%d", i), "x", 0);
            expect_publish(p, format("f/%d", i), "x");
        }
        leave(p);
    }
}

/* As a sequence would: the last of two equal filters stands. */
SPEC("MQTT-3.8.4-5", "MQTT311-3.8.4-4")
TEST(a_filter_twice_in_one_packet_is_subscribed_twice)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 2 }, { "t", 0 }) });
        expect_codes(p, PK_SUBACK, 1, "02 00");
        publish(q, "t", "x", 2);
        CHECK_EQ(expect_publish(p, "t", "x").qos, 0);
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}

/* ---- what breaks the packet ---------------------------------------------------------------------------- */

SPEC("MQTT-3.8.3-2", "MQTT311-3.8.3-3")
TEST(a_subscribe_without_filters_is_an_error)
{
    struct peer *p = connect5("a");
    send_hex(p, "82 03 00 01 00");
    expect_disconnect(p, 0x82);
    for (int v = 3; v <= 4; v++) {
        p = connect_v(v, "a");
        send_hex(p, "82 02 00 01");
        expect_closed(p);
    }
}

SPEC("MQTT-3.8.3-5")
TEST(reserved_bits_of_the_options_are_malformed)
{
    for (unsigned bits = 0x40; bits <= 0xC0; bits += 0x40) {
        struct peer *p = connect5("a");
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", (uint8_t)(bits | 1) }) });
        expect_disconnect(p, 0x81);
    }
}

SPEC("U5-3.8.3.1-qos3")
TEST(a_subscription_at_qos_3_is_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 3 }) });
    expect_disconnect(p, 0x82);
}

SPEC("U5-3.8.3.1-rh3")
TEST(retain_handling_3_is_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", OPT_RETAIN_HANDLING(3) }) });
    expect_disconnect(p, 0x82);
}

SPEC("MQTT311-3.8.3-4")
TEST(options_of_3_1_1_above_2_are_malformed)
{
    static const uint8_t options[] = { 0x03, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x81, 0xFF };
    for (size_t i = 0; i < COUNT(options); i++) {
        struct peer *p = connect311("a");
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", options[i] }) });
        expect_closed(p);
    }
}

SPEC("MQTT-3.8.3-5", "MQTT311-3.8.3-4", "MQTT-4.13.1-1")
TEST(nothing_of_a_bad_subscribe_takes_effect)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_kept(v, v == 5 ? "five" : "four", 60);
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "good", 1 }, { "t", 0x80 }) });
        expect_disconnect(p, 0x81);
        p = connect_kept(v, v == 5 ? "five" : "four", 60);
        CHECK(connack_of(p)->session_present);
        publish(p, "good", "x", 1);
        expect_nothing(p);
    }
}

/* ---- No Local ------------------------------------------------------------------------------------------ */

SPEC("MQTT-3.8.3-3")
TEST(no_local_keeps_a_client_s_own_messages_from_it)
{
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    subscribe(p, "t/#", 1 | OPT_NO_LOCAL);
    publish(p, "t/own", "x", 1);
    publish(p, "t/own", "x", 0);
    expect_nothing(p);
    publish(q, "t/other", "y", 1);
    take_publish(p, "t/other", "y", 1);
}

/* It is the client id that counts, not the connection. */
SPEC("MQTT-3.8.3-3")
TEST(no_local_holds_for_what_was_sent_on_an_earlier_connection)
{
    struct peer *p = connect_kept(5, "a", 60);
    subscribe(p, "t", 1 | OPT_NO_LOCAL);
    drop(p);
    p = connect_kept(5, "a", 60);
    publish(p, "t", "x", 1);
    expect_nothing(p);
}

SPEC("MQTT-3.8.3-3")
TEST(no_local_of_one_subscription_does_not_bind_another)
{
    struct peer *p = connect5("a");
    subscribe(p, "t/#", 2 | OPT_NO_LOCAL);
    subscribe(p, "t/+", 1);
    send_publish(p, &(struct c_publish){ .topic = "t/x", .payload = "x", .qos = 2, .pid = 1 });
    uint16_t pid = 0;
    for (int i = 0; i < 2; i++) { /* its own message, and PUBREC for it */
        struct packet pk = expect_packet(p, PK_ANY);
        if (pk.type == PK_PUBLISH) {
            CHECK_EQ(pk.qos, 1); /* of the one that lets it through */
            pid = pk.pid;
        }
    }
    send_ack(p, PK_PUBACK, pid, 0);
    expect_nothing(p);
}

/* ---- the same filter again ----------------------------------------------------------------------------- */

SPEC("MQTT-3.8.4-3", "MQTT311-3.8.4-3")
TEST(the_same_filter_again_replaces_the_qos)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(p, "t/+", 2);
        subscribe(p, "t/+", 0);
        publish(q, "t/x", "x", 2);
        CHECK_EQ(expect_publish(p, "t/x", "x").qos, 0);
        subscribe(p, "t/+", 1);
        publish(q, "t/x", "y", 2);
        take_publish(p, "t/x", "y", 1);
        expect_nothing(p);
        unsubscribe(p, "t/+");
        publish(q, "t/x", "z", 1);
        expect_nothing(p); /* there was one subscription, not three */
        leave(p);
        leave(q);
    }
}

SPEC("MQTT-3.8.4-3")
TEST(the_same_filter_again_replaces_no_local)
{
    struct peer *p = connect5("a");
    subscribe(p, "t", OPT_NO_LOCAL);
    publish(p, "t", "1", 0);
    expect_nothing(p);
    subscribe(p, "t", 0);
    publish(p, "t", "2", 0);
    expect_publish(p, "t", "2");
    subscribe(p, "t", OPT_NO_LOCAL);
    publish(p, "t", "3", 0);
    expect_nothing(p);
}

SPEC("MQTT-3.8.4-3")
TEST(the_same_filter_again_replaces_retain_as_published)
{
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    subscribe(p, "t", OPT_RETAIN_AS_PUBLISHED);
    publish_retained(q, "t", "1", 0);
    CHECK(expect_publish(p, "t", "1").retain);
    subscribe(p, "t", OPT_RETAIN_HANDLING(2));
    publish_retained(q, "t", "2", 0);
    CHECK(!expect_publish(p, "t", "2").retain);
}

static void subscribe_with_id(struct peer *p, const char *filter, uint8_t options, uint32_t id)
{
    send_subscribe(p, &(struct c_subscribe){ .pid = 77,
                                             .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, id)),
                                             FILTERS({ filter, options }) });
    expect_codes(p, PK_SUBACK, 77, format("%02X", options & 3));
}

SPEC("MQTT-3.8.4-3")
TEST(the_same_filter_again_replaces_the_identifier)
{
    struct peer *p = connect5("a");
    subscribe_with_id(p, "t", 0, 5);
    subscribe_with_id(p, "t", 0, 268435455);
    publish(p, "t", "x", 0);
    struct packet pk = expect_publish(p, "t", "x");
    CHECK_EQ(count_prop(&pk, PROP_SUBSCRIPTION_ID), 1);
    CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), 268435455);
}

SPEC("U5-3.8.4-subid-replace", "MQTT-3.8.4-3")
TEST(the_same_filter_again_without_identifier_clears_it)
{
    struct peer *p = connect5("a");
    subscribe_with_id(p, "t", 1, 5);
    subscribe(p, "t", 1);
    publish(connect5("b"), "t", "x", 1);
    struct packet pk = take_publish(p, "t", "x", 1);
    CHECK(!has_prop(&pk, PROP_SUBSCRIPTION_ID));
}

SPEC("MQTT-3.8.4-4", "MQTT311-3.8.4-3")
TEST(subscribing_again_sends_the_retained_messages_again)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        publish_retained(p, "t/1", "x", 1);
        for (int i = 0; i < 2; i++) {
            subscribe(p, "t/#", 1);
            CHECK(take_publish(p, "t/1", "x", 1).retain);
            expect_nothing(p);
        }
        leave(p);
    }
}

/* A stream goes on while its subscriber subscribes again: each message comes once, in order. */
SPEC("MQTT-3.8.4-4", "MQTT311-3.8.4-3")
TEST(no_message_is_lost_while_a_subscription_is_replaced)
{
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(p, "s", 1);
        hold(p);
        for (int i = 0; i < 30; i++) {
            publish(q, "s", format("%d", i), 1);
            if (i % 10 == 5)
                send_subscribe(p, &(struct c_subscribe){ .pid = (uint16_t)(1 + i), FILTERS({ "s", 1 }) });
        }
        resume(p);
        int next = 0;
        int acks = 0;
        while (next < 30 || acks < 3) {
            struct packet pk = expect_packet(p, PK_ANY);
            if (pk.type == PK_SUBACK) {
                acks++;
                continue;
            }
            CHECK_STR(pk.payload, format("%d", next++));
            send_ack(p, PK_PUBACK, pk.pid, 0);
        }
        expect_nothing(p);
        leave(p);
        leave(q);
    }
}

/* ---- overlapping filters ------------------------------------------------------------------------------- */

SPEC("MQTT-3.3.4-2", "MQTT311-3.3.5-1")
TEST(overlapping_filters_deliver_at_the_highest_qos)
{
    for (int v = 3; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(p, "a/#", 0);
        subscribe(p, "a/b", 2);
        subscribe(p, "+/b", 1);
        publish(q, "a/b", "x", 2);
        take_publish(p, "a/b", "x", 2);
        expect_nothing(p);
        publish(q, "a/c", "y", 2);
        CHECK_EQ(expect_publish(p, "a/c", "y").qos, 0);
        leave(p);
        leave(q);
    }
}

static bool has_id(const struct packet *pk, uint32_t id)
{
    for (size_t i = 0; i < count_prop(pk, PROP_SUBSCRIPTION_ID); i++) {
        if (nth_prop(pk, PROP_SUBSCRIPTION_ID, i)->number == id)
            return true;
    }
    return false;
}

SPEC("MQTT-3.3.4-3", "MQTT-3.3.4-4")
TEST(one_copy_carries_the_identifiers_of_all_that_match)
{
    struct peer *p = connect5("a");
    subscribe_with_id(p, "a/b", 0, 1);
    subscribe_with_id(p, "a/+", 0, 200);
    subscribe_with_id(p, "#", 0, 268435455);
    subscribe_with_id(p, "+/b/#", 0, 1); /* an identifier may stand for several */
    subscribe(p, "+/b", 0);
    subscribe_with_id(p, "other", 0, 7);
    publish(p, "a/b", "x", 0);
    struct packet pk = expect_publish(p, "a/b", "x");
    CHECK_EQ(count_prop(&pk, PROP_SUBSCRIPTION_ID), 4);
    CHECK(has_id(&pk, 1) && has_id(&pk, 200) && has_id(&pk, 268435455));
    expect_nothing(p);
}

SPEC("MQTT-3.3.4-3")
TEST(identifiers_go_with_queued_and_retained_messages_too)
{
    struct peer *q = connect5("b");
    publish_retained(q, "t", "kept", 1);
    struct peer *p = connect_kept(5, "a", 60);
    subscribe_with_id(p, "t", 1, 9);
    struct packet pk = take_publish(p, "t", "kept", 1);
    CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), 9);
    drop(p);
    publish(q, "t", "late", 1);
    p = connect_kept(5, "a", 60);
    pk = take_publish(p, "t", "late", 1);
    CHECK_EQ(count_prop(&pk, PROP_SUBSCRIPTION_ID), 1);
    CHECK_EQ(prop_number(&pk, PROP_SUBSCRIPTION_ID), 9);
}

/* A shared subscription is delivered apart from the client's own: each copy with what belongs to it. */
SPEC("MQTT-3.3.4-5", "MQTT-3.3.4-3")
TEST(each_of_several_copies_carries_its_own_identifier)
{
    struct peer *p = connect5("a");
    subscribe_with_id(p, "t", 0, 1);
    subscribe_with_id(p, "$share/g/t", 0, 2);
    subscribe_with_id(p, "$share/h/t", 0, 3);
    publish(p, "t", "x", 0);
    uint32_t sum = 0;
    for (int i = 0; i < 3; i++) {
        struct packet pk = expect_publish(p, "t", "x");
        CHECK_EQ(count_prop(&pk, PROP_SUBSCRIPTION_ID), 1);
        sum += 1u << prop_number(&pk, PROP_SUBSCRIPTION_ID);
    }
    CHECK_EQ(sum, 1u << 1 | 1u << 2 | 1u << 3);
    expect_nothing(p);
}

/* Nine levels are matched by hundreds of filters of one client; who publishes there must not suffer. */
SPEC("MQTT-3.3.4-4", "MQTT-4.5.0-1")
TEST(more_identifiers_than_fit_do_not_hinder_the_publisher)
{
    struct peer *p = connect5("a");
    struct c_filter filters[512];
    for (unsigned i = 0; i < COUNT(filters); i++) {
        char *f = keep(24);
        for (unsigned level = 0; level < 9; level++) {
            f[2 * level] = i >> level & 1 ? '+' : 'x';
            f[2 * level + 1] = level < 8 ? '/' : '\0';
        }
        filters[i] = (struct c_filter){ f, 0 };
    }
    send_subscribe(p, &(struct c_subscribe){ .pid = 1,
                                             .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 3)),
                                             .filters = filters,
                                             .count = COUNT(filters) });
    CHECK_EQ(expect_packet(p, PK_SUBACK).code_count, COUNT(filters));
    struct peer *q = connect5("b");
    publish(q, "x/x/x/x/x/x/x/x/x", "x", 1);
    CHECK(unread(p) > 0);
    read_all(p);
}

/* ---- subscription identifiers -------------------------------------------------------------------------- */

SPEC("MQTT-3.3.4-6")
TEST(a_client_s_publish_with_a_subscription_identifier_is_an_error)
{
    for (uint8_t qos = 0; qos <= 2; qos++) {
        struct peer *q = connect5("b");
        subscribe(q, "t", 0);
        struct peer *p = connect5("a");
        send_publish(p, &(struct c_publish){ .topic = "t",
                                             .payload = "x",
                                             .qos = qos,
                                             .pid = 1,
                                             .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 1)) });
        expect_disconnect(p, 0x82);
        expect_nothing(q);
        leave(q);
    }
}

SPEC("U5-3.3.2.3.8-zero")
TEST(subscription_identifier_0_is_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_hex(p, "82 09 00 01 02 0B 00 00 01 't' 00");
    expect_disconnect(p, 0x82);
}

SPEC("U5-3.8.2.1.2-multi")
TEST(two_subscription_identifiers_in_one_subscribe_are_a_protocol_error)
{
    struct peer *p = connect5("a");
    send_hex(p, "82 0B 00 01 04 0B 01 0B 02 00 01 't' 00");
    expect_disconnect(p, 0x82);
}

/* ---- what is not served -------------------------------------------------------------------------------- */

SPEC("U5-3.2.2.3.11-13")
TEST(what_is_not_served_is_announced_and_then_refused)
{
    limits.wildcards = limits.shared = limits.subscription_ids = false;
    struct peer *p = connect5("a");
    CHECK_EQ(prop_number(connack_of(p), PROP_WILDCARD_AVAILABLE), 0);
    CHECK_EQ(prop_number(connack_of(p), PROP_SUBSCRIPTION_ID_AVAILABLE), 0);
    CHECK_EQ(prop_number(connack_of(p), PROP_SHARED_AVAILABLE), 0);
    send_subscribe(
        p, &(struct c_subscribe){ .pid = 1,
                                  FILTERS({ "a/#", 1 }, { "$share/g/t", 1 }, { "a/+/b", 1 }, { "a/b", 1 }) });
    expect_codes(p, PK_SUBACK, 1, "A2 9E A2 01");
    send_subscribe(p, &(struct c_subscribe){
                          .pid = 2, .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 1)), FILTERS({ "c", 1 }) });
    expect_codes(p, PK_SUBACK, 2, "A1");
    publish(p, "c", "x", 0);
    publish(p, "a/x/b", "x", 0);
    publish(p, "t", "x", 0);
    expect_nothing(p);
}

SPEC("U5-3.2.2.3.11-13")
TEST(what_is_served_is_not_announced)
{
    struct peer *p = connect5("a");
    CHECK(!has_prop(connack_of(p), PROP_WILDCARD_AVAILABLE));
    CHECK(!has_prop(connack_of(p), PROP_SUBSCRIPTION_ID_AVAILABLE));
    CHECK(!has_prop(connack_of(p), PROP_SHARED_AVAILABLE));
}

SPEC("MQTT311-3.8.3-2")
TEST(filters_with_wildcards_are_refused_where_they_are_not_served)
{
    limits.wildcards = false;
    struct peer *p = connect311("a");
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a/#", 1 }, { "+", 0 }, { "a/b", 1 }) });
    expect_codes(p, PK_SUBACK, 1, "80 80 01");
    publish(p, "a/c", "x", 0);
    publish(p, "a", "x", 0);
    expect_nothing(p);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

SPEC("MQTT-3.9.3-2", "MQTT311-3.9.3-2")
TEST(subscriptions_beyond_the_limit_are_refused_one_by_one)
{
    limits.subscriptions = 2;
    struct peer *p = connect5("a");
    send_subscribe(
        p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a", 1 }, { "b", 1 }, { "c", 1 }, { "a", 2 }) });
    expect_codes(p, PK_SUBACK, 1, "01 01 97 02");
    p = connect311("b");
    send_subscribe(
        p, &(struct c_subscribe){ .pid = 1, FILTERS({ "a", 1 }, { "b", 1 }, { "c", 1 }, { "a", 2 }) });
    expect_codes(p, PK_SUBACK, 1, "01 01 80 02");
}
