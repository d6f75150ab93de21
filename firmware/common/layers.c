/* layers.c - TLS and WebSocket for lwIP's connections; mbedTLS's heap is the broker's arena. */
#include "layers.h"

#include "console.h"
#include "net/tls.h"
#include "net/ws.h"

#include <mbedtls/entropy_poll.h>
#include <mbedtls/platform.h>

#include <string.h>

/* A handshake needs most; further connections would take what messages live in. */
#ifndef LAYERED_CLIENTS
#define LAYERED_CLIENTS 4
#endif

/* The server's certificate and key (DER), from files that the build names. */
#define EMBED(name, file)                                                                                             \
    __asm__(".section .rodata." #name ",\"a\"\n.balign 4\n.global " #name "\n" #name ":\n.incbin \"" file             \
            "\"\n.global " #name "_end\n" #name "_end:\n.previous\n");                                                \
    extern const uint8_t name[], name##_end[]
EMBED(server_certificate, CERTIFICATE_FILE);
EMBED(server_key, KEY_FILE);

struct layers_stats layers_stats;

static const struct midge_memory *memory;
static struct midge_tls *tls;

/* ---- mbedTLS's heap and dice ----------------------------------------------------------------------------- */

/* In front of a block, since free is not told its size. */
union head {
    size_t size;
    uint64_t alignment;
};

static void *take(size_t count, size_t size)
{
    if (size && count > (SIZE_MAX - sizeof(union head)) / size)
        return NULL;
    size_t n = count * size + sizeof(union head);
    union head *h = memory->alloc(memory->user, n);
    if (!h)
        return NULL;
    memset(h, 0, n);
    h->size = n;
    layers_stats.tls_bytes += (uint32_t)n;
    if (layers_stats.tls_bytes > layers_stats.tls_bytes_peak)
        layers_stats.tls_bytes_peak = layers_stats.tls_bytes;
    return h + 1;
}

static void give(void *p)
{
    union head *h = p;
    if (!p)
        return;
    layers_stats.tls_bytes -= (uint32_t)h[-1].size;
    memory->free(memory->user, h - 1, h[-1].size);
}

/* An emulated board has no source of entropy: good for tests alone. */
int mbedtls_hardware_poll(void *user, unsigned char *out, size_t room, size_t *n)
{
    (void)user;
    for (*n = 0; *n < room; ++*n)
        out[*n] = (unsigned char)(firmware_random() >> 8);
    return 0;
}

int firmware_no_snprintf(char *out, size_t size, const char *format, ...)
{
    (void)out;
    (void)size;
    (void)format;
    return -1;
}

/* ---- chains ---------------------------------------------------------------------------------------------- */

static void close_chain(void *user, struct midge_chain *chain)
{
    (void)user;
    layers_stats.open--;
    midge_chain_free(chain);
    memory->free(memory->user, chain, sizeof *chain);
}

static struct midge_chain *open_chain(bool with_tls)
{
    static const struct midge_ws_options ws = { .header_bytes = 1024 };
    struct midge_chain *chain =
        layers_stats.open < LAYERED_CLIENTS ? memory->alloc(memory->user, sizeof *chain) : NULL;
    if (!chain)
        return NULL;
    *chain = (struct midge_chain){ .bottom = NULL };
    layers_stats.open++;
    if (midge_chain_push(chain, with_tls ? midge_tls_mbedtls.layer(tls) : midge_ws_new(&ws, memory)))
        return chain;
    close_chain(NULL, chain);
    return NULL;
}

static struct midge_chain *open_tls(void *user)
{
    (void)user;
    return open_chain(true);
}

static struct midge_chain *open_ws(void *user)
{
    (void)user;
    return open_chain(false);
}

/* ---- listeners ------------------------------------------------------------------------------------------- */

static struct midge_slice between(const uint8_t *begin, const uint8_t *end)
{
    return (struct midge_slice){ .data = begin, .len = (uint32_t)(end - begin) };
}

static bool start_tls(struct midge_lwip *port)
{
    static struct midge_lwip_listener listener = { .open = open_tls, .close = close_chain };
    const struct midge_tls_options options = {
        .certificate = between(server_certificate, server_certificate_end),
        .key = between(server_key, server_key_end),
        .no_tickets = true,
    };
    char why[80];
    mbedtls_platform_set_calloc_free(take, give);
    tls = midge_tls_mbedtls.open(&options, why, sizeof why);
    if (!tls) {
        say(why);
        say("\n");
    }
    return tls && midge_lwip_listen(port, &listener, TLS_PORT) == ERR_OK;
}

bool layers_start(struct midge_lwip *port, const struct midge_memory *from)
{
    static struct midge_lwip_listener ws = { .open = open_ws, .close = close_chain };
    memory = from;
    return start_tls(port) && midge_lwip_listen(port, &ws, WS_PORT) == ERR_OK;
}

void layers_end(void)
{
    midge_tls_mbedtls.close(tls);
}
