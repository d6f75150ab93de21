/* midge_client.h - an MQTT client (3.1, 3.1.1, 5.0): bytes in, bytes out, clock and memory handed in.
 *
 * The other side of midge.h, driven the same way. The host owns the socket; its loop is:
 *
 *     the transport is up:     midge_client_connect(c, &options, now)
 *     bytes arrived:           midge_client_recv(c, bytes, n, now)
 *     the transport is gone:   midge_client_lost(c, now), and midge_client_connect again when it likes
 *     after each of these:     while the socket has room: n = midge_client_pull(c, out, room, now); send n
 *                              midge_client_status(c): close? (then midge_client_lost)  paused? (do not read)
 *     sleep until midge_client_deadline(c), then midge_client_tick(c, now)
 *
 * What was published with QoS 1 or 2 is held until the server has acknowledged it, over any number of
 * connections of one session. Callbacks run inside the calls above, on the caller's thread. From inside one,
 * midge_client_publish, _subscribe, _unsubscribe, _auth and _disconnect may be called, nothing else.
 */
#ifndef MIDGE_CLIENT_H
#define MIDGE_CLIENT_H

#include "midge/midge.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_client;

/* ---- what the client tells ---------------------------------------------------------------------------- */

enum midge_client_event_kind {
    MIDGE_CLIENT_CONNECTED,    /* CONNACK 0; `session` is set */
    MIDGE_CLIENT_REFUSED,      /* CONNACK with `reason`; `session` is set, a DISCONNECTED follows */
    MIDGE_CLIENT_DISCONNECTED, /* once for each connect: the server's DISCONNECT, or in midge_client_lost */
    MIDGE_CLIENT_PUBLISHED,    /* `token` is done: QoS 0 was pulled, QoS 1 and 2 acknowledged with `reason` */
    /* `token` (of a publish, subscribe or unsubscribe) is given up. `reason`: the server's limits 0x95,
     * 0x9A, 0x9B; expired 0x83; else 0x80: the session or, for requests and half-sent QoS 0, the
     * connection ended. */
    MIDGE_CLIENT_DROPPED,
    MIDGE_CLIENT_SUBSCRIBED,   /* `token`, `codes`: one a filter, granted QoS or failure >= 0x80 */
    MIDGE_CLIENT_UNSUBSCRIBED, /* `token`, `codes`: one a filter; none on 3.x */
    MIDGE_CLIENT_AUTH          /* `auth_data`, `reason`: 0x18 answer with midge_client_auth, 0x00 done */
};

/* What CONNACK said. */
struct midge_client_session {
    bool session_present;
    uint8_t maximum_qos;                              /* 2 unless the server said less */
    bool retain, wildcards, subscription_ids, shared; /* what the server serves */
    uint16_t keepalive_s;                             /* in force: the server's if it gave one */
    uint16_t receive_maximum;
    uint16_t topic_alias_maximum;
    uint32_t maximum_packet_size;   /* 0 = no limit */
    uint32_t session_expiry_s;      /* in force: the server's if it gave one */
    struct midge_slice assigned_id; /* len 0: none. For later connects, if the session is to be found again */
    struct midge_slice response_info;
};

/* All borrowed until the callback returns. */
struct midge_client_event {
    enum midge_client_event_kind kind;
    uint8_t reason;
    bool by_server; /* DISCONNECTED: `reason` is what the server said in CONNACK or DISCONNECT */
    void *token;
    struct midge_slice codes;
    struct midge_slice auth_data; /* data NULL = none */
    struct midge_slice reason_string;
    struct midge_slice server_reference;
    const struct midge_client_session *session;
};

/* A PUBLISH, or an acknowledgement of QoS 1 or 2, as it is on the wire. All borrowed. */
struct midge_client_packet {
    uint8_t type;   /* 3 PUBLISH, 4 PUBACK, 5 PUBREC, 6 PUBREL, 7 PUBCOMP */
    uint8_t reason; /* of acknowledgements */
    uint16_t pid;   /* 0: a PUBLISH of QoS 0 */
    /* PUBLISH. To be sent, `props` may be what came: those that do not travel with a message are left out. */
    const struct midge_message *message;
    const struct midge_user_property *more; /* to be sent behind those in `props` */
    size_t more_count;
};

struct midge_client_hooks {
    void *user; /* handed to each */
    void (*event)(void *user, const struct midge_client_event *event);
    /* A message arrived; QoS 2 once each. Its `props` are all that came with it, Subscription Identifiers
     * (0x0B) included; subscription_ids is not set. Returns 0: it is acknowledged. A reason >= 0x80
     * refuses it: on 5.0 the server is told so (a code of PUBACK, QoS 1 and 2), on 3.x, which cannot, the
     * connection is ended and the server sends it again to the next one of this session. NULL: everything
     * is taken. */
    uint8_t (*message)(void *user, const struct midge_message *message);
    /* Not NULL: the host keeps the state of QoS 1 and 2. Every PUBLISH and acknowledgement is shown as it comes, and
     * none is answered; what the host gives to midge_client_send goes out as it is, with the packet ids it has, and is
     * forgotten with the connection. So a bridge can pass on what two brokers say to each other: all that has to be
     * remembered is in their sessions. `message` is not called then, and midge_client_publish is not for use. */
    void (*packet)(void *user, const struct midge_client_packet *packet);
};

/* ---- one client --------------------------------------------------------------------------------------- */

/* All pointers are borrowed until midge_client_free. */
struct midge_client_config {
    const struct midge_memory *memory;
    const struct midge_client_hooks *hooks; /* NULL = none */
    size_t memory_bytes;                    /* all that the client may hold; 0 = what the allocator gives */
    uint32_t queue_msgs;                    /* publications held at once, sent or not; 0 = none at all */
    uint32_t queue_bytes;                   /* the same, as bytes of topic, properties and payload */
    uint32_t packet_bytes;    /* largest packet taken from a server, which is told on 5.0; 0 = any */
    uint32_t send_bytes;      /* largest packet sent, if the server takes as much; 0 = any */
    uint32_t connect_ms;      /* time from connect to CONNACK; 0 = any */
    uint16_t receive_maximum; /* QoS 1 and 2 messages from the server not yet complete; 0 = 65535 */
    uint16_t alias_in;        /* Topic Alias Maximum that servers are told */
    uint16_t alias_out;       /* aliases used towards a server that allows as many */
};

/* NULL: not enough memory. */
MIDGE_MUST_USE struct midge_client *midge_client_new(const struct midge_client_config *config, midge_ms now);

/* Everything that is held is forgotten without a word; the transport must have been given back with lost. */
void midge_client_free(struct midge_client *c);

/* What is in CONNECT. Borrowed until midge_client_connect returns. Zero-initialise, set what is wanted. */
struct midge_client_options {
    uint8_t version;  /* 3, 4, 5; MIDGE_V5 == 0: not 5 */
    bool bridge;      /* 3.x: bit 0x80 of the level, by which some brokers know bridges */
    bool clean_start; /* 3.x: clean session */
    /* The server's session may be taken up though this client remembers none of it: the host was restarted
     * [MQTT-3.2.2-4]. */
    bool resume;
    bool request_response_info;
    bool no_problem_info;      /* Request Problem Information 0 */
    uint16_t keepalive_s;      /* 0 = none */
    uint32_t session_expiry_s; /* 5.0 */
    struct midge_slice client_id;
    struct midge_slice username; /* data NULL = absent, for these */
    struct midge_slice password;
    struct midge_slice auth_method;
    struct midge_slice auth_data;
    const struct midge_user_property *user_properties;
    size_t user_property_count;
    const struct midge_publication *will; /* NULL = none */
    uint32_t will_delay_s;
};

/* A transport is up: CONNECT is the first to be pulled [MQTT-3.1.0-1]. MIDGE_ERR_INVALID: the one before
 * was not given back with lost, or the options break the standard; MIDGE_ERR_NO_MEMORY. */
MIDGE_MUST_USE enum midge_err midge_client_connect(struct midge_client *c,
                                                   const struct midge_client_options *options, midge_ms now);

/* Bytes arrived, any number, cut anywhere. All are consumed. */
void midge_client_recv(struct midge_client *c, const void *bytes, size_t n, midge_ms now);

/* Writes up to `room` bytes to send; 0 = nothing to send now. What was pulled counts as sent. */
size_t midge_client_pull(struct midge_client *c, void *out, size_t room, midge_ms now);

/* MIDGE_STATUS_PULL, MIDGE_STATUS_CLOSE, MIDGE_STATUS_PAUSED (more acknowledgements wait to be pulled than
 * is good). */
unsigned midge_client_status(const struct midge_client *c);

/* The transport is gone or closed. Does nothing without one. */
void midge_client_lost(struct midge_client *c, midge_ms now);

/* Does what is due: PINGREQ, a silent server, a CONNACK that does not come. */
void midge_client_tick(struct midge_client *c, midge_ms now);
midge_ms midge_client_deadline(const struct midge_client *c); /* MIDGE_NEVER = nothing */

bool midge_client_is_connected(const struct midge_client *c); /* between CONNACK 0 and the end */
uint32_t midge_client_held(const struct midge_client *c);     /* publications not yet done */
size_t midge_client_memory_used(const struct midge_client *c);

/* ---- what it is asked to do --------------------------------------------------------------------------- */

/* Copies and holds a publication, connected or not; sends it as the server's limits allow, in order.
 * PUBLISHED or DROPPED tells its end, with `token`. MIDGE_ERR_FULL: at queue_msgs or queue_bytes.
 * MIDGE_ERR_INVALID: topic empty or with wildcards, a text over 65535 bytes, QoS over 2. */
MIDGE_MUST_USE enum midge_err midge_client_publish(struct midge_client *c, const struct midge_publication *p,
                                                   void *token, midge_ms now);

/* With hooks.packet, while connected: queues a copy. A PUBLISH that the server would not take is DROPPED, with its QoS
 * and packet id as `token`: MIDGE_CLIENT_TOKEN. MIDGE_ERR_INVALID: not connected, no such packet. */
MIDGE_MUST_USE enum midge_err midge_client_send(struct midge_client *c, const struct midge_client_packet *packet);
#define MIDGE_CLIENT_TOKEN(qos, pid) ((void *)((uintptr_t)(qos) << 16 | (pid)))

/* Only while connected, else MIDGE_ERR_INVALID, as for a packet over the server's maximum.
 * subscription_id: 0 = none. */
MIDGE_MUST_USE enum midge_err midge_client_subscribe(struct midge_client *c,
                                                     const struct midge_filter_request *filters,
                                                     uint16_t count, uint32_t subscription_id, void *token);
MIDGE_MUST_USE enum midge_err midge_client_unsubscribe(struct midge_client *c,
                                                       const struct midge_filter_request *filters,
                                                       uint16_t count, void *token);

/* AUTH 0x18 with `data`, the answer to a MIDGE_CLIENT_AUTH; reauthenticate: AUTH 0x19, to begin anew while
 * connected.
 * MIDGE_ERR_INVALID: CONNECT named no method [MQTT-4.12.0-7], or there is nothing to answer. */
MIDGE_MUST_USE enum midge_err midge_client_auth(struct midge_client *c, bool reauthenticate,
                                                struct midge_slice data);

/* Sends DISCONNECT and nothing after it; what is held stays held. reason: 0x00, 0x04 or a failure that
 * clients may send (5.0). session_expiry_s: NULL = as in CONNECT [U5-3.14.2.2.2]. Without a transport
 * nothing is done. */
MIDGE_MUST_USE enum midge_err midge_client_disconnect(struct midge_client *c, uint8_t reason,
                                                      const uint32_t *session_expiry_s, midge_ms now);

#ifdef __cplusplus
}
#endif
#endif
