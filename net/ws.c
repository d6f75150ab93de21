/* ws.c - WebSocket frames (RFC 6455 section 5): the payload of binary frames is MQTT's stream of bytes. */
#include "net/ws.h"

#include "base/slice.h"
#include "base/utf8.h"
#include "net/ws_upgrade.h"

#define FIN 0x80u
#define RESERVED 0x70u
#define MASKED 0x80u
#define CONTROL_MAX 125u
#define MASK 4u /* bytes of it; frames of a client have one */
#define OWN_MASK 10u

enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_PROTOCOL = 1002,
    CLOSE_UNSUPPORTED = 1003,
    CLOSE_NONE = 1005, /* never sent: the peer's frame had no code */
    CLOSE_INVALID = 1007,
    CLOSE_TOO_BIG = 1009
};

/* A control frame on its way in, its answer on its way out: there while one of them is. */
struct control {
    uint8_t in_len, out_len, out_at;
    bool answer; /* `in` is whole and a pong is owed */
    uint8_t in[CONTROL_MAX];
    uint8_t out[2 + MASK + CONTROL_MAX];
};

struct ws {
    struct midge_layer layer;
    const struct midge_memory *memory;
    struct midge_upgrade *upgrade; /* until its answer is out */
    struct control *control;
    uint32_t left;       /* of the payload of the frame that comes in */
    uint16_t close_code; /* what our close frame says */
    uint8_t head_len, head_need;
    uint8_t out_at, out_len;
    bool is_client;
    bool in_message;  /* a message was begun and goes on in the next data frame */
    uint8_t head[14]; /* its last four are the mask, the next byte's first; of a client: its own last one */
    uint8_t out[10];  /* a frame that a small room had no place for */
};

/* ---- in ------------------------------------------------------------------------------------------------ */

static void end(struct ws *ws, enum close_code code, const char *why)
{
    ws->close_code = (uint16_t)code;
    midge_layer_end(&ws->layer, why);
}

static enum opcode opcode_of(const struct ws *ws)
{
    return (enum opcode)(ws->head[0] & 0x0Fu);
}

static bool is_control(const struct ws *ws)
{
    return opcode_of(ws) >= CLOSE;
}

/* What the first two bytes tell already. NULL: fine. */
static const char *judge_head(const struct ws *ws, enum close_code *code)
{
    unsigned len = ws->head[1] & 0x7Fu;
    bool fin = (ws->head[0] & FIN) != 0;
    *code = CLOSE_PROTOCOL;
    if (ws->head[0] & RESERVED)
        return "WebSocket: reserved bits are set";
    if (((ws->head[1] & MASKED) == 0) != ws->is_client)
        return ws->is_client ? "WebSocket: a frame is masked" : "WebSocket: a frame is not masked";
    switch (opcode_of(ws)) {
    case CONTINUATION:
        return ws->in_message ? NULL : "WebSocket: a continuation of nothing";
    case BINARY:
        return ws->in_message ? "WebSocket: a message inside another" : NULL;
    case TEXT:
        *code = CLOSE_UNSUPPORTED; /* [MQTT-6.0.0-1] [MQTT311-6.0.0-1] */
        return "WebSocket: a text frame";
    case CLOSE:
    case PING:
    case PONG:
        return fin && len <= CONTROL_MAX ? NULL : "WebSocket: a control frame that is long or in pieces";
    default:
        return "WebSocket: an unknown kind of frame";
    }
}

static uint64_t read_number(const uint8_t *p, unsigned n)
{
    uint64_t number = 0;
    while (n--)
        number = number << 8 | *p++;
    return number;
}

/* Sets `left`. NULL: fine. */
static const char *judge_length(struct ws *ws, enum close_code *code)
{
    unsigned more = ws->head_need - (ws->is_client ? 2u : 2u + MASK);
    uint64_t len = more ? read_number(ws->head + 2, more) : ws->head[1] & 0x7Fu;
    *code = CLOSE_PROTOCOL;
    if (more && len < (more == 2 ? 126u : UINT16_MAX + 1u))
        return "WebSocket: a length longer than it needs to be";
    *code = CLOSE_TOO_BIG;
    if (len > MIDGE_WS_FRAME_MAX)
        return "WebSocket: a frame too large";
    ws->left = (uint32_t)len;
    return NULL;
}

/* NULL: no memory; the chain has ended. */
static struct control *get_control(struct ws *ws)
{
    if (!ws->control) {
        ws->control = ws->memory->alloc(ws->memory->user, sizeof *ws->control);
        if (ws->control)
            *ws->control = (struct control){ .in_len = 0 };
        else
            end(ws, CLOSE_NORMAL, "no memory");
    }
    return ws->control;
}

/* Codes that may stand in a close frame, RFC 6455 section 7.4. */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1011 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);
}

/* The peer says goodbye, and is answered what it said. */
static void take_close(struct ws *ws, const struct control *c)
{
    unsigned code = c->in_len >= 2 ? (unsigned)read_number(c->in, 2) : CLOSE_NONE;
    if (c->in_len == 1 || (c->in_len >= 2 && !is_close_code(code)))
        end(ws, CLOSE_PROTOCOL, "WebSocket: a close frame with a bad code");
    else if (c->in_len > 2 && !midge_utf8_check(c->in + 2, c->in_len - 2u))
        end(ws, CLOSE_INVALID, "WebSocket: a close frame with a reason that is no text");
    else
        end(ws, (enum close_code)code, NULL);
}

static void end_frame(struct ws *ws)
{
    struct control *c = ws->control; /* there for these two: see begin_payload */
    ws->head_len = 0;
    ws->head_need = 2;
    if (!is_control(ws))
        ws->in_message = (ws->head[0] & FIN) == 0;
    else if (opcode_of(ws) == CLOSE)
        take_close(ws, c);
    else if (opcode_of(ws) == PING)
        c->answer = true; /* an older one that still waits needs no answer any more */
}

/* Control frames come between the fragments of a message too, and leave them as they are. */
static void begin_payload(struct ws *ws)
{
    if (opcode_of(ws) == PING || opcode_of(ws) == CLOSE) {
        struct control *c = get_control(ws);
        if (!c)
            return;
        c->in_len = 0;
        c->answer = false;
    }
    if (ws->left == 0)
        end_frame(ws);
}

static void judge(struct ws *ws)
{
    enum close_code code = CLOSE_PROTOCOL;
    const char *wrong = NULL;
    if (ws->head_len == 2) {
        static const uint8_t extra[] = { [126 - 125] = 2, [127 - 125] = 8 };
        unsigned len = ws->head[1] & 0x7Fu;
        ws->head_need = (uint8_t)((ws->is_client ? 2 : 2 + MASK) + extra[len > 125 ? len - 125 : 0]);
        wrong = judge_head(ws, &code);
    }
    if (ws->head_len == ws->head_need && !(ws->head_len == 2 && wrong)) {
        wrong = judge_length(ws, &code);
        if (!wrong)
            begin_payload(ws);
    }
    if (wrong)
        end(ws, code, wrong);
}

static size_t take_head(struct ws *ws, const uint8_t *bytes, size_t n)
{
    size_t want = (size_t)ws->head_need - ws->head_len;
    size_t take = n < want ? n : want;
    memcpy(ws->head + ws->head_len, bytes, take);
    ws->head_len = (uint8_t)(ws->head_len + take);
    if (take == want)
        judge(ws);
    return take;
}

/* Eight bytes a step; afterwards the mask's first byte is again the next one's. */
static void unmask(struct ws *ws, uint8_t *bytes, size_t n)
{
    uint8_t *mask = ws->head + ws->head_need - 4, twice[8];
    memcpy(twice, mask, 4);
    memcpy(twice + 4, mask, 4);
    uint64_t wide, word;
    memcpy(&wide, twice, sizeof wide);
    size_t at = 0;
    for (; n - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        word ^= wide;
        memcpy(bytes + at, &word, sizeof word);
    }
    for (; at < n; at++)
        bytes[at] ^= twice[at % 4];
    memcpy(mask, twice + n % 4, 4);
}

static void keep_control(struct control *c, const uint8_t *bytes, size_t n)
{
    memcpy(c->in + c->in_len, bytes, n);
    c->in_len = (uint8_t)(c->in_len + n);
}

/* Frames and packets have nothing to do with each other [MQTT-6.0.0-2] [MQTT311-6.0.0-2]. */
static size_t take_payload(struct ws *ws, uint8_t *bytes, size_t n)
{
    size_t take = n < ws->left ? n : ws->left;
    if (!ws->is_client)
        unmask(ws, bytes, take);
    ws->left -= (uint32_t)take;
    if (!is_control(ws))
        midge_layer_up(&ws->layer, bytes, take);
    else if (opcode_of(ws) != PONG)
        keep_control(ws->control, bytes, take);
    if (ws->left == 0)
        end_frame(ws);
    return take;
}

static void free_upgrade(struct ws *ws)
{
    if (ws->upgrade)
        ws->memory->free(ws->memory->user, ws->upgrade, sizeof *ws->upgrade);
    ws->upgrade = NULL;
}

static size_t take_upgrade(struct ws *ws, const uint8_t *bytes, size_t n)
{
    if (!ws->upgrade || ws->upgrade->asks) {
        midge_layer_end(&ws->layer, "the server answers before it is asked");
        return n;
    }
    size_t take = midge_upgrade_feed(ws->upgrade, bytes, n);
    const char *refusal = midge_upgrade_refusal(ws->upgrade);
    if (refusal)
        midge_layer_end(&ws->layer, refusal);
    else
        ws->layer.greeted = ws->upgrade->is_over;
    if (ws->is_client && ws->upgrade->is_over)
        free_upgrade(ws);
    return take;
}

static void feed(struct midge_layer *l, uint8_t *bytes, size_t n)
{
    struct ws *ws = (struct ws *)(void *)l;
    while (n && !l->chain->ended) {
        size_t took = !l->greeted                    ? take_upgrade(ws, bytes, n)
                      : ws->head_len < ws->head_need ? take_head(ws, bytes, n)
                                                     : take_payload(ws, bytes, n);
        bytes += took;
        n -= took;
    }
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void free_control(struct ws *ws)
{
    if (ws->control)
        ws->memory->free(ws->memory->user, ws->control, sizeof *ws->control);
    ws->control = NULL;
}

static size_t copy(uint8_t *out, size_t room, const void *from, size_t n)
{
    size_t take = n < room ? n : room;
    memcpy(out, from, take);
    return take;
}

static size_t pull_answer(struct ws *ws, uint8_t *out, size_t room)
{
    struct midge_upgrade *u = ws->upgrade;
    if (!u->is_over && !u->asks)
        return 0;
    size_t n = copy(out, room, u->line, u->line_len);
    u->line_len = (uint16_t)(u->line_len - n);
    memmove(u->line, u->line + n, u->line_len);
    if (u->line_len == 0 && u->asks) {
        u->asks = false;
    } else if (u->line_len == 0) {
        free_upgrade(ws);
        ws->layer.done = !ws->layer.greeted;
    }
    return n;
}

static void free_idle_control(struct ws *ws)
{
    const struct control *c = ws->control;
    bool coming = is_control(ws) && ws->left; /* a frame that is being collected in it */
    if (c && !c->answer && !c->out_len && !coming)
        free_control(ws);
}

/* The rest of a frame that was begun. */
static size_t pull_begun(struct ws *ws, uint8_t *out, size_t room)
{
    struct control *c = ws->control;
    size_t n = copy(out, room, ws->out + ws->out_at, (size_t)(ws->out_len - ws->out_at));
    if (n) {
        ws->out_at = (uint8_t)(ws->out_at + n);
        return n;
    }
    if (!c || !c->out_len)
        return 0;
    n = copy(out, room, c->out + c->out_at, (size_t)(c->out_len - c->out_at));
    c->out_at = (uint8_t)(c->out_at + n);
    if (c->out_at == c->out_len)
        c->out_at = c->out_len = 0;
    free_idle_control(ws);
    return n;
}

/* Bytes between a frame's length and its payload. */
static uint8_t mask_bytes(const struct ws *ws)
{
    return ws->is_client ? MASK : 0;
}

/* Frames of a client: the mask, at out + at, is put on the n bytes behind it. `out[1]` says so. */
static void put_mask(struct ws *ws, uint8_t *out, size_t at, size_t n)
{
    if (!ws->is_client)
        return;
    uint32_t mask;
    memcpy(&mask, ws->head + OWN_MASK, MASK);
    mask ^= mask << 13; /* xorshift32 */
    mask ^= mask >> 17;
    mask ^= mask << 5;
    memcpy(ws->head + OWN_MASK, &mask, MASK);
    out[1] |= MASKED;
    memcpy(out + at, &mask, MASK);
    for (size_t i = 0; i < n; i++)
        out[at + MASK + i] ^= out[at + i % MASK];
}

static void write_pong(struct ws *ws)
{
    struct control *c = ws->control;
    c->out[0] = FIN | PONG;
    c->out[1] = c->in_len;
    memcpy(c->out + 2 + mask_bytes(ws), c->in, c->in_len);
    put_mask(ws, c->out, 2, c->in_len);
    c->out_len = (uint8_t)(2 + mask_bytes(ws) + c->in_len);
    c->out_at = 0;
    c->answer = false;
}

/* A room too small for a frame: the smallest ones, a piece at a time. */
static size_t pull_small(struct ws *ws, uint8_t *out, size_t room)
{
    uint8_t head = (uint8_t)(2 + mask_bytes(ws));
    size_t n = midge_layer_pull_above(&ws->layer, ws->out + head, sizeof ws->out - head);
    if (n == 0)
        return 0;
    ws->out[0] = FIN | BINARY;
    ws->out[1] = (uint8_t)n;
    put_mask(ws, ws->out, 2, n);
    ws->out_at = 0;
    ws->out_len = (uint8_t)(head + n);
    return pull_begun(ws, out, room);
}

/* One frame, as long as what there is to send. */
static size_t pull_frame(struct ws *ws, uint8_t *out, size_t room)
{
    size_t mask = mask_bytes(ws), head = 4;
    if (room <= sizeof ws->out)
        return pull_small(ws, out, room);
    size_t most = room - head - mask < UINT16_MAX ? room - head - mask : UINT16_MAX;
    size_t n = midge_layer_pull_above(&ws->layer, out + head + mask, most);
    if (n == 0)
        return 0;
    out[0] = FIN | BINARY;
    if (n <= CONTROL_MAX) {
        memmove(out + 2 + mask, out + head + mask, n);
        head = 2;
        out[1] = (uint8_t)n;
    } else {
        out[1] = 126;
        out[2] = (uint8_t)(n >> 8);
        out[3] = (uint8_t)n;
    }
    put_mask(ws, out, head, n);
    return head + mask + n;
}

static void write_close(struct ws *ws)
{
    uint8_t n = ws->close_code == CLOSE_NONE ? 0 : 2, head = (uint8_t)(2 + mask_bytes(ws));
    ws->out[0] = FIN | CLOSE;
    ws->out[1] = n;
    ws->out[head] = (uint8_t)(ws->close_code >> 8);
    ws->out[head + 1] = (uint8_t)ws->close_code;
    put_mask(ws, ws->out, 2, n);
    ws->out_at = 0;
    ws->out_len = (uint8_t)(head + n);
    ws->close_code = 0;
}

static size_t pull_goodbye(struct ws *ws, uint8_t *out, size_t room)
{
    if (!midge_layer_above_is_done(&ws->layer))
        return 0;
    if (ws->layer.greeted && ws->close_code) {
        write_close(ws);
        return pull_begun(ws, out, room);
    }
    ws->layer.done = true;
    return 0;
}

static size_t pull(struct midge_layer *l, uint8_t *out, size_t room)
{
    struct ws *ws = (struct ws *)(void *)l;
    if (ws->upgrade && (ws->upgrade->is_over || ws->upgrade->asks))
        return pull_answer(ws, out, room);
    size_t n = pull_begun(ws, out, room);
    if (!n && ws->control && ws->control->answer && !l->chain->ended) {
        write_pong(ws);
        n = pull_begun(ws, out, room);
    }
    if (!n && l->greeted && !l->chain->ended)
        n = pull_frame(ws, out, room);
    return n ? n : pull_goodbye(ws, out, room);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void ws_free(struct midge_layer *l)
{
    struct ws *ws = (struct ws *)(void *)l;
    free_upgrade(ws);
    free_control(ws);
    ws->memory->free(ws->memory->user, ws, sizeof *ws);
}

static const struct midge_layer_kind kind = { .feed = feed, .pull = pull, .free = ws_free };

static struct ws *new_ws(const struct midge_memory *memory)
{
    struct ws *ws = memory->alloc(memory->user, sizeof *ws);
    if (!ws)
        return NULL;
    *ws = (struct ws){ .layer.kind = &kind, .memory = memory, .close_code = CLOSE_NORMAL, .head_need = 2 };
    ws->upgrade = memory->alloc(memory->user, sizeof *ws->upgrade);
    if (ws->upgrade)
        return ws;
    ws_free(&ws->layer);
    return NULL;
}

struct midge_layer *midge_ws_new(const struct midge_ws_options *options, const struct midge_memory *memory)
{
    struct ws *ws = new_ws(memory);
    if (!ws)
        return NULL;
    midge_upgrade_init(ws->upgrade, options);
    return &ws->layer;
}

struct midge_layer *midge_ws_client(const struct midge_ws_request *request, const struct midge_memory *memory)
{
    struct ws *ws = new_ws(memory);
    if (!ws)
        return NULL;
    ws->is_client = true;
    memcpy(ws->head + OWN_MASK, request->random + 16, MASK);
    ws->head[OWN_MASK] |= 1; /* never 0: it would stay so */
    if (midge_upgrade_ask(ws->upgrade, request))
        return &ws->layer;
    ws_free(&ws->layer);
    return NULL;
}
