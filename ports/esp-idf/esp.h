/* esp.h - what the files of the ESP-IDF port share: the loop, its sockets, its postbox, TLS. */
#ifndef MIDGE_ESP_INTERNAL_H
#define MIDGE_ESP_INTERNAL_H

#include "esp_config.h"
#include "midge_esp.h"
#include "nvs_store.h"

#include "esp_log.h"
#include "net/tls.h"
#include "net/ws.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

#define MIDGE_TAG "midge" /* of ESP_LOG */

struct midge_sock;
struct midge_listener;

/* ---- TLS and WebSocket (tls.c, link.c) -------------------------------------------------------------------- */

/* A listener's certificates and keys. NULL: no memory, or they cannot be used (logged). */
struct midge_tls *midge_esp_tls_open(struct esp_tls_cfg_server *config);

struct midge_link {
    struct midge_chain chain;
    struct midge_layer *tls; /* of the chain; NULL = none */
};

/* NULL: no memory. Only for listeners that have layers. */
struct midge_link *midge_link_new(struct midge_sock *s, const struct midge_listener *l);
void midge_link_free(struct midge_esp *e, struct midge_link *link);

/* ---- sockets (sock.c) ---------------------------------------------------------------------------------- */

/* Lives until midge_esp_free: what greets refers to it. */
struct midge_listener {
    struct midge_listener *next;
    struct midge_tls *tls;      /* owns; NULL = without */
    struct midge_ws_options ws; /* if `websocket` */
    bool websocket;
    uint16_t port;
    int fd;                     /* -1: closed */
};

void midge_listener_free(struct midge_esp *e, struct midge_listener *l); /* listen.c */

/* Bytes that the core has given away and the socket has not taken yet. */
struct midge_waiting {
    uint32_t at, len;
    uint8_t bytes[];
};

/* One connection:  open ──(core or a layer: it is over)──► closing ──(peer's end, or time)──► dead ──(end of pass)──►
 * freed. */
struct midge_sock {
    struct midge_sock *next;
    struct midge_esp *esp;
    struct midge_link *link;       /* owns; NULL = plain TCP */
    struct midge_waiting *waiting; /* owns; NULL = nothing waits */
    union {
        struct midge_conn *conn;   /* not closing: given back with midge_lost exactly once */
        midge_ms until;            /* closing: how long its peer may take */
    } u;
    int fd;                        /* -1: dead */
    bool closing;
    bool wants_write;              /* woken when it can be written */
};

/* Equal for connections of one address (listen.c). */
uint32_t midge_address_key(int fd);
/* Takes fd. A connection that cannot be had is closed. */
void midge_sock_open(struct midge_esp *e, int fd, const struct midge_listener *l);
void midge_sock_event(struct midge_sock *s, bool readable, bool writable);
/* Sends what the core has for this connection, then does what it asks: close, pause, go on. */
void midge_sock_serve(struct midge_sock *s);
bool midge_sock_reads(const struct midge_sock *s);
/* Gives up the closing ones whose peers had until `now` (MIDGE_NEVER: all). */
void midge_socks_expire(struct midge_esp *e, midge_ms now);
/* Ends every connection, open or closing, now. */
void midge_socks_close(struct midge_esp *e);
/* Frees what closed in this pass. */
void midge_socks_bury(struct midge_esp *e);

/* ---- waking up (wake.c) -------------------------------------------------------------------------------- */

int midge_wake_open(void); /* -1: no socket, or no room for another eventfd */
void midge_wake(int fd);   /* from any task */
void midge_wake_drain(int fd);

/* ---- the postbox (postbox.c) --------------------------------------------------------------------------- */

/* The head of whatever is posted; what it carries follows it. */
struct midge_post {
    struct midge_post *next;
    enum midge_err (*carry_out)(struct midge_esp *e, struct midge_post *post);
    void (*done)(void *user, enum midge_err result); /* may be NULL */
    void *user;
    uint32_t size;
};

/* Carries out, in order, what has been posted so far. Or tells that it is not: `refuse`. */
void midge_posts_empty(struct midge_esp *e, bool refuse);

/* ---- the loop (loop.c) --------------------------------------------------------------------------------- */

struct midge_esp {
    struct midge *broker;
    midge_ms now;            /* the clock, read once a pass */
    midge_ms accept_again;   /* after a failure of accept: not before */
    struct midge_listener *listeners;
    struct midge_sock *socks;
    struct midge_local *local; /* the postbox's own client; NULL until it is needed */
    _Atomic(struct midge_post *) posts; /* newest first */
    atomic_uint post_bytes;
    atomic_bool stop;
    bool stopping;           /* what is left is sent, then everything is closed */
    int wake_fd;
    struct midge_nvs *nvs;   /* NULL: nothing outlives the broker */
    struct midge_hooks hooks;
    struct midge_esp_config config;
    struct midge_esp_stats stats;
    uint8_t buffer[MIDGE_ESP_BUFFER]; /* in and out for all connections: an idle one owns none */
};

/* Monotonic. */
midge_ms midge_esp_clock(void);

/* From the broker's memory; NULL = none. */
void *midge_esp_alloc(struct midge_esp *e, size_t n);
void midge_esp_release(struct midge_esp *e, void *p, size_t n);

/* ESP_LOG and, if built in, the default event loop. */
void midge_esp_report_state(bool running);

#endif
