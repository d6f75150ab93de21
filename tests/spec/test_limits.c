/* test_limits.c - sizes and counts: too large for a client, its queue, the broker; who is told. */
#include "more.h"

/* ---- Maximum Packet Size of the client ------------------------------------------------------------- */

/* Payload of a QoS `qos` PUBLISH on "a" that makes a packet of n bytes (below 128 + 2) for a 5.0 client. */
static const char *payload_for(size_t n, uint8_t qos)
{
    return text_of('x', n - 2 - 3 - (qos ? 2 : 0) - 1);
}

SPEC("MQTT-3.1.2-24")
TEST(a_packet_of_exactly_the_clients_maximum_is_sent_a_larger_one_is_not)
{
    count_events();
    struct peer *s = connect5_with("s", prop_num(PROP_MAXIMUM_PACKET_SIZE, 64));
    struct peer *all = connect5("all");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    subscribe(all, "a", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        const char *fits = payload_for(64, qos), *too_large = payload_for(65, qos);
        publish(p, "a", fits, qos);
        CHECK_EQ(take_publish(s, "a", fits, qos).len, 64);
        take_publish(all, "a", fits, qos);
        publish(p, "a", too_large, qos);
        expect_nothing(s);
        take_publish(all, "a", too_large, qos);
        CHECK_EQ(books_of("s", qos).dropped[MIDGE_DROP_PACKET_SIZE], 1);
        CHECK_EQ(books_of("s", qos).acknowledged, 1);
    }
    CHECK_EQ(events.dropped, 2); /* QoS 1 and 2 */
    CHECK_EQ(events.last_drop, MIDGE_DROP_PACKET_SIZE);
}

SPEC("MQTT-3.1.2-25")
TEST(a_message_that_is_too_large_uses_up_nothing)
{
    struct peer *s =
        connect5_with("s", prop_num(PROP_MAXIMUM_PACKET_SIZE, 64), prop_num(PROP_RECEIVE_MAXIMUM, 1));
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (int i = 0; i < 5; i++) {
        publish(p, "a", text_of('x', 100), (uint8_t)(1 + i % 2));
        publish(p, "a", "small", (uint8_t)(1 + i % 2));
        take_publish(s, "a", "small", (uint8_t)(1 + i % 2));
    }
    expect_nothing(s);
}

SPEC("MQTT-3.1.2-24", "MQTT-3.1.2-25")
TEST(what_became_too_large_for_a_new_connection_is_dropped_then)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    publish(p, "a", text_of('x', 100), 1);
    expect_publish(s, "a", text_of('x', 100)); /* unacknowledged */
    drop(s);
    publish(p, "a", text_of('y', 100), 1);
    publish(p, "a", "small", 1);
    s = connect_as(&(struct c_connect){
        .version = 5,
        .client_id = "s",
        .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 3600), prop_num(PROP_MAXIMUM_PACKET_SIZE, 60)) });
    CHECK(connack_of(s)->session_present);
    take_publish(s, "a", "small", 1);
    expect_nothing(s);
    CHECK_EQ(books_of("s", 1).dropped[MIDGE_DROP_PACKET_SIZE], 2);
}

SPEC("MQTT-3.1.2-24", "MQTT-3.3.1-9")
TEST(a_retained_message_that_is_too_large_is_passed_over)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a/1", text_of('x', 100), 1);
    publish_retained(p, "a/2", "small", 1);
    struct peer *s = connect5_with("s", prop_num(PROP_MAXIMUM_PACKET_SIZE, 60));
    subscribe(s, "a/+", 1);
    take_publish(s, "a/2", "small", 1);
    expect_nothing(s);
}

/* Provokes a refusal of each kind; what comes back is at most `most` long. *texts: reason strings seen. */
static void provoke(uint32_t most, bool problem_information, unsigned *texts)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    struct peer *p = connect5_with("p", prop_num(PROP_MAXIMUM_PACKET_SIZE, most),
                                   prop_num(PROP_REQUEST_PROBLEM, problem_information));
    send_publish(p, &(struct c_publish){ .topic = "no", .qos = 1, .pid = 1 });
    send_publish(p, &(struct c_publish){ .topic = "no", .qos = 2, .pid = 2 });
    send_ack(p, PK_PUBREC, 99, 0);
    send_ack(p, PK_PUBREL, 98, 0);
    send_subscribe(p, &(struct c_subscribe){ .pid = 3, FILTERS({ "a#", 0 }) });
    send_unsubscribe(p, &(struct c_subscribe){ .pid = 4, FILTERS({ "a#", 0 }) });
    static const enum packet_type types[] = { PK_PUBACK,  PK_PUBREC, PK_PUBREL,
                                              PK_PUBCOMP, PK_SUBACK, PK_UNSUBACK };
    for (size_t i = 0; i < 6; i++) {
        struct packet got = expect_packet(p, types[i]);
        CHECK(got.len <= most);
        CHECK(!has_prop(&got, PROP_USER));
        CHECK(i > 3 || got.reason >= 0x80); /* the reason itself is said in any case */
        *texts += has_prop(&got, PROP_REASON_STRING);
    }
    send_hex(p, "30 03 00 01 'a'"); /* no property length */
    struct packet bye = expect_packet(p, PK_DISCONNECT);
    CHECK_EQ(bye.reason, MIDGE_RC_MALFORMED);
    CHECK(bye.len <= most);
    CHECK(!has_prop(&bye, PROP_USER));
    CHECK(most > 40 || !has_prop(&bye, PROP_REASON_STRING));
    expect_closed(p);
}

SPEC("MQTT-3.4.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-2", "MQTT-3.5.2-3", "MQTT-3.6.2-2", "MQTT-3.6.2-3",
     "MQTT-3.7.2-2", "MQTT-3.7.2-3", "MQTT-3.9.2-1", "MQTT-3.9.2-2", "MQTT-3.11.2-1", "MQTT-3.11.2-2",
     "MQTT-3.14.2-3", "MQTT-3.14.2-4")
TEST(reason_strings_are_left_out_where_they_would_be_too_large)
{
    unsigned texts = 0;
    provoke(1000, true, &texts);
    CHECK(texts >= 5); /* there are some to leave out */
    texts = 0;
    provoke(18, true, &texts);
    CHECK_EQ(texts, 0);
}

SPEC("MQTT-3.1.2-29")
TEST(a_client_that_asked_for_no_problem_information_gets_no_reason_strings)
{
    unsigned texts = 0;
    provoke(1000, false, &texts);
    CHECK_EQ(texts, 0);
}

SPEC("MQTT-3.4.2-2")
TEST(a_reason_string_is_sent_when_the_packet_is_just_small_enough)
{
    deny(MIDGE_ACCESS_PUBLISH, "no");
    const size_t whole = 2 + 2 + 1 + 1 + 3 + strlen("Not authorized");
    for (uint32_t i = 0; i <= 1; i++) {
        struct peer *p = connect5_with("p", prop_num(PROP_MAXIMUM_PACKET_SIZE, (uint32_t)whole - i));
        send_publish(p, &(struct c_publish){ .topic = "no", .qos = 1, .pid = 1 });
        struct packet got = expect_ack(p, PK_PUBACK, 1, MIDGE_RC_NOT_AUTHORIZED);
        CHECK_EQ(has_prop(&got, PROP_REASON_STRING), i == 0);
        CHECK_EQ(got.len, i == 0 ? whole : 5);
        leave(p);
    }
}

/* ---- a session's own queue ------------------------------------------------------------------------- */

/* A session "s" that is away, with a subscription to "a". */
static void leave_subscriber(void)
{
    struct peer *s = stay5("s");
    subscribe(s, "a", 1);
    drop(s);
}

static void publish_numbers(struct peer *p, int n)
{
    for (int i = 0; i < n; i++)
        publish(p, "a", format("%d", i), 1); /* none of them is refused */
}

SPEC("U5-3.3.4-0x97")
TEST(a_full_queue_drops_what_is_new)
{
    count_events();
    limits.queue_policy = MIDGE_QUEUE_DROP_NEW;
    limits.queue_msgs = 5;
    leave_subscriber();
    struct peer *other = connect5("other");
    struct peer *p = connect5("p");
    subscribe(other, "a", 1);
    for (int i = 0; i < 8; i++) {
        publish(p, "a", format("%d", i), 1);
        take_publish(other, "a", format("%d", i), 1); /* nobody else notices */
    }
    CHECK_EQ(events.dropped, 3);
    CHECK_EQ(events.last_drop, MIDGE_DROP_QUEUE_MSGS);
    CHECK_EQ(books_of("s", 1).dropped[MIDGE_DROP_QUEUE_MSGS], 3);
    CHECK_EQ(books_of("s", 1).queued, 5);
    CHECK_EQ(books_of("s", 1).enqueued, 8);
    struct peer *s = stay5("s");
    for (int i = 0; i < 5; i++)
        take_publish(s, "a", format("%d", i), 1);
    expect_nothing(s);
    publish(p, "a", "again", 1);
    take_publish(s, "a", "again", 1);
    take_publish(other, "a", "again", 1);
    CHECK_EQ(stats().publish_refused, 0);
}

SPEC("U5-3.3.4-0x97")
TEST(a_full_queue_drops_what_is_old)
{
    count_events();
    limits.queue_policy = MIDGE_QUEUE_DROP_OLD;
    limits.queue_msgs = 5;
    leave_subscriber();
    struct peer *p = connect5("p");
    publish_numbers(p, 8);
    CHECK_EQ(events.dropped, 3);
    CHECK_EQ(books_of("s", 1).dropped[MIDGE_DROP_QUEUE_MSGS], 3);
    struct peer *s = stay5("s");
    for (int i = 3; i < 8; i++)
        take_publish(s, "a", format("%d", i), 1);
    expect_nothing(s);
}

SPEC("U5-3.3.4-0x97")
TEST(dropping_what_is_old_never_drops_what_was_sent)
{
    limits.queue_policy = MIDGE_QUEUE_DROP_OLD;
    limits.queue_msgs = 4;
    struct peer *s = connect311("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    limits.inflight = 2;
    struct peer *narrow = connect311("narrow");
    subscribe(narrow, "a", 1);
    uint16_t pids[4];
    for (int i = 0; i < 4; i++) {
        publish(p, "a", format("%d", i), 1);
        pids[i] = expect_publish(s, "a", format("%d", i)).pid;
    }
    publish(p, "a", "4", 1); /* s has sent all that it holds: the new one has to go */
    expect_nothing(s);
    uint16_t zero = expect_publish(narrow, "a", "0").pid;
    uint16_t one = expect_publish(narrow, "a", "1").pid;
    send_ack(narrow, PK_PUBACK, zero, 0);
    take_publish(narrow, "a", "3", 1);
    send_ack(narrow, PK_PUBACK, one, 0);
    take_publish(narrow, "a", "4", 1);
    for (int i = 0; i < 4; i++)
        send_ack(s, PK_PUBACK, pids[i], 0);
    expect_nothing(s);
    CHECK_EQ(books_of("s", 1).dropped[MIDGE_DROP_QUEUE_MSGS], 1);
}

SPEC("U5-3.3.4-0x97", "U5-3.14-server-codes")
TEST(a_full_queue_ends_the_session)
{
    count_events();
    limits.queue_policy = MIDGE_QUEUE_END_SESSION;
    limits.queue_msgs = 5;
    leave_subscriber();
    struct peer *p = connect5("p");
    publish_numbers(p, 6);
    CHECK_EQ(events.sessions_ended, 1);
    CHECK_EQ(events.last_end, MIDGE_RC_QUOTA_EXCEEDED);
    struct peer *s = stay5("s");
    CHECK(!connack_of(s)->session_present);
    expect_nothing(s);
    subscribe(s, "a", 1); /* and one that is connected */
    publish_numbers(p, 6);
    for (int i = 0; i < 5; i++)
        expect_publish(s, "a", format("%d", i));
    expect_disconnect(s, MIDGE_RC_QUOTA_EXCEEDED);
    s = stay5("s");
    CHECK(!connack_of(s)->session_present);
    check_all_books();
}

SPEC("U5-3.3.4-0x97", "MQTT-4.3.3-9")
TEST(a_full_queue_refuses_the_publisher_and_nobody_gets_the_message)
{
    limits.queue_policy = MIDGE_QUEUE_REFUSE;
    limits.queue_msgs = 3;
    leave_subscriber();
    struct peer *other = connect5("other");
    struct peer *p = connect5("p");
    struct peer *q = connect311("q");
    subscribe(other, "a", 2);
    for (int i = 0; i < 3; i++) {
        publish(p, "a", "x", 1);
        take_publish(other, "a", "x", 1);
    }
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "no", .qos = 1, .pid = 1, .retain = true });
    expect_ack(p, PK_PUBACK, 1, MIDGE_RC_QUOTA_EXCEEDED);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "no", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, MIDGE_RC_QUOTA_EXCEEDED);
    send_publish(q, &(struct c_publish){ .topic = "a", .payload = "no", .qos = 1, .pid = 3 });
    expect_closed(q); /* 3.1.1 has no way to say it */
    expect_nothing(other);
    CHECK_EQ(stats().retained, 0);
    CHECK_EQ(stats().publish_refused, 3);

    struct peer *s = stay5("s"); /* and when there is room again, the same id is welcome */
    for (int i = 0; i < 3; i++)
        expect_publish(s, "a", "x");
    send_ack(s, PK_PUBACK, 1, 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "yes", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, 0);
    take_publish(other, "a", "yes", 2);
    expect_publish(s, "a", "yes");
}

SPEC("U5-3.3.4-0x97", "MQTT-4.5.0-2")
TEST(a_connected_client_that_does_not_keep_up_is_told_and_keeps_its_session)
{
    limits.queue_policy = MIDGE_QUEUE_DROP_NEW;
    limits.queue_msgs = 5;
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    publish_numbers(p, 6);
    for (int i = 0; i < 5; i++)
        expect_publish(s, "a", format("%d", i));
    expect_disconnect(s, MIDGE_RC_QUOTA_EXCEEDED);
    s = stay5("s");
    CHECK(connack_of(s)->session_present);
    for (int i = 0; i < 5; i++)
        CHECK(expect_publish(s, "a", format("%d", i)).dup);
    expect_nothing(s);
}

SPEC("U5-3.3.4-0x97")
TEST(a_queue_has_a_limit_in_bytes_too)
{
    count_events();
    limits.queue_bytes = 1000;
    leave_subscriber();
    struct peer *p = connect5("p");
    for (int i = 0; i < 12; i++)
        publish(p, "a", text_of((char)('a' + i), 99), 1); /* 100 each with the topic */
    CHECK_EQ(events.dropped, 2);
    CHECK_EQ(events.last_drop, MIDGE_DROP_QUEUE_BYTES);
    struct peer *s = stay5("s");
    for (int i = 0; i < 10; i++)
        take_publish(s, "a", text_of((char)('a' + i), 99), 1);
    expect_nothing(s);
    publish(p, "a", text_of('x', 5000), 1); /* an empty queue takes one of any size */
    take_publish(s, "a", text_of('x', 5000), 1);
}

SPEC("U5-3.3.4-0x97")
TEST(a_queue_counts_what_is_in_flight)
{
    limits.queue_msgs = 5;
    struct peer *s = connect311("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    uint16_t first = 0;
    for (int i = 0; i < 7; i++) {
        publish(p, "a", format("%d", i), 2);
        if (i == 0)
            first = expect_publish(s, "a", "0").pid;
        else if (i < 5)
            expect_publish(s, "a", format("%d", i));
    }
    expect_nothing(s);
    send_ack(s, PK_PUBREC, first, 0);
    expect_ack(s, PK_PUBREL, first, 0);
    send_ack(s, PK_PUBCOMP, first, 0);
    publish(p, "a", "7", 2);
    take_publish(s, "a", "7", 2);
    CHECK_EQ(books_of("s", 2).dropped[MIDGE_DROP_QUEUE_MSGS], 2);
    CHECK_EQ(books_of("s", 2).inflight, 4);
}

SPEC("MQTT-4.5.0-2", "MQTT311-4.5.0-2")
TEST(qos_0_to_a_client_that_does_not_read_is_dropped_at_the_limit_without_a_word)
{
    count_events();
    limits.queue_msgs = 5;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    hold(s);
    for (int i = 0; i < 20; i++)
        publish(p, "a", format("%d", i), 0);
    resume(s);
    for (int i = 0; i < 5; i++)
        expect_publish(s, "a", format("%d", i));
    expect_nothing(s);
    CHECK_EQ(events.dropped, 0);
    CHECK_EQ(books_of("s", 0).dropped[MIDGE_DROP_QUEUE_MSGS], 15);
    CHECK_EQ(books_of("s", 0).acknowledged, 5);
}

SPEC("U5-4.8.2-qos1")
TEST(a_group_passes_over_a_member_whose_queue_is_full)
{
    limits.queue_msgs = 2;
    limits.inflight = 2;
    struct peer *full = connect311("full");
    struct peer *p = connect5("p");
    subscribe(full, "$share/g/a", 1);
    publish(p, "a", "1", 1);
    publish(p, "a", "2", 1);
    expect_publish(full, "a", "1");
    expect_publish(full, "a", "2");
    struct peer *other = connect311("other");
    subscribe(other, "$share/g/a", 1);
    for (int i = 0; i < 6; i++) {
        publish(p, "a", "x", 1);
        take_publish(other, "a", "x", 1);
    }
    expect_nothing(full);
}

SPEC("U5-3.3.4-0x97")
TEST(a_right_that_was_withdrawn_is_asked_for_again_at_delivery)
{
    count_events();
    deny(MIDGE_ACCESS_DELIVER, NULL);
    struct peer *s = stay5("s");
    subscribe(s, "#", 1);
    drop(s);
    struct peer *p = connect5("p");
    publish(p, "secret", "x", 1);
    publish(p, "open", "y", 1);
    denied.topic = "secret";
    s = stay5("s");
    take_publish(s, "open", "y", 1);
    expect_nothing(s);
    CHECK_EQ(books_of("s", 1).dropped[MIDGE_DROP_RIGHT], 1);
    CHECK_EQ(events.last_drop, MIDGE_DROP_RIGHT);
    publish_retained(p, "secret", "z", 0);
    struct peer *late = connect311("late");
    subscribe(late, "#", 0);
    expect_nothing(late);
}

/* ---- the broker's own ------------------------------------------------------------------------------ */

SPEC("U5-3.3.4-0x97", "MQTT-3.3.1-5")
TEST(retained_messages_have_a_limit_and_the_publisher_is_told)
{
    limits.retained_msgs = 2;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "#", 1);
    publish_retained(p, "a", "1", 1);
    publish_retained(p, "b", "2", 1);
    take_publish(s, "a", "1", 1);
    take_publish(s, "b", "2", 1);
    send_publish(p, &(struct c_publish){ .topic = "c", .payload = "no", .qos = 1, .pid = 9, .retain = true });
    expect_ack(p, PK_PUBACK, 9, MIDGE_RC_QUOTA_EXCEEDED);
    send_publish(p,
                 &(struct c_publish){ .topic = "c", .payload = "no", .qos = 2, .pid = 10, .retain = true });
    expect_ack(p, PK_PUBREC, 10, MIDGE_RC_QUOTA_EXCEEDED);
    expect_nothing(s);                  /* all or nothing */
    publish_retained(p, "a", "new", 1); /* one for another is no more than before */
    take_publish(s, "a", "new", 1);
    publish_retained(p, "b", "", 1);
    take_publish(s, "b", "", 1);
    publish_retained(p, "c", "3", 1);
    take_publish(s, "c", "3", 1);
    CHECK_EQ(stats().retained, 2);
    struct peer *q = connect311("q");
    send_publish(q, &(struct c_publish){ .topic = "d", .payload = "no", .qos = 1, .pid = 9, .retain = true });
    expect_closed(q);
}

SPEC("U5-3.3.4-0x97")
TEST(retained_messages_have_a_limit_in_bytes)
{
    limits.retained_bytes = 100;
    struct peer *p = connect5("p");
    publish_retained(p, "a", text_of('x', 49), 1);
    publish_retained(p, "b", text_of('x', 49), 1);
    send_publish(p, &(struct c_publish){ .topic = "c", .payload = "x", .qos = 1, .pid = 9, .retain = true });
    expect_ack(p, PK_PUBACK, 9, MIDGE_RC_QUOTA_EXCEEDED);
    send_publish(p, &(struct c_publish){ /* a larger one for one that is there */
                                         .topic = "a",
                                         .payload = text_of('y', 50),
                                         .qos = 1,
                                         .pid = 9,
                                         .retain = true });
    expect_ack(p, PK_PUBACK, 9, MIDGE_RC_QUOTA_EXCEEDED);
    struct peer *s = connect5("s");
    subscribe(s, "a", 0);
    expect_publish(s, "a", text_of('x', 49)); /* the old one is as it was */
    publish_retained(p, "a", text_of('y', 30), 1);
    expect_publish(s, "a", text_of('y', 30));
    publish_retained(p, "c", text_of('x', 18), 1);
}

SPEC("U5-3.3.4-0x97")
TEST(more_user_properties_than_allowed_end_the_connection)
{
    limits.user_properties = 3;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    struct prop list[4];
    for (size_t i = 0; i < 4; i++)
        list[i] = prop_user("k", "v");
    send_publish(p, &(struct c_publish){ .topic = "a", .props = { list, 3 } });
    expect_publish(s, "a", "");
    send_publish(p, &(struct c_publish){ .topic = "a", .props = { list, 4 } });
    expect_disconnect(p, MIDGE_RC_QUOTA_EXCEEDED);
    expect_nothing(s);
}

SPEC("U5-3.3.1.1")
TEST(a_topic_with_more_levels_than_allowed_ends_the_connection)
{
    limits.topic_levels = 200;
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *p = connect_version(v, "p");
        publish(p, text_of('/', 199), "x", 1); /* 200 levels, all of them empty */
        expect_publish(s, text_of('/', 199), "x");
        send_publish(p, &(struct c_publish){ .topic = text_of('/', 200), .qos = 1, .pid = 1 });
        expect_disconnect(p, MIDGE_RC_TOPIC_NAME_INVALID);
    }
    expect_nothing(s);
}

SPEC("MQTT-3.8.4-7", "MQTT311-3.9.3-2")
TEST(subscriptions_of_a_session_have_a_limit)
{
    limits.subscriptions = 3;
    for (uint8_t v = 4; v <= 5; v++) {
        struct peer *s = connect_version(v, "s");
        subscribe(s, "a", 0);
        subscribe(s, "b", 0);
        send_subscribe(s, &(struct c_subscribe){ .pid = 9, FILTERS({ "c", 1 }, { "d", 1 }, { "a", 1 }) });
        struct packet got = expect_packet(s, PK_SUBACK);
        CHECK_BYTES(got.codes, got.code_count, v == 5 ? "\x01\x97\x01" : "\x01\x80\x01", 3);
        unsubscribe(s, "a");
        subscribe(s, "d", 1);
        leave(s);
    }
}

SPEC("MQTT-4.1.0-1", "MQTT311-4.1.0-2")
TEST(at_the_limit_of_sessions_one_that_is_away_gives_way_and_none_that_is_connected)
{
    count_events();
    limits.sessions = 3;
    struct peer *a = stay5("a");
    struct peer *b = stay5("b");
    struct peer *c = stay5("c");
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .version = 5, .client_id = "d", .clean_start = true });
    expect_connack(p, MIDGE_RC_QUOTA_EXCEEDED);
    p = dial();
    send_connect(p, &(struct c_connect){ .version = 4, .client_id = "d", .clean_start = true });
    expect_connack(p, 3);
    subscribe(b, "a", 1);
    drop(b);
    advance(1000);
    subscribe(c, "a", 1);
    drop(c);
    struct peer *d = connect5("d"); /* b has been away longest */
    CHECK_EQ(events.sessions_ended, 1);
    CHECK_EQ(events.last_end, MIDGE_RC_QUOTA_EXCEEDED);
    leave(d);
    c = stay5("c");
    CHECK(connack_of(c)->session_present);
    b = stay5("b");
    CHECK(!connack_of(b)->session_present);
    expect_nothing(a);
}

SPEC("U5-3.3.4-0x97")
TEST(limits_can_be_changed_while_the_broker_runs)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "1", 1);
    publish_retained(p, "b", "2", 1);
    struct midge_limits tighter = limits;
    tighter.retained_msgs = 1;
    midge_set_limits(broker, &tighter);
    CHECK_EQ(stats().retained, 2); /* what is there stays */
    send_publish(p, &(struct c_publish){ .topic = "c", .payload = "3", .qos = 1, .pid = 9, .retain = true });
    expect_ack(p, PK_PUBACK, 9, MIDGE_RC_QUOTA_EXCEEDED);
    publish_retained(p, "a", "new", 1);
    midge_set_limits(broker, &limits);
    publish_retained(p, "c", "3", 1);
}

SPEC("U5-3.14-server-codes")
TEST(a_client_that_is_put_out_by_the_host_is_told_why)
{
    struct peer *s = stay5("s");
    struct peer *q = stay311("q");
    CHECK_EQ(midge_kick(broker, slice("nobody"), MIDGE_RC_ADMINISTRATIVE_ACTION, false, now),
             MIDGE_ERR_NOT_FOUND);
    CHECK_EQ(midge_kick(broker, slice("s"), MIDGE_RC_SUCCESS, false, now), MIDGE_ERR_INVALID);
    expect_nothing(s);
    CHECK_EQ(midge_kick(broker, slice("s"), MIDGE_RC_ADMINISTRATIVE_ACTION, false, now), MIDGE_OK);
    CHECK_EQ(midge_kick(broker, slice("q"), MIDGE_RC_ADMINISTRATIVE_ACTION, true, now), MIDGE_OK);
    settle();
    expect_disconnect(s, MIDGE_RC_ADMINISTRATIVE_ACTION);
    expect_closed(q);
    CHECK(connack_of(stay5("s"))->session_present);
    CHECK(!connack_of(stay311("q"))->session_present);
}

/* ---- what is counted is counted back ------------------------------------------------------------------- */

SPEC("MQTT-4.5.0-1")
TEST(qos_0_that_is_dropped_with_the_connection_gives_its_places_back)
{
    limits.queue_msgs = 5;
    limits.queue_bytes = 5000;
    struct peer *p = connect5("p"), *a = stay5("a");
    subscribe(a, "t", 0);
    hold(a);
    for (unsigned i = 0; i < 5; i++)
        publish(p, "t", text_of('x', 900), 0);
    drop(a);
    a = stay5("a");
    subscribe(a, "t", 1);
    drop(a);
    for (unsigned i = 0; i < 5; i++)
        publish(p, "t", text_of('x', 900), 1);
    a = stay5("a");
    for (unsigned i = 0; i < 5; i++)
        take_publish(a, "t", text_of('x', 900), 1);
    CHECK_EQ(books_of("a", 1).acknowledged, 5);
    CHECK_EQ(books_of("a", 0).ended, 5);
}

SPEC("MQTT-4.5.0-1")
TEST(a_queue_gives_its_bytes_back_as_it_is_sent)
{
    limits.queue_bytes = 2000;
    struct peer *p = connect5("p"), *a = stay5("a");
    subscribe(a, "t", 2);
    for (unsigned i = 0; i < 50; i++) {
        publish(p, "t", text_of('x', 500), 2);
        take_publish(a, "t", text_of('x', 500), 2);
    }
    CHECK_EQ(books_of("a", 2).acknowledged, 50);
}

SPEC("U5-3.1.4-limit")
TEST(an_address_has_so_many_connections_and_not_one_more)
{
    limits.connections_per_address = 3;
    for (unsigned i = 0; i < 3; i++)
        dial_from(7);
    CHECK(try_dial(7) == NULL);
    struct peer *other = dial_from(8);
    drop(other);
    CHECK(try_dial(7) == NULL);
    dial_from(0); /* not counted */
}

SPEC("U5-3.1.4-limit")
TEST(of_the_sessions_that_are_away_the_one_without_messages_gives_way)
{
    limits.sessions = 4;
    struct peer *p = connect5("p");
    const char *const ids[] = { "full", "emptied" };
    for (unsigned i = 0; i < 2; i++) {
        struct peer *a = stay5(ids[i]);
        subscribe(a, ids[i], 1);
        publish(p, ids[i], "x", 1);
        take_publish(a, ids[i], "x", 1);
        drop(a);
    }
    publish(p, "full", "y", 1);
    connect5("new");
    CHECK_EQ(stats().sessions, 4);
    connect5("newer");
    CHECK_EQ(stats().sessions, 4);
    struct peer *a = stay5("full");
    CHECK(connack_of(a)->session_present);
    take_publish(a, "full", "y", 1);
}

SPEC("MQTT-4.6.0-2")
TEST(answers_that_were_pulled_in_part_stay_in_one_piece)
{
    struct peer *p = connect311("p");
    uint8_t out[64];
    hold(p);
    for (unsigned i = 1; i <= 5; i++)
        send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = (uint16_t)i });
    size_t n = midge_pull(live_conn(p), out, 7, now);
    CHECK_EQ(n, 7);
    for (unsigned i = 6; i <= 8; i++)
        send_publish(p, &(struct c_publish){ .topic = "t", .qos = 1, .pid = (uint16_t)i });
    n += midge_pull(live_conn(p), out + n, sizeof out - n, now);
    CHECK_EQ(n, 8 * 4);
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t puback[] = { 0x40, 2, 0, (uint8_t)(i + 1) };
        CHECK_BYTES(out + 4 * i, 4, puback, 4);
    }
    drop(p);
}

SPEC("U5-3.3.2.1-empty")
TEST(an_empty_topic_without_an_alias_is_a_protocol_error)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "", .payload = "x" });
    expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
}
