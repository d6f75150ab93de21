/* test_acl.c - hooks.allow: asked at SUBSCRIBE, PUBLISH, CONNECT (for the will), and again at delivery. */
#include "morec.h"

/* ---- a host that remembers what it was asked ----------------------------------------------------------- */

static struct {
    unsigned asked[3];
    char topic[64], client[64], username[64];
    void *tag, *peer;
    uint8_t version;
    unsigned deny;    /* bit by enum midge_access */
    const char *only; /* deny for this topic only; NULL = for any */
} host;

static void copy_text(char out[64], struct midge_slice text)
{
    const size_t n = text.len < 63 ? text.len : 63;
    if (n > 0)
        memcpy(out, text.data, n);
    out[n] = '\0';
}

static bool ask(void *user, const struct midge_who *who, enum midge_access what, struct midge_slice topic)
{
    (void)user;
    host.asked[what]++;
    copy_text(host.topic, topic);
    copy_text(host.client, who->client_id);
    copy_text(host.username, who->username);
    host.tag = who->tag;
    host.peer = who->peer;
    host.version = who->version;
    const bool named = !host.only || strcmp(host.only, host.topic) == 0;
    return !(host.deny >> what & 1 && named);
}

static void install(unsigned deny, const char *only)
{
    memset(&host, 0, sizeof host);
    host.deny = deny;
    host.only = only;
    hooks.allow = ask;
}
#define DENY(what) (1u << MIDGE_ACCESS_##what)

static int badge;

static void give_badge(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    (void)user;
    (void)in;
    out->tag = &badge;
}

/* ---- who is asked about -------------------------------------------------------------------------------- */

TEST(the_host_is_told_who_asks_for_what)
{
    install(0, NULL);
    hooks.login = give_badge;
    struct peer *p = connect_as(
        &(struct c_connect){ .version = 4, .client_id = "me", .clean_start = true, .username = "joe" });
    subscribe(p, "a/+", 1);
    CHECK_EQ(host.asked[MIDGE_ACCESS_SUBSCRIBE], 1);
    CHECK_STR(host.topic, "a/+");
    CHECK_STR(host.client, "me");
    CHECK_STR(host.username, "joe");
    CHECK_EQ(host.version, 4);
    CHECK(host.tag == &badge);
    CHECK(host.peer == midge_conn_user(live_conn(p)));
    subscribe(p, "$share/group/b/#", 1);
    CHECK_STR(host.topic, "b/#");
    struct peer *q = connect5("you");
    publish(q, "a/x", "x", 1);
    CHECK_EQ(host.asked[MIDGE_ACCESS_PUBLISH], 1);
    unsigned asked = host.asked[MIDGE_ACCESS_DELIVER];
    CHECK(asked >= 1); /* with a store also when the message takes its packet id */
    CHECK_STR(host.topic, "a/x");
    CHECK_STR(host.client, "me");
    take_publish(p, "a/x", "x", 1);
    CHECK_EQ(host.asked[MIDGE_ACCESS_DELIVER], asked);
}

/* ---- SUBSCRIBE ----------------------------------------------------------------------------------------- */

SPEC("MQTT-3.8.4-7", "MQTT-3.9.3-2", "MQTT311-3.9.3-2")
TEST(a_subscription_that_is_denied_is_not_made)
{
    install(DENY(SUBSCRIBE), "secret/#");
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_v(v, "a");
        publish_retained(p, "secret/x", "kept", 0);
        send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "secret/#", 2 }, { "open", 1 }) });
        expect_codes(p, PK_SUBACK, 1, v == 5 ? "87 01" : "80 01");
        send_subscribe(p, &(struct c_subscribe){ .pid = 2, FILTERS({ "$share/g/secret/#", 2 }) });
        expect_codes(p, PK_SUBACK, 2, v == 5 ? "87" : "80");
        publish(p, "secret/x", "x", 0);
        expect_nothing(p);
        publish(p, "open", "x", 0);
        expect_publish(p, "open", "x");
        leave(p);
    }
}

/* The subscription that was there before stays as it was. */
SPEC("MQTT-3.8.4-3", "MQTT311-3.8.4-3")
TEST(a_subscription_is_not_replaced_by_one_that_is_denied)
{
    install(0, NULL);
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    subscribe(p, "t", 2);
    host.deny = DENY(SUBSCRIBE);
    send_subscribe(p, &(struct c_subscribe){ .pid = 1, FILTERS({ "t", 0 }) });
    expect_codes(p, PK_SUBACK, 1, "87");
    publish(q, "t", "x", 2);
    take_publish(p, "t", "x", 2);
}

/* ---- PUBLISH ------------------------------------------------------------------------------------------- */

SPEC("U5-3.3.4-0x87", "MQTT-4.3.3-9")
TEST(a_publish_that_is_denied_is_answered_with_not_authorized)
{
    install(DENY(PUBLISH), "secret");
    struct peer *p = connect5("a");
    struct peer *q = connect5("b");
    subscribe(q, "#", 2);
    send_publish(p, &(struct c_publish){ .topic = "secret", .payload = "x" });
    expect_nothing(p);
    send_publish(
        p, &(struct c_publish){ .topic = "secret", .payload = "x", .qos = 1, .pid = 1, .retain = true });
    expect_ack(p, PK_PUBACK, 1, 0x87);
    send_publish(
        p, &(struct c_publish){ .topic = "secret", .payload = "x", .qos = 2, .pid = 2, .retain = true });
    expect_ack(p, PK_PUBREC, 2, 0x87);
    expect_nothing(q);
    CHECK_EQ(stats().retained, 0);
    host.deny = 0; /* the exchange has ended: the same id is a new message */
    send_publish(p, &(struct c_publish){ .topic = "secret", .payload = "y", .qos = 2, .pid = 2 });
    expect_ack(p, PK_PUBREC, 2, 0);
    take_publish(q, "secret", "y", 2);
}

SPEC("MQTT311-3.3.5-2")
TEST(a_publish_of_3_1_1_that_is_denied_is_acknowledged_and_dropped)
{
    install(DENY(PUBLISH), "secret");
    for (int v = 3; v <= 4; v++) {
        struct peer *p = connect_v(v, "a");
        struct peer *q = connect_v(v, "b");
        subscribe(q, "#", 2);
        send_publish(p, &(struct c_publish){ .topic = "secret", .payload = "x", .retain = true });
        expect_nothing(p);
        send_publish(
            p, &(struct c_publish){ .topic = "secret", .payload = "x", .qos = 1, .pid = 1, .retain = true });
        expect_hex(p, "40 02 00 01");
        send_publish(
            p, &(struct c_publish){ .topic = "secret", .payload = "x", .qos = 2, .pid = 2, .retain = true });
        expect_hex(p, "50 02 00 02");
        send_ack(p, PK_PUBREL, 2, 0);
        expect_hex(p, "70 02 00 02");
        expect_nothing(q);
        CHECK_EQ(stats().retained, 0);
        leave(p);
        leave(q);
    }
}

/* Through an alias too, and it may be given to a topic that is denied. */
SPEC("U5-3.3.4-0x87")
TEST(rights_are_asked_for_the_topic_that_an_alias_stands_for)
{
    install(DENY(PUBLISH), "secret");
    struct peer *p = connect5("a");
    for (int i = 0; i < 2; i++) {
        send_publish(p, &(struct c_publish){ .topic = i ? "" : "secret",
                                             .qos = 1,
                                             .pid = 1,
                                             .props = PROPS(prop_num(PROP_TOPIC_ALIAS, 1)) });
        expect_ack(p, PK_PUBACK, 1, 0x87);
    }
}

/* ---- the will ------------------------------------------------------------------------------------------ */

SPEC("MQTT-3.1.4-2", "MQTT311-3.2.2-5")
TEST(a_will_that_is_denied_refuses_the_connection)
{
    install(DENY(PUBLISH), "secret");
    const struct c_will will = { .topic = "secret", .payload = "x" };
    struct peer *watch = connect5("watch");
    subscribe(watch, "#", 0);
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){ .client_id = "a", .will = &will });
    expect_connack(p, 0x87);
    CHECK_STR(host.client, "a");
    for (uint8_t v = 3; v <= 4; v++) {
        p = dial();
        send_connect(p, &(struct c_connect){ .version = v, .client_id = "a", .will = &will });
        expect_connack(p, 5);
    }
    CHECK_EQ(stats().sessions, 1);
    expect_nothing(watch);
    const struct c_will open = { .topic = "open", .payload = "x" };
    p = connect_as(&(struct c_connect){ .client_id = "a", .clean_start = true, .will = &open });
    drop(p);
    expect_publish(watch, "open", "x");
}

/* Who is not let in disturbs nobody: the session that is there keeps its connection. */
SPEC("MQTT-3.1.4-2")
TEST(a_will_that_is_denied_takes_nobody_over)
{
    install(DENY(PUBLISH), "secret");
    struct peer *p = connect5("a");
    struct peer *q = dial();
    send_connect(
        q, &(struct c_connect){ .client_id = "a", .will = &(const struct c_will){ .topic = "secret" } });
    expect_connack(q, 0x87);
    send_ping(p);
    expect_hex(p, "D0 00");
}

/* ---- delivery ------------------------------------------------------------------------------------------ */

/* A right that was withdrawn holds back what waits, and the books say so. */
TEST(a_message_is_delivered_only_if_that_is_still_allowed)
{
    install(0, NULL);
    for (int v = 4; v <= 5; v++) {
        struct peer *p = connect_kept(v, v == 5 ? "five" : "four", 60);
        struct peer *q = connect_v(v, "b");
        subscribe(p, "+", 1);
        drop(p);
        publish(q, "secret", "1", 1);
        publish(q, "open", "2", 1);
        host.deny = DENY(DELIVER);
        host.only = "secret";
        p = connect_kept(v, v == 5 ? "five" : "four", 60);
        take_publish(p, "open", "2", 1);
        expect_nothing(p);
        publish(q, "secret", "3", 0);
        publish(q, "secret", "4", 1);
        expect_nothing(p);
        struct midge_books books[3];
        const char *id = v == 5 ? "five" : "four";
        CHECK_EQ(midge_get_books(broker, (struct midge_slice){ (const uint8_t *)id, 4 }, books), MIDGE_OK);
        CHECK_EQ(books[1].dropped[MIDGE_DROP_RIGHT], 2);
        CHECK_EQ(books[0].dropped[MIDGE_DROP_RIGHT], 1);
        CHECK_EQ(books[1].acknowledged, 1);
        CHECK_EQ(books[1].enqueued, 3);
        host.deny = 0;
        publish(q, "secret", "5", 1);
        take_publish(p, "secret", "5", 1);
        leave(q);
        leave(p);
    }
}

/* What is held back takes neither packet id nor window. */
TEST(a_message_that_may_not_be_delivered_takes_no_window)
{
    install(DENY(DELIVER), "secret");
    struct peer *p = connect_as(&(struct c_connect){
        .client_id = "a", .clean_start = true, .props = PROPS(prop_num(PROP_RECEIVE_MAXIMUM, 1)) });
    struct peer *q = connect5("b");
    subscribe(p, "+", 2);
    for (int i = 0; i < 5; i++)
        publish(q, "secret", "x", 2);
    publish(q, "open", "y", 1);
    struct packet pk = take_publish(p, "open", "y", 1);
    CHECK_EQ(pk.pid, 1);
}

TEST(retained_messages_are_delivered_only_if_that_is_allowed)
{
    install(DENY(DELIVER), "secret");
    struct peer *q = connect5("b");
    publish_retained(q, "secret", "x", 1);
    publish_retained(q, "open", "y", 1);
    struct peer *p = connect5("a");
    subscribe(p, "#", 1);
    take_publish(p, "open", "y", 1);
    expect_nothing(p);
}

/* What was sent before stays begun: it is sent again on the next connection [MQTT-4.4.0-1]. */
SPEC("MQTT-4.4.0-1", "MQTT-4.3.3-5")
TEST(a_right_that_is_withdrawn_does_not_break_an_exchange)
{
    install(0, NULL);
    struct peer *p = connect_kept(5, "a", 60);
    struct peer *q = connect5("b");
    subscribe(p, "t", 2);
    publish(q, "t", "x", 2);
    uint16_t pid = expect_publish(p, "t", "x").pid;
    send_ack(p, PK_PUBREC, pid, 0);
    expect_ack(p, PK_PUBREL, pid, 0);
    host.deny = DENY(DELIVER);
    drop(p);
    p = connect_kept(5, "a", 60);
    expect_ack(p, PK_PUBREL, pid, 0);
    send_ack(p, PK_PUBCOMP, pid, 0);
    expect_nothing(p);
}
