/* test_host.c - what a host decides for its listeners and clients, and what it sees of them. */
#include "more.h"

/* ---- limits of one listener ------------------------------------------------------------------------------ */

static struct midge_limits narrow;
static void *narrow_peer;

static const struct midge_limits *own_limits(void *user, void *peer)
{
    (void)user;
    if (!narrow_peer)
        narrow_peer = peer;
    return peer == narrow_peer ? &narrow : &limits;
}

static void narrow_the_first(void)
{
    narrow_peer = NULL;
    hooks.limits = own_limits;
    narrow = limits;
    narrow.max_qos = 1;
    narrow.alias_in = 3;
    narrow.packet_bytes = 100;
    narrow.receive_maximum = 5;
}

SPEC("MQTT-3.2.2-9", "MQTT-3.2.2-10", "MQTT-3.2.2-11", "MQTT-3.2.2-15")
TEST(limits_of_one_listener_hold_for_its_clients_alone)
{
    narrow_the_first();
    struct peer *a = connect5("a"), *b = connect5("b");
    const struct packet *ack = connack_of(a);
    CHECK_EQ(prop_number(ack, PROP_MAXIMUM_QOS), 1);
    CHECK_EQ(prop_number(ack, PROP_TOPIC_ALIAS_MAXIMUM), 3);
    CHECK_EQ(prop_number(ack, PROP_MAXIMUM_PACKET_SIZE), 100);
    CHECK_EQ(prop_number(ack, PROP_RECEIVE_MAXIMUM), 5);
    ack = connack_of(b);
    CHECK(!has_prop(ack, PROP_MAXIMUM_QOS) && !has_prop(ack, PROP_MAXIMUM_PACKET_SIZE));
    subscribe(b, "t", 2);
    send_subscribe(a, &(struct c_subscribe){ .pid = 9, FILTERS({ "u", 2 }) });
    CHECK_EQ(expect_packet(a, PK_SUBACK).codes[0], 1);
    publish(b, "v", text_of('x', 200), 2);
    send_publish(a, &(struct c_publish){ .topic = "t", .qos = 2, .pid = 1 });
    expect_disconnect(a, 0x9B);
    a = connect_as(&(struct c_connect){ .version = 5, .client_id = "c", .clean_start = true });
    narrow_peer = a;
    send_publish(a, &(struct c_publish){ .topic = "t", .payload = text_of('x', 100), .qos = 1, .pid = 1 });
    expect_disconnect(a, 0x95);
}

/* ---- client ids --------------------------------------------------------------------------------------- */

static bool was_assigned;
static const char *chosen;

static void choose(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    was_assigned = in->assigned_id;
    *out = (struct midge_login_answer){ .answer = MIDGE_ALLOW };
    if (chosen)
        out->client_id = slice(chosen);
}

SPEC("MQTT-3.1.3-7")
TEST(a_client_without_an_id_is_told_the_one_that_the_host_chose)
{
    hooks.login = choose;
    chosen = "box-7";
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .version = 5, .clean_start = true });
    struct packet ack = expect_packet(p, PK_CONNACK);
    CHECK_STR(prop_string(&ack, PROP_ASSIGNED_ID), "box-7");
    CHECK(was_assigned);
    CHECK_EQ(midge_kick(broker, slice("box-7"), 0x98, false, now), MIDGE_OK);
    settle();
    expect_disconnect(p, 0x98);
    chosen = NULL;
    p = dial();
    send_connect(p, &(struct c_connect){ .version = 5, .client_id = "own", .clean_start = true });
    ack = expect_packet(p, PK_CONNACK);
    CHECK(!has_prop(&ack, PROP_ASSIGNED_ID));
    CHECK(!was_assigned);
}

/* ---- connections that go ------------------------------------------------------------------------------ */

static struct midge_conn *asked_for, *gone;
static unsigned losses;

static void ask_later(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    asked_for = in->conn;
    *out = (struct midge_login_answer){ .answer = MIDGE_LATER };
}

static void note_loss(void *user, struct midge_conn *conn)
{
    (void)user;
    gone = conn;
    losses++;
}

TEST(a_host_learns_that_nobody_waits_for_its_answer_any_more)
{
    losses = 0;
    hooks.login = ask_later;
    hooks.lost = note_loss;
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .version = 5, .client_id = "a", .clean_start = true });
    CHECK(asked_for && losses == 0);
    drop(p);
    CHECK(gone == asked_for);
    CHECK_EQ(losses, 1);
}

/* ---- sizes -------------------------------------------------------------------------------------------- */

TEST(a_payload_above_the_limit_goes_to_nobody)
{
    limits.payload_bytes = 10;
    struct peer *s = connect5("s"), *five = connect5("five"), *four = connect_version(4, "four");
    subscribe(s, "a", 1);
    send_publish(five, &(struct c_publish){ .topic = "a", .payload = "12345678901", .qos = 1, .pid = 1 });
    CHECK_EQ(expect_packet(five, PK_PUBACK).reason, 0x83);
    send_publish(five, &(struct c_publish){ .topic = "a", .payload = "12345678901", .qos = 2, .pid = 2 });
    CHECK_EQ(expect_packet(five, PK_PUBREC).reason, 0x83);
    send_publish(four, &(struct c_publish){ .topic = "a", .payload = "12345678901", .qos = 1, .pid = 1 });
    expect_packet(four, PK_PUBACK); /* it cannot be told; it would send it again and again */
    expect_nothing(s);
    publish(four, "a", "1234567890", 1);
    take_publish(s, "a", "1234567890", 1);
}

TEST(messages_in_flight_are_counted_in_bytes_too)
{
    limits.inflight_bytes = 100;
    struct peer *s = connect5("s"), *p = connect5("p");
    subscribe(s, "a", 1);
    publish(p, "a", text_of('1', 60), 1);
    publish(p, "a", text_of('2', 60), 1); /* reaches the limit: no more after this one */
    publish(p, "a", text_of('3', 60), 1);
    uint16_t pid = expect_packet(s, PK_PUBLISH).pid;
    CHECK_EQ(expect_packet(s, PK_PUBLISH).payload[0], '2');
    expect_nothing(s);
    send_ack(s, PK_PUBACK, pid, 0);
    CHECK_EQ(expect_packet(s, PK_PUBLISH).payload[0], '3');
    expect_nothing(s);
}

TEST(one_message_may_always_be_in_flight)
{
    limits.inflight_bytes = 10;
    struct peer *s = connect5("s"), *p = connect5("p");
    subscribe(s, "a", 2);
    publish(p, "a", text_of('x', 1000), 2);
    take_publish(s, "a", text_of('x', 1000), 2);
    publish(p, "a", text_of('y', 1000), 1);
    take_publish(s, "a", text_of('y', 1000), 1);
}

TEST(qos_0_waits_for_who_is_away_if_the_host_says_so)
{
    for (int waits = 0; waits <= 1; waits++) {
        limits.queue_qos0 = waits;
        struct peer *s = stay5("s"), *p = connect5("p");
        subscribe(s, "a", 1);
        drop(s);
        publish(p, "a", "zero", 0);
        publish(p, "a", "one", 1);
        s = stay5("s");
        if (waits)
            take_publish(s, "a", "zero", 0);
        take_publish(s, "a", "one", 1);
        expect_nothing(s);
        check_all_books();
        send_disconnect(s, 0, PROPS(prop_num(PROP_SESSION_EXPIRY, 0)));
        expect_closed(s);
        leave(p);
    }
}

/* ---- seeing inside ------------------------------------------------------------------------------------- */

static struct midge_client_info infos[8];
static char ids[8][8], topics[8][8];
static unsigned shown;

static void note_client(void *user, const struct midge_client_info *c)
{
    (void)user;
    infos[shown] = *c;
    memset(ids[shown], 0, sizeof ids[shown]);
    memcpy(ids[shown], c->who.client_id.data, c->who.client_id.len);
    shown++;
}

static const struct midge_client_info *info_of(const char *id)
{
    for (unsigned i = 0; i < shown; i++)
        if (strcmp(ids[i], id) == 0)
            return &infos[i];
    return NULL;
}

TEST(every_client_can_be_looked_at)
{
    struct peer *here = connect5("here"), *away = stay5("away");
    subscribe(here, "x", 0);
    subscribe(away, "a", 1);
    subscribe(away, "b", 1);
    drop(away);
    publish(here, "a", "12345", 1);
    publish(here, "b", "12345", 1);
    shown = 0;
    midge_each_client(broker, note_client, NULL);
    CHECK_EQ(shown, 2);
    const struct midge_client_info *h = info_of("here"), *a = info_of("away");
    CHECK(h && h->connected && h->who.peer && h->subscriptions == 1 && h->queued == 0);
    CHECK(a && !a->connected && !a->who.peer && a->subscriptions == 2 && a->queued == 2 &&
          a->queued_bytes >= 12);
    CHECK_EQ(a->expiry_s, 3600);
}

static void note_topic(void *user, const struct midge_message *m)
{
    (void)user;
    memset(topics[shown], 0, sizeof topics[shown]);
    memcpy(topics[shown++], m->topic.data, m->topic.len);
    CHECK(m->retain);
}

TEST(every_retained_message_can_be_looked_at)
{
    struct peer *p = connect5("p");
    publish_retained(p, "b", "1", 1);
    publish_retained(p, "a/b", "2", 1);
    publish_retained(p, "a", "3", 0);
    send_publish(p, &(struct c_publish){ .topic = "gone",
                                         .payload = "x",
                                         .retain = true,
                                         .props = PROPS(prop_num(PROP_MESSAGE_EXPIRY, 1)) });
    shown = 0;
    midge_each_retained(broker, note_topic, NULL);
    CHECK_EQ(shown, 4);
    CHECK_STR(topics[0], "a");
    CHECK_STR(topics[1], "a/b");
    CHECK_STR(topics[2], "b");
    advance(2000);
    shown = 0;
    midge_each_retained(broker, note_topic, NULL);
    CHECK_EQ(shown, 3);
}
