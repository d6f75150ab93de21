/* midge_esp.h - a broker on ESP-IDF: its sockets, the task that serves them, and calls from other tasks.
 *
 *     struct midge_esp *e = midge_esp_new(NULL);
 *     midge_esp_listen(e, NULL, 1883, NULL);
 *     midge_esp_run(e);                 in this task, until midge_esp_stop(e) from another
 *     midge_esp_free(e);
 *
 * One task at a time uses a broker. Other tasks may call midge_esp_stop and those of "calls from any task" only.
 * Several brokers may run, each in a task of its own. Nothing here may be called from an interrupt.
 */
#ifndef MIDGE_ESP_H
#define MIDGE_ESP_H

#include "midge/midge.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_esp;
struct midge_esp_nvs_config; /* midge_esp_nvs.h */
struct midge_esp_nvs_stats;
struct esp_tls_cfg_server; /* esp_tls.h: esp_tls_cfg_server_t */

/* ---- the broker ---------------------------------------------------------------------------------------- */

/* Memory as Kconfig says: any heap, internal RAM or PSRAM. */
extern const struct midge_memory midge_esp_memory;

/* Zero-initialise, set what is wanted. All is borrowed until midge_esp_free, except `hooks`, which is copied. */
struct midge_esp_config {
    const struct midge_memory *memory; /* sockets and loop are drawn here too; NULL = midge_esp_memory */
    const struct midge_limits *limits; /* NULL = midge_limits_chip */
    const struct midge_hooks *hooks;   /* NULL = none; without `event`, midge_esp_report is it */
    const char *auto_id_prefix;        /* NULL = "auto-" */
    uint32_t sys_interval_s;           /* 0 = no $SYS */
    uint32_t stop_ms;                  /* longest time that a stop goes on sending; 0 = 2000 */
    uint32_t post_bytes;               /* what calls from other tasks may hold in all; 0 = as Kconfig says */
    const struct midge_esp_nvs_config *nvs; /* NULL = nothing outlives the broker */
    uint16_t sockets;                  /* connections, closing ones included; 0 = as Kconfig says */
    /* On the broker's task: it serves; it has ended. Before `running` is true nobody is let in. */
    void (*state)(void *user, bool running);
    void *state_user;
};

/* NULL: not enough memory or sockets, or no NVS. config NULL = all defaults. */
MIDGE_MUST_USE struct midge_esp *midge_esp_new(const struct midge_esp_config *config);

/* The broker inside, for midge.h's calls on its task, and the time of this pass to hand them. */
struct midge *midge_esp_broker(struct midge_esp *e);
midge_ms midge_esp_now(const struct midge_esp *e);

/* Listens on the first address that `host` stands for. NULL = every address, IPv4 and, where it is built in, IPv6.
 * port 0: one is chosen. tls NULL = plain TCP; else as for esp_tls_server_session_create: certificate, key and its
 * password, ALPN, psk_hint_key, and with cacert_buf set clients need a certificate; borrowed until midge_esp_free. Keys
 * are bytes: what sits in a secure element or a peripheral cannot be used. 0, or an errno: nothing was opened. EPROTO:
 * TLS could not be set up with `tls`, ENOTSUP: this build is without TLS. */
MIDGE_MUST_USE int midge_esp_listen(struct midge_esp *e, const char *host, uint16_t port,
                                    struct esp_tls_cfg_server *tls);

/* The same over WebSocket. path: of the request; NULL = any, else borrowed until midge_esp_free. */
MIDGE_MUST_USE int midge_esp_listen_ws(struct midge_esp *e, const char *host, uint16_t port,
                                       struct esp_tls_cfg_server *tls, const char *path);

/* Of the listener that was opened last; 0 = none. */
uint16_t midge_esp_port(const struct midge_esp *e);

/* Serves until it is stopped: then no new connections, DISCONNECT 0x8B, wills, and at most stop_ms for the last
 * bytes. 0, or an errno of select's that ended it. A broker runs once. */
int midge_esp_run(struct midge_esp *e);

/* Any task. A stop that comes before midge_esp_run makes that run end at once. */
void midge_esp_stop(struct midge_esp *e);

/* No other task may use it any more. NULL is allowed. */
void midge_esp_free(struct midge_esp *e);

/* ---- what happens -------------------------------------------------------------------------------------- */

/* Writes an event to the log as Mosquitto does, and posts it to ESP-IDF's default event loop if Kconfig has
 * MIDGE_EVENTS. What runs as hooks.event when there is none; call it from your own. */
void midge_esp_report(void *unused, const struct midge_event *event);

#define MIDGE_PEER_TEXT 64 /* room for any address with its port */

/* The address behind midge_who.peer as "192.0.2.1:50000" or "[2001:db8::1]:50000"; "in-process" for NULL. */
void midge_esp_peer_text(const void *peer, char *out, size_t size);

/* Common name of the certificate that the peer behind midge_who.peer proved to have, or its PSK's name. data NULL: it
 * has none. */
struct midge_slice midge_esp_peer_identity(const void *peer);

/* Ids of event base MIDGE_EVENT. The data of all is a struct midge_esp_event. */
enum midge_esp_event_id {
    MIDGE_ESP_READY,      /* it listens and serves */
    MIDGE_ESP_STOPPED,    /* reason: 0 */
    MIDGE_ESP_CLIENT_UP,
    MIDGE_ESP_CLIENT_DOWN, /* reason why */
    MIDGE_ESP_LOW_MEMORY  /* publishers are refused; told once until it recovers */
};

struct midge_esp_event {
    char client_id[32]; /* as in the log: shortened, without control characters */
    uint8_t reason;     /* enum midge_reason */
};

extern const char *const MIDGE_EVENT; /* an esp_event_base_t */

/* ---- calls from any task ------------------------------------------------------------------------------- */

/* Each is copied (on the heap) and carried out on the broker's task, in order. They return at once:
 *
 *     MIDGE_OK             it waits; `done`, unless NULL, is told on the broker's task what became of it
 *     MIDGE_ERR_FULL       `post_bytes` are used up
 *     MIDGE_ERR_NO_MEMORY  for the copy
 *     MIDGE_ERR_NOT_FOUND  the broker was stopped
 *
 * What was posted before a stop is carried out; what a broker that never ran still holds is told NOT_FOUND. A local
 * client must stay open until what was posted for it is done. */
typedef void (*midge_posted)(void *user, enum midge_err result);

/* `l` as in midge_publish: NULL = the broker's host. */
MIDGE_MUST_USE enum midge_err midge_esp_publish(struct midge_esp *e, struct midge_local *l,
                                                const struct midge_publication *p, midge_posted done, void *user);

/* `l` NULL: the broker's own in-process client, opened when it is first needed. s->on_message is called on the
 * broker's task. */
MIDGE_MUST_USE enum midge_err midge_esp_subscribe(struct midge_esp *e, struct midge_local *l,
                                                  const struct midge_subscription *s, midge_posted done,
                                                  void *user);
MIDGE_MUST_USE enum midge_err midge_esp_unsubscribe(struct midge_esp *e, struct midge_local *l,
                                                    struct midge_slice filter, midge_posted done, void *user);

/* Runs `call` on the broker's task: the way to any function of midge.h. */
MIDGE_MUST_USE enum midge_err midge_esp_call(struct midge_esp *e,
                                             void (*call)(void *user, struct midge *m, midge_ms now), void *user);

/* ---- looking inside ------------------------------------------------------------------------------------ */

struct midge_esp_stats {
    uint32_t passes;        /* times it woke up */
    uint32_t accepted;      /* connections */
    uint32_t refused;       /* closed at once: at a limit, or no memory */
    uint32_t sockets;       /* open now, the ones that are closing included */
    uint32_t waiting_bytes; /* pulled from the broker, not yet taken by a socket */
};
void midge_esp_get_stats(const struct midge_esp *e, struct midge_esp_stats *out);
/* Zero without NVS. */
void midge_esp_get_nvs_stats(const struct midge_esp *e, struct midge_esp_nvs_stats *out);

#ifdef __cplusplus
}
#endif
#endif
