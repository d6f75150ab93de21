/* test_forward.c - the properties of a message: which are lawful, and that they arrive as they were sent. */
#include "more.h"

/* All that travels with a message, in an order no encoder would choose. */
static struct props everything(void)
{
    struct prop *p = keep(8 * sizeof *p);
    p[0] = prop_user("first", "1");
    p[1] = prop_binary(PROP_CORRELATION_DATA, "\0\xFF\x80\n", 4);
    p[2] = prop_text(PROP_CONTENT_TYPE, "text/plain");
    p[3] = prop_user("second", "");
    p[4] = prop_text(PROP_RESPONSE_TOPIC, "answers/here");
    p[5] = prop_user("first", "1");
    p[6] = prop_num(PROP_PAYLOAD_FORMAT, 1);
    p[7] = prop_user("", "third");
    return (struct props){ p, 8 };
}

static void check_user(const struct packet *pk, size_t n, const char *name, const char *value)
{
    const struct prop *p = nth_prop(pk, PROP_USER, n);
    CHECK_BYTES(p->name, p->name_len, name, strlen(name));
    CHECK_BYTES(p->value, p->value_len, value, strlen(value));
}

static void check_everything(const struct packet *pk)
{
    CHECK_EQ(count_prop(pk, PROP_USER), 4);
    check_user(pk, 0, "first", "1");
    check_user(pk, 1, "second", "");
    check_user(pk, 2, "first", "1");
    check_user(pk, 3, "", "third");
    CHECK_STR(prop_string(pk, PROP_CONTENT_TYPE), "text/plain");
    CHECK_STR(prop_string(pk, PROP_RESPONSE_TOPIC), "answers/here");
    CHECK_EQ(prop_number(pk, PROP_PAYLOAD_FORMAT), 1);
    const struct prop *data = nth_prop(pk, PROP_CORRELATION_DATA, 0);
    CHECK_BYTES(data->value, data->value_len, "\0\xFF\x80\n", 4);
}

SPEC("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
TEST(all_properties_of_a_message_arrive_as_they_were_sent)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        send_publish(p, &(struct c_publish){ .topic = "a",
                                             .payload = "x",
                                             .qos = qos,
                                             .pid = (uint16_t)(qos + 1),
                                             .props = everything() });
        if (qos)
            expect_ack(p, qos == 1 ? PK_PUBACK : PK_PUBREC, (uint16_t)(qos + 1), 0);
        struct packet got = take_publish(s, "a", "x", qos);
        check_everything(&got);
        CHECK_EQ(got.prop_count, 8);
    }
}

SPEC("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
TEST(properties_survive_the_queue_the_retained_store_and_being_sent_again)
{
    struct peer *s = stay5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 1);
    drop(s);
    send_publish(
        p, &(struct c_publish){
               .topic = "a", .payload = "x", .qos = 1, .pid = 1, .retain = true, .props = everything() });
    expect_ack(p, PK_PUBACK, 1, 0);
    for (int i = 0; i < 2; i++) {
        s = stay5("s");
        struct packet got = expect_publish(s, "a", "x");
        CHECK_EQ(got.dup, i);
        check_everything(&got);
        drop(s);
    }
    struct peer *late = connect5("late");
    subscribe(late, "a", 0);
    struct packet got = expect_publish(late, "a", "x");
    check_everything(&got);
    s = stay5("s");
    take_publish(s, "a", "x", 1);
}

SPEC("MQTT-3.3.2-4")
TEST(payload_format_is_passed_on_as_0_as_1_and_as_absent)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    for (uint32_t format = 0; format <= 1; format++) {
        send_publish(
            p, &(struct c_publish){ .topic = "a", .props = PROPS(prop_num(PROP_PAYLOAD_FORMAT, format)) });
        struct packet got = expect_publish(s, "a", "");
        CHECK_EQ(prop_number(&got, PROP_PAYLOAD_FORMAT), format);
    }
    publish(p, "a", "", 0);
    struct packet got = expect_publish(s, "a", "");
    CHECK(!has_prop(&got, PROP_PAYLOAD_FORMAT));
}

SPEC("MQTT-3.3.2-16")
TEST(correlation_data_of_any_length_is_passed_on)
{
    static const size_t lengths[] = { 0, 1, 2, 127, 128, 16384, 65535 };
    uint32_t seed = 99;
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t *data = keep(lengths[i] + 1);
        for (size_t k = 0; k < lengths[i]; k++)
            data[k] = (uint8_t)roll(&seed, 256);
        send_publish(
            p, &(struct c_publish){ .topic = "a",
                                    .payload = "x",
                                    .props = PROPS(prop_binary(PROP_CORRELATION_DATA, data, lengths[i])) });
        struct packet got = expect_publish(s, "a", "x");
        const struct prop *back = nth_prop(&got, PROP_CORRELATION_DATA, 0);
        CHECK_BYTES(back->value, back->value_len, data, lengths[i]);
    }
}

SPEC("MQTT-3.3.2-17", "MQTT-3.3.2-18")
TEST(user_properties_keep_their_number_and_order)
{
    enum { N = 200 };
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    struct prop *list = keep(N * sizeof *list);
    for (size_t i = 0; i < N; i++)
        list[i] = prop_user(format("name%zu", i * 7 % 5), format("value%zu", i % 50));
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = { list, N } });
    struct packet got = expect_publish(s, "a", "x");
    CHECK_EQ(count_prop(&got, PROP_USER), N);
    for (size_t i = 0; i < N; i++)
        check_user(&got, i, list[i].name, list[i].value);
}

SPEC("MQTT-3.1.2-29", "MQTT-3.3.2-17")
TEST(user_properties_reach_a_client_that_asked_for_no_problem_information)
{
    struct peer *s = connect5_with("s", prop_num(PROP_REQUEST_PROBLEM, 0));
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = everything() });
    struct packet got = expect_publish(s, "a", "x");
    check_everything(&got);
}

SPEC("MQTT-3.1.3-10", "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-20")
TEST(all_properties_of_a_will_are_published_with_it)
{
    struct peer *s = connect5("s");
    subscribe(s, "will", 1);
    struct props props = everything();
    struct prop *more = keep((props.count + 2) * sizeof *more);
    more[0] = prop_num(PROP_WILL_DELAY, 0);
    memcpy(more + 1, props.at, props.count * sizeof *more);
    more[props.count + 1] = prop_num(PROP_MESSAGE_EXPIRY, 77);
    struct peer *p = connect_as(&(struct c_connect){
        .version = 5,
        .client_id = "p",
        .clean_start = true,
        .will = &(struct c_will){
            .topic = "will", .payload = "x", .qos = 1, .props = { more, props.count + 2 } } });
    drop(p);
    struct packet got = take_publish(s, "will", "x", 1);
    check_everything(&got);
    CHECK_EQ(prop_number(&got, PROP_MESSAGE_EXPIRY), 77);
    CHECK(!has_prop(&got, PROP_WILL_DELAY));
    CHECK_EQ(got.prop_count, 9);
}

SPEC("U5-3.1.3.2.3-pfi", "MQTT-3.3.2-4")
TEST(payloads_are_not_read_whatever_their_format_says)
{
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    struct peer *p = connect_as(&(struct c_connect){
        .version = 5,
        .client_id = "p",
        .clean_start = true,
        .will = &(struct c_will){
            .topic = "will", .payload = "\xC0\x80", .props = PROPS(prop_num(PROP_PAYLOAD_FORMAT, 1)) } });
    send_publish(p, &(struct c_publish){ .topic = "a",
                                         .payload = "\xED\xA0\x80",
                                         .props = PROPS(prop_num(PROP_PAYLOAD_FORMAT, 1)) });
    expect_publish(s, "a", "\xED\xA0\x80");
    drop(p);
    expect_publish(s, "will", "\xC0\x80");
}

SPEC("MQTT-3.3.2-15", "U5-mixed-version")
TEST(a_3_1_1_client_gets_messages_without_their_properties)
{
    struct peer *s3 = connect31("s3");
    struct peer *s4 = connect311("s4");
    struct peer *s5 = connect5("s5");
    subscribe(s3, "a", 1);
    subscribe(s4, "a", 1);
    subscribe(s5, "a", 1);
    struct peer *p = connect5("p");
    send_publish(
        p, &(struct c_publish){ .topic = "a", .payload = "x", .qos = 1, .pid = 1, .props = everything() });
    expect_ack(p, PK_PUBACK, 1, 0);
    expect_hex(s3, "32 06 00 01 'a' 00 01 'x'");
    expect_hex(s4, "32 06 00 01 'a' 00 01 'x'");
    struct packet got = take_publish(s5, "a", "x", 1);
    check_everything(&got);
    struct peer *q = connect311("q");
    publish(q, "a", "y", 1);
    expect_hex(s5, "32 07 00 01 'a' 00 02 00 'y'"); /* and the other way: none */
    expect_hex(s4, "32 06 00 01 'a' 00 02 'y'");
    expect_hex(s3, "32 06 00 01 'a' 00 02 'y'");
}

SPEC("MQTT-3.3.2-3", "MQTT-3.3.2-12")
TEST(a_topic_given_by_alias_is_forwarded_with_all_properties)
{
    struct peer *s = connect5("s");
    struct peer *p = connect5("p");
    subscribe(s, "a", 0);
    struct props props = everything();
    struct prop *more = keep((props.count + 1) * sizeof *more);
    memcpy(more, props.at, props.count * sizeof *more);
    more[props.count] = prop_num(PROP_TOPIC_ALIAS, 1);
    for (int i = 0; i < 2; i++) {
        send_publish(p, &(struct c_publish){
                            .topic = i ? "" : "a", .payload = "x", .props = { more, props.count + 1 } });
        struct packet got = expect_publish(s, "a", "x");
        check_everything(&got);
        CHECK_EQ(got.prop_count, props.count); /* not the alias */
    }
}

/* ---- unlawful ones --------------------------------------------------------------------------------- */

static void check_refused(struct prop prop, uint8_t reason)
{
    struct peer *p = connect5("p");
    send_publish(p, &(struct c_publish){ .topic = "a", .payload = "x", .props = PROPS(prop) });
    expect_disconnect(p, reason);
}

SPEC("MQTT-3.3.2-13", "MQTT-3.3.2-19", "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-1.5.7-1")
TEST(properties_that_are_not_well_formed_utf8_end_the_connection)
{
    static const char *const bad[] = { "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xFF", "\xE2\x82" };
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_refused(prop_text(PROP_RESPONSE_TOPIC, bad[i]), MIDGE_RC_MALFORMED);
        check_refused(prop_text(PROP_CONTENT_TYPE, bad[i]), MIDGE_RC_MALFORMED);
        check_refused(prop_user(bad[i], "x"), MIDGE_RC_MALFORMED);
        check_refused(prop_user("x", bad[i]), MIDGE_RC_MALFORMED);
    }
    check_refused(prop_binary(PROP_RESPONSE_TOPIC, "a\0b", 3), MIDGE_RC_MALFORMED);
    check_refused(prop_binary(PROP_CONTENT_TYPE, "a\0b", 3), MIDGE_RC_MALFORMED);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-14", "MQTT-4.7.0-1")
TEST(a_response_topic_with_wildcards_ends_the_connection)
{
    static const char *const bad[] = { "r/+", "r/#", "#", "+/x", "a+" };
    struct peer *s = connect5("s");
    subscribe(s, "#", 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_refused(prop_text(PROP_RESPONSE_TOPIC, bad[i]), MIDGE_RC_TOPIC_NAME_INVALID);
    expect_nothing(s);
}

SPEC("MQTT-3.3.2-14")
TEST(a_will_with_wildcards_in_its_response_topic_is_refused)
{
    struct peer *p = dial();
    send_connect(p, &(struct c_connect){
                        .version = 5,
                        .client_id = "p",
                        .clean_start = true,
                        .will = &(struct c_will){ .topic = "will",
                                                  .props = PROPS(prop_text(PROP_RESPONSE_TOPIC, "r/+")) } });
    expect_connack(p, MIDGE_RC_TOPIC_NAME_INVALID);
}

SPEC("U5-2.2.2.2-dup", "MQTT-3.3.2-4")
TEST(a_property_that_comes_twice_ends_the_connection)
{
    const struct prop twice[] = {
        prop_num(PROP_PAYLOAD_FORMAT, 0),          prop_num(PROP_MESSAGE_EXPIRY, 5),
        prop_text(PROP_CONTENT_TYPE, "t"),         prop_text(PROP_RESPONSE_TOPIC, "r"),
        prop_binary(PROP_CORRELATION_DATA, "", 0), prop_num(PROP_TOPIC_ALIAS, 1)
    };
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++) {
        struct peer *p = connect5("p");
        send_publish(p, &(struct c_publish){ .topic = "a", .props = PROPS(twice[i], twice[i]) });
        expect_disconnect(p, MIDGE_RC_PROTOCOL_ERROR);
    }
}

SPEC("MQTT-3.3.2-4")
TEST(a_payload_format_above_1_ends_the_connection)
{
    check_refused(prop_num(PROP_PAYLOAD_FORMAT, 2), MIDGE_RC_PROTOCOL_ERROR);
}

SPEC("U5-2.2.2.2-type")
TEST(a_property_that_publish_does_not_have_ends_the_connection)
{
    const struct prop strangers[] = {
        prop_num(PROP_SESSION_EXPIRY, 1),      prop_text(PROP_ASSIGNED_ID, "x"),
        prop_num(PROP_SERVER_KEEP_ALIVE, 1),   prop_text(PROP_AUTH_METHOD, "x"),
        prop_binary(PROP_AUTH_DATA, "x", 1),   prop_num(PROP_REQUEST_PROBLEM, 1),
        prop_num(PROP_WILL_DELAY, 1),          prop_num(PROP_REQUEST_RESPONSE, 1),
        prop_text(PROP_RESPONSE_INFO, "x"),    prop_text(PROP_SERVER_REFERENCE, "x"),
        prop_text(PROP_REASON_STRING, "x"),    prop_num(PROP_RECEIVE_MAXIMUM, 1),
        prop_num(PROP_TOPIC_ALIAS_MAXIMUM, 1), prop_num(PROP_MAXIMUM_QOS, 1),
        prop_num(PROP_RETAIN_AVAILABLE, 1),    prop_num(PROP_MAXIMUM_PACKET_SIZE, 1),
        prop_num(PROP_WILDCARD_AVAILABLE, 1),  prop_num(PROP_SUBSCRIPTION_ID_AVAILABLE, 1),
        prop_num(PROP_SHARED_AVAILABLE, 1),
    };
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
        check_refused(strangers[i], MIDGE_RC_MALFORMED);
}
