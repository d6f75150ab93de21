/* midge_lwip.h - Midge on lwIP's raw API (2.1 or later, NO_SYS 1): no task, no socket, no allocation of its own.
 *
 *     static struct midge_lwip port;
 *     midge_lwip_start(&port, broker, 1883);
 *     for (;;) {
 *         hand what the network chip has to netif.input; sys_check_timeouts();
 *         sleep until a packet comes, at most midge_lwip_run(&port) milliseconds
 *     }
 *
 * lwIP's callbacks only hand bytes to the core and note what is to be done; midge_lwip_run does it. So all of Midge
 * runs in the main loop, and no connection is closed while lwIP is at work on it.
 */
#ifndef MIDGE_LWIP_H
#define MIDGE_LWIP_H

#include "midge/midge.h"
#include "net/layer.h"

#include "lwip/tcp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1: listeners may have layers (TLS, WebSocket): link net/layer.c and those. 0: plain TCP alone. */
#ifndef MIDGE_LWIP_LAYERS
#define MIDGE_LWIP_LAYERS 0
#endif

/* Connections at once: as many as lwIP has room for. */
#ifndef MIDGE_LWIP_CONNS
#define MIDGE_LWIP_CONNS MEMP_NUM_TCP_PCB
#endif

/* Largest piece that is encoded at once; more than a segment is no use. */
#ifndef MIDGE_LWIP_CHUNK
#define MIDGE_LWIP_CHUNK TCP_MSS
#endif

/* Bytes of lwIP's heap that stay free for ACKs, ARP and FINs: for one who has data on the way already, and for one
 * who has none. So a peer that went silent with its data unacknowledged leaves something for the others. */
#ifndef MIDGE_LWIP_SPARE_BUSY
#define MIDGE_LWIP_SPARE_BUSY 1024
#endif
#ifndef MIDGE_LWIP_SPARE_IDLE
#define MIDGE_LWIP_SPARE_IDLE 128
#endif

/* How long a peer may take to close its side after we closed ours. */
#ifndef MIDGE_LWIP_LINGER_S
#define MIDGE_LWIP_LINGER_S 2
#endif

struct midge_lwip;

/* One connection:  free ──(accept)──► open ──(core: CLOSE)────────────► free; lwIP goes on alone with the pcb
 *                                       ├───(FIN: midge_lost)──► over ──► free
 *                                       └───(err: midge_lost; lwIP has freed the pcb)──► free */
struct midge_lwip_conn {
    struct midge_lwip_listener *listener;
    struct tcp_pcb *pcb;       /* lwIP's; NULL = free */
    struct midge_conn *conn;   /* given back with midge_lost exactly once; NULL = over, to be closed */
    struct midge_chain *chain; /* given back with listener->close; NULL = plain TCP */
    bool look;                 /* midge_lwip_run is to serve it */
};

/* The caller's memory, in use until midge_lwip_end. */
struct midge_lwip_listener {
    /* Layers of a new connection: pushes them on a chain of the caller's. NULL: no memory, or no more of these.
     * open itself NULL: plain TCP. */
    struct midge_chain *(*open)(void *user);
    /* Takes it back: midge_chain_free and whatever else. */
    void (*close)(void *user, struct midge_chain *chain);
    void *user;
    /* The port's. */
    struct midge_lwip *port;
    struct midge_lwip_listener *next;
    struct tcp_pcb *pcb;
};

/* The caller's memory, in use until midge_lwip_end. */
struct midge_lwip {
    struct midge *broker; /* borrows */
    struct midge_lwip_listener *listeners;
    struct midge_lwip_listener plain; /* that of midge_lwip_start */
    midge_ms now;
    bool look; /* that of some connection is set */
    struct midge_lwip_conn conns[MIDGE_LWIP_CONNS];
    uint8_t out[MIDGE_LWIP_CHUNK];
};

/* Listens on every address. broker: made with `now` = sys_now(), in use until midge_lwip_end. ERR_MEM, ERR_USE: not
 * listening, nothing is held. */
err_t midge_lwip_start(struct midge_lwip *port, struct midge *broker, u16_t tcp_port);

/* One more, after midge_lwip_start: open, close, user of *l are set. Same results. */
err_t midge_lwip_listen(struct midge_lwip *port, struct midge_lwip_listener *l, u16_t tcp_port);

/* Does what is due; milliseconds until it has to be called again, lwIP's own timers counted. Call after each batch of
 * packets. */
u32_t midge_lwip_run(struct midge_lwip *port);

/* The clock for calls of midge.h from the main loop. */
midge_ms midge_lwip_now(struct midge_lwip *port);

/* Nobody new is accepted, all are told. Go on calling midge_lwip_run while midge_lwip_open says > 0, or no longer,
 * then call midge_lwip_end. */
void midge_lwip_stop(struct midge_lwip *port);
unsigned midge_lwip_open(const struct midge_lwip *port);

/* Breaks off what is left. The caller may now call midge_free. */
void midge_lwip_end(struct midge_lwip *port);

#ifdef __cplusplus
}
#endif
#endif
