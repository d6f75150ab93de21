/* midge_hooks.h - the questions that the broker asks its host, and what it tells.
 *
 * Every hook may be NULL. Hooks run inside midge_recv, midge_pull, midge_tick, midge_lost or a midge_local call, on
 * the caller's thread. They may call midge_publish and midge_local_* (queued, and done after the hook) and
 * midge_login_done for another connection, nothing else of midge.h. What they are shown lives until they return.
 */
#ifndef MIDGE_HOOKS_H
#define MIDGE_HOOKS_H

#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_conn;

/* Who is asking. */
struct midge_who {
    struct midge_slice client_id;
    struct midge_slice username; /* data NULL: CONNECT had none */
    void *peer;                  /* from struct midge_peer; NULL for a client that is not connected or local */
    void *tag;                   /* from the login answer */
    uint8_t version;             /* 3, 4, 5; 0 = an in-process client */
};

enum midge_login_step {
    MIDGE_LOGIN_CONNECT, /* CONNECT arrived */
    MIDGE_LOGIN_AUTH,    /* an AUTH 0x18 continues the exchange, at CONNECT or re-authentication [MQTT-4.12.0-3] */
    MIDGE_LOGIN_REAUTH   /* an AUTH 0x19 starts it anew [MQTT-4.12.1-1] */
};

struct midge_login {
    enum midge_login_step step;
    struct midge_who who;         /* tag: what an earlier step set */
    struct midge_slice password;  /* data NULL: none; binary [MQTT-3.1.2-19] */
    struct midge_slice method;    /* Authentication Method; data NULL: none */
    struct midge_slice auth_data; /* Authentication Data; data NULL: none */
    bool assigned_id;             /* CONNECT had no client id: who.client_id is the one it is going to get */
    struct midge_conn *conn;      /* for midge_login_done after LATER; good until hooks.lost */
};

enum midge_answer {
    MIDGE_ALLOW,
    MIDGE_DENY,     /* with reason, a CONNECT code >= 0x80; 3.x clients get the nearest return code */
    MIDGE_CONTINUE, /* send AUTH 0x18 with `data`; only if CONNECT named a method [MQTT-4.12.0-2] */
    MIDGE_LATER     /* the host calls midge_login_done; the connection is not read meanwhile */
};

struct midge_login_answer {
    enum midge_answer answer;
    uint8_t reason;               /* for MIDGE_DENY; 0 = not authorized 0x87 */
    struct midge_slice data;      /* Authentication Data for AUTH or CONNACK; copied before the hook's caller goes on */
    struct midge_slice client_id; /* data not NULL: use this client id instead (e.g. from a certificate); copied */
    struct midge_slice server;    /* Server Reference, with reason 0x9C or 0x9D [U5-4.11-ref]; copied */
    void *tag;                    /* kept for later questions, NULL = as before; the host owns what it points to */
};

enum midge_access {
    MIDGE_ACCESS_PUBLISH,   /* topic is a name; for the will too, at CONNECT */
    MIDGE_ACCESS_SUBSCRIBE, /* topic is a filter, $share/group/ stripped */
    MIDGE_ACCESS_DELIVER    /* topic is a name; asked again as each message is about to be sent */
};

/* A message as seen by the host; all slices borrowed. */
struct midge_message {
    struct midge_slice topic;
    struct midge_slice payload;
    uint8_t qos;
    bool retain;
    bool dup;
    bool has_expiry;
    uint32_t expiry_s;               /* remaining lifetime, when has_expiry */
    struct midge_slice props;        /* the forwarded properties as encoded bytes: midge_message_property() */
    const uint32_t *subscription_ids; /* of the matching subscriptions; NULL when there are none */
    uint32_t subscription_id_count;
};

enum midge_event_kind {
    MIDGE_EV_CONNECTED,       /* CONNACK 0 comes next; flag `session_present`. DISCONNECTED follows, once */
    MIDGE_EV_DISCONNECTED,    /* who is gone, reason why; flag `by_client` */
    MIDGE_EV_REFUSED,         /* CONNECT refused with reason; who as far as known */
    MIDGE_EV_SESSION_ENDED,   /* its state is discarded; reason: 0 expired or clean, 0x97 put out for room */
    MIDGE_EV_SUBSCRIBED,      /* topic = filter as sent, qos = granted */
    MIDGE_EV_UNSUBSCRIBED,    /* topic = filter */
    MIDGE_EV_MESSAGE,         /* a PUBLISH was accepted; message is set. Once a message, also for QoS 2 */
    MIDGE_EV_DROPPED,         /* a queued or new QoS > 0 message of `who` was dropped; reason as enum midge_drop */
    MIDGE_EV_STORE_FAILED,    /* the store said no: nobody is answered any more */
    MIDGE_EV_LOW_MEMORY       /* the memory limit refused a publisher; told once until it recovers */
};

/* Why a message that was accepted did not reach one session. */
enum midge_drop {
    MIDGE_DROP_QUEUE_MSGS,  /* the session's limits.queue_msgs */
    MIDGE_DROP_QUEUE_BYTES, /* the session's limits.queue_bytes */
    MIDGE_DROP_PACKET_SIZE, /* larger than the client's Maximum Packet Size [MQTT-3.1.2-25] */
    MIDGE_DROP_RIGHT,       /* hooks.allow said no at delivery */
    MIDGE_DROP_REPLACED,    /* MIDGE_QUEUE_LAST_VALUE: a newer one of its topic came */
    MIDGE_DROP_REASONS
};

struct midge_event {
    enum midge_event_kind kind;
    struct midge_who who;
    uint8_t reason;
    uint8_t qos;
    bool session_present;
    bool clean_start;
    bool by_client;
    uint16_t keepalive_s;
    struct midge_slice topic;
    const struct midge_message *message;
};

struct midge_hooks {
    void *user; /* handed to each hook */
    /* NULL: everybody is welcome, except that a CONNECT with an authentication method gets 0x8C. */
    void (*login)(void *user, const struct midge_login *in, struct midge_login_answer *out);
    /* NULL: everything is allowed. */
    bool (*allow)(void *user, const struct midge_who *who, enum midge_access what, struct midge_slice topic);
    void (*event)(void *user, const struct midge_event *event);
    /* The connection is gone for good: midge_login_done is too late for it now. */
    void (*lost)(void *user, struct midge_conn *conn);
    /* The limits of one connection, by midge_peer.user, where listeners differ: max_qos, alias_in, alias_out,
     * packet_bytes and receive_maximum are taken from here, all else from the broker's. Lives as long as the
     * connection. NULL: those of the broker. */
    const struct midge_limits *(*limits)(void *user, void *peer);
    /* Unpredictable bytes: hash seeds and assigned client ids. NULL: a counter is used, for tests only. */
    void (*random)(void *user, void *out, size_t n);
    /* Milliseconds since 1970, for what expires while no broker runs; 0 = not known (yet): then no time counts as
     * passed. NULL: never known. Asked once a turn, with a store only. */
    uint64_t (*wall_ms)(void *user);
    /* `event` is not told MIDGE_EV_MESSAGE, which costs a look at each message. */
    bool no_messages;
};

#ifdef __cplusplus
}
#endif
#endif
