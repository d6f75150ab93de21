/* test_local.c - the application's own clients: no socket, and the others cannot tell. */
#include "more.h"

/* ---- what a callback has seen ---------------------------------------------------------------------- */

struct seen {
    unsigned count;
    char topic[64], payload[64];
    uint8_t qos;
    bool retain, dup, has_expiry;
    uint32_t expiry_s;
    char props[256]; /* "id=value;" in order */
    uint32_t subscription_ids;
};

static void note_props(struct seen *s, const struct midge_message *m)
{
    uint32_t at = 0;
    struct midge_property p;
    size_t n = 0;
    while (midge_message_property(m, &at, &p))
        n += (size_t)snprintf(s->props + n, sizeof s->props - n, "%02X=%u,%.*s,%.*s;", p.id, p.number,
                              (int)p.name.len, (const char *)p.name.data, (int)p.value.len,
                              (const char *)p.value.data);
}

static void see(void *user, const struct midge_message *m)
{
    struct seen *s = user;
    *s = (struct seen){ .count = s->count + 1,
                        .qos = m->qos,
                        .retain = m->retain,
                        .dup = m->dup,
                        .has_expiry = m->has_expiry,
                        .expiry_s = m->has_expiry ? m->expiry_s : 0,
                        .subscription_ids = m->subscription_id_count };
    snprintf(s->topic, sizeof s->topic, "%.*s", (int)m->topic.len, (const char *)m->topic.data);
    snprintf(s->payload, sizeof s->payload, "%.*s", (int)m->payload.len, (const char *)m->payload.data);
    note_props(s, m);
}

static struct midge_local *open_local(const char *id)
{
    enum midge_err err = MIDGE_ERR_INVALID;
    if (!broker)
        start();
    struct midge_local *l =
        midge_local_open(broker, &(struct midge_local_config){ .client_id = slice(id) }, now, &err);
    CHECK_EQ(err, MIDGE_OK);
    CHECK(l != NULL);
    return l;
}

static void listen_to(struct midge_local *l, const char *filter, uint8_t qos, struct seen *seen)
{
    const struct midge_subscription s = {
        .filter = slice(filter), .qos = qos, .on_message = see, .user = seen
    };
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_OK);
}

static enum midge_err say(struct midge_local *l, const char *topic, const char *payload, uint8_t qos,
                          bool retain)
{
    const struct midge_publication p = {
        .topic = slice(topic), .payload = slice(payload), .qos = qos, .retain = retain
    };
    enum midge_err err = midge_publish(broker, l, &p, now);
    settle();
    return err;
}

/* ---- subscribe ------------------------------------------------------------------------------------- */

SPEC("MQTT-4.5.0-1", "MQTT-3.3.4-1")
TEST(a_local_client_gets_what_clients_publish)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a/+", 2, &seen);
    struct peer *p = connect5("p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        publish(p, "a/b", format("%u", qos), qos);
        CHECK_EQ(seen.count, qos); /* not from inside: it waits for the tick */
        CHECK(midge_deadline(broker) <= now);
        advance(0);
        CHECK_EQ(seen.count, qos + 1u);
        CHECK_STR(seen.topic, "a/b");
        CHECK_STR(seen.payload, format("%u", qos));
        CHECK_EQ(seen.qos, qos);
        CHECK(!seen.retain && !seen.dup);
    }
    publish(p, "b", "x", 0);
    advance(0);
    CHECK_EQ(seen.count, 3);
    CHECK_EQ(books_of("app", 2).acknowledged, 1);
    CHECK_EQ(books_of("app", 2).inflight, 0);
}

SPEC("MQTT-3.8.4-8")
TEST(a_local_client_gets_the_lower_qos)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 1, &seen);
    struct peer *p = connect5("p");
    publish(p, "a", "x", 2);
    advance(0);
    CHECK_EQ(seen.qos, 1);
    publish(p, "a", "x", 0);
    advance(0);
    CHECK_EQ(seen.qos, 0);
}

SPEC("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20",
     "MQTT-3.3.2-6")
TEST(a_local_client_sees_all_properties)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 0, &seen);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){
                        .topic = "a",
                        .payload = "x",
                        .props = PROPS(prop_user("k", "1"), prop_num(PROP_PAYLOAD_FORMAT, 1),
                                       prop_num(PROP_MESSAGE_EXPIRY, 60), prop_text(PROP_CONTENT_TYPE, "t"),
                                       prop_text(PROP_RESPONSE_TOPIC, "r"), prop_user("k", "2"),
                                       prop_binary(PROP_CORRELATION_DATA, "c", 1)) });
    midge_tick(broker, now + 10000); /* late */
    now += 10000;
    CHECK_EQ(seen.count, 1);
    CHECK(seen.has_expiry);
    CHECK_EQ(seen.expiry_s, 50);
    CHECK_STR(seen.props, "26=0,k,1;01=1,,;03=0,,t;08=0,,r;26=0,k,2;09=0,,c;");
}

SPEC("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT311-3.3.1-8")
TEST(a_local_client_gets_retained_messages_by_its_retain_handling)
{
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 1);
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    struct midge_subscription s = { .filter = slice("a"), .qos = 1, .on_message = see, .user = &seen };
    static const struct {
        uint8_t handling;
        unsigned count;
    } steps[] = { { 2, 0 }, { 1, 0 }, { 0, 1 }, { 0, 2 }, { 1, 2 } };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        s.retain_handling = steps[i].handling;
        CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_OK);
        CHECK(seen.count <= steps[i].count); /* never from inside the call */
        advance(0);
        CHECK_EQ(seen.count, steps[i].count);
    }
    CHECK(seen.retain);
    CHECK_EQ(midge_local_unsubscribe(l, slice("a"), now), MIDGE_OK);
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 3);
}

SPEC("MQTT-3.3.1-12", "MQTT-3.3.1-13")
TEST(a_local_client_sees_retain_as_published_if_it_asks_for_it)
{
    struct seen plain = { 0 }, as_published = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 0, &plain);
    struct midge_local *k = open_local("app2");
    const struct midge_subscription s = {
        .filter = slice("a"), .retain_as_published = true, .on_message = see, .user = &as_published
    };
    CHECK_EQ(midge_local_subscribe(k, &s, now), MIDGE_OK);
    struct peer *p = connect5("p");
    publish_retained(p, "a", "x", 0);
    advance(0);
    CHECK(plain.count == 1 && !plain.retain);
    CHECK(as_published.count == 1 && as_published.retain);
}

SPEC("MQTT-3.10.4-2", "MQTT-3.10.4-1")
TEST(a_local_client_that_unsubscribed_gets_nothing_more)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 1, &seen);
    listen_to(l, "b", 1, &seen);
    CHECK_EQ(midge_local_unsubscribe(l, slice("a"), now), MIDGE_OK);
    CHECK_EQ(midge_local_unsubscribe(l, slice("a"), now), MIDGE_ERR_NOT_FOUND);
    CHECK_EQ(midge_local_unsubscribe(l, slice("never"), now), MIDGE_ERR_NOT_FOUND);
    struct peer *p = connect5("p");
    publish(p, "a", "x", 1);
    advance(0);
    CHECK_EQ(seen.count, 0);
    publish(p, "b", "x", 1);
    advance(0);
    CHECK_EQ(seen.count, 1);
}

SPEC("MQTT-3.8.4-3")
TEST(the_same_filter_again_replaces_the_callback)
{
    struct seen old = { 0 }, new = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 1, &old);
    listen_to(l, "a", 0, &new);
    struct peer *p = connect5("p");
    publish(p, "a", "x", 1);
    advance(0);
    CHECK_EQ(old.count, 0);
    CHECK_EQ(new.count, 1);
    CHECK_EQ(new.qos, 0);
}

SPEC("MQTT-3.3.4-2")
TEST(each_callback_whose_filter_matches_is_called)
{
    struct seen one = { 0 }, two = { 0 }, no = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a/#", 0, &one);
    listen_to(l, "+/b", 1, &two);
    listen_to(l, "c", 1, &no);
    struct peer *p = connect5("p");
    publish(p, "a/b", "x", 1);
    advance(0);
    CHECK_EQ(one.count, 1);
    CHECK_EQ(two.count, 1);
    CHECK_EQ(no.count, 0);
}

SPEC("MQTT-3.8.3-3", "MQTT-3.8.3-4")
TEST(no_local_holds_for_local_clients)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    struct midge_subscription s = {
        .filter = slice("a"), .no_local = true, .on_message = see, .user = &seen
    };
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_OK);
    CHECK_EQ(say(l, "a", "own", 0, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 0);
    CHECK_EQ(say(NULL, "a", "the host's", 0, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 1);
    s.filter = slice("$share/g/a");
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_ERR_INVALID);
}

SPEC("U5-4.8.2-group", "MQTT-4.8.2-3")
TEST(a_local_client_may_be_a_member_of_a_group)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "$share/g/a", 1, &seen);
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "$share/g/a", 1);
    unsigned others = 0;
    for (int i = 0; i < 10; i++) {
        publish(p, "a", "x", 1);
        advance(0);
        while (unread(s)) {
            take_publish(s, "a", "x", 1);
            others++;
        }
    }
    CHECK_EQ(seen.count + others, 10);
    CHECK_EQ(seen.count, 5);
    midge_local_close(l, now);
    settle();
    publish(p, "a", "x", 1);
    take_publish(s, "a", "x", 1);
}

SPEC("MQTT-4.6.0-5", "MQTT-4.6.0-6")
TEST(a_local_client_gets_messages_in_order)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 2, &seen);
    struct peer *p = connect5("p");
    for (int i = 0; i < 100; i++)
        publish(p, "a", format("%d", i), (uint8_t)(i % 3));
    advance(0);
    CHECK_EQ(seen.count, 100);
    CHECK_STR(seen.payload, "99");
}

SPEC("MQTT-3.3.2-5")
TEST(a_local_client_gets_nothing_that_has_expired)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 1, &seen);
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 1)) });
    now += 1500; /* nobody ticked in time */
    midge_tick(broker, now);
    CHECK_EQ(seen.count, 0);
}

/* ---- publish --------------------------------------------------------------------------------------- */

SPEC("MQTT-4.5.0-1", "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18",
     "MQTT-3.3.2-20")
TEST(clients_get_what_the_application_publishes_with_all_properties)
{
    struct peer *s = connect5("s");
    struct peer *s4 = connect311("s4");
    subscribe(s, "a", 2);
    subscribe(s4, "a", 2);
    struct midge_local *l = open_local("app");
    const struct midge_user_property user[] = { { slice("k"), slice("1") }, { slice("k"), slice("2") } };
    const struct midge_publication pub = { .topic = slice("a"),
                                           .payload = slice("x"),
                                           .qos = 1,
                                           .has_expiry = true,
                                           .expiry_s = 30,
                                           .has_payload_format = true,
                                           .payload_format = 1,
                                           .content_type = slice("t"),
                                           .response_topic = slice("r"),
                                           .correlation_data = slice("c"),
                                           .user_properties = user,
                                           .user_property_count = 2 };
    for (int host = 0; host <= 1; host++) {
        CHECK_EQ(midge_publish(broker, host ? NULL : l, &pub, now), MIDGE_OK);
        settle();
        struct packet got = take_publish(s, "a", "x", 1);
        CHECK_EQ(got.prop_count, 7);
        CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 30);
        CHECK_EQ(prop_number(&got, PROP_PAYLOAD_FORMAT), 1);
        CHECK_STR(prop_string(&got, PROP_CONTENT_TYPE), "t");
        CHECK_STR(prop_string(&got, PROP_RESPONSE_TOPIC), "r");
        CHECK_STR(prop_string(&got, PROP_CORRELATION_DATA), "c");
        CHECK_STR(nth_prop(&got, PROP_USER, 0)->value, "1");
        CHECK_STR(nth_prop(&got, PROP_USER, 1)->value, "2");
        take_publish(s4, "a", "x", 1);
    }
}

SPEC("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-7")
TEST(the_application_retains_and_clears)
{
    start();
    CHECK_EQ(say(NULL, "a", "x", 1, true), MIDGE_OK);
    struct peer *s = connect5("s");
    subscribe(s, "a", 2);
    CHECK(take_publish(s, "a", "x", 1).retain);
    CHECK_EQ(say(NULL, "a", "", 0, true), MIDGE_OK);
    CHECK(!take_publish(s, "a", "", 0).retain);
    CHECK_EQ(stats().retained, 0);
}

SPEC("MQTT-4.5.0-1", "MQTT-3.1.2-5")
TEST(what_the_application_publishes_waits_for_who_is_away)
{
    struct peer *s = stay5("s");
    subscribe(s, "a", 2);
    drop(s);
    for (uint8_t qos = 0; qos <= 2; qos++)
        CHECK_EQ(say(NULL, "a", format("%u", qos), qos, false), MIDGE_OK);
    s = stay5("s");
    CHECK_EQ(expect_publish(s, "a", "1").qos, 1);
    CHECK_EQ(expect_publish(s, "a", "2").qos, 2);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-2", "MQTT-3.3.2-14", "MQTT-4.7.3-1", "MQTT-3.3.1-4", "MQTT-1.5.4-1", "MQTT-1.5.4-2")
TEST(what_breaks_the_rules_is_refused_to_the_application_too)
{
    start();
    const struct midge_publication bad[] = {
        { .topic = { (const uint8_t *)"a/+", 3 } },
        { .topic = { (const uint8_t *)"#", 1 } },
        { .topic = { NULL, 0 } },
        { .topic = { (const uint8_t *)"\xFF", 1 } },
        { .topic = { (const uint8_t *)"a\0b", 3 } },
        { .topic = { (const uint8_t *)"a", 1 }, .qos = 3 },
        { .topic = { (const uint8_t *)"a", 1 }, .has_payload_format = true, .payload_format = 2 },
        { .topic = { (const uint8_t *)"a", 1 }, .content_type = { (const uint8_t *)"\xFF", 1 } },
        { .topic = { (const uint8_t *)"a", 1 }, .response_topic = { (const uint8_t *)"r/#", 3 } },
        { .topic = { (const uint8_t *)"a", 1 },
          .user_properties =
              &(const struct midge_user_property){ { (const uint8_t *)"\xC0\x80", 2 }, { NULL, 0 } },
          .user_property_count = 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_EQ(midge_publish(broker, NULL, &bad[i], now), MIDGE_ERR_INVALID);
    limits.max_qos = 1;
    CHECK_EQ(say(NULL, "a", "x", 2, false), MIDGE_ERR_INVALID);
    limits.retain = false;
    CHECK_EQ(say(NULL, "a", "x", 1, true), MIDGE_ERR_INVALID);
    CHECK_EQ(stats().retained, 0);
}

SPEC("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1", "MQTT-4.8.2-1", "MQTT-4.8.2-2")
TEST(filters_that_break_the_rules_are_refused_to_the_application_too)
{
    static const char *const bad[] = { "",          "a#",       "a/#/b",     "a+",  "+a/b",
                                       "$share//t", "$share/g", "$share/g/", "\xFF" };
    struct midge_local *l = open_local("app");
    struct seen seen = { 0 };
    struct midge_subscription s = { .on_message = see, .user = &seen };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        s.filter = slice(bad[i]);
        CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_ERR_INVALID);
    }
    s.filter = slice("a");
    s.qos = 3;
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_ERR_INVALID);
    s.qos = 0;
    s.retain_handling = 3;
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_ERR_INVALID);
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("U5-3.3.4-0x97")
TEST(limits_hold_for_the_application_too)
{
    limits.retained_msgs = 1;
    limits.subscriptions = 1;
    struct midge_local *l = open_local("app");
    struct seen seen = { 0 };
    listen_to(l, "a", 0, &seen);
    const struct midge_subscription s = { .filter = slice("b"), .on_message = see, .user = &seen };
    CHECK_EQ(midge_local_subscribe(l, &s, now), MIDGE_ERR_FULL);
    CHECK_EQ(say(l, "a", "x", 0, true), MIDGE_OK);
    CHECK_EQ(say(l, "b", "x", 0, true), MIDGE_ERR_FULL);
    advance(0);
    CHECK_EQ(seen.count, 1);
}

SPEC("U5-3.3.4-0x97")
TEST(the_application_is_refused_at_the_memory_limit)
{
    limits.memory_bytes = 60000;
    limits.reserve_bytes = 10000;
    struct peer *s = stay5("s");
    subscribe(s, "a", 1);
    drop(s);
    enum midge_err err = MIDGE_OK;
    unsigned n = 0;
    for (; n < 1000 && err == MIDGE_OK; n++)
        err = say(NULL, "a", text_of('x', 1000), 1, false);
    CHECK(err == MIDGE_ERR_NO_MEMORY || err == MIDGE_ERR_FULL); /* for the message, or for its way to "s" */
    CHECK(n > 30 && n < 60);
    s = stay5("s");
    for (unsigned i = 0; i + 1 < n; i++)
        take_publish(s, "a", text_of('x', 1000), 1);
    expect_nothing(s);
}

/* ---- from inside callbacks and hooks --------------------------------------------------------------- */

static struct midge_local *inside;

static void answer(void *user, const struct midge_message *m)
{
    see(user, m);
    const struct midge_publication p = { .topic = slice("answer"), .payload = m->payload, .qos = 1 };
    CHECK_EQ(midge_publish(broker, inside, &p, now), MIDGE_OK);
}

SPEC("MQTT-4.5.0-1")
TEST(a_callback_may_publish)
{
    struct seen seen = { 0 }, heard = { 0 };
    inside = open_local("app");
    const struct midge_subscription s = {
        .filter = slice("question"), .qos = 1, .on_message = answer, .user = &seen
    };
    CHECK_EQ(midge_local_subscribe(inside, &s, now), MIDGE_OK);
    struct peer *p = connect5("p");
    listen_to(inside, "answer", 0, &heard);
    subscribe(p, "answer", 1);
    publish(p, "question", "why", 1);
    advance(0);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(heard.count, 1);
    take_publish(p, "answer", "why", 1);
}

static void echo(void *user, const struct midge_message *m)
{
    struct seen *s = user;
    see(s, m);
    if (s->count < 50) {
        const struct midge_publication p = { .topic = m->topic, .payload = m->payload };
        CHECK_EQ(midge_publish(broker, inside, &p, now), MIDGE_OK);
    }
}

SPEC("MQTT-4.5.0-1")
TEST(a_callback_that_answers_itself_does_not_recurse)
{
    struct seen seen = { 0 };
    inside = open_local("app");
    const struct midge_subscription s = { .filter = slice("a"), .on_message = echo, .user = &seen };
    CHECK_EQ(midge_local_subscribe(inside, &s, now), MIDGE_OK);
    CHECK_EQ(say(NULL, "a", "x", 0, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 50);
}

static struct seen nested;

static void subscribe_more(void *user, const struct midge_message *m)
{
    see(user, m);
    const struct midge_subscription s = {
        .filter = slice("more"), .qos = 1, .on_message = see, .user = &nested
    };
    CHECK_EQ(midge_local_subscribe(inside, &s, now), MIDGE_OK);
    CHECK_EQ(midge_local_unsubscribe(inside, slice("first"), now), MIDGE_OK);
}

SPEC("MQTT-3.8.4-1", "MQTT-3.10.4-2")
TEST(a_callback_may_subscribe_and_unsubscribe)
{
    struct seen seen = { 0 };
    nested = (struct seen){ 0 };
    inside = open_local("app");
    const struct midge_subscription s = { .filter = slice("first"),
                                          .on_message = subscribe_more,
                                          .user = &seen };
    CHECK_EQ(midge_local_subscribe(inside, &s, now), MIDGE_OK);
    struct peer *p = connect5("p");
    publish_retained(p, "more", "kept", 0);
    publish(p, "first", "x", 0);
    advance(0);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(nested.count, 1);
    CHECK(nested.retain);
    publish(p, "more", "x", 0);
    publish(p, "first", "x", 0);
    advance(0);
    CHECK_EQ(nested.count, 2);
    CHECK_EQ(seen.count, 1);
}

static void close_self(void *user, const struct midge_message *m)
{
    see(user, m);
    midge_local_close(inside, now);
}

SPEC("MQTT-4.1.0-2")
TEST(a_callback_may_close_its_own_client)
{
    struct seen seen = { 0 };
    inside = open_local("app");
    const struct midge_subscription s = {
        .filter = slice("a"), .qos = 1, .on_message = close_self, .user = &seen
    };
    CHECK_EQ(midge_local_subscribe(inside, &s, now), MIDGE_OK);
    struct peer *p = connect5("p");
    struct bytes two =
        join(publish_bytes(p, &(struct c_publish){ .topic = "a", .payload = "1", .qos = 1, .pid = 1 }),
             publish_bytes(p, &(struct c_publish){ .topic = "a", .payload = "2", .qos = 1, .pid = 2 }));
    send_bytes(p, two.at, two.len);
    expect_ack(p, PK_PUBACK, 1, 0);
    expect_ack(p, PK_PUBACK, 2, 0);
    advance(0);
    CHECK_EQ(stats().sessions, 1);
    CHECK(seen.count >= 1 && seen.count <= 2);
    publish(p, "a", "x", 1);
    advance(0);
    CHECK(seen.count <= 2);
}

static void greet(void *user, const struct midge_event *e)
{
    (void)user;
    if (e->kind != MIDGE_EV_CONNECTED && e->kind != MIDGE_EV_DISCONNECTED)
        return;
    const struct midge_publication p = { .topic = slice(e->kind == MIDGE_EV_CONNECTED ? "came" : "gone"),
                                         .payload = e->who.client_id,
                                         .qos = 1 };
    CHECK_EQ(midge_publish(broker, NULL, &p, now), MIDGE_OK);
}

SPEC("MQTT-4.5.0-1")
TEST(an_event_hook_may_publish)
{
    struct peer *s = connect5("s");
    subscribe(s, "+", 1);
    hooks.event = greet;
    struct peer *p = connect5("p");
    take_publish(s, "came", "p", 1);
    drop(p);
    take_publish(s, "gone", "p", 1);
    hooks.event = NULL;
}

static bool allow_and_tell(void *user, const struct midge_who *who, enum midge_access what,
                           struct midge_slice topic)
{
    (void)user;
    if (what == MIDGE_ACCESS_PUBLISH && who->version) {
        const struct midge_publication p = { .topic = slice("$log"), .payload = topic };
        CHECK_EQ(midge_publish(broker, NULL, &p, now), MIDGE_OK);
    }
    return true;
}

SPEC("MQTT-4.5.0-1", "MQTT-4.7.2-1")
TEST(an_allow_hook_may_publish)
{
    struct peer *s = connect5("s");
    subscribe(s, "$log", 0);
    hooks.allow = allow_and_tell;
    struct peer *p = connect5("p");
    for (uint8_t qos = 0; qos <= 2; qos++) {
        publish(p, "topic", "x", qos);
        expect_publish(s, "$log", "topic");
    }
    hooks.allow = NULL;
}

/* ---- open, close, names ---------------------------------------------------------------------------- */

SPEC("MQTT-3.1.3-6", "MQTT-3.2.2-16")
TEST(local_clients_without_a_name_get_one_each)
{
    struct midge_local *a = open_local("");
    struct midge_local *b = open_local("");
    CHECK(a != b);
    CHECK_EQ(stats().sessions, 2);
    midge_local_close(a, now);
    CHECK_EQ(stats().sessions, 1);
    midge_local_close(b, now);
    CHECK_EQ(stats().sessions, 0);
}

SPEC("MQTT-3.1.4-3", "MQTT-3.1.2-4")
TEST(a_local_client_takes_its_name_from_who_has_it)
{
    struct peer *s = stay5("name");
    subscribe(s, "a", 1);
    open_local("name");
    settle();
    expect_disconnect(s, MIDGE_RC_SESSION_TAKEN_OVER);
    CHECK_EQ(stats().sessions, 1);
    CHECK_EQ(stats().subscriptions, 0);
}

SPEC("MQTT-3.1.3-8")
TEST(the_name_of_a_local_client_is_not_to_be_had_from_outside)
{
    struct seen seen = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 0, &seen);
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .version = 5, .client_id = "app", .clean_start = true });
    expect_connack(p, MIDGE_RC_CLIENT_ID_NOT_VALID);
    p = dial();
    send_connect(p, &(struct c_connect){ .version = 4, .client_id = "app", .clean_start = true });
    expect_connack(p, 2);
    CHECK_EQ(midge_kick(broker, slice("app"), MIDGE_RC_ADMINISTRATIVE_ACTION, true, now), MIDGE_ERR_INVALID);
    CHECK_EQ(say(NULL, "a", "x", 0, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 1);
}

SPEC("MQTT-1.5.4-1", "MQTT-3.1.3-4")
TEST(names_that_break_the_rules_are_refused)
{
    enum midge_err err = MIDGE_OK;
    limits.client_id_bytes = 10;
    start();
    CHECK(!midge_local_open(broker, &(struct midge_local_config){ .client_id = slice("\xFF") }, now, &err));
    CHECK_EQ(err, MIDGE_ERR_INVALID);
    err = MIDGE_OK;
    CHECK(!midge_local_open(broker, &(struct midge_local_config){ .client_id = slice("12345678901") }, now,
                            &err));
    CHECK_EQ(err, MIDGE_ERR_INVALID);
    limits.sessions = 1;
    open_local("one");
    CHECK(!midge_local_open(broker, &(struct midge_local_config){ .client_id = slice("two") }, now, &err));
    CHECK(err == MIDGE_ERR_FULL); /* a limit of struct midge_limits said no */
}

SPEC("MQTT-3.1.4-3")
TEST(a_local_client_is_taken_over_by_one_of_the_same_name)
{
    struct seen old = { 0 }, new = { 0 };
    struct midge_local *l = open_local("app");
    listen_to(l, "a", 1, &old);
    CHECK_EQ(say(NULL, "a", "lost", 1, false), MIDGE_OK);
    l = open_local("app"); /* the first handle is gone with its session */
    listen_to(l, "a", 1, &new);
    CHECK_EQ(say(NULL, "a", "x", 1, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(old.count, 0);
    CHECK_EQ(new.count, 1);
    CHECK_STR(new.payload, "x");
}

SPEC("MQTT-4.1.0-2")
TEST(closing_gives_everything_back)
{
    struct peer *p = connect5("p");
    publish(p, "warm", "up", 1);
    size_t before = memory_used();
    for (int i = 0; i < 20; i++) {
        struct seen seen = { 0 };
        struct midge_local *l = open_local("app");
        listen_to(l, "a/#", 2, &seen);
        listen_to(l, "$share/g/a", 1, &seen);
        publish(p, "a", "x", 2);
        if (i % 2)
            advance(0); /* else: with messages that were not delivered */
        midge_local_close(l, now);
        settle();
    }
    CHECK(memory_used() <= before + 200); /* tables may have grown */
    check_all_books();
}

static uint8_t who_version;
static void *who_tag;

static bool allow_and_look(void *user, const struct midge_who *who, enum midge_access what,
                           struct midge_slice topic)
{
    (void)user;
    (void)topic;
    if (what == MIDGE_ACCESS_DELIVER) {
        who_version = who->version;
        who_tag = who->tag;
    }
    return true;
}

SPEC("MQTT-3.1.3-2")
TEST(hooks_are_shown_the_tag_of_a_local_client)
{
    static int tag;
    struct seen seen = { 0 };
    enum midge_err err;
    hooks.allow = allow_and_look;
    start();
    struct midge_local *l = midge_local_open(
        broker, &(struct midge_local_config){ .client_id = slice("app"), .tag = &tag }, now, &err);
    CHECK(l != NULL);
    listen_to(l, "a", 0, &seen);
    who_version = 99;
    who_tag = NULL;
    CHECK_EQ(say(NULL, "a", "x", 0, false), MIDGE_OK);
    advance(0);
    CHECK_EQ(seen.count, 1);
    CHECK_EQ(who_version, 0);
    CHECK(who_tag == &tag);
}

SPEC("U5-3.14-server-codes")
TEST(a_broker_that_shuts_down_opens_no_local_client)
{
    enum midge_err err = MIDGE_OK;
    struct peer *p = connect5("p");
    shut_down();
    expect_disconnect(p, MIDGE_RC_SERVER_SHUTTING_DOWN);
    CHECK(!midge_local_open(broker, &(struct midge_local_config){ .client_id = slice("app") }, now, &err));
    CHECK(err != MIDGE_OK);
}

static void take_nothing(void *user, const struct midge_message *message)
{
    (void)user;
    (void)message;
}

SPEC("MQTT-3.8.3-1")
TEST(a_local_subscription_with_one_thing_wrong_is_refused)
{
    enum midge_err err = MIDGE_OK;
    start();
    struct midge_local *l =
        midge_local_open(broker, &(struct midge_local_config){ .client_id = slice("app") }, now, &err);
    CHECK(l);
    const struct midge_subscription good = { .filter = slice("t"), .on_message = take_nothing };
    struct midge_subscription bad[4] = { good, good, good, good };
    bad[0].qos = 3;
    bad[1].retain_handling = 3;
    bad[2].on_message = NULL;
    bad[3].filter = slice("a#");
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(midge_local_subscribe(l, &bad[i], now), MIDGE_ERR_INVALID);
    CHECK_EQ(stats().subscriptions, 0);
    CHECK_EQ(midge_local_subscribe(l, &good, now), MIDGE_OK);
    midge_local_close(l, now);
    settle();
}
