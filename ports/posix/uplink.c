/* uplink.c - a bridge's transport: dials, carries its bytes through the layers, notices the end.
 *
 * TCP, and TLS and WebSocket in it: all of them ordered and lossless [MQTT311-7.1.2-1]. */
#include "posix.h"

#include "net/tls.h"
#include "net/ws.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#define GREETING_MS 20000u /* for TLS and the upgrade */
#define TEXT_MAX 300u

struct midge_uplink {
    uint8_t source;
    bool ended;      /* closed: freed at the end of the pass */
    bool greeted;    /* the bridge knows of the transport */
    uint8_t events;
    int fd;          /* -1 = none */
    struct midge_uplink *next;
    struct midge_loop *loop;
    const struct midge_uplink_options *o;
    struct midge_bridge_options options; /* the bridge's, with the loop's memory and hooks */
    struct midge_bridge *bridge;
    struct midge_dial *dial;  /* under way; NULL = none */
    struct midge_dial *probe; /* whether the first address is back */
    struct midge_chain chain;
    midge_ms due;             /* of the layers' greeting */
    struct midge_waiting *waiting; /* owns; pulled, and not yet taken by the socket */
    char why[160];
};

/* ---- telling ------------------------------------------------------------------------------------------- */

static uint32_t random_number(void *user)
{
    uint32_t n = 0;
    (void)user;
    ssize_t got = getrandom(&n, sizeof n, GRND_NONBLOCK);
    (void)got;
    return n;
}

static const char *cause(const struct midge_bridge_event *e)
{
    if (e->text)
        return e->text;
    const char *text = midge_reason_text(e->reason);
    return e->reason && *text ? text : "connection closed";
}

static void tell(void *user, const struct midge_bridge_event *e)
{
    const struct midge_uplink *u = user;
    const char *name = u->options.name;
    const char *address = u->options.addresses[e->address];
    switch (e->kind) {
    case MIDGE_BRIDGE_EV_UP:
        midge_say(u->loop, MIDGE_LOG_NOTICE, "Bridge %s: connected to %s.", name, address);
        break;
    case MIDGE_BRIDGE_EV_DOWN:
        midge_say(u->loop, MIDGE_LOG_WARNING, "Bridge %s: connection to %s lost: %s.", name, address, cause(e));
        break;
    case MIDGE_BRIDGE_EV_FAILED:
        midge_say(u->loop, MIDGE_LOG_WARNING, "Bridge %s: no connection to %s: %s.", name, address, cause(e));
        break;
    case MIDGE_BRIDGE_EV_NO_GRANT:
        midge_say(u->loop, MIDGE_LOG_WARNING, "Bridge %s: subscription to %s refused: %s.", name,
                  e->text ? e->text : "", midge_reason_text(e->reason));
        break;
    default:
        midge_say(u->loop, MIDGE_LOG_WARNING, "Bridge %s: %s refused a message: %s.", name, address,
                  midge_reason_text(e->reason));
    }
}

/* ---- the transport's end ------------------------------------------------------------------------------- */

static void close_socket(struct midge_uplink *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
    midge_chain_free(&u->chain);
    free(u->waiting);
    u->waiting = NULL;
    u->greeted = false;
    midge_dial_cancel(u->probe);
    u->probe = NULL;
}

static void lose(struct midge_uplink *u, const char *why)
{
    close_socket(u);
    midge_bridge_lost(u->bridge, why, u->loop->now);
}

static const char *why_of(const struct midge_uplink *u, const char *otherwise)
{
    return u->chain.why ? u->chain.why : otherwise;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* False: the socket is full, or broken. */
static bool send_waiting(struct midge_uplink *u)
{
    struct midge_waiting *w = u->waiting;
    ssize_t n = send(u->fd, w->bytes + w->at, w->len - w->at, MSG_NOSIGNAL);
    if (n < 0)
        return false;
    w->at += (uint32_t)n;
    if (w->at < w->len)
        return false;
    free(w);
    u->waiting = NULL;
    return true;
}

/* Nothing is kept already: see flush. */
static bool keep(struct midge_uplink *u, const uint8_t *bytes, size_t n)
{
    u->waiting = midge_waiting_new(bytes, n);
    return u->waiting != NULL;
}

/* False: the socket is full, or broken; then the rest is kept. */
static bool send_bytes(struct midge_uplink *u, const uint8_t *bytes, size_t n)
{
    ssize_t sent = send(u->fd, bytes, n, MSG_NOSIGNAL);
    size_t done = sent > 0 ? (size_t)sent : 0;
    if (done == n)
        return true;
    if (sent < 0 && !would_block())
        return false;
    errno = keep(u, bytes + done, n - done) ? EAGAIN : ENOMEM;
    return false;
}

static size_t pull(void *user, uint8_t *out, size_t room)
{
    struct midge_uplink *u = user;
    return u->greeted ? midge_bridge_pull(u->bridge, out, room, u->loop->now) : 0;
}

static void arm(struct midge_uplink *u)
{
    bool paused = u->greeted && (midge_bridge_status(u->bridge) & MIDGE_STATUS_PAUSED);
    uint32_t events = (paused ? 0 : (uint32_t)EPOLLIN) | (u->waiting ? (uint32_t)EPOLLOUT : 0);
    if (events == u->events)
        return;
    struct epoll_event event = { .events = events, .data.ptr = u };
    epoll_ctl(u->loop->epoll_fd, EPOLL_CTL_MOD, u->fd, &event);
    u->events = (uint8_t)events;
}

/* All that there is to send, as far as the socket takes it. False: the socket is broken. */
static bool flush(struct midge_uplink *u)
{
    struct midge_loop *loop = u->loop;
    size_t n;
    errno = 0;
    if (u->waiting && !send_waiting(u))
        return errno == 0 || would_block();
    while ((n = midge_chain_pull(&u->chain, loop->out, sizeof loop->out))) {
        errno = 0;
        if (!send_bytes(u, loop->out, n))
            return would_block();
    }
    return true;
}

static void greet(struct midge_uplink *u)
{
    if (u->greeted || u->chain.ended || !midge_chain_has_greeted(&u->chain))
        return;
    u->greeted = true;
    midge_bridge_connected(u->bridge, u->loop->now);
}

static void serve(struct midge_uplink *u)
{
    greet(u);
    if (!flush(u)) {
        lose(u, strerror(errno));
        return;
    }
    if (u->chain.ended || (u->greeted && (midge_bridge_status(u->bridge) & MIDGE_STATUS_CLOSE))) {
        midge_chain_close(&u->chain);
        (void)flush(u); /* the layers' goodbyes */
        lose(u, u->chain.ended ? why_of(u, "closed by the other side") : NULL);
        return;
    }
    arm(u);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static void feed(void *user, uint8_t *bytes, size_t n)
{
    struct midge_uplink *u = user;
    greet(u);
    if (u->greeted)
        midge_bridge_recv(u->bridge, bytes, n, u->loop->now);
}

void midge_uplink_event(struct midge_uplink *u, uint32_t events)
{
    struct midge_loop *loop = u->loop;
    if (u->ended || u->fd < 0)
        return;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return; /* there is room: the turn sees to it */
    ssize_t n = recv(u->fd, loop->in, sizeof loop->in, 0);
    if (n > 0)
        midge_chain_feed(&u->chain, loop->in, (size_t)n);
    else if (n == 0 || !would_block())
        lose(u, n == 0 ? why_of(u, "closed by the other side") : strerror(errno));
}

/* ---- dialing ------------------------------------------------------------------------------------------- */

/* "host:port", "host", "[::1]:port". False: there is no host in it. */
static bool split(const char *address, char host[TEXT_MAX], char port[16])
{
    bool bracket = *address == '[';
    const char *begin = address + bracket;
    const char *end = bracket ? strchr(begin, ']') : strrchr(begin, ':');
    if (!bracket && end && strchr(begin, ':') != end)
        end = NULL; /* an IPv6 address without brackets has no port */
    size_t n = end ? (size_t)(end - begin) : strlen(begin);
    const char *colon = bracket && end ? end + 1 : end;
    if (n == 0 || n >= TEXT_MAX || (bracket && !end))
        return false;
    memcpy(host, begin, n);
    host[n] = '\0';
    if (colon && *colon == ':')
        snprintf(port, 16, "%s", colon + 1);
    return true;
}

static uint16_t default_port(const struct midge_uplink_options *o)
{
    static const uint16_t ports[] = { [MIDGE_TRANSPORT_TCP] = 1883,
                                      [MIDGE_TRANSPORT_TLS] = 8883,
                                      [MIDGE_TRANSPORT_WS] = 80,
                                      [MIDGE_TRANSPORT_WSS] = 443 };
    return o->port ? o->port : ports[o->transport];
}

static struct midge_dial *dial(struct midge_uplink *u, size_t i, void (*made)(void *user, int fd, const char *why))
{
    char host[TEXT_MAX], port[16];
    snprintf(port, sizeof port, "%u", default_port(u->o));
    if (!split(u->options.addresses[i], host, port))
        return NULL;
    return midge_dial_new(u->loop, host, port, u->o->bind_address, made, u);
}

static bool has_tls(const struct midge_uplink *u)
{
    return u->o->transport == MIDGE_TRANSPORT_TLS || u->o->transport == MIDGE_TRANSPORT_WSS;
}

/* Certificates are read again for each connection: they may have been renewed. NULL, or why not. */
static const char *push_tls(struct midge_uplink *u, const char *host)
{
    const struct midge_tls_provider *provider = u->loop->config.tls;
    struct midge_tls_options options = u->o->tls;
    options.client = true;
    struct midge_tls *tls = provider->open(&options, u->why, sizeof u->why);
    if (!tls)
        return u->why;
    bool pushed = midge_chain_push(&u->chain, provider->client(tls, host));
    provider->close(tls);
    return pushed ? NULL : "no memory for TLS";
}

static const char *push_ws(struct midge_uplink *u, const char *address)
{
    struct midge_ws_request request = { .host = address, .path = u->o->ws_path ? u->o->ws_path : "/mqtt" };
    ssize_t got = getrandom(request.random, sizeof request.random, 0);
    (void)got;
    return midge_chain_push(&u->chain, midge_ws_client(&request, &midge_memory_libc)) ? NULL : "path too long";
}

static const char *push_layers(struct midge_uplink *u)
{
    struct midge_bridge_stats stats;
    char host[TEXT_MAX], port[16];
    midge_bridge_get_stats(u->bridge, &stats);
    const char *address = u->options.addresses[stats.address];
    const char *wrong = has_tls(u) && split(address, host, port) ? push_tls(u, host) : NULL;
    bool has_ws = u->o->transport == MIDGE_TRANSPORT_WS || u->o->transport == MIDGE_TRANSPORT_WSS;
    return !wrong && has_ws ? push_ws(u, address) : wrong;
}

static void made(void *user, int fd, const char *why)
{
    struct midge_uplink *u = user;
    u->dial = NULL;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = u };
    if (fd < 0) {
        midge_bridge_lost(u->bridge, why, u->loop->now);
        return;
    }
    u->fd = fd;
    u->events = EPOLLIN;
    u->due = u->loop->now + GREETING_MS;
    static const struct midge_chain_top top = { .feed = feed, .pull = pull };
    u->chain = (struct midge_chain){ .top = &top, .user = u };
    const char *wrong = push_layers(u);
    if (wrong) {
        lose(u, wrong);
        return;
    }
    if (epoll_ctl(u->loop->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        lose(u, strerror(errno));
}

static void probed(void *user, int fd, const char *why)
{
    struct midge_uplink *u = user;
    (void)why;
    u->probe = NULL;
    if (fd < 0)
        return;
    close(fd);
    midge_bridge_first_is_back(u->bridge, u->loop->now);
}

/* ---- a turn -------------------------------------------------------------------------------------------- */

static void tick_dials(struct midge_uplink *u)
{
    if (u->dial)
        midge_dial_tick(u->dial);
    if (u->probe)
        midge_dial_tick(u->probe);
}

static void turn(struct midge_uplink *u)
{
    midge_ms now = u->loop->now;
    tick_dials(u);
    midge_bridge_turn(u->bridge, now);
    if (u->fd >= 0 && !u->greeted && now >= u->due)
        lose(u, why_of(u, "no answer to the greeting"));
    else if (u->fd >= 0)
        serve(u);
    int i = midge_bridge_dial(u->bridge, now);
    if (i >= 0 && !(u->dial = dial(u, (size_t)i, made)))
        midge_bridge_lost(u->bridge, "no address, or no memory", now);
    if (!u->probe && midge_bridge_probe(u->bridge, now))
        u->probe = dial(u, 0, probed);
}

void midge_uplinks_turn(struct midge_loop *loop)
{
    for (struct midge_uplink *u = loop->uplinks; u; u = u->next)
        if (!u->ended)
            turn(u);
}

static midge_ms sooner(midge_ms a, midge_ms b)
{
    return a < b ? a : b;
}

midge_ms midge_uplinks_deadline(const struct midge_loop *loop)
{
    midge_ms due = MIDGE_NEVER;
    for (const struct midge_uplink *u = loop->uplinks; u; u = u->next) {
        if (u->ended)
            continue;
        due = sooner(due, midge_bridge_deadline(u->bridge));
        if (u->dial)
            due = sooner(due, midge_dial_deadline(u->dial));
        if (u->probe)
            due = sooner(due, midge_dial_deadline(u->probe));
        if (u->fd >= 0 && !u->greeted)
            due = sooner(due, u->due);
    }
    return due;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static struct midge_bridge *make_bridge(struct midge_uplink *u, const char **why)
{
    u->options = u->o->bridge;
    u->options.memory = u->loop->config.memory;
    u->options.user = u;
    u->options.random = random_number;
    u->options.event = tell;
    return midge_bridge_new(&u->options, u->loop->broker, u->loop->now, why);
}

/* What is wrong with certificates and keys is better said now than at each try. */
static bool check_tls(const struct midge_loop *loop, const struct midge_uplink_options *o, char *why, size_t why_size)
{
    const struct midge_tls_provider *provider = loop->config.tls;
    if (o->transport != MIDGE_TRANSPORT_TLS && o->transport != MIDGE_TRANSPORT_WSS)
        return true;
    if (!provider || !provider->open || (provider->layer && !provider->client)) {
        snprintf(why, why_size, "this build has no TLS for bridges");
        return false;
    }
    struct midge_tls_options options = o->tls;
    options.client = true;
    struct midge_tls *tls = provider->open(&options, why, why_size);
    if (tls)
        provider->close(tls);
    return tls != NULL;
}

struct midge_uplink *midge_loop_bridge(struct midge_loop *loop, const struct midge_uplink_options *options, char *why,
                                       size_t why_size)
{
    const char *wrong = "no memory";
    struct midge_uplink *u = calloc(1, sizeof *u);
    if (u && !check_tls(loop, options, why, why_size)) {
        free(u);
        return NULL;
    }
    if (u) {
        *u = (struct midge_uplink){ .source = SOURCE_UPLINK, .fd = -1, .loop = loop, .o = options };
        u->bridge = make_bridge(u, &wrong);
    }
    if (!u || !u->bridge) {
        snprintf(why, why_size, "%s", wrong);
        free(u);
        return NULL;
    }
    u->next = loop->uplinks;
    loop->uplinks = u;
    midge_loop_wake(loop);
    return u;
}

void midge_uplink_get_stats(const struct midge_uplink *u, struct midge_bridge_stats *out)
{
    midge_bridge_get_stats(u->bridge, out);
}

static void hang_up(struct midge_uplink *u)
{
    midge_dial_cancel(u->dial);
    u->dial = NULL;
    midge_bridge_stop(u->bridge, u->loop->now);
    if (u->fd >= 0)
        serve(u);
    if (u->fd >= 0)
        lose(u, NULL);
}

void midge_uplink_replace(struct midge_uplink *u)
{
    hang_up(u);
    midge_bridge_unsubscribe(u->bridge, u->loop->now);
    midge_uplink_close(u, false);
}

void midge_uplink_close(struct midge_uplink *u, bool end_session)
{
    hang_up(u);
    midge_bridge_free(u->bridge, end_session, u->loop->now);
    u->bridge = NULL;
    u->ended = true;
    u->loop->uplink_ended = true;
}

void midge_uplinks_close(struct midge_loop *loop)
{
    for (struct midge_uplink *u = loop->uplinks; u; u = u->next)
        if (!u->ended)
            midge_uplink_close(u, false);
}

void midge_uplinks_bury(struct midge_loop *loop)
{
    struct midge_uplink **at = &loop->uplinks;
    loop->uplink_ended = false;
    while (*at) {
        struct midge_uplink *u = *at;
        if (!u->ended) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        free(u);
    }
}
