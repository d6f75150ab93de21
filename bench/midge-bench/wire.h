/* wire.h - the packets of MQTT 3.1.1 and 5.0, as far as a client that measures needs them. */
#ifndef MIDGE_BENCH_WIRE_H
#define MIDGE_BENCH_WIRE_H

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>

#define WIRE_V311 4u
#define WIRE_V5 5u

enum wire_type {
    WIRE_CONNECT = 1,
    WIRE_CONNACK,
    WIRE_PUBLISH,
    WIRE_PUBACK,
    WIRE_PUBREC,
    WIRE_PUBREL,
    WIRE_PUBCOMP,
    WIRE_SUBSCRIBE,
    WIRE_SUBACK,
    WIRE_PINGREQ = 12,
    WIRE_PINGRESP,
    WIRE_DISCONNECT,
};

/* ---- out: each is added to a buffer -------------------------------------------------------------------- */

struct wire_connect {
    uint8_t version;
    bool clean; /* otherwise the session lives on after the connection */
    const char *client_id;
    const char *user_name; /* NULL = none */
    const char *password;  /* NULL = none */
};

struct wire_publish {
    const uint8_t *topic;
    const uint8_t *payload; /* out: NULL, the caller writes it where wire_add_publish says */
    size_t payload_bytes;
    uint16_t topic_bytes;
    uint16_t id; /* 0 at QoS 0 */
    uint8_t qos;
    bool retain;
};

void wire_add_connect(struct buffer *out, const struct wire_connect *c);
void wire_add_subscribe(struct buffer *out, uint8_t version, uint16_t id, const char *const *filters,
                        unsigned count, uint8_t qos);
/* PUBACK, PUBREC, PUBREL, PUBCOMP of success. */
void wire_add_ack(struct buffer *out, enum wire_type type, uint16_t id);
/* PINGREQ, DISCONNECT. */
void wire_add_short(struct buffer *out, enum wire_type type);
/* Where the payload's bytes are to be written. */
uint8_t *wire_add_publish(struct buffer *out, uint8_t version, const struct wire_publish *p);

/* ---- in ------------------------------------------------------------------------------------------------ */

/* One whole packet: its first byte, and what follows the fixed header. */
struct wire_packet {
    uint8_t first;
    size_t body_bytes;
    const uint8_t *body;
};

/* What a CONNACK grants. */
struct wire_granted {
    uint8_t reason;
    uint8_t maximum_qos;
    bool session_present;
    uint16_t receive_maximum;
};

/* Bytes of the packet at the front, and the packet; 0: more are needed. *whole (may exceed n) says how long
 * it will be, 0 = not known yet. SIZE_MAX: no packet begins so. */
size_t wire_cut(const uint8_t *bytes, size_t n, struct wire_packet *out, size_t *whole);

static inline enum wire_type wire_type_of(const struct wire_packet *p)
{
    return (enum wire_type)(p->first >> 4);
}

/* Each is false for a packet that is not what it should be. */
bool wire_read_connack(const struct wire_packet *p, uint8_t version, struct wire_granted *out);
bool wire_read_publish(const struct wire_packet *p, uint8_t version, struct wire_publish *out);
bool wire_read_ack(const struct wire_packet *p, uint16_t *id, uint8_t *reason);
/* *refused: how many of the filters were refused. */
bool wire_read_suback(const struct wire_packet *p, uint8_t version, unsigned *refused);

#endif
