/* proxy.c - the PROXY header (haproxy's proxy-protocol.txt): read, checked and taken off, then bytes as they are. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#define V1_MAX 107u /* the line with its end */
#define V2_HEAD 16u
#define V2_KEPT 52u /* head and two IPv6 addresses; what follows is skipped */
#define SIGNATURE 12u

struct head {
    uint32_t len; /* of the header, so far */
    uint8_t bytes[V1_MAX + 1];
};

struct proxy {
    struct midge_layer layer;
    const struct midge_memory *memory;
    struct head *head; /* until it is read */
    struct midge_proxy_source source;
};

static const uint8_t signature[SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- version 1: PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 ------------------------------------------------ */

/* The next word of the line, NUL-terminated; "" = none. */
static char *word(char **at)
{
    char *begin = *at;
    char *end = strchr(begin, ' ');
    if (end)
        *end = '\0';
    *at = end ? end + 1 : begin + strlen(begin);
    return begin;
}

/* 0 = no port. */
static uint16_t read_port(const char *text)
{
    uint32_t port = 0;
    for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
        port = port * 10 + (uint32_t)(*text - '0');
    return *text || port > UINT16_MAX ? 0 : (uint16_t)port;
}

static bool read_addresses(struct midge_proxy_source *out, int family, char *rest)
{
    uint8_t other[16];
    const char *from = word(&rest), *to = word(&rest);
    const char *from_port = word(&rest), *to_port = word(&rest);
    out->family = family == AF_INET ? 4 : 6;
    out->port = read_port(from_port);
    return inet_pton(family, from, out->ip) == 1 && inet_pton(family, to, other) == 1 && out->port &&
           read_port(to_port) && !*rest;
}

static bool read_v1(struct midge_proxy_source *out, char *line)
{
    word(&line); /* PROXY */
    const char *family = word(&line);
    if (strcmp(family, "UNKNOWN") == 0)
        return true;
    if (strcmp(family, "TCP4") == 0)
        return read_addresses(out, AF_INET, line);
    return strcmp(family, "TCP6") == 0 && read_addresses(out, AF_INET6, line);
}

/* ---- version 2: binary ----------------------------------------------------------------------------------- */

static uint32_t v2_size(const uint8_t *head)
{
    return V2_HEAD + ((uint32_t)head[14] << 8 | head[15]);
}

static bool read_v2(struct midge_proxy_source *out, const uint8_t *b)
{
    uint32_t size = v2_size(b);
    unsigned command = b[12], family = b[13];
    if (command == 0x20) /* LOCAL: a health check of the proxy's own */
        return true;
    if (command != 0x21)
        return false;
    size_t ip = family == 0x11 ? 4 : family == 0x21 ? 16 : 0;
    if (!ip)
        return true; /* neither TCP over IPv4 nor IPv6: nobody that we could name */
    if (size < V2_HEAD + 2 * ip + 4)
        return false;
    out->family = ip == 4 ? 4 : 6;
    memcpy(out->ip, b + V2_HEAD, ip);
    const uint8_t *port = b + V2_HEAD + 2 * ip;
    out->port = (uint16_t)(port[0] << 8 | port[1]);
    return true;
}

/* ---- the layer ------------------------------------------------------------------------------------------- */

enum progress { MORE, OVER, WRONG };

/* After one more byte of the header. */
static enum progress look(struct proxy *p)
{
    struct head *h = p->head;
    if (h->len <= SIGNATURE && memcmp(h->bytes, signature, h->len) == 0)
        return MORE;
    if (memcmp(h->bytes, signature, SIGNATURE) == 0) {
        if (h->len < V2_HEAD || h->len < v2_size(h->bytes))
            return MORE;
        return read_v2(&p->source, h->bytes) ? OVER : WRONG;
    }
    if (memcmp(h->bytes, "PROXY ", h->len < 6 ? h->len : 6) != 0)
        return WRONG;
    if (h->bytes[h->len - 1] != '\n')
        return h->len < V1_MAX ? MORE : WRONG;
    if (h->len < 8 || h->bytes[h->len - 2] != '\r')
        return WRONG;
    h->bytes[h->len - 2] = '\0';
    return read_v1(&p->source, (char *)h->bytes) ? OVER : WRONG;
}

static void free_head(struct proxy *p)
{
    if (p->head)
        p->memory->free(p->memory->user, p->head, sizeof *p->head);
    p->head = NULL;
}

static void take(struct proxy *p, uint8_t byte)
{
    struct head *h = p->head;
    if (h->len < V1_MAX)
        h->bytes[h->len] = byte;
    h->len++;
    enum progress progress = look(p);
    if (progress == MORE)
        return;
    free_head(p);
    p->layer.greeted = progress == OVER;
    if (progress == WRONG)
        midge_layer_end(&p->layer, "no valid PROXY header");
}

static void feed(struct midge_layer *l, uint8_t *bytes, size_t n)
{
    struct proxy *p = (struct proxy *)(void *)l;
    for (; n && p->head; bytes++, n--)
        take(p, *bytes);
    midge_layer_up(l, bytes, n);
}

static size_t pull(struct midge_layer *l, uint8_t *out, size_t room)
{
    size_t n = l->greeted ? midge_layer_pull_above(l, out, room) : 0;
    if (!n)
        l->done = midge_layer_above_is_done(l);
    return n;
}

static void proxy_free(struct midge_layer *l)
{
    struct proxy *p = (struct proxy *)(void *)l;
    free_head(p);
    p->memory->free(p->memory->user, p, sizeof *p);
}

static const struct midge_layer_kind kind = { .feed = feed, .pull = pull, .free = proxy_free };

struct midge_layer *midge_proxy_new(const struct midge_memory *memory)
{
    struct proxy *p = memory->alloc(memory->user, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct proxy){ .layer.kind = &kind, .memory = memory };
    p->head = memory->alloc(memory->user, sizeof *p->head);
    if (!p->head) {
        proxy_free(&p->layer);
        return NULL;
    }
    *p->head = (struct head){ .len = 0 };
    return &p->layer;
}

const struct midge_proxy_source *midge_proxy_source(const struct midge_layer *l)
{
    return &((const struct proxy *)(const void *)l)->source;
}
