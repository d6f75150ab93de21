/* harness.h - specification tests: bytes in, bytes out, a fake clock, and what every packet has to obey.
 *
 *     SPEC("MQTT-3.3.2-6")
 *     TEST(expiry_is_reduced_by_the_time_waited)
 *     {
 *         struct peer *p = connect5("a");
 *         send_hex(p, "82 08 00 01 00 00 02 'ab' 01");
 *         expect_hex(p, "90 04 00 01 00 01");
 *     }
 *
 * Each test has a broker of its own, started by its first dial(): before that it may change `limits`,
 * `hooks`, `config`. After every send and every step of the clock the broker's output is pulled, and each packet
 * is checked against the rules that hold for all of them (rules.c); memory and books are looked at as well. A
 * test that ends must have read everything its peers were sent, and every close must have been expected; then
 * the broker is freed and its memory has to be back at zero.
 *
 * Nothing here is the broker's code: the harness has a codec of its own.
 */
#ifndef MIDGE_SPEC_HARNESS_H
#define MIDGE_SPEC_HARNESS_H

#include "midge/midge.h"

#include <stdio.h>
#include <string.h>

/* ---- tests --------------------------------------------------------------------------------------------- */

#define SPEC(...) /* read by tools/statements.py */

struct test {
    const char *name;
    const char *file;
    void (*run)(void);
    struct test *next;
};
void test_add(struct test *t);

#define TEST(title)                                                                                          \
    static void title(void);                                                                                 \
    __attribute__((constructor)) static void title##_add(void)                                               \
    {                                                                                                        \
        static struct test t = { .name = #title, .file = __FILE__, .run = title };                           \
        test_add(&t);                                                                                        \
    }                                                                                                        \
    static void title(void)

/* ---- assertions: they end the test --------------------------------------------------------------------- */

struct place {
    const char *file;
    int line;
};
#define HERE ((struct place){ __FILE__, __LINE__ })

#if defined(__GNUC__)
#define HARNESS_PRINTF(n) __attribute__((format(printf, n, n + 1), noreturn))
#else
#define HARNESS_PRINTF(n)
#endif

void fail_at(struct place at, const char *format, ...) HARNESS_PRINTF(2);
void check_equal_at(struct place at, const char *what, unsigned long long got, unsigned long long want);
void check_text_at(struct place at, const char *what, const char *got, const char *want);
void check_bytes_at(struct place at, const void *got, size_t got_len, const void *want, size_t want_len);

#define CHECK(condition) ((condition) ? (void)0 : fail_at(HERE, "not true: %s", #condition))
#define CHECK_EQ(got, want) check_equal_at(HERE, #got, (unsigned long long)(got), (unsigned long long)(want))
#define CHECK_STR(got, want) check_text_at(HERE, #got, got, want)
#define CHECK_BYTES(got, got_len, want, want_len) check_bytes_at(HERE, got, got_len, want, want_len)

/* ---- the broker and the clock -------------------------------------------------------------------------- */

extern struct midge_limits limits; /* a copy of midge_limits_gateway */
extern struct midge_hooks hooks;   /* only `random`, the same bytes in every run */
extern struct midge_config config; /* uses the two above and a counted allocator */
extern struct midge *broker;
extern midge_ms now;

void start(void);          /* midge_new; the first dial() does it too */
/* The broker's process is killed (config.store is set): peers are gone, what was not synced is lost; it starts again
 * `away` ms later on, by the wall clock too. */
void crash(midge_ms away);
void advance(midge_ms ms); /* through every deadline on the way, in order */
void shut_down(void);      /* midge_shutdown */
void settle(void);         /* after calls of midge.h from the test: output is pulled, closes are done */
size_t memory_used(void);  /* bytes that the allocator has given out */
struct midge_stats stats(void);

/* Bytes that live until the test ends. */
void *keep(size_t n);            /* zeroed */
char *text_of(char c, size_t n); /* n times c */
char *format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- properties ---------------------------------------------------------------------------------------- */

enum prop_id {
    PROP_PAYLOAD_FORMAT = 0x01, PROP_MESSAGE_EXPIRY = 0x02, PROP_CONTENT_TYPE = 0x03,
    PROP_RESPONSE_TOPIC = 0x08, PROP_CORRELATION_DATA = 0x09, PROP_SUBSCRIPTION_ID = 0x0B,
    PROP_SESSION_EXPIRY = 0x11, PROP_ASSIGNED_ID = 0x12, PROP_SERVER_KEEP_ALIVE = 0x13,
    PROP_AUTH_METHOD = 0x15, PROP_AUTH_DATA = 0x16, PROP_REQUEST_PROBLEM = 0x17, PROP_WILL_DELAY = 0x18,
    PROP_REQUEST_RESPONSE = 0x19, PROP_RESPONSE_INFO = 0x1A, PROP_SERVER_REFERENCE = 0x1C,
    PROP_REASON_STRING = 0x1F, PROP_RECEIVE_MAXIMUM = 0x21, PROP_TOPIC_ALIAS_MAXIMUM = 0x22,
    PROP_TOPIC_ALIAS = 0x23, PROP_MAXIMUM_QOS = 0x24, PROP_RETAIN_AVAILABLE = 0x25, PROP_USER = 0x26,
    PROP_MAXIMUM_PACKET_SIZE = 0x27, PROP_WILDCARD_AVAILABLE = 0x28, PROP_SUBSCRIPTION_ID_AVAILABLE = 0x29,
    PROP_SHARED_AVAILABLE = 0x2A
};

/* One property, to send or as received. Text and binary in `value`, NUL-terminated for convenience. */
struct prop {
    enum prop_id id;
    uint32_t number;
    const char *name; /* of a user property */
    uint32_t name_len;
    const char *value;
    uint32_t value_len;
};
struct props {
    const struct prop *at;
    size_t count;
};
#define PROPS(...)                                                                                           \
    ((struct props){ (const struct prop[]){ __VA_ARGS__ },                                                   \
                     sizeof((const struct prop[]){ __VA_ARGS__ }) / sizeof(struct prop) })

struct prop prop_num(enum prop_id id, uint32_t n); /* as 1, 2, 4 bytes or varint, by its id */
struct prop prop_text(enum prop_id id, const char *text);
struct prop prop_binary(enum prop_id id, const void *bytes, size_t n);
struct prop prop_user(const char *name, const char *value);

/* ---- packets that arrive ------------------------------------------------------------------------------- */

enum packet_type {
    PK_ANY, PK_CONNECT, PK_CONNACK, PK_PUBLISH, PK_PUBACK, PK_PUBREC, PK_PUBREL, PK_PUBCOMP, PK_SUBSCRIBE,
    PK_SUBACK, PK_UNSUBSCRIBE, PK_UNSUBACK, PK_PINGREQ, PK_PINGRESP, PK_DISCONNECT, PK_AUTH
};

struct packet {
    enum packet_type type;
    const uint8_t *bytes; /* the whole packet */
    size_t len;
    bool dup, retain, session_present;
    uint8_t qos;
    uint8_t reason; /* CONNACK, acknowledgements, DISCONNECT, AUTH; as the version encodes it */
    uint16_t pid;
    const char *topic; /* PUBLISH: an alias is already looked up; NUL-terminated */
    size_t topic_len;
    uint16_t alias;      /* 0 = none */
    bool alias_alone;    /* the topic was empty on the wire */
    const char *payload; /* NUL-terminated */
    size_t payload_len;
    const uint8_t *codes; /* SUBACK, UNSUBACK */
    size_t code_count;
    const struct prop *props;
    size_t prop_count;
};

bool has_prop(const struct packet *pk, enum prop_id id);
size_t count_prop(const struct packet *pk, enum prop_id id);
/* The nth property of that id, counted from 0; the test fails if there are not so many. */
const struct prop *nth_prop_at(struct place at, const struct packet *pk, enum prop_id id, size_t n);
#define nth_prop(pk, id, n) nth_prop_at(HERE, pk, id, n)
#define prop_number(pk, id) (nth_prop_at(HERE, pk, id, 0)->number)
#define prop_string(pk, id) (nth_prop_at(HERE, pk, id, 0)->value)

/* ---- peers --------------------------------------------------------------------------------------------- */

struct peer;

struct peer *dial_at(struct place at, uint32_t address_key);
#define dial() dial_at(HERE, 0)
#define dial_from(key) dial_at(HERE, key)
struct peer *try_dial(uint32_t address_key); /* NULL: the broker would not */

/* Bytes as they are. In hex: pairs of digits, spaces between as you like, 'text' for text. What a closed peer
 * sends is lost; what a paused one sends waits. */
void send_hex_at(struct place at, struct peer *p, const char *hex);
#define send_hex(p, hex) send_hex_at(HERE, p, hex)
void send_bytes(struct peer *p, const void *bytes, size_t n);
/* A packet with this first byte, its Remaining Length, and this behind it. */
void send_body_at(struct place at, struct peer *p, unsigned first, const char *hex);
#define send_body(p, first, hex) send_body_at(HERE, p, first, hex)

struct c_will {
    const char *topic;
    const char *payload; /* NULL = empty */
    size_t payload_len;  /* 0 = strlen */
    uint8_t qos;
    bool retain;
    struct props props;
};
struct c_connect {
    uint8_t version;       /* 3, 4 or 5; 0 = 5 */
    const char *client_id; /* NULL = empty */
    bool clean_start;
    uint16_t keepalive;
    struct props props;
    const struct c_will *will;
    const char *username;
    const char *password;
    size_t password_len; /* 0 = strlen */
};
struct c_publish {
    const char *topic;
    const char *payload; /* NULL = empty */
    size_t payload_len;  /* 0 = strlen */
    uint16_t pid;        /* with qos > 0 */
    uint8_t qos;
    bool retain, dup;
    struct props props;
};
struct c_filter {
    const char *filter;
    uint8_t options; /* as on the wire: QoS | OPT_... */
};
#define OPT_NO_LOCAL 0x04
#define OPT_RETAIN_AS_PUBLISHED 0x08
#define OPT_RETAIN_HANDLING(n) ((n) << 4)
struct c_subscribe {
    uint16_t pid;
    struct props props;
    const struct c_filter *filters;
    size_t count;
};
#define FILTERS(...)                                                                                         \
    .filters = (const struct c_filter[]){ __VA_ARGS__ },                                                     \
    .count = sizeof((const struct c_filter[]){ __VA_ARGS__ }) / sizeof(struct c_filter)

/* The version is the one that the peer's CONNECT named. */
void send_connect(struct peer *p, const struct c_connect *c);
void send_publish(struct peer *p, const struct c_publish *c);
void send_subscribe(struct peer *p,
                    const struct c_subscribe *c); /* FILTERS({ "a/b", 1 }, { "c", 2 | OPT_NO_LOCAL }) */
void send_unsubscribe(struct peer *p, const struct c_subscribe *c); /* options are not sent */
void send_ack(struct peer *p, enum packet_type type, uint16_t pid,
              uint8_t reason); /* 0 = the two-byte form */
void send_ping(struct peer *p);
void send_disconnect(struct peer *p, uint8_t reason,
                     struct props props); /* (struct props){ 0 }, or NO_PROPS */
void send_auth(struct peer *p, uint8_t reason, struct props props);
#define NO_PROPS ((struct props){ NULL, 0 })

/* The same packets as bytes, kept until the test ends: to be cut, changed, or sent at once. */
struct bytes {
    uint8_t *at;
    size_t len;
};
struct bytes connect_bytes(const struct c_connect *c);
struct bytes publish_bytes(const struct peer *p, const struct c_publish *c);
struct bytes hex_bytes(const char *hex); /* as send_hex takes it */
struct bytes body_bytes(unsigned first, const char *hex);
struct bytes join(struct bytes a, struct bytes b);
void send_all(struct peer *p, struct bytes b);

/* ---- what a peer gets ---------------------------------------------------------------------------------- */

/* Exactly these bytes come next; ?? = any byte. */
void expect_hex_at(struct place at, struct peer *p, const char *hex);
#define expect_hex(p, hex) expect_hex_at(HERE, p, hex)
/* The next packet, of this type (PK_ANY: whatever it is). */
struct packet expect_packet_at(struct place at, struct peer *p, enum packet_type type);
#define expect_packet(p, type) expect_packet_at(HERE, p, type)
/* Nothing more has come, and the connection is up. */
void expect_nothing_at(struct place at, struct peer *p);
#define expect_nothing(p) expect_nothing_at(HERE, p)
/* Nothing more has come, and the broker has closed the connection. */
void expect_closed_at(struct place at, struct peer *p);
#define expect_closed(p) expect_closed_at(HERE, p)
/* 5.0: DISCONNECT with this reason comes next, and then the close; 3.x: the close. */
void expect_disconnect_at(struct place at, struct peer *p, uint8_t reason);
#define expect_disconnect(p, reason) expect_disconnect_at(HERE, p, reason)
/* CONNACK with this code (as the version encodes it) comes next; if it is not 0 then also the close. */
struct packet expect_connack_at(struct place at, struct peer *p, uint8_t reason);
#define expect_connack(p, reason) expect_connack_at(HERE, p, reason)
struct packet expect_ack_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid,
                            uint8_t reason);
#define expect_ack(p, type, pid, reason) expect_ack_at(HERE, p, type, pid, reason)
struct packet expect_publish_at(struct place at, struct peer *p, const char *topic, const char *payload);
#define expect_publish(p, topic, payload) expect_publish_at(HERE, p, topic, payload)

bool is_closed(const struct peer *p);
bool is_paused(const struct peer *p);
size_t unread(const struct peer *p); /* bytes that came and were not expected yet */
void read_all(struct peer *p);       /* forgets them */
struct midge_conn *conn_of(const struct peer *p); /* NULL: closed or dropped */
struct midge_conn *live_conn_at(struct place at, const struct peer *p);
#define live_conn(p) live_conn_at(HERE, p) /* the test fails if there is none any more */

/* ---- whole conversations ------------------------------------------------------------------------------- */

/* Dials, sends CONNECT, takes CONNACK 0. */
struct peer *connect_at(struct place at, const struct c_connect *c);
#define connect_as(...) connect_at(HERE, __VA_ARGS__) /* &(struct c_connect){ ... } */
/* With Clean Start, keep alive 0, no properties, no will. */
#define connect5(id)                                                                                         \
    connect_at(HERE, &(struct c_connect){ .version = 5, .client_id = id, .clean_start = true })
#define connect311(id)                                                                                       \
    connect_at(HERE, &(struct c_connect){ .version = 4, .client_id = id, .clean_start = true })
#define connect31(id)                                                                                        \
    connect_at(HERE, &(struct c_connect){ .version = 3, .client_id = id, .clean_start = true })
/* The CONNACK that connect_as, expect_connack took. */
const struct packet *connack_of(const struct peer *p);

/* SUBSCRIBE to one filter and SUBACK that grants its QoS; `options` as in struct c_filter. Retained messages
 * that come right behind are left for the test. */
void subscribe_at(struct place at, struct peer *p, const char *filter, uint8_t options);
#define subscribe(p, filter, options) subscribe_at(HERE, p, filter, options)
void unsubscribe_at(struct place at, struct peer *p, const char *filter);
#define unsubscribe(p, filter) unsubscribe_at(HERE, p, filter)
/* PUBLISH with the next free id, and the acknowledgements up to the end; none may be a refusal. */
void publish_at(struct place at, struct peer *p, const char *topic, const char *payload, uint8_t qos,
                bool retain);
#define publish(p, topic, payload, qos) publish_at(HERE, p, topic, payload, qos, false)
#define publish_retained(p, topic, payload, qos) publish_at(HERE, p, topic, payload, qos, true)
/* PUBLISH with this content comes next, and is acknowledged up to the end; its PUBREL may come later on. */
struct packet take_publish_at(struct place at, struct peer *p, const char *topic, const char *payload,
                              uint8_t qos);
#define take_publish(p, topic, payload, qos) take_publish_at(HERE, p, topic, payload, qos)

/* DISCONNECT (normal), and the close. */
void leave_at(struct place at, struct peer *p);
#define leave(p) leave_at(HERE, p)
/* The network fails. */
void drop(struct peer *p);
/* The peer stops reading, and reads again. */
void hold(struct peer *p);
void resume(struct peer *p);

#endif
