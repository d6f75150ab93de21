/* midge_lwip.c - connections of lwIP's raw API: callbacks feed and note, midge_lwip_run sends and closes. */
#include "midge_lwip.h"

#include "lwip/memp.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"

#include <string.h>

#define POLLS_A_SECOND 2 /* lwIP's slow timer */
#define LEAST_ROOM 64u   /* not worth a packet's header below this */

/* sys_now wraps around after 49 days; a step back of it counts as no time. */
midge_ms midge_lwip_now(struct midge_lwip *port)
{
    u32_t passed = sys_now() - (u32_t)port->now;
    if (passed <= INT32_MAX)
        port->now += passed;
    return port->now;
}

static struct midge_lwip *port_of(const struct midge_lwip_conn *s)
{
    return s->listener->port;
}

static void note(struct midge_lwip_conn *s)
{
    s->look = port_of(s)->look = true;
}

/* Without layers they cost no code. */
static bool has_chain(const struct midge_lwip_conn *s)
{
    return MIDGE_LWIP_LAYERS && s->chain;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

/* Would tcp_write find what it needs for n bytes, and leave `spare`? Nothing comes between this and tcp_write, so a
 * yes is kept: what was pulled cannot be pulled again. */
static bool lwip_has_memory(size_t n, size_t spare)
{
    void *segment = memp_malloc(MEMP_TCP_SEG);
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)(n + spare), PBUF_RAM);
    bool has = segment && p;
    if (p)
        pbuf_free(p);
    if (segment)
        memp_free(MEMP_TCP_SEG, segment);
    return has;
}

/* While something waits for the peer's window nothing more is encoded, so each tcp_write makes one new segment. */
static size_t room_of(struct midge_lwip_conn *s)
{
    struct tcp_pcb *pcb = s->pcb;
    size_t room = LWIP_MIN(sizeof port_of(s)->out, LWIP_MIN(tcp_sndbuf(pcb), tcp_mss(pcb)));
    if (!room || pcb->unsent || tcp_sndqueuelen(pcb) >= TCP_SND_QUEUELEN)
        return 0; /* sent() comes when there is room */
    size_t spare = pcb->unacked ? MIDGE_LWIP_SPARE_BUSY : MIDGE_LWIP_SPARE_IDLE;
    while (room && !lwip_has_memory(room, spare))
        room = room > LEAST_ROOM ? room / 2 : 0;
    if (!room)
        note(s); /* others hold the memory: tried again on each run */
    return room;
}

/* Layers have goodbyes to say when the core is through. */
static size_t pull(struct midge_lwip_conn *s, size_t room)
{
    struct midge_lwip *port = port_of(s);
    if (has_chain(s))
        return midge_chain_pull(s->chain, port->out, room);
    return s->conn && midge_status(s->conn) & MIDGE_STATUS_PULL ? midge_pull(s->conn, port->out, room, port->now) : 0;
}

static void lose(struct midge_lwip_conn *s)
{
    if (s->conn)
        midge_lost(s->conn, midge_lwip_now(port_of(s)));
    s->conn = NULL;
    if (has_chain(s))
        midge_chain_close(s->chain);
}

static void give_chain_back(struct midge_lwip_conn *s)
{
    if (has_chain(s))
        s->listener->close(s->listener->user, s->chain);
    s->chain = NULL;
}

static void send_all(struct midge_lwip_conn *s)
{
    size_t room, n;
    while ((room = room_of(s)) > 0 && (n = pull(s, room)) > 0) {
        if (tcp_write(s->pcb, port_of(s)->out, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK) {
            lose(s); /* a hole in the stream cannot be mended */
            give_chain_back(s);
            return;
        }
        tcp_output(s->pcb);
    }
}

/* ---- in ------------------------------------------------------------------------------------------------ */

/* Opens the window by what was taken in since; the peer of one that is paused finds it closed. */
static void open_window(struct tcp_pcb *pcb)
{
    u16_t taken = (u16_t)(TCP_WND_MAX(pcb) - pcb->rcv_wnd);
    if (taken)
        tcp_recved(pcb, taken);
}

/* Of a chain: what its layers make of the bytes. */
static void feed_core(void *user, uint8_t *bytes, size_t n)
{
    const struct midge_lwip_conn *s = user;
    midge_recv(s->conn, bytes, n, port_of(s)->now);
}

static size_t pull_core(void *user, uint8_t *out, size_t room)
{
    const struct midge_lwip_conn *s = user;
    return midge_pull(s->conn, out, room, port_of(s)->now);
}

static const struct midge_chain_top top = { .feed = feed_core, .pull = pull_core };

static void feed(struct midge_lwip_conn *s, const struct pbuf *p)
{
    midge_ms now = midge_lwip_now(port_of(s));
    for (; p; p = p->next)
        if (has_chain(s))
            midge_chain_feed(s->chain, p->payload, p->len);
        else
            midge_recv(s->conn, p->payload, p->len, now);
    if (!(midge_status(s->conn) & MIDGE_STATUS_PAUSED))
        open_window(s->pcb);
    if (has_chain(s))
        note(s); /* a layer may have an answer of its own */
}

/* The pbuf is never kept: they are few, and without one no ACK could come in that frees the others. */
static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct midge_lwip_conn *s = arg;
    LWIP_UNUSED_ARG(err);
    if (p && s->conn)
        feed(s, p);
    else if (p)
        open_window(pcb);
    else
        lose(s);
    if (p)
        pbuf_free(p);
    if (!s->conn)
        note(s);
    return ERR_OK;
}

static err_t sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
    LWIP_UNUSED_ARG(pcb);
    LWIP_UNUSED_ARG(n);
    note(arg);
    return ERR_OK;
}

/* lwIP has freed the pcb. Perhaps in the middle of a call of ours, so the chain is given back by the next run. */
static void broken(void *arg, err_t err)
{
    struct midge_lwip_conn *s = arg;
    LWIP_UNUSED_ARG(err);
    lose(s);
    s->pcb = NULL;
    if (has_chain(s))
        note(s);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static err_t cut(void *arg, struct tcp_pcb *pcb)
{
    LWIP_UNUSED_ARG(arg);
    tcp_abort(pcb);
    return ERR_ABRT;
}

static struct tcp_pcb *detach(struct midge_lwip_conn *s)
{
    struct tcp_pcb *pcb = s->pcb;
    lose(s);
    give_chain_back(s);
    s->pcb = NULL;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    return pcb;
}

/* Only our side is closed: with tcp_close, bytes that are still to come would be answered by a reset, which takes the
 * last packet, with the reason in it, from under the peer. lwIP sends the rest, drops what comes, and gives the pcb
 * away first when it needs one. */
static void finish(struct midge_lwip_conn *s)
{
    struct tcp_pcb *pcb = detach(s);
    tcp_poll(pcb, cut, MIDGE_LWIP_LINGER_S * POLLS_A_SECOND);
    tcp_setprio(pcb, TCP_PRIO_MIN);
    open_window(pcb);
    if (tcp_shutdown(pcb, 0, 1) != ERR_OK)
        tcp_abort(pcb);
}

static bool is_over(const struct midge_lwip_conn *s)
{
    return !s->conn || midge_status(s->conn) & MIDGE_STATUS_CLOSE || (has_chain(s) && s->chain->ended);
}

static void serve(struct midge_lwip_conn *s)
{
    s->look = false;
    if (!s->pcb) {
        give_chain_back(s);
        return;
    }
    send_all(s);
    if (is_over(s) && has_chain(s)) {
        lose(s);
        send_all(s); /* what goes into a segment; TLS can do without the rest of its goodbye */
    }
    if (is_over(s))
        finish(s);
    else if (!(midge_status(s->conn) & MIDGE_STATUS_PAUSED))
        open_window(s->pcb);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

/* IPv4 by address; IPv6 by the /64, as one host has it all. */
static uint32_t address_key(const ip_addr_t *address)
{
#if LWIP_IPV6
    if (IP_IS_V6(address))
        return (ip_2_ip6(address)->addr[0] ^ ip_2_ip6(address)->addr[1]) | 1;
#endif
    return ip4_addr_get_u32(ip_2_ip4(address));
}

static struct midge_lwip_conn *free_place(struct midge_lwip *port)
{
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        if (!port->conns[i].pcb && !port->conns[i].chain)
            return &port->conns[i];
    return NULL;
}

/* False: no memory. */
static bool open_chain(struct midge_lwip_conn *s)
{
    const struct midge_lwip_listener *l = s->listener;
    if (!MIDGE_LWIP_LAYERS || !l->open)
        return true;
    s->chain = l->open(l->user);
    if (!s->chain)
        return false;
    s->chain->top = &top;
    s->chain->user = s;
    return true;
}

/* What is at a limit leaves *s free. */
static bool begin(struct midge_lwip_conn *s, struct midge_lwip_listener *l, const struct tcp_pcb *pcb)
{
    const struct midge_peer peer = { .user = s, .address_key = address_key(&pcb->remote_ip) };
    *s = (struct midge_lwip_conn){ .listener = l };
    if (!open_chain(s))
        return false;
    s->conn = midge_accept(l->port->broker, &peer, midge_lwip_now(l->port));
    if (!s->conn)
        give_chain_back(s);
    return s->conn != NULL;
}

/* An error here makes lwIP reset the connection. pcb NULL: lwIP had none left. */
static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct midge_lwip_listener *l = arg;
    struct midge_lwip_conn *s = free_place(l->port);
    if (err != ERR_OK || !pcb || !s || !begin(s, l, pcb))
        return ERR_MEM;
    s->pcb = pcb;
    tcp_arg(pcb, s);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_err(pcb, broken);
    tcp_nagle_disable(pcb); /* small packets of one turn are pulled together as it is */
    return ERR_OK;
}

err_t midge_lwip_listen(struct midge_lwip *port, struct midge_lwip_listener *l, u16_t tcp_port)
{
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        return ERR_MEM;
    err_t err = tcp_bind(pcb, IP_ANY_TYPE, tcp_port);
    l->pcb = err == ERR_OK ? tcp_listen_with_backlog_and_err(pcb, TCP_DEFAULT_LISTEN_BACKLOG, &err) : NULL;
    if (!l->pcb) {
        tcp_close(pcb);
        return err;
    }
    l->port = port;
    l->next = port->listeners;
    port->listeners = l;
    tcp_arg(l->pcb, l);
    tcp_accept(l->pcb, accepted);
    return ERR_OK;
}

err_t midge_lwip_start(struct midge_lwip *port, struct midge *broker, u16_t tcp_port)
{
    memset(port, 0, sizeof *port);
    port->broker = broker;
    port->now = sys_now();
    return midge_lwip_listen(port, &port->plain, tcp_port);
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static void serve_noted(struct midge_lwip *port)
{
    port->look = false;
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        if (port->conns[i].look)
            serve(&port->conns[i]);
}

u32_t midge_lwip_run(struct midge_lwip *port)
{
    midge_ms now = midge_lwip_now(port);
    if (midge_deadline(port->broker) <= now)
        midge_tick(port->broker, now);
    if (port->look)
        serve_noted(port);
    struct midge_conn *c;
    while ((c = midge_ready(port->broker, now)))
        serve(midge_conn_user(c));
    midge_ms due = midge_deadline(port->broker);
    u32_t lwip_ms = sys_timeouts_sleeptime();
    return due <= now ? 0 : (u32_t)LWIP_MIN(due - now, lwip_ms);
}

void midge_lwip_stop(struct midge_lwip *port)
{
    for (; port->listeners; port->listeners = port->listeners->next)
        tcp_close(port->listeners->pcb);
    midge_shutdown(port->broker, midge_lwip_now(port));
}

unsigned midge_lwip_open(const struct midge_lwip *port)
{
    unsigned open = 0;
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        open += port->conns[i].pcb != NULL;
    return open;
}

void midge_lwip_end(struct midge_lwip *port)
{
    if (port->listeners)
        midge_lwip_stop(port);
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        if (port->conns[i].pcb)
            tcp_abort(detach(&port->conns[i]));
        else
            give_chain_back(&port->conns[i]);
}
