/* link.c - the layers of a connection: which ones, told by the listener or by what the peer begins with. */
#include "posix.h"

#include "net/proxy.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct midge_waiting *midge_waiting_new(const uint8_t *bytes, size_t n)
{
    struct midge_waiting *w = malloc(sizeof *w + n);
    if (!w)
        return NULL;
    w->at = 0;
    w->len = (uint32_t)n;
    memcpy(w->bytes, bytes, n);
    return w;
}

bool midge_link_is_needed(const struct midge_listener *l)
{
    return l->transport != MIDGE_TRANSPORT_TCP || l->proxy;
}

static bool push_tls(struct midge_link *link)
{
    const struct midge_settings *s = link->settings;
    link->tls = s->provider->layer(s->tls);
    return midge_chain_push(&link->chain, link->tls);
}

static bool push_ws(struct midge_link *link)
{
    return midge_chain_push(&link->chain, midge_ws_new(&link->settings->ws, &midge_memory_libc));
}

/* ---- told apart by the first byte ---------------------------------------------------------------------- */

#define TLS_HANDSHAKE 0x16 /* a record's first byte; CONNECT's is 0x10, and neither is a letter */

/* Once below TLS, where there may be any, and once more in it. False: no memory. */
static bool decide(struct midge_link *link, uint8_t first)
{
    if (first == TLS_HANDSHAKE && link->settings->tls && !link->tls)
        return push_tls(link); /* still undecided: what is in it? */
    link->undecided = false;
    return first == 'G' ? push_ws(link) : true; /* GET; MQTT says itself what is wrong with the rest */
}

static struct midge_layer *innermost(const struct midge_link *link)
{
    struct midge_layer *l = link->chain.bottom;
    while (l && l->above)
        l = l->above;
    return l;
}

/* ---- between the chain and the socket ------------------------------------------------------------------ */

static void feed(void *user, uint8_t *bytes, size_t n)
{
    struct midge_sock *s = user;
    struct midge_link *link = s->link;
    if (link->undecided) {
        const struct midge_layer *before = innermost(link);
        if (!decide(link, bytes[0])) {
            link->chain.ended = true;
            link->chain.why = "no memory";
            return;
        }
        struct midge_layer *l = innermost(link);
        if (l != before) {
            l->kind->feed(l, bytes, n);
            return;
        }
    }
    midge_sock_take(s, bytes, n);
}

static size_t pull(void *user, uint8_t *out, size_t room)
{
    return midge_sock_give(user, out, room);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

/* False: no memory. */
static bool build(struct midge_link *link, const struct midge_listener *l)
{
    if (l->proxy) {
        struct midge_layer *proxy = midge_proxy_new(&midge_memory_libc);
        if (!midge_chain_push(&link->chain, proxy))
            return false;
        link->proxy = proxy;
    }
    switch ((enum midge_transport)l->transport) {
    case MIDGE_TRANSPORT_TLS:
        return push_tls(link);
    case MIDGE_TRANSPORT_WS:
        return push_ws(link);
    case MIDGE_TRANSPORT_WSS:
        return push_tls(link) && push_ws(link);
    case MIDGE_TRANSPORT_ANY:
        link->undecided = true;
        return true;
    default:
        return true;
    }
}

struct midge_link *midge_link_new(struct midge_sock *s)
{
    static const struct midge_chain_top top = { .feed = feed, .pull = pull };
    struct midge_link *link = malloc(sizeof *link);
    if (!link)
        return NULL;
    *link = (struct midge_link){ .chain = { .top = &top, .user = s }, .settings = s->listener->settings };
    link->settings->refs++;
    if (build(link, s->listener))
        return link;
    midge_link_free(link);
    return NULL;
}

void midge_link_free(struct midge_link *link)
{
    midge_chain_free(&link->chain);
    midge_settings_drop(link->settings);
    free(link);
}

bool midge_link_is_through(const struct midge_link *link)
{
    return !link->undecided && midge_chain_has_greeted(&link->chain);
}

/* ---- who is there -------------------------------------------------------------------------------------- */

bool midge_link_source(const struct midge_link *link, struct sockaddr_storage *out)
{
    if (!link->proxy || !link->proxy->greeted)
        return false;
    const struct midge_proxy_source *from = midge_proxy_source(link->proxy);
    if (from->family == 4) {
        struct sockaddr_in *v4 = (void *)out;
        *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(from->port) };
        memcpy(&v4->sin_addr, from->ip, sizeof v4->sin_addr);
    } else if (from->family == 6) {
        struct sockaddr_in6 *v6 = (void *)out;
        *v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(from->port) };
        memcpy(&v6->sin6_addr, from->ip, sizeof v6->sin6_addr);
    }
    return from->family != 0;
}

struct midge_slice midge_peer_identity(const void *peer)
{
    const struct midge_sock *s = peer;
    const struct midge_link *link = s ? s->link : NULL;
    if (!link || !link->tls || link->settings->identity == MIDGE_IDENTITY_NONE)
        return (struct midge_slice){ .data = NULL };
    return link->settings->provider->identity(link->tls, link->settings->identity == MIDGE_IDENTITY_SUBJECT);
}
