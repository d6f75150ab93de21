/* link.c - the layers of a connection: TLS, WebSocket, or one in the other, between its socket and the core. */
#include "esp.h"

static void feed(void *user, uint8_t *bytes, size_t n)
{
    const struct midge_sock *s = user;
    midge_recv(s->u.conn, bytes, n, s->esp->now);
}

static size_t pull(void *user, uint8_t *out, size_t room)
{
    const struct midge_sock *s = user;
    return midge_pull(s->u.conn, out, room, s->esp->now);
}

/* False: no memory. */
static bool build(struct midge_link *link, const struct midge_listener *l, const struct midge_memory *memory)
{
    if (MIDGE_ESP_TLS && l->tls) {
        link->tls = midge_tls_mbedtls.layer(l->tls);
        if (!midge_chain_push(&link->chain, link->tls))
            return false;
    }
    return !MIDGE_ESP_WS || !l->websocket || midge_chain_push(&link->chain, midge_ws_new(&l->ws, memory));
}

struct midge_link *midge_link_new(struct midge_sock *s, const struct midge_listener *l)
{
    static const struct midge_chain_top top = { .feed = feed, .pull = pull };
    struct midge_link *link = midge_esp_alloc(s->esp, sizeof *link);
    if (!link)
        return NULL;
    *link = (struct midge_link){ .chain = { .top = &top, .user = s } };
    if (build(link, l, s->esp->config.memory))
        return link;
    midge_link_free(s->esp, link);
    return NULL;
}

void midge_link_free(struct midge_esp *e, struct midge_link *link)
{
    midge_chain_free(&link->chain);
    midge_esp_release(e, link, sizeof *link);
}

struct midge_slice midge_esp_peer_identity(const void *peer)
{
    const struct midge_sock *s = peer;
    if (!MIDGE_ESP_TLS || !s || !s->link || !s->link->tls)
        return (struct midge_slice){ .data = NULL };
    return midge_tls_mbedtls.identity(s->link->tls, false);
}
