/* internal.h - struct midge_client and what the files of this floor share; nobody else includes it. */
#ifndef MIDGE_CLIENT_INTERNAL_H
#define MIDGE_CLIENT_INTERNAL_H

#include "base/list.h"
#include "base/mem.h"
#include "base/slice.h"
#include "codec/packet.h"
#include "midge/midge_client.h"

#define MIDGE_TEXT_MAX 65535u

#define OUTGOING(l) MIDGE_CONTAINER(struct outgoing, link, l)
#define REQUEST(l) MIDGE_CONTAINER(struct request, link, l)

/* A publication from midge_client_publish until it is done. It is in one list at a time:
 *
 *     QoS 0       plain ──► sent, done
 *     QoS 1, 2    todo ──► flying ──► done                  (PUBACK, refusing PUBREC)
 *                   ▲         └─────► release ──► flying ──► done (PUBREC, PUBREL sent, PUBCOMP)
 *                   └ connection lost: once more, with DUP    ▲ └ connection lost: PUBREL once more
 */
struct outgoing {
    struct midge_link link;
    void *token;
    midge_ms expires; /* MIDGE_NEVER = does not */
    uint32_t order;   /* of publishing: of QoS 0 and the others, the older goes first */
    uint32_t props_len, payload_len;
    uint16_t topic_len;
    uint16_t pid; /* 0 = never sent */
    uint8_t qos;
    uint8_t result; /* when done */
    bool retain;
    bool again;      /* sent on an earlier connection [MQTT-3.3.1-1] */
    bool released;   /* PUBREC came: PUBREL is what may be sent now [MQTT-4.3.3-6] */
    bool done;       /* acknowledged while still being sent */
    bool counted;    /* takes one of the server's Receive Maximum */
    bool relayed;    /* is nothing but a packet of this connection: goes through `plain`, whatever its QoS */
    uint8_t bytes[]; /* topic, properties, payload */
};

/* CONNECT, SUBSCRIBE, UNSUBSCRIBE or AUTH, encoded when it was asked for. */
struct request {
    struct midge_link link;
    void *token;
    uint32_t len;
    uint16_t pid;   /* 0 = nothing will answer it by an id */
    uint16_t count; /* of filters */
    uint8_t type;   /* enum midge_packet */
    uint8_t bytes[];
};

/* An acknowledgement to be written. */
struct due {
    uint16_t pid;
    uint8_t type; /* enum midge_packet */
    uint8_t reason;
};

/* Dues in order, in a ring. */
struct dues {
    struct due *ring;
    uint32_t room; /* a power of two, or 0 */
    uint32_t first, count;
};

struct alias {
    struct midge_slice topic; /* owned; data NULL = not set */
    uint32_t used;            /* by which use, out only */
};

enum state { STATE_OFF, STATE_HELLO, STATE_UP, STATE_ENDING };

struct midge_client {
    struct midge_mem mem;
    const struct midge_client_config *config;
    midge_ms now;

    enum state state;
    uint8_t version;
    bool clean_start;
    bool resume;
    bool has_session; /* of this process: what the server may call present */
    bool greeted;     /* CONNECT was begun */
    bool bye;         /* DISCONNECT is still to be written */
    bool cut;         /* nothing more is sent */
    bool by_server;
    bool told; /* DISCONNECTED */
    bool ping_due;
    bool ping_open;  /* nothing was received since the last PINGREQ became due */
    bool auth_asked; /* the server waits for AUTH 0x18 */
    bool reauth;     /* AUTH 0x19 is under way */
    uint8_t end_reason;
    bool bye_has_expiry;
    uint32_t bye_expiry_s;
    uint32_t session_expiry_s; /* in force */
    uint32_t asked_expiry_s;   /* of CONNECT */
    uint16_t keepalive_s;
    midge_ms due; /* of CONNACK, or of the end */
    midge_ms sent_at, received_at;
    struct midge_slice auth_method; /* owned */

    /* the server's limits */
    uint16_t quota;               /* of its Receive Maximum, what is left */
    uint32_t maximum_packet_size; /* 0 = none */
    uint8_t maximum_qos;
    bool no_retain;
    uint16_t alias_out; /* aliases that may be used */

    /* in */
    struct midge_head head;
    uint8_t *frame; /* a packet that arrives in pieces, after its fixed header */
    uint32_t frame_len, frame_room;
    struct alias *aliases_in; /* config->alias_in of them, or NULL */
    uint16_t *qos2_ids;       /* received and not yet released; outlive the connection [MQTT-4.3.3-10] */
    uint32_t qos2_count, qos2_room;
    uint32_t unacked; /* QoS 1 and 2 messages whose last acknowledgement was not yet written */

    /* out */
    struct midge_fifo plain, todo, flying, release;
    uint32_t held, held_bytes, order;
    uint16_t last_pid;
    struct midge_fifo control; /* requests to be sent */
    struct midge_fifo asked;   /* sent, and to be answered */
    struct dues dues;
    struct alias *aliases_out; /* alias_out of them, or NULL */
    uint32_t alias_uses;

    /* the packet that is being sent: one of these, or none */
    uint32_t sent; /* bytes of it that were pulled */
    uint8_t small[12];
    uint8_t small_len;
    struct request *request;
    struct outgoing *publishing;   /* still first in its list */
    struct midge_publish_out form; /* of it, fixed when it was begun */
};

static inline bool midge_client_is_v5(const struct midge_client *c)
{
    return MIDGE_V5 && c->version == MIDGE_V50;
}

/* ---- client.c ----------------------------------------------------------------------------------------- */

void midge_client_tell(const struct midge_client *c, const struct midge_client_event *event);

/* Ends the connection. Where DISCONNECT may be said, the packet that is half sent is finished and DISCONNECT
 * follows; then, or else at once, the host is asked to close. */
void midge_client_end(struct midge_client *c, uint8_t reason, bool by_server);

bool midge_text_ok(struct midge_slice s); /* may be written as a UTF-8 string */

void midge_aliases_free(struct midge_client *c, struct alias **aliases, uint16_t count);

/* A copy of its own, also of nothing. False: no memory, *to is as before. */
bool midge_client_slice_set(struct midge_client *c, struct midge_slice *to, struct midge_slice from);
void midge_client_slice_free(struct midge_client *c, struct midge_slice *s);

void midge_client_touch(struct midge_client *c, midge_ms now);

/* ---- connect.c ---------------------------------------------------------------------------------------- */

uint16_t midge_client_receive_maximum(const struct midge_client_config *config);
enum midge_reason midge_client_on_connack(struct midge_client *c, uint8_t first, struct midge_slice body);
enum midge_reason midge_client_on_auth(struct midge_client *c, uint8_t first, struct midge_slice body);

/* ---- relay.c: the host keeps the QoS state ------------------------------------------------------------ */

static inline bool midge_client_relays(const struct midge_client *c)
{
    return c->config->hooks && c->config->hooks->packet;
}
void midge_relay_publish(struct midge_client *c, const struct midge_publish *p);
void midge_relay_ack(struct midge_client *c, enum midge_packet type, const struct midge_ack *p);

/* ---- outbox.c ----------------------------------------------------------------------------------------- */

/* At the end of `list`, counted. */
void midge_outgoing_queue(struct midge_client *c, struct midge_fifo *list, struct outgoing *o);

void midge_outbox_init(struct midge_client *c);
void midge_outbox_free(struct midge_client *c);

/* The connection is gone: what was sent and not acknowledged is to be sent again; requests are given up. */
void midge_outbox_lost(struct midge_client *c);

/* The server remembers nothing: neither may we [MQTT-3.2.2-5]. */
void midge_outbox_forget(struct midge_client *c);

/* The server's PUBACK, PUBREC, PUBCOMP; SUBACK, UNSUBACK. */
enum midge_reason midge_outbox_acked(struct midge_client *c, enum midge_packet type,
                                     const struct midge_ack *ack);
enum midge_reason midge_outbox_answered(struct midge_client *c, enum midge_packet type,
                                        const struct midge_suback *answer);

/* Takes a publication out of its list and tells its end. */
void midge_outgoing_finish(struct midge_client *c, struct midge_fifo *list, struct outgoing *o,
                           enum midge_client_event_kind kind, uint8_t reason);

/* The same on the server's word. One that is still being sent stays until its last byte. */
void midge_outgoing_acknowledged(struct midge_client *c, struct midge_fifo *list, struct outgoing *o,
                                 uint8_t reason);

uint16_t midge_client_new_pid(struct midge_client *c); /* 0: all are in use */

/* A request of `len` bytes, to be filled in and queued. NULL: no memory. */
struct request *midge_request_new(struct midge_client *c, enum midge_packet type, uint32_t len, void *token);
void midge_request_free(struct midge_client *c, struct request *r);
void midge_request_queue(struct midge_client *c, struct request *r);

/* The properties of a publication that its subscribers see, and whether all of it can be encoded. */
void midge_publication_props(struct midge_wr *w, const struct midge_publication *p);
bool midge_publication_ok(const struct midge_publication *p);

/* ---- pull.c ------------------------------------------------------------------------------------------- */

/* An acknowledgement of ours. Ask for room before the message is handed over. False: no memory. */
bool midge_dues_has_room(struct midge_client *c);
void midge_dues_put(struct midge_client *c, enum midge_packet type, uint16_t pid, uint8_t reason);

/* What only this connection had to send is forgotten: acknowledgements, aliases. */
void midge_pull_reset(struct midge_client *c);

#endif
