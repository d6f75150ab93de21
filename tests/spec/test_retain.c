/* test_retain.c - retained messages: set, replaced, cleared, and given to new subscriptions. */
#include "more.h"

/* What a new subscriber to this filter gets first; NULL payload: nothing. Version 4. */
static void check_retained(const char *filter, const char *topic, const char *payload)
{
    struct peer *s = connect311("new subscriber");
    subscribe(s, filter, 0);
    if (payload)
        CHECK(expect_publish(s, topic, payload).retain);
    expect_nothing(s);
    leave(s);
}

/* ---- the store ------------------------------------------------------------------------------------- */

SPEC("MQTT-3.3.1-5", "MQTT311-3.3.1-5", "MQTT311-3.3.1-8")
TEST(a_retained_message_is_stored_with_its_qos)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        publish_retained(p, "a", "x", 1);
        leave(p);
        struct peer *s = connect_version(v, "s");
        subscribe(s, "a", 2);
        struct packet got = take_publish(s, "a", "x", 1);
        CHECK(got.retain);
        CHECK(!got.dup);
        expect_nothing(s);
        leave(s);
    }
}

SPEC("MQTT-3.3.1-5", "MQTT311-3.3.1-6")
TEST(a_retained_message_replaces_the_one_before)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 1);
    publish_retained(p, "a", "y", 1);
    check_retained("a", "a", "y");
    CHECK_EQ(stats().retained, 1);
}

SPEC("MQTT311-3.3.1-7")
TEST(a_retained_message_of_qos_0_replaces_one_of_qos_1)
{
    struct peer *p = connect311("p");
    publish_retained(p, "a", "x", 1);
    publish_retained(p, "a", "y", 0);
    check_retained("a", "a", "y");
}

SPEC("MQTT311-3.3.1-6", "MQTT-3.3.1-9")
TEST(a_new_subscription_gets_the_last_message_of_each_topic_that_matches)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a/1", "one", 0);
    publish_retained(p, "a/2", "two", 0);
    publish_retained(p, "a/b/3", "three", 0);
    publish_retained(p, "a", "top", 0);
    publish_retained(p, "b", "no", 0);
    publish_retained(p, "aa", "no", 0);
    publish_retained(p, "$a/1", "no", 0);
    struct peer *s = connect5("s");
    subscribe(s, "a/#", 0);
    bool seen[4] = { false };
    for (int i = 0; i < 4; i++) {
        struct packet got = expect_packet(s, PK_PUBLISH);
        static const char *const topics[] = { "a/1", "a/2", "a/b/3", "a" };
        CHECK(got.retain);
        for (int k = 0; k < 4; k++)
            if (strcmp(got.topic, topics[k]) == 0) {
                CHECK(!seen[k]);
                seen[k] = true;
            }
    }
    CHECK(seen[0] && seen[1] && seen[2] && seen[3]);
    expect_nothing(s);
    check_retained("+/1", "a/1", "one");
    check_retained("$a/#", "$a/1", "no");
    check_retained("+/+/3", "a/b/3", "three");
}

SPEC("MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT311-3.3.1-10", "MQTT311-3.3.1-11", "V31-zero-retained")
TEST(an_empty_retained_message_is_forwarded_and_clears_the_store)
{
    for (uint8_t v = 3; v <= 5; v++) {
        struct peer *s = connect5("s");
        struct peer *p = connect_version(v, "p");
        publish_retained(p, "a", "x", 1);
        CHECK_EQ(stats().retained, 1);
        subscribe(s, "a", 1 | OPT_RETAIN_HANDLING(2));
        publish_retained(p, "a", "", 1);
        CHECK(!take_publish(s, "a", "", 1).retain);
        CHECK_EQ(stats().retained, 0);
        check_retained("a", NULL, NULL);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-3.3.1-7", "MQTT311-3.3.1-11")
TEST(an_empty_retained_message_is_never_stored)
{
    struct peer *p = connect5("p");
    publish(p, "warm", "up", 0);
    size_t before = stats().memory_by_tag[MIDGE_TAG_RETAIN] + stats().memory_by_tag[MIDGE_TAG_MSG];
    publish_retained(p, "a", "", 0);
    publish_retained(p, "a/b", "", 2);
    CHECK_EQ(stats().retained, 0);
    CHECK_EQ(stats().memory_by_tag[MIDGE_TAG_RETAIN] + stats().memory_by_tag[MIDGE_TAG_MSG], before);
    check_retained("#", NULL, NULL);
}

SPEC("MQTT-3.3.1-8", "MQTT311-3.3.1-12")
TEST(without_retain_the_store_is_not_touched)
{
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        publish_retained(p, "a", "x", 0);
        publish(p, "a", "y", 1);
        publish(p, "a", "", 0);
        publish(p, "b", "z", 2);
        check_retained("#", "a", "x");
        leave(p);
    }
}

SPEC("MQTT311-3.1.2-7")
TEST(retained_messages_outlive_the_session_that_published_them)
{
    struct peer *p = connect311("p");
    publish_retained(p, "a", "x", 1);
    leave(p);
    p = connect311("p"); /* a clean session, again */
    drop(p);
    check_retained("a", "a", "x");
}

/* ---- to whom it goes ------------------------------------------------------------------------------- */

SPEC("MQTT311-3.3.1-9", "MQTT-3.3.1-12", "MQTT-3.3.1-13")
TEST(live_messages_carry_retain_only_where_it_was_asked_for)
{
    struct peer *s4 = connect311("s4");
    struct peer *s0 = connect5("s0");
    struct peer *s1 = connect5("s1");
    subscribe(s4, "a", 0);
    subscribe(s0, "a", 0);
    subscribe(s1, "a", 0 | OPT_RETAIN_AS_PUBLISHED);
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    CHECK(!expect_publish(s4, "a", "x").retain);
    CHECK(!expect_publish(s0, "a", "x").retain);
    CHECK(expect_publish(s1, "a", "x").retain);
    publish(p, "a", "y", 0);
    CHECK(!expect_publish(s4, "a", "y").retain);
    CHECK(!expect_publish(s0, "a", "y").retain);
    CHECK(!expect_publish(s1, "a", "y").retain);
}

SPEC("MQTT-3.3.1-12", "MQTT-3.3.1-13")
TEST(retain_as_published_holds_for_messages_that_waited)
{
    for (int rap = 0; rap <= 1; rap++) {
        struct peer *s = stay5("s");
        subscribe(s, "a", (uint8_t)(1 | (rap ? OPT_RETAIN_AS_PUBLISHED : 0) | OPT_RETAIN_HANDLING(2)));
        drop(s);
        struct peer *p = connect5("p");
        publish_retained(p, "a", "x", 1);
        s = stay5("s");
        CHECK_EQ(take_publish(s, "a", "x", 1).retain, rap);
        leave(s);
        leave(p);
    }
}

SPEC("MQTT-3.3.1-9", "MQTT311-3.8.4-3")
TEST(retain_handling_0_sends_them_at_each_subscribe)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        for (int i = 0; i < 3; i++) {
            subscribe(s, "a", 0);
            CHECK(expect_publish(s, "a", "x").retain);
            expect_nothing(s);
        }
        leave(s);
    }
}

SPEC("MQTT-3.3.1-10")
TEST(retain_handling_1_sends_them_only_to_a_new_subscription)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    struct peer *s = stay5("s");
    subscribe(s, "a", 0 | OPT_RETAIN_HANDLING(1));
    CHECK(expect_publish(s, "a", "x").retain);
    subscribe(s, "a", 1 | OPT_RETAIN_HANDLING(1));
    expect_nothing(s);
    subscribe(s, "+", 0 | OPT_RETAIN_HANDLING(1)); /* another filter is another subscription */
    CHECK(expect_publish(s, "a", "x").retain);
    drop(s);
    s = stay5("s"); /* the subscription is still there */
    subscribe(s, "a", 0 | OPT_RETAIN_HANDLING(1));
    expect_nothing(s);
    unsubscribe(s, "a");
    subscribe(s, "a", 0 | OPT_RETAIN_HANDLING(1));
    CHECK(expect_publish(s, "a", "x").retain);
}

SPEC("MQTT-3.3.1-11")
TEST(retain_handling_2_sends_none)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    struct peer *s = connect5("s");
    subscribe(s, "a", 0 | OPT_RETAIN_HANDLING(2));
    subscribe(s, "#", 0 | OPT_RETAIN_HANDLING(2));
    expect_nothing(s);
    publish_retained(p, "a", "y", 0);
    expect_publish(s, "a", "y");
    expect_nothing(s);
}

SPEC("U5-3.8.3.1-rh3")
TEST(retain_handling_3_ends_the_connection)
{
    struct peer *p = connect5("p");
    send_hex(p, "82 07 00 01 00 00 01 'a' 30");
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("U5-3.8.4-shared-retain")
TEST(shared_subscriptions_get_no_retained_messages)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    struct peer *s = connect5("s");
    subscribe(s, "$share/g/a", 0);
    expect_nothing(s);
}

SPEC("MQTT311-3.3.1-8", "MQTT-3.3.1-9")
TEST(a_retained_message_to_a_new_subscription_has_retain_1_whatever_retain_as_published_says)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    for (int i = 0; i <= 1; i++) {
        struct peer *s = connect5("s");
        subscribe(s, "a", i ? OPT_RETAIN_AS_PUBLISHED : 0);
        CHECK(expect_publish(s, "a", "x").retain);
        leave(s);
    }
}

SPEC("MQTT-3.3.1-9", "MQTT-3.3.4-3")
TEST(a_retained_message_carries_the_identifier_of_the_new_subscription)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    struct peer *s = connect5("s");
    subscribe(s, "+", 0 | OPT_RETAIN_HANDLING(2));
    send_subscribe(s, &(struct c_subscribe){ .pid = 9,
                                             .props = PROPS(prop_num(PROP_SUBSCRIPTION_ID, 321)),
                                             FILTERS({ "a", 0 }) });
    expect_packet(s, PK_SUBACK);
    struct packet got = expect_publish(s, "a", "x");
    CHECK_EQ(count_prop(&got, PROP_SUBSCRIPTION_ID), 1);
    CHECK_EQ(prop_number(&got, PROP_SUBSCRIPTION_ID), 321);
}

SPEC("MQTT-3.3.1-9", "MQTT-3.8.4-5")
TEST(each_filter_of_one_subscribe_gets_its_retained_messages)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    publish_retained(p, "b", "y", 0);
    struct peer *s = connect5("s");
    send_subscribe(s, &(struct c_subscribe){
                          .pid = 9, FILTERS({ "a", 0 }, { "b", 0 | OPT_RETAIN_HANDLING(2) }, { "+", 0 }) });
    expect_packet(s, PK_SUBACK);
    expect_publish(s, "a", "x");
    expect_publish(s, "a", "x");
    expect_publish(s, "b", "y");
    expect_nothing(s);
}

/* ---- while they are on their way ------------------------------------------------------------------- */

SPEC("MQTT-3.3.1-9", "MQTT-3.3.4-9")
TEST(a_thousand_retained_messages_arrive_once_each_through_a_window_of_three)
{
    limits.queue_msgs = 10; /* they do not stand in the queue */
    struct peer *p = connect5("p");
    for (int i = 0; i < 1000; i++)
        publish_retained(p, format("a/%d", i), format("%d", i), 1);
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 3));
    subscribe(s, "a/+", 1);
    bool *seen = keep(1000);
    uint16_t pids[3] = { 0 };
    for (int i = 0; i < 1000; i++) {
        if (i >= 3)
            send_ack(s, PK_PUBACK, pids[i % 3], 0);
        struct packet got = expect_packet(s, PK_PUBLISH);
        int n = -1;
        CHECK(sscanf(got.payload, "%d", &n) == 1 && n >= 0 && n < 1000 && !seen[n]);
        CHECK_STR(got.topic, format("a/%d", n));
        seen[n] = true;
        pids[i % 3] = got.pid;
        if (i == 2)
            expect_nothing(s);
    }
    for (int i = 0; i < 3; i++)
        send_ack(s, PK_PUBACK, pids[i], 0);
    expect_nothing(s);
    check_all_books();
}

SPEC("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-4.6.0-5")
TEST(a_store_that_changes_under_a_slow_reader_shows_it_no_topic_backwards)
{
    struct peer *p = connect5("p");
    for (int i = 0; i < 5; i++)
        publish_retained(p, format("a/%d", i), "old", 1);
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    subscribe(s, "a/+", 1);
    uint16_t pid = expect_packet(s, PK_PUBLISH).pid; /* one is out, the others wait */
    advance(10);
    publish_retained(p, "a/2", "new", 1);
    publish_retained(p, "a/3", "", 1);
    unsigned new2 = 0, old2 = 0, empty3 = 0, old3 = 0, rest = 0;
    for (;;) {
        send_ack(s, PK_PUBACK, pid, 0);
        if (!unread(s))
            break;
        struct packet got = expect_packet(s, PK_PUBLISH);
        pid = got.pid;
        if (strcmp(got.topic, "a/2") == 0 && strcmp(got.payload, "new") == 0)
            new2++;
        else if (strcmp(got.topic, "a/2") == 0)
            old2 += 1 + 100 * new2; /* old after new: wrong */
        else if (strcmp(got.topic, "a/3") == 0 && got.payload_len == 0)
            empty3++;
        else if (strcmp(got.topic, "a/3") == 0)
            old3 += 1 + 100 * empty3;
        else
            rest++;
    }
    CHECK_EQ(new2, 1);
    CHECK(old2 <= 1);
    CHECK_EQ(empty3, 1);
    CHECK(old3 <= 1);
    CHECK(rest == 2 || rest == 3); /* the first one was one of five */
}

SPEC("MQTT-3.3.1-5", "MQTT-3.8.4-4")
TEST(a_retained_message_that_comes_right_behind_the_subscribe_arrives_once)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "old", 2);
    struct peer *s = connect5("s");
    subscribe(s, "warm", 0);
    hold(s); /* it reads nothing while both happen, in the same millisecond */
    send_subscribe(s, &(struct c_subscribe){ .pid = 7, FILTERS({ "a", 2 }) });
    publish_retained(p, "a", "new", 2);
    resume(s);
    expect_packet(s, PK_SUBACK);
    unsigned news = 0;
    while (unread(s)) {
        struct packet got = expect_packet(s, PK_PUBLISH);
        CHECK(news == 0 || strcmp(got.payload, "new") == 0);
        news += strcmp(got.payload, "new") == 0;
    }
    CHECK_EQ(news, 1);
}

SPEC("MQTT-3.10.4-2", "MQTT311-3.10.4-2")
TEST(unsubscribe_stops_retained_messages_that_were_not_sent_yet)
{
    struct peer *p = connect5("p");
    for (int i = 0; i < 5; i++)
        publish_retained(p, format("a/%d", i), "x", 1);
    struct peer *s = connect5_with("s", prop_num(PROP_RECEIVE_MAXIMUM, 1));
    subscribe(s, "a/+", 1);
    uint16_t pid = expect_packet(s, PK_PUBLISH).pid;
    unsubscribe(s, "a/+");
    send_ack(s, PK_PUBACK, pid, 0);
    expect_nothing(s);
}

SPEC("MQTT-3.8.3-3")
TEST(no_local_keeps_a_client_from_its_own_retained_messages)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    publish_retained(s, "mine", "x", 0);
    publish_retained(p, "other", "y", 0);
    subscribe(s, "#", 0 | OPT_NO_LOCAL);
    expect_publish(s, "other", "y");
    expect_nothing(s);
    subscribe(p, "#", 0 | OPT_NO_LOCAL);
    expect_publish(p, "mine", "x");
    expect_nothing(p);
}

SPEC("MQTT311-3.3.1-6")
TEST(retained_messages_of_topics_that_begin_alike_are_kept_apart)
{
    static const char *const topics[] = { "a",  "a/",  "a//", "/a", "//",        "/",
                                          "ab", "a/b", "a b", "A",  "a\xC3\xA4", "b" };
    enum { N = sizeof topics / sizeof topics[0] };
    struct peer *p = connect5("p");
    for (size_t i = 0; i < N; i++)
        publish_retained(p, topics[i], topics[i], 0);
    CHECK_EQ(stats().retained, N);
    for (size_t i = 0; i < N; i++)
        check_retained(topics[i], topics[i], topics[i]);
    for (size_t i = 0; i < N; i++) {
        publish_retained(p, topics[i], "", 0);
        check_retained(topics[i], NULL, NULL);
        CHECK_EQ(stats().retained, N - 1 - i);
    }
}
