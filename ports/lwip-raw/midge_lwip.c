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

static void note(struct midge_lwip_conn *s)
{
    s->look = s->port->look = true;
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
    size_t room = LWIP_MIN(sizeof s->port->out, LWIP_MIN(tcp_sndbuf(pcb), tcp_mss(pcb)));
    if (!room || pcb->unsent || tcp_sndqueuelen(pcb) >= TCP_SND_QUEUELEN)
        return 0; /* sent() comes when there is room */
    size_t spare = pcb->unacked ? MIDGE_LWIP_SPARE_BUSY : MIDGE_LWIP_SPARE_IDLE;
    while (room && !lwip_has_memory(room, spare))
        room = room > LEAST_ROOM ? room / 2 : 0;
    if (!room)
        note(s); /* others hold the memory: tried again on each run */
    return room;
}

static void send_all(struct midge_lwip_conn *s)
{
    struct midge_lwip *port = s->port;
    size_t room, n;
    while (midge_status(s->conn) & MIDGE_STATUS_PULL && (room = room_of(s)) > 0) {
        n = midge_pull(s->conn, port->out, room, port->now);
        if (n && tcp_write(s->pcb, port->out, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK) {
            midge_lost(s->conn, port->now); /* a hole in the stream cannot be mended */
            s->conn = NULL;
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

static void feed(struct midge_lwip_conn *s, const struct pbuf *p)
{
    midge_ms now = midge_lwip_now(s->port);
    for (; p; p = p->next)
        midge_recv(s->conn, p->payload, p->len, now);
    if (!(midge_status(s->conn) & MIDGE_STATUS_PAUSED))
        open_window(s->pcb);
}

static void lose(struct midge_lwip_conn *s)
{
    if (s->conn)
        midge_lost(s->conn, midge_lwip_now(s->port));
    s->conn = NULL;
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

/* lwIP has freed the pcb. */
static void broken(void *arg, err_t err)
{
    struct midge_lwip_conn *s = arg;
    LWIP_UNUSED_ARG(err);
    lose(s);
    s->pcb = NULL;
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

static void serve(struct midge_lwip_conn *s)
{
    s->look = false;
    if (s->conn)
        send_all(s);
    if (!s->conn || midge_status(s->conn) & MIDGE_STATUS_CLOSE)
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
        if (!port->conns[i].pcb)
            return &port->conns[i];
    return NULL;
}

/* An error here makes lwIP reset the connection. pcb NULL: lwIP had none left. */
static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct midge_lwip *port = arg;
    struct midge_lwip_conn *s = free_place(port);
    if (err != ERR_OK || !pcb || !s)
        return ERR_MEM;
    const struct midge_peer peer = { .user = s, .address_key = address_key(&pcb->remote_ip) };
    struct midge_conn *conn = midge_accept(port->broker, &peer, midge_lwip_now(port));
    if (!conn)
        return ERR_MEM;
    *s = (struct midge_lwip_conn){ .port = port, .pcb = pcb, .conn = conn };
    tcp_arg(pcb, s);
    tcp_recv(pcb, received);
    tcp_sent(pcb, sent);
    tcp_err(pcb, broken);
    tcp_nagle_disable(pcb); /* small packets of one turn are pulled together as it is */
    return ERR_OK;
}

err_t midge_lwip_start(struct midge_lwip *port, struct midge *broker, u16_t tcp_port)
{
    memset(port, 0, sizeof *port);
    port->broker = broker;
    port->now = sys_now();
    struct tcp_pcb *pcb = tcp_new();
    if (!pcb)
        return ERR_MEM;
    err_t err = tcp_bind(pcb, IP_ANY_TYPE, tcp_port);
    if (err == ERR_OK)
        port->listener = tcp_listen_with_backlog_and_err(pcb, TCP_DEFAULT_LISTEN_BACKLOG, &err);
    if (!port->listener) {
        tcp_close(pcb);
        return err;
    }
    tcp_arg(port->listener, port);
    tcp_accept(port->listener, accepted);
    return ERR_OK;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static void serve_noted(struct midge_lwip *port)
{
    port->look = false;
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        if (port->conns[i].pcb && port->conns[i].look)
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
    if (port->listener)
        tcp_close(port->listener);
    port->listener = NULL;
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
    if (port->listener)
        midge_lwip_stop(port);
    for (size_t i = 0; i < MIDGE_LWIP_CONNS; i++)
        if (port->conns[i].pcb)
            tcp_abort(detach(&port->conns[i]));
}
