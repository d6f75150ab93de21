/* test_ws.c - WebSocket as a layer: upgrade, frames, control frames, closing; and MQTT through it. */
#include "chain.h"
#include "wire.h"

#include "net/sha1.h"
#include "net/ws.h"

#include <stdio.h>

/* ---- a client's side ------------------------------------------------------------------------------------ */

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define REQUEST "GET /mqtt HTTP/1.1\r\nHost: x\r\n" UPGRADE KEY "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
#define ACCEPTED                                                                                             \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"

static const struct midge_ws_options no_options = { .path = NULL };
static struct heap heap;

static void open_ws(struct end *e, const struct midge_ws_options *options)
{
    heap_open(&heap);
    end_open(e);
    assert_true(midge_chain_push(&e->chain, midge_ws_new(options ? options : &no_options, &heap.memory)));
}

static void close_ws(struct end *e)
{
    end_free(e);
    heap_close(&heap);
}

/* What was pulled so far is exactly this. */
static void expect(struct end *e, const void *bytes, size_t n)
{
    end_pull(e);
    assert_int_equal(e->wire.len, n);
    assert_memory_equal(e->wire.bytes, bytes, n);
    e->wire.len = 0;
}
#define EXPECT_WIRE(e, literal) expect(e, literal, sizeof(literal) - 1)

static void expect_up(struct end *e, const void *bytes, size_t n)
{
    assert_int_equal(e->up.len, n);
    if (n)
        assert_memory_equal(e->up.bytes, bytes, n);
    e->up.len = 0;
}
#define EXPECT_UP(e, literal) expect_up(e, literal, sizeof(literal) - 1)

static void upgrade(struct end *e)
{
    end_feed(e, REQUEST, sizeof REQUEST - 1);
    EXPECT_WIRE(e, ACCEPTED);
    assert_true(midge_chain_has_greeted(&e->chain));
}

/* A masked frame. first: FIN and opcode. */
static void frame(struct end *e, uint8_t first, const void *payload, size_t n)
{
    const uint8_t mask[] = { 0x12, 0x34, 0x56, 0x78 };
    struct stream s = { .len = 0 };
    uint8_t head[14] = { first };
    size_t len = 2;
    if (n > UINT16_MAX) {
        head[1] = 0x80 | 127;
        for (unsigned i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
        len = 10;
    } else if (n > 125) {
        head[1] = 0x80 | 126;
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
        len = 4;
    } else {
        head[1] = (uint8_t)(0x80 | n);
    }
    memcpy(head + len, mask, 4);
    stream_add(&s, head, len + 4);
    stream_add(&s, payload, n);
    for (size_t i = 0; i < n; i++)
        s.bytes[len + 4 + i] ^= mask[i % 4];
    end_feed(e, s.bytes, s.len);
    stream_free(&s);
}
#define FRAME(e, first, literal) frame(e, first, literal, sizeof(literal) - 1)
#define RAW(e, literal) end_feed(e, literal, sizeof(literal) - 1)

/* ---- the upgrade ---------------------------------------------------------------------------------------- */

static void sha1_is_that_of_the_standard(void **state)
{
    (void)state;
    static const uint8_t abc[] = "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d";
    static const uint8_t two[] = "\x84\x98\x3e\x44\x1c\x3b\xd2\x6e\xba\xae\x4a\xa1\xf9\x51\x29\xe5\xe5\x46\x70\xf1";
    uint8_t digest[20];
    midge_sha1_short("abc", 3, digest);
    assert_memory_equal(digest, abc, 20);
    midge_sha1_short("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
    assert_memory_equal(digest, two, 20);
}

SPEC("MQTT-6.0.0-4", "MQTT311-6.0.0-4")
static void of_the_subprotocols_offered_mqtt_is_chosen(void **state)
{
    (void)state;
    static const char *const offers[] = {
        "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n", "sec-websocket-protocol:mqtt,mqttv3.1\r\n",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: \tmqtt \r\n"
    };
    for (size_t i = 0; i < COUNT(offers); i++) {
        char request[512];
        struct end e;
        open_ws(&e, NULL);
        int n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" UPGRADE KEY "%s\r\n", offers[i]);
        end_feed(&e, request, (size_t)n);
        EXPECT_WIRE(&e, ACCEPTED);
        close_ws(&e);
    }
}

static void the_name_of_old_browser_clients_is_understood(void **state)
{
    (void)state;
    struct end e;
    open_ws(&e, NULL);
    RAW(&e, "GET / HTTP/1.1\r\n" UPGRADE KEY "Sec-WebSocket-Protocol: mqttv3.1\r\n\r\n");
    end_pull(&e);
    assert_true(midge_chain_has_greeted(&e.chain));
    stream_add(&e.wire, "", 1);
    assert_non_null(strstr((char *)e.wire.bytes, "Sec-WebSocket-Protocol: mqttv3.1\r\n\r\n"));
    close_ws(&e);
}

/* The request is refused with this status, and what is left of it goes nowhere. */
static void expect_refusal(const struct midge_ws_options *options, const char *request, const char *status)
{
    struct end e;
    open_ws(&e, options);
    end_feed(&e, request, strlen(request));
    assert_true(e.chain.ended);
    assert_non_null(e.chain.why);
    assert_false(midge_chain_has_greeted(&e.chain));
    end_pull(&e);
    assert_memory_equal(e.wire.bytes, "HTTP/1.1 ", 9);
    assert_memory_equal(e.wire.bytes + 9, status, strlen(status));
    stream_add(&e.wire, "", 1);
    const char *length = strstr((char *)e.wire.bytes, "Content-Length: ");
    const char *body = strstr((char *)e.wire.bytes, "\r\n\r\n");
    assert_non_null(length);
    assert_non_null(body);
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
    assert_true(e.chain.bottom->done);
    close_ws(&e);
}

SPEC("MQTT-6.0.0-3", "MQTT311-6.0.0-3")
static void a_request_that_does_not_offer_mqtt_is_refused(void **state)
{
    (void)state;
    expect_refusal(NULL, "GET / HTTP/1.1\r\n" UPGRADE KEY "\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\n" UPGRADE KEY "Sec-WebSocket-Protocol: chat, MQTT\r\n\r\n", "400");
}

static void what_is_no_websocket_request_is_told_so(void **state)
{
    (void)state;
#define OFFER "Sec-WebSocket-Protocol: mqtt\r\n"
    expect_refusal(NULL, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "426");
    expect_refusal(NULL, "GET / HTTP/1.0\r\n", "400");
    expect_refusal(NULL, "hello\r\n", "400");
    expect_refusal(NULL, "\x10\x0d\n", "400");
    expect_refusal(NULL, "POST / HTTP/1.1\r\n", "405");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nno colon\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nA: b\r\n c\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\n" UPGRADE OFFER "\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nSec-WebSocket-Key: c2hvcnQ=\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSB!b25jZQ==\r\n", "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\n" KEY KEY, "400");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY OFFER
                         "Sec-WebSocket-Version: 8\r\n\r\n", "426");
    expect_refusal(NULL, "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: close\r\n" KEY OFFER
                         "Sec-WebSocket-Version: 13\r\n\r\n", "426");
}

static void paths_and_origins_are_those_of_the_options(void **state)
{
    (void)state;
    static const char *const origins[] = { "https://a.example", "http://b.example:8080" };
    const struct midge_ws_options o = { .path = "/mqtt", .origins = origins, .origin_count = 2 };
    expect_refusal(&o, "GET /other HTTP/1.1\r\n", "404");
    expect_refusal(&o, "GET /mqtt/ HTTP/1.1\r\n", "404");
    expect_refusal(&o, "GET /mqtt HTTP/1.1\r\nOrigin: https://a.example.evil\r\n", "403");
    expect_refusal(&o, "GET /mqtt HTTP/1.1\r\nOrigin: null\r\n", "403");
    static const char *const good[] = { "", "Origin: HTTPS://A.example\r\n", "Origin: http://b.example:8080\r\n" };
    for (size_t i = 0; i < COUNT(good); i++) {
        char request[512];
        struct end e;
        open_ws(&e, &o);
        int n = snprintf(request, sizeof request, "\r\nGET /mqtt?token=1 HTTP/1.1\r\n%s" UPGRADE KEY OFFER "\n",
                         good[i]);
        end_feed(&e, request, (size_t)n);
        EXPECT_WIRE(&e, ACCEPTED);
        close_ws(&e);
    }
}

static void a_request_may_be_long_up_to_the_limit(void **state)
{
    (void)state;
    char junk[2048], request[9000];
    memset(junk, 'j', sizeof junk - 1);
    junk[sizeof junk - 1] = '\0';
    snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\n", junk);
    expect_refusal(NULL, request, "431"); /* its end cannot be seen any more */
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nOrigin: %s\r\n", junk);
    expect_refusal(NULL, request, "431");
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nCookie: %s\r\nCookie: %s", junk, junk);
    expect_refusal(NULL, request, "431");
    const struct midge_ws_options o = { .header_bytes = 64 };
    expect_refusal(&o, REQUEST, "431");

    struct end e;
    open_ws(&e, NULL);
    int n = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nCookie: %s\r\n" UPGRADE KEY OFFER "\r\n", junk);
    end_feed(&e, request, (size_t)n);
    EXPECT_WIRE(&e, ACCEPTED);
    close_ws(&e);
}

static void an_open_connection_holds_nothing_but_itself(void **state)
{
    (void)state;
    struct end e;
    open_ws(&e, NULL);
    upgrade(&e);
    assert_int_equal(heap.blocks, 1);
    assert_true(heap.bytes <= 96);
    FRAME(&e, 0x89, "ping");
    FRAME(&e, 0x8A, "not asked for");
    EXPECT_WIRE(&e, "\x8A\4ping");
    assert_int_equal(heap.blocks, 1);
    close_ws(&e);
}

/* ---- frames --------------------------------------------------------------------------------------------- */

static void frames_of_any_length_are_one_stream(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 2, 125, 126, 127, 65535, 65536, 100000, 0, 3 };
    static const size_t cuts[] = { 0, 1, 2, 3, 7, 64, 1000 };
    for (size_t c = 0; c < COUNT(cuts); c++) {
        struct end e;
        struct stream sent = { .len = 0 };
        open_ws(&e, NULL);
        upgrade(&e);
        e.feed_max = cuts[c];
        uint32_t seed = 1;
        for (size_t i = 0; i < COUNT(lengths); i++) {
            size_t at = sent.len;
            for (size_t k = 0; k < lengths[i]; k++)
                stream_add(&sent, &(uint8_t){ (uint8_t)dice(&seed) }, 1);
            frame(&e, 0x82, lengths[i] ? sent.bytes + at : NULL, lengths[i]);
        }
        expect_up(&e, sent.bytes, sent.len);
        assert_false(e.chain.ended);
        stream_free(&sent);
        close_ws(&e);
    }
}

static void a_message_in_fragments_with_control_frames_between(void **state)
{
    (void)state;
    struct end e;
    open_ws(&e, NULL);
    upgrade(&e);
    FRAME(&e, 0x02, "one ");
    FRAME(&e, 0x89, "are you there");
    FRAME(&e, 0x00, "");
    FRAME(&e, 0x00, "two ");
    FRAME(&e, 0x8A, "");
    FRAME(&e, 0x80, "three");
    FRAME(&e, 0x82, "!");
    EXPECT_UP(&e, "one two three!");
    EXPECT_WIRE(&e, "\x8A\x0D" "are you there");
    close_ws(&e);
}

static void the_latest_ping_is_answered(void **state)
{
    (void)state;
    struct end e;
    char longest[125];
    memset(longest, 'p', sizeof longest);
    open_ws(&e, NULL);
    upgrade(&e);
    FRAME(&e, 0x89, "first");
    FRAME(&e, 0x89, "second");
    FRAME(&e, 0x8A, "a pong does not disturb it");
    EXPECT_WIRE(&e, "\x8A\6second");
    frame(&e, 0x89, longest, sizeof longest);
    uint8_t out[50];
    assert_int_equal(midge_chain_pull(&e.chain, out, sizeof out), sizeof out);
    FRAME(&e, 0x89, ""); /* while a pong is half out */
    end_pull(&e);
    assert_int_equal(e.wire.len, 77 + 2);
    assert_memory_equal(e.wire.bytes + 77, "\x8A\0", 2);
    close_ws(&e);
}

static void what_is_sent_is_a_frame_as_long_as_the_room(void **state)
{
    (void)state;
    static const size_t rooms[] = { 1, 2, 3, 5, 6, 7, 8, 64, 129, 130, 131, 1000, 0 };
    for (size_t r = 0; r < COUNT(rooms); r++) {
        struct end e;
        struct stream sent = { .len = 0 }, got = { .len = 0 };
        open_ws(&e, NULL);
        upgrade(&e);
        uint32_t seed = 3;
        for (size_t k = 0; k < 70000; k++)
            stream_add(&sent, &(uint8_t){ (uint8_t)dice(&seed) }, 1);
        stream_add(&e.down, sent.bytes, sent.len);
        e.room = rooms[r];
        end_pull(&e);
        for (size_t at = 0; at < e.wire.len;) { /* unmasked binary frames, lengths in their shortest form */
            assert_int_equal(e.wire.bytes[at], 0x82);
            size_t n = e.wire.bytes[at + 1], head = 2;
            assert_true(n <= 126);
            if (n == 126) {
                n = (size_t)e.wire.bytes[at + 2] << 8 | e.wire.bytes[at + 3];
                assert_true(n > 125);
                head = 4;
            }
            stream_add(&got, e.wire.bytes + at + head, n);
            at += head + n;
        }
        assert_int_equal(got.len, sent.len);
        assert_memory_equal(got.bytes, sent.bytes, sent.len);
        stream_free(&sent);
        stream_free(&got);
        close_ws(&e);
    }
}

/* ---- closing -------------------------------------------------------------------------------------------- */

/* After `raw` the connection ends with this close code; nothing that follows is heard. */
static void expect_close(const char *raw, size_t n, unsigned code)
{
    static const size_t cuts[] = { 0, 1 };
    for (size_t c = 0; c < COUNT(cuts); c++) {
        struct end e;
        open_ws(&e, NULL);
        upgrade(&e);
        e.feed_max = cuts[c];
        end_feed(&e, raw, n);
        assert_true(e.chain.ended);
        FRAME(&e, 0x82, "later");
        EXPECT_UP(&e, "");
        const uint8_t frame[] = { 0x88, 2, (uint8_t)(code >> 8), (uint8_t)code };
        expect(&e, frame, sizeof frame);
        assert_true(e.chain.bottom->done);
        close_ws(&e);
    }
}
#define EXPECT_CLOSE(literal, code) expect_close(literal, sizeof(literal) - 1, code)

SPEC("MQTT-6.0.0-1", "MQTT311-6.0.0-1")
static void a_text_frame_ends_the_connection(void **state)
{
    (void)state;
    EXPECT_CLOSE("\x81\x83\0\0\0\0abc", 1003);
    EXPECT_CLOSE("\x01\x80\0\0\0\0", 1003);
}

static void frames_against_the_rules_end_the_connection(void **state)
{
    (void)state;
    EXPECT_CLOSE("\x82\1a", 1002);                 /* not masked */
    EXPECT_CLOSE("\xC2\x80\0\0\0\0", 1002);        /* a reserved bit */
    EXPECT_CLOSE("\x83\x80\0\0\0\0", 1002);        /* unknown kinds */
    EXPECT_CLOSE("\x8B\x80\0\0\0\0", 1002);
    EXPECT_CLOSE("\x80\x80\0\0\0\0", 1002);        /* a continuation of nothing */
    EXPECT_CLOSE("\x02\x80\0\0\0\0\x82\x80\0\0\0\0", 1002); /* a message inside another */
    EXPECT_CLOSE("\x09\x80\0\0\0\0", 1002);        /* control frames in pieces, or long */
    EXPECT_CLOSE("\x89\xFE\0\x7E\0\0\0\0", 1002);
    EXPECT_CLOSE("\x82\xFE\0\x7D\0\0\0\0", 1002);  /* lengths longer than they need to be */
    EXPECT_CLOSE("\x82\xFF\0\0\0\0\0\0\xFF\xFF\0\0\0\0", 1002);
    EXPECT_CLOSE("\x82\xFF\0\0\0\0\x80\0\0\0\0\0\0\0", 1009);
    EXPECT_CLOSE("\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", 1009);
    EXPECT_CLOSE("\x88\x81\0\0\0\0x", 1002);       /* close frames */
    EXPECT_CLOSE("\x88\x82\0\0\0\0\3\xED", 1002);  /* 1005 may not be sent */
    EXPECT_CLOSE("\x88\x82\0\0\0\0\0\x01", 1002);
    EXPECT_CLOSE("\x88\x83\0\0\0\0\3\xE8\xFF", 1007);
}

static void a_close_frame_is_answered_with_its_code(void **state)
{
    (void)state;
    EXPECT_CLOSE("\x88\x82\0\0\0\0\3\xE8", 1000);
    EXPECT_CLOSE("\x88\x85\0\0\0\0\x0F\xA0" "bye", 4000);
    struct end e;
    open_ws(&e, NULL);
    upgrade(&e);
    RAW(&e, "\x88\x80\0\0\0\0");
    assert_true(e.chain.ended);
    assert_null(e.chain.why);
    EXPECT_WIRE(&e, "\x88\0");
    close_ws(&e);
}

static void the_top_closes_after_its_last_word(void **state)
{
    (void)state;
    for (size_t room = 1; room < 16; room++) {
        struct end e;
        open_ws(&e, NULL);
        upgrade(&e);
        stream_add(&e.down, "bye", 3);
        e.room = room;
        end_pull(&e);
        midge_chain_close(&e.chain);
        FRAME(&e, 0x82, "too late");
        end_pull(&e);
        assert_true(e.wire.len > 4);
        assert_memory_equal(e.wire.bytes + e.wire.len - 4, "\x88\2\3\xE8", 4);
        EXPECT_UP(&e, "");
        close_ws(&e);
    }
}

/* ---- memory --------------------------------------------------------------------------------------------- */

static void without_memory_nothing_is_left_behind(void **state)
{
    (void)state;
    for (int n = 0; n < 3; n++) {
        struct end e;
        heap_open(&heap);
        heap.countdown = n;
        end_open(&e);
        if (midge_chain_push(&e.chain, midge_ws_new(&no_options, &heap.memory))) {
            upgrade(&e);
            FRAME(&e, 0x89, "ping"); /* has no place to be kept */
            assert_true(e.chain.ended);
            EXPECT_WIRE(&e, "\x88\2\3\xE8");
        }
        close_ws(&e);
    }
}

/* ---- MQTT through it ------------------------------------------------------------------------------------ */

struct broker_end {
    struct midge *broker;
    struct midge_conn *conn;
};

static void broker_feed(void *user, uint8_t *bytes, size_t n)
{
    midge_recv(((struct broker_end *)user)->conn, bytes, n, 1);
}

static size_t broker_pull(void *user, uint8_t *out, size_t room)
{
    return midge_pull(((struct broker_end *)user)->conn, out, room, 1);
}

#define CONNECT_A "\x10\x0d\0\4MQTT\4\2\0\0\0\1a"
#define SUBSCRIBE_T "\x82\x06\0\1\0\1t\0"
#define PUBLISH_T "\x30\x05\0\1thi"
#define ALL_IN CONNECT_A SUBSCRIBE_T PUBLISH_T

/* `pieces` frames of a client that subscribes and publishes, and the answers, whatever frames they come in. */
static void converse(size_t piece, uint8_t first, uint8_t next, uint8_t last, size_t room)
{
    static const struct midge_chain_top top = { .feed = broker_feed, .pull = broker_pull };
    struct end e;
    open_ws(&e, NULL);
    upgrade(&e);
    const struct midge_config config = { .memory = &heap.memory };
    const struct midge_peer peer = { .user = &e };
    struct broker_end b = { .broker = midge_new(&config, 1) };
    b.conn = midge_accept(b.broker, &peer, 1);
    assert_non_null(b.conn);
    e.chain.top = &top;
    e.chain.user = &b;
    e.room = room;
    size_t n = sizeof ALL_IN - 1;
    for (size_t at = 0; at < n; at += piece) {
        size_t take = n - at < piece ? n - at : piece;
        frame(&e, at == 0 ? first : at + take == n ? last : next, &ALL_IN[at], take);
        frame(&e, 0x8A, NULL, 0);
        frame(&e, next, NULL, 0);
    }
    struct stream got = { .len = 0 };
    end_pull(&e);
    for (size_t at = 0; at < e.wire.len; at += 2u + e.wire.bytes[at + 1])
        stream_add(&got, e.wire.bytes + at + 2, e.wire.bytes[at + 1]);
    static const char answers[] = "\x20\2\0\0\x90\3\0\1\0" PUBLISH_T;
    assert_int_equal(got.len, sizeof answers - 1);
    assert_memory_equal(got.bytes, answers, sizeof answers - 1);
    stream_free(&got);
    midge_lost(b.conn, 1);
    midge_free(b.broker);
    close_ws(&e);
}

SPEC("MQTT-6.0.0-2", "MQTT311-6.0.0-2")
static void packets_and_frames_are_independent(void **state)
{
    (void)state;
    static const size_t rooms[] = { 0, 1, 7, 64 };
    for (size_t piece = 1; piece < sizeof ALL_IN; piece++)
        for (size_t r = 0; r < COUNT(rooms); r++)
            converse(piece, 0x82, 0x82, 0x82, rooms[r]); /* packets split, and several in a frame */
    for (size_t piece = 1; piece < sizeof ALL_IN - 1; piece++)
        converse(piece, 0x02, 0x00, 0x00, 0); /* all in one message of fragments */
}

/* Whatever comes, nothing is touched that should not be, and all memory is given back. */
static void noise_does_no_harm(void **state)
{
    (void)state;
    uint32_t seed = 20;
    for (int round = 0; round < 3000; round++) {
        struct end e;
        open_ws(&e, NULL);
        if (round % 3)
            upgrade(&e);
        for (unsigned i = roll(&seed, 40); i && !e.chain.ended; i--) {
            uint8_t bytes[64];
            size_t n = 1 + roll(&seed, sizeof bytes);
            for (size_t k = 0; k < n; k++)
                bytes[k] = (uint8_t)dice(&seed);
            if (roll(&seed, 4)) { /* something like a frame */
                static const uint8_t kinds[] = { 0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0x82 };
                bytes[0] = kinds[roll(&seed, COUNT(kinds))];
                if (n > 1)
                    bytes[1] = (uint8_t)(0x80 | roll(&seed, 130));
            }
            end_feed(&e, bytes, n);
            e.room = 1 + roll(&seed, 20);
            if (roll(&seed, 2))
                end_pull(&e);
        }
        midge_chain_close(&e.chain);
        end_pull(&e);
        assert_true(e.chain.bottom->done);
        close_ws(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_is_that_of_the_standard),
        cmocka_unit_test(of_the_subprotocols_offered_mqtt_is_chosen),
        cmocka_unit_test(the_name_of_old_browser_clients_is_understood),
        cmocka_unit_test(a_request_that_does_not_offer_mqtt_is_refused),
        cmocka_unit_test(what_is_no_websocket_request_is_told_so),
        cmocka_unit_test(paths_and_origins_are_those_of_the_options),
        cmocka_unit_test(a_request_may_be_long_up_to_the_limit),
        cmocka_unit_test(an_open_connection_holds_nothing_but_itself),
        cmocka_unit_test(frames_of_any_length_are_one_stream),
        cmocka_unit_test(a_message_in_fragments_with_control_frames_between),
        cmocka_unit_test(the_latest_ping_is_answered),
        cmocka_unit_test(what_is_sent_is_a_frame_as_long_as_the_room),
        cmocka_unit_test(a_text_frame_ends_the_connection),
        cmocka_unit_test(frames_against_the_rules_end_the_connection),
        cmocka_unit_test(a_close_frame_is_answered_with_its_code),
        cmocka_unit_test(the_top_closes_after_its_last_word),
        cmocka_unit_test(without_memory_nothing_is_left_behind),
        cmocka_unit_test(packets_and_frames_are_independent),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
