/* esp.h - what the files of the ESP-IDF port share: the loop, its sockets, its postbox, TLS. */
#ifndef MIDGE_ESP_INTERNAL_H
#define MIDGE_ESP_INTERNAL_H

#include "esp_config.h"
#include "midge_esp.h"
#include "nvs_store.h"

#include "esp_log.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

#define MIDGE_TAG "midge" /* of ESP_LOG */

/* ---- TLS (tls.c, for ESP-IDF before 5.5 tls_mbedtls.c) -------------------------------------------------- */

struct midge_tls;

enum midge_shake { SHAKE_DONE, SHAKE_READ, SHAKE_WRITE, SHAKE_FAILED }; /* READ, WRITE: when fd can be */

/* A session on a non-blocking fd, which stays the caller's. NULL: no memory, or `config` cannot be used. */
struct midge_tls *midge_tls_open(struct esp_tls_cfg_server *config, int fd);
enum midge_shake midge_tls_shake(struct midge_tls *t);
/* As recv and send; -1 with EAGAIN: later, with the same bytes. */
ssize_t midge_tls_recv(struct midge_tls *t, void *out, size_t room);
ssize_t midge_tls_send(struct midge_tls *t, const void *bytes, size_t n);
/* Bytes are decrypted and wait here, which select cannot know. */
bool midge_tls_pending(struct midge_tls *t);
/* Tells the peer that nothing more comes. */
void midge_tls_shut(struct midge_tls *t);
/* Everything of the session's, whatever became of its handshake. NULL is allowed. */
void midge_tls_close(struct midge_tls *t);

/* ---- sockets (sock.c) ---------------------------------------------------------------------------------- */

struct midge_listener {
    struct midge_listener *next;
    struct esp_tls_cfg_server *tls; /* borrows; NULL = plain */
    int fd;
    uint16_t port;
};

/* Bytes that the core has given away and the socket has not taken yet. */
struct midge_waiting {
    uint32_t at, len;
    uint8_t bytes[];
};

/* One connection:  [shaking ──►] open ──(core: CLOSE)──► closing ──(peer's end, or time)──► dead ──(end of pass)──►
 * freed. */
struct midge_sock {
    struct midge_sock *next;
    struct midge_esp *esp;
    struct midge_tls *tls;         /* owns; NULL = plain */
    struct midge_waiting *waiting; /* owns; NULL = nothing waits */
    union {
        struct midge_conn *conn;   /* not closing: given back with midge_lost exactly once */
        midge_ms until;            /* closing: how long its peer may take */
    } u;
    int fd;                        /* -1: dead */
    bool shaking;                  /* TLS handshake: neither bytes in nor out yet */
    bool closing;
    bool wants_write;              /* woken when it can be written (shaking: instead of read) */
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

/* From the broker's memory; NULL = none. */
void *midge_esp_alloc(struct midge_esp *e, size_t n);
void midge_esp_release(struct midge_esp *e, void *p, size_t n);

/* ESP_LOG and, if built in, the default event loop. */
void midge_esp_report_state(bool running);

#endif
