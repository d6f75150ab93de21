/* ws_upgrade.c - HTTP request in, 101 out, or a 4xx that says what is missing (RFC 6455 section 4). */
#include "net/ws_upgrade.h"

#include "base/slice.h"
#include "net/sha1.h"

#define HEADER_BYTES 4096u

#define ANSWER_BYTES 8192u

enum {
    SEEN_UPGRADE = 1,
    SEEN_CONNECTION = 2,
    SEEN_KEY = 4,
    SEEN_VERSION = 8,
    OFFERED_MQTT = 16,
    OFFERED_MQTT_31 = 32 /* "mqttv3.1", the name that browsers' clients had for it before 3.1.1 */
};

enum refusal {
    NOT_REFUSED,
    BAD_REQUEST,
    BAD_KEY,
    NOT_A_WEBSOCKET,
    OTHER_VERSION,
    NO_MQTT,
    OTHER_METHOD,
    OTHER_PATH,
    OTHER_ORIGIN,
    TOO_LONG,
    NOT_SWITCHED,
    BAD_ACCEPT
};

static const struct {
    const char *status, *header, *text;
} refusals[] = {
    [BAD_REQUEST] = { "400 Bad Request", "", "not an HTTP/1.1 request" },
    [BAD_KEY] = { "400 Bad Request", "", "no valid Sec-WebSocket-Key" },
    [NOT_A_WEBSOCKET] = { "426 Upgrade Required", "Upgrade: websocket\r\n", "this port speaks WebSocket" },
    [OTHER_VERSION] = { "426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n", "not WebSocket version 13" },
    [NO_MQTT] = { "400 Bad Request", "", "subprotocol mqtt is not offered" },
    [OTHER_METHOD] = { "405 Method Not Allowed", "Allow: GET\r\n", "not a GET" },
    [OTHER_PATH] = { "404 Not Found", "", "no such path" },
    [OTHER_ORIGIN] = { "403 Forbidden", "", "this origin is not let in" },
    [TOO_LONG] = { "431 Request Header Fields Too Large", "", "request too long" },
    [NOT_SWITCHED] = { "", "", "the server does not speak WebSocket there" },
    [BAD_ACCEPT] = { "", "", "the server's answer is not to our request" },
};

/* ---- words --------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool same(struct midge_slice s, const char *word)
{
    return midge_slice_equal(s, midge_slice_str(word));
}

/* ASCII letters of either case. */
static bool alike(struct midge_slice s, const char *word)
{
    if (s.len != strlen(word))
        return false;
    for (uint32_t i = 0; i < s.len; i++)
        if (lower((char)s.data[i]) != lower(word[i]))
            return false;
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct midge_slice trim(struct midge_slice s)
{
    while (s.len && is_space(s.data[0]))
        s = midge_slice_of(s.data + 1, s.len - 1);
    while (s.len && is_space(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* What stands before `end`, which is taken off *s with it; all of it if there is no `end`. */
static struct midge_slice cut(struct midge_slice *s, char end)
{
    const uint8_t *at = s->len ? memchr(s->data, end, s->len) : NULL;
    struct midge_slice word = { .data = s->data, .len = at ? (uint32_t)(at - s->data) : s->len };
    uint32_t gone = at ? word.len + 1 : word.len;
    *s = midge_slice_of(s->data + gone, s->len - gone);
    return word;
}

/* `word` is in the list "a, b, c". */
static bool lists(struct midge_slice list, const char *word)
{
    while (list.len)
        if (alike(trim(cut(&list, ',')), word))
            return true;
    return false;
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static enum refusal take_upgrade(struct midge_upgrade *u, struct midge_slice value)
{
    u->seen |= lists(value, "websocket") ? SEEN_UPGRADE : 0;
    return NOT_REFUSED;
}

static enum refusal take_connection(struct midge_upgrade *u, struct midge_slice value)
{
    u->seen |= lists(value, "upgrade") ? SEEN_CONNECTION : 0;
    return NOT_REFUSED;
}

static enum refusal take_version(struct midge_upgrade *u, struct midge_slice value)
{
    u->seen |= lists(value, "13") ? SEEN_VERSION : 0;
    return NOT_REFUSED;
}

static bool is_base64(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* 16 bytes in base64. */
static enum refusal take_key(struct midge_upgrade *u, struct midge_slice value)
{
    if (value.len != MIDGE_UPGRADE_KEY || memcmp(value.data + 22, "==", 2) != 0 || u->seen & SEEN_KEY)
        return BAD_KEY;
    for (uint32_t i = 0; i < 22; i++)
        if (!is_base64(value.data[i]))
            return BAD_KEY;
    memcpy(u->key, value.data, MIDGE_UPGRADE_KEY);
    u->seen |= SEEN_KEY;
    return NOT_REFUSED;
}

/* Subprotocols, in the order that the client likes: we have one to choose [MQTT-6.0.0-3] [MQTT311-6.0.0-3]. */
static enum refusal take_protocol(struct midge_upgrade *u, struct midge_slice value)
{
    while (value.len) {
        struct midge_slice name = trim(cut(&value, ','));
        u->seen |= same(name, "mqtt") ? OFFERED_MQTT : same(name, "mqttv3.1") ? OFFERED_MQTT_31 : 0;
    }
    return NOT_REFUSED;
}

static enum refusal take_origin(struct midge_upgrade *u, struct midge_slice value)
{
    const struct midge_ws_options *o = u->options;
    if (!o->origins)
        return NOT_REFUSED;
    for (size_t i = 0; i < o->origin_count; i++)
        if (alike(value, o->origins[i]))
            return NOT_REFUSED;
    return OTHER_ORIGIN;
}

static const struct {
    const char *name;
    enum refusal (*take)(struct midge_upgrade *u, struct midge_slice value);
} headers[] = {
    { "upgrade", take_upgrade },
    { "connection", take_connection },
    { "sec-websocket-key", take_key },
    { "sec-websocket-version", take_version },
    { "sec-websocket-protocol", take_protocol },
    { "origin", take_origin },
};

static enum refusal read_header(struct midge_upgrade *u, struct midge_slice line)
{
    struct midge_slice value = line;
    struct midge_slice name = cut(&value, ':');
    if (name.len == line.len || is_space(name.data[0]))
        return BAD_REQUEST; /* no colon, or the old way to go on with the line before */
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (alike(name, headers[i].name))
            return u->is_cut ? TOO_LONG : headers[i].take(u, trim(value));
    return NOT_REFUSED;
}

/* "GET /path?query HTTP/1.1" */
static enum refusal read_request(struct midge_upgrade *u, struct midge_slice line)
{
    u->has_request = true;
    if (u->is_cut)
        return TOO_LONG;
    struct midge_slice method = cut(&line, ' ');
    struct midge_slice target = cut(&line, ' ');
    struct midge_slice path = cut(&target, '?');
    if (!same(line, "HTTP/1.1"))
        return BAD_REQUEST;
    if (!same(method, "GET"))
        return OTHER_METHOD;
    return u->options->path && !same(path, u->options->path) ? OTHER_PATH : NOT_REFUSED;
}

/* The request is complete. */
static enum refusal judge(const struct midge_upgrade *u)
{
    if ((u->seen & SEEN_UPGRADE) == 0 || (u->seen & SEEN_CONNECTION) == 0)
        return NOT_A_WEBSOCKET;
    if ((u->seen & SEEN_VERSION) == 0)
        return OTHER_VERSION;
    if ((u->seen & SEEN_KEY) == 0)
        return BAD_KEY;
    return u->seen & (OFFERED_MQTT | OFFERED_MQTT_31) ? NOT_REFUSED : NO_MQTT;
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

/* Each answer is far shorter than the line it is written to. */
static void put(struct midge_upgrade *u, const char *text)
{
    size_t n = strlen(text);
    memcpy(u->line + u->line_len, text, n);
    u->line_len = (uint16_t)(u->line_len + n);
}

static void put_number(struct midge_upgrade *u, size_t number)
{
    char digits[8], *at = digits + sizeof digits - 1;
    *at = '\0';
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0 && at > digits);
    put(u, at);
}

/* `out` has 4 characters for each 3 bytes begun, and a NUL. */
static void encode_base64(const uint8_t *bytes, unsigned n, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0);
        bits |= i + 2 < n ? bytes[i + 2] : 0u;
        for (unsigned k = 0; k < 4; k++)
            *out++ = i + k > n ? '=' : alphabet[bits >> (18 - 6 * k) & 63];
    }
    *out = '\0';
}

static void make_accept(const char key[MIDGE_UPGRADE_KEY], char accept[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    char text[MIDGE_UPGRADE_KEY + sizeof guid - 1];
    uint8_t digest[20];
    memcpy(text, key, MIDGE_UPGRADE_KEY);
    memcpy(text + MIDGE_UPGRADE_KEY, guid, sizeof guid - 1);
    midge_sha1_short(text, sizeof text, digest);
    encode_base64(digest, sizeof digest, accept);
}

static void put_accept(struct midge_upgrade *u)
{
    char accept[29];
    make_accept(u->key, accept);
    put(u, accept);
}

static void answer(struct midge_upgrade *u, enum refusal why)
{
    u->refusal = (uint8_t)why;
    u->is_over = true;
    u->line_len = 0;
    put(u, "HTTP/1.1 ");
    if (why) {
        put(u, refusals[why].status);
        put(u, "\r\n");
        put(u, refusals[why].header);
        put(u, "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: ");
        put_number(u, strlen(refusals[why].text) + 1);
        put(u, "\r\n\r\n");
        put(u, refusals[why].text);
        put(u, "\n");
        return;
    }
    put(u, "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    put_accept(u);
    put(u, "\r\nSec-WebSocket-Protocol: "); /* [MQTT-6.0.0-4] [MQTT311-6.0.0-4] */
    put(u, u->seen & OFFERED_MQTT ? "mqtt" : "mqttv3.1");
    put(u, "\r\n\r\n");
}

/* ---- the client's side --------------------------------------------------------------------------------- */

bool midge_upgrade_ask(struct midge_upgrade *u, const struct midge_ws_request *request)
{
    char key[MIDGE_UPGRADE_KEY + 1];
    *u = (struct midge_upgrade){ .is_client = true, .asks = true };
    if (strlen(request->host) + strlen(request->path) >= 200)
        return false;
    encode_base64(request->random, 16, key);
    memcpy(u->key, key, sizeof u->key);
    put(u, "GET ");
    put(u, request->path);
    put(u, " HTTP/1.1\r\nHost: ");
    put(u, request->host);
    put(u, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    put(u, key);
    put(u, "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"); /* [MQTT-6.0.0-3] */
    return true;
}

/* "HTTP/1.1 101 Switching Protocols", then headers, of which one proves that it has understood. */
static enum refusal read_answer(struct midge_upgrade *u, struct midge_slice line)
{
    static const char switched[] = "HTTP/1.1 101";
    if (!u->has_request) {
        u->has_request = true;
        bool good = line.len >= sizeof switched - 1 && memcmp(line.data, switched, sizeof switched - 1) == 0;
        return good ? NOT_REFUSED : NOT_SWITCHED;
    }
    char accept[29];
    struct midge_slice value = line;
    struct midge_slice name = cut(&value, ':');
    make_accept(u->key, accept);
    if (alike(name, "sec-websocket-accept"))
        u->seen |= same(trim(value), accept) ? SEEN_KEY : 0;
    return NOT_REFUSED;
}

static void end_answer(struct midge_upgrade *u, enum refusal why)
{
    u->is_over = true;
    u->line_len = 0;
    u->refusal = (uint8_t)(why ? why : u->seen & SEEN_KEY ? NOT_REFUSED : BAD_ACCEPT);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

void midge_upgrade_init(struct midge_upgrade *u, const struct midge_ws_options *options)
{
    *u = (struct midge_upgrade){ .options = options };
}

static void end_line(struct midge_upgrade *u)
{
    struct midge_slice line = midge_slice_of(u->line, u->line_len);
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    enum refusal why = NOT_REFUSED;
    if (line.len && u->is_client)
        why = read_answer(u, line);
    else if (line.len)
        why = u->has_request ? read_header(u, line) : read_request(u, line);
    if (why || (!line.len && u->has_request)) {
        if (u->is_client)
            end_answer(u, why);
        else
            answer(u, why ? why : judge(u));
        return;
    }
    u->line_len = 0;
    u->is_cut = false;
}

static void add(struct midge_upgrade *u, char c)
{
    if (u->line_len < MIDGE_UPGRADE_LINE)
        u->line[u->line_len++] = c;
    else
        u->is_cut = true;
}

size_t midge_upgrade_feed(struct midge_upgrade *u, const uint8_t *bytes, size_t n)
{
    uint32_t most = u->is_client ? ANSWER_BYTES : u->options->header_bytes ? u->options->header_bytes : HEADER_BYTES;
    size_t at = 0;
    while (at < n && !u->is_over) {
        char c = (char)bytes[at++];
        if (c == '\n')
            end_line(u);
        else
            add(u, c);
        if (++u->bytes > most && !u->is_over) {
            if (u->is_client)
                end_answer(u, NOT_SWITCHED);
            else
                answer(u, TOO_LONG);
        }
    }
    return at;
}

const char *midge_upgrade_refusal(const struct midge_upgrade *u)
{
    return u->refusal ? refusals[u->refusal].text : NULL;
}
