/* fuzz_client.c - midge_client against a server that says anything; what the client says must be lawful.
 *
 * Input: options, then steps: a packet of the server's (its Remaining Length is put right, mostly), what the host asks
 * for, time, a new connection.
 */
#include "fuzz.h"

#include "base/slice.h"
#include "codec/packet.h"
#include "midge/midge_client.h"

static struct fuzz_heap heap;
static struct midge_client *client;
static midge_ms now;
static bool transport;
static uint8_t version;
static uint8_t stream[1u << 20];
static size_t stream_len;

/* ---- what it says -------------------------------------------------------------------------------------- */

static void check_packet(uint8_t first, struct midge_slice body)
{
    const enum midge_packet type = (enum midge_packet)(first >> 4);
    struct midge_connect connect;
    struct midge_publish publish;
    struct midge_ack ack;
    struct midge_subscribe subscribe;
    struct midge_control control;
    switch (type) {
    case PK_CONNECT: MUST(midge_decode_connect(body, &connect) == MIDGE_RC_SUCCESS); break;
    case PK_PUBLISH: MUST(midge_decode_publish(first, body, version, &publish) == MIDGE_RC_SUCCESS); break;
    case PK_PUBACK:
    case PK_PUBREC:
    case PK_PUBREL:
    case PK_PUBCOMP: MUST(midge_decode_ack(type, body, version, &ack) == MIDGE_RC_SUCCESS); break;
    case PK_SUBSCRIBE:
    case PK_UNSUBSCRIBE:
        MUST(midge_decode_subscribe(type, body, version, &subscribe) == MIDGE_RC_SUCCESS);
        break;
    case PK_PINGREQ: MUST(body.len == 0); break;
    case PK_DISCONNECT:
    case PK_AUTH: MUST(midge_decode_control(type, body, version, true, &control) == MIDGE_RC_SUCCESS); break;
    default: abort(); /* no packet of a client's */
    }
}

static void check_stream(void)
{
    size_t at = 0;
    for (;;) {
        struct midge_head head = { 0 };
        enum midge_reason rc = MIDGE_RC_SUCCESS;
        const uint32_t taken = midge_head_feed(&head, midge_slice_of(stream + at, (uint32_t)(stream_len - at)), &rc);
        MUST(rc == MIDGE_RC_SUCCESS);
        if (!head.complete || stream_len - at - taken < head.remaining)
            break;
        check_packet(head.first, midge_slice_of(stream + at + taken, head.remaining));
        at += taken + head.remaining;
    }
    memmove(stream, stream + at, stream_len - at);
    stream_len -= at;
}

static void pull(size_t room)
{
    size_t n;
    while (transport && stream_len + room <= sizeof stream &&
           (n = midge_client_pull(client, stream + stream_len, room, now)) > 0) {
        MUST(n <= room);
        stream_len += n;
    }
    check_stream();
}

/* ---- what happens to it -------------------------------------------------------------------------------- */

static uint8_t on_message(void *user, const struct midge_message *m)
{
    (void)user;
    uint32_t at = 0;
    struct midge_property p;
    while (midge_message_property(m, &at, &p)) {
    }
    return m->payload.len % 7 == 6 ? 0x80 : 0;
}

static void on_event(void *user, const struct midge_client_event *e)
{
    (void)user;
    if (e->kind == MIDGE_CLIENT_AUTH && e->reason == 0x18)
        (void)!midge_client_auth(client, false, midge_slice_str("data"));
}

static void lose(void)
{
    if (transport)
        midge_client_lost(client, now);
    transport = false;
    stream_len = 0;
}

static void dial(struct input *in)
{
    const unsigned flags = take_u8(in);
    lose();
    version = (uint8_t)(3 + flags % 3);
    const struct midge_publication will = { .topic = midge_slice_str("w"), .payload = midge_slice_str("x"), .qos = 2 };
    const struct midge_client_options o = {
        .version = version, .clean_start = flags & 8, .resume = flags & 16, .keepalive_s = flags & 32 ? 2 : 0,
        .session_expiry_s = version == 5 ? 100 : 0, .client_id = midge_slice_str("c"),
        .will = flags & 64 ? &will : NULL,
        .auth_method = version == 5 && flags & 128 ? midge_slice_str("m") : (struct midge_slice){ 0 },
    };
    transport = midge_client_connect(client, &o, now) == MIDGE_OK;
}

static void server_says(struct input *in)
{
    static const uint8_t firsts[] = { 0x20, 0x30, 0x32, 0x34, 0x3C, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0xE0, 0xF0 };
    const unsigned which = choose(in, 16);
    const struct midge_slice body = take_bytes(in, take_u8(in) % 64);
    const uint8_t head[2] = { which < 14 ? firsts[which] : take_u8(in), (uint8_t)(which == 15 ? take_u8(in) : body.len) };
    uint8_t packet[66];
    memcpy(packet, head, 2);
    if (body.len)
        memcpy(packet + 2, body.data, body.len);
    const size_t cut = choose(in, body.len + 2);
    if (!transport)
        return;
    uint8_t *copy = copy_of(midge_slice_of(packet, body.len + 2));
    midge_client_recv(client, copy, cut, now);
    midge_client_recv(client, copy + cut, body.len + 2 - cut, now);
    free(copy);
}

static void host_asks(struct input *in)
{
    const struct midge_publication p = {
        .topic = midge_slice_str("t/u"), .payload = take_bytes(in, take_u8(in) % 32), .qos = (uint8_t)choose(in, 3),
        .retain = choose(in, 2), .has_expiry = choose(in, 2), .expiry_s = choose(in, 3),
        .content_type = choose(in, 2) ? midge_slice_str("type") : (struct midge_slice){ 0 },
    };
    const struct midge_filter_request filter = { .filter = midge_slice_str("t/#"), .qos = 2 };
    const uint32_t expiry = 5;
    switch (choose(in, 8)) {
    case 0: (void)!midge_client_subscribe(client, &filter, 1, choose(in, 2), NULL); break;
    case 1: (void)!midge_client_unsubscribe(client, &filter, 1, NULL); break;
    case 2: (void)!midge_client_auth(client, true, midge_slice_str("again")); break;
    case 3: (void)!midge_client_disconnect(client, 0, choose(in, 2) ? &expiry : NULL, now); break;
    default: (void)!midge_client_publish(client, &p, NULL, now);
    }
}

static void step(struct input *in)
{
    switch (choose(in, 12)) {
    case 0: dial(in); break;
    case 1: lose(); break;
    case 2:
        now += take_u8(in) * 100u;
        midge_client_tick(client, now);
        break;
    case 3: pull(1 + choose(in, 30)); break;
    case 4:
    case 5:
    case 6: host_asks(in); break;
    default: server_says(in); break;
    }
    if (transport && midge_client_status(client) & MIDGE_STATUS_CLOSE)
        lose();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, n };
    const unsigned flags = take_u8(&in);
    const struct midge_client_hooks hooks = { .event = on_event, .message = on_message };
    fuzz_heap_open(&heap, flags & 1 ? 3 + choose(&in, 20) : 0);
    const struct midge_client_config config = {
        .memory = &heap.memory, .hooks = &hooks, .queue_msgs = flags & 2 ? 3 : 100, .queue_bytes = 1000,
        .packet_bytes = flags & 4 ? 40 : 0, .receive_maximum = flags & 8 ? 2 : 0, .alias_in = 3, .alias_out = 3,
        .connect_ms = 1000,
    };
    now = 1;
    transport = false;
    stream_len = 0;
    client = midge_client_new(&config, now);
    if (!client)
        return 0;
    dial(&in);
    while (in.left) {
        step(&in);
        MUST(midge_client_memory_used(client) == heap.used);
    }
    pull(100);
    lose();
    midge_client_free(client);
    MUST(heap.used == 0);
    return 0;
}
