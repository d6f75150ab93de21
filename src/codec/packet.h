/* packet.h - packets as structs, in MQTT 5.0 terms whatever the version; decode up, encode down.
 *
 * Decoders take the packet's bytes after the fixed header and the first byte; all slices point into them. They check
 * all that the packet itself can break (form, UTF-8, reserved bits, property rules). What depends on state (topic
 * aliases, limits, rights) is the broker's.
 * Encoders write a whole packet through a midge_wr, fixed header included.
 * version: 3 (3.1), 4 (3.1.1), 5 (5.0).
 */
#ifndef MIDGE_CODEC_PACKET_H
#define MIDGE_CODEC_PACKET_H

#include "codec/frame.h"
#include "codec/props.h"

/* ---- CONNECT and CONNACK: connect.c ------------------------------------------------------------------- */

struct midge_connect {
    uint8_t version;
    bool bridge;           /* bit 0x80 of the protocol level, as bridges of 3.x send it */
    bool clean_start;      /* 3.x: clean session */
    bool has_will, will_retain;
    uint8_t will_qos;
    bool has_username, has_password;
    uint16_t keepalive_s;
    uint32_t session_expiry_s; /* 5.0: the property; 3.x: clean session ? 0 : UINT32_MAX */
    struct midge_slice client_id, will_topic, will_payload, username, password;
    struct midge_props props;      /* 3.x: all absent, as will_props */
    struct midge_props will_props;
};

/* MIDGE_RC_UNSUPPORTED_VERSION: name or level not served; out->version says which CONNACK to use (4 when the name is
 * MQTT with an unknown level below 5, 5 above, 4 for both without MIDGE_V5; 3 for MQIsdp; 0 = the name is unknown:
 * close without an answer).
 * Other failures: out->version is as far as known (0 = not yet). A 5.0 CONNECT with an unlawful flag etc. is
 * MIDGE_RC_MALFORMED. 3.1: user name or password flags with the fields missing at the end are taken as absent. */
MIDGE_MUST_USE enum midge_reason midge_decode_connect(struct midge_slice body, struct midge_connect *out);

/* What the broker answers. */
struct midge_connack_out {
    uint8_t version;
    bool session_present;
    uint8_t reason;              /* 5.0 code; encoded down for 3.x by midge_reason_connack_v3 */
    midge_write_fn props;        /* 5.0: writes the property section from this struct and what follows it */
};
void midge_encode_connack(struct midge_wr *w, const struct midge_connack_out *p);

/* What the client reads. */
struct midge_connack {
    uint8_t version;
    bool session_present;
    uint8_t reason;
    /* 5.0 only; a field that is absent has the protocol's default value */
    bool has_session_expiry, has_server_keep_alive;
    uint32_t session_expiry_s;
    uint16_t server_keep_alive_s;
    uint16_t receive_maximum;    /* 65535 = default */
    uint8_t maximum_qos;         /* 2 = default */
    bool no_retain, no_wildcards, no_subscription_ids, no_shared;
    uint32_t maximum_packet_size; /* 0 = none */
    uint16_t topic_alias_maximum; /* 0 = default */
    struct midge_slice assigned_id, reason_string, auth_method, auth_data, server_reference, response_info;
    /* data NULL: none, of each */
};
MIDGE_MUST_USE enum midge_reason midge_decode_connack(struct midge_slice body, uint8_t version,
                                                      struct midge_connack *out, struct midge_props *props);
/* Of props and will_props the section is written. */
void midge_encode_connect(struct midge_wr *w, const struct midge_connect *p);

/* ---- PUBLISH: publish.c ------------------------------------------------------------------------------- */

struct midge_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t pid;               /* 0 when QoS 0 */
    struct midge_slice topic;   /* may be empty on 5.0 with a topic alias */
    struct midge_slice payload;
    struct midge_props props;
};
/* At least one character and no wildcard [MQTT-4.7.3-1] [MQTT-4.7.0-1]: of wills and responses too. */
bool midge_topic_name_ok(struct midge_slice topic);
/* The Response Topic, if there is one, is such a name [MQTT-3.3.2-14]. */
bool midge_response_topic_ok(const struct midge_props *p);

/* Checks the topic for wildcards [MQTT-3.3.2-2] (MIDGE_RC_TOPIC_NAME_INVALID), the response topic too. */
MIDGE_MUST_USE enum midge_reason midge_decode_publish(uint8_t first, struct midge_slice body, uint8_t version,
                                                      struct midge_publish *out);

struct midge_publish_out {
    uint8_t version;
    bool dup, retain;
    uint8_t qos;
    uint16_t pid;
    uint16_t topic_alias;          /* 0 = none */
    bool has_expiry;
    uint32_t expiry_s;
    struct midge_slice topic;      /* empty when the alias stands for it */
    struct midge_slice props;      /* forwarded properties, encoded, without expiry, alias and ids */
    struct midge_slice more_props; /* behind them */
    const uint32_t *subscription_ids;
    uint32_t subscription_id_count;
    struct midge_slice payload;
};
uint32_t midge_publish_size(const struct midge_publish_out *p); /* whole packet */
void midge_encode_publish(struct midge_wr *w, const struct midge_publish_out *p);

/* ---- PUBACK, PUBREC, PUBREL, PUBCOMP: ack.c ------------------------------------------------------------ */

struct midge_ack {
    uint16_t pid;
    uint8_t reason;
    struct midge_slice reason_string; /* len 0 = none */
};
MIDGE_MUST_USE enum midge_reason midge_decode_ack(enum midge_packet type, struct midge_slice body, uint8_t version,
                                                  struct midge_ack *out);

struct midge_ack_out {
    enum midge_packet type;      /* these four, SUBACK and UNSUBACK */
    uint8_t reason;              /* of these four */
    uint16_t pid;
    uint32_t codes;              /* of SUBACK and UNSUBACK: so many bytes at the end, written as 0 */
    struct midge_slice reason_string; /* len 0 = none */
};
/* 3.x: reason and text are not written. 5.0: shortest form (no reason byte for 0x00 without text). */
void midge_encode_ack(struct midge_wr *w, uint8_t version, const struct midge_ack_out *p);

/* ---- SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK: subscribe.c --------------------------------------------- */

struct midge_subscribe {
    uint16_t pid;
    bool has_options;            /* SUBSCRIBE */
    uint32_t filters;            /* how many; >= 1 */
    struct midge_rd list;        /* midge_next_filter */
    struct midge_props props;
};
/* type: PK_SUBSCRIBE or PK_UNSUBSCRIBE. The whole list is checked before this returns, so that nothing of a bad
 * packet takes effect. */
MIDGE_MUST_USE enum midge_reason midge_decode_subscribe(enum midge_packet type, struct midge_slice body,
                                                        uint8_t version, struct midge_subscribe *out);
bool midge_next_filter(struct midge_subscribe *s, struct midge_filter_request *out);

/* Client's side. */
void midge_encode_subscribe(struct midge_wr *w, enum midge_packet type, uint8_t version, uint16_t pid,
                            const struct midge_filter_request *filters, uint32_t count, uint32_t subscription_id);
struct midge_suback {
    uint16_t pid;
    struct midge_slice codes; /* one a filter, in order; 5.0 codes (3.x 0x80 stays 0x80); empty for 3.x UNSUBACK */
    struct midge_props props;
};
MIDGE_MUST_USE enum midge_reason midge_decode_suback(enum midge_packet type, struct midge_slice body, uint8_t version,
                                                     struct midge_suback *out);

/* ---- PINGREQ, PINGRESP, DISCONNECT, AUTH: control.c ---------------------------------------------------- */

struct midge_control {
    uint8_t reason;
    struct midge_props props;
};
/* type: PK_DISCONNECT or PK_AUTH; from_client tells which reason codes are lawful [MQTT-3.14.2-1] [MQTT-3.15.2-1]. */
MIDGE_MUST_USE enum midge_reason midge_decode_control(enum midge_packet type, struct midge_slice body, uint8_t version,
                                                      bool from_client, struct midge_control *out);
struct midge_control_out {
    uint8_t reason;
    bool has_session_expiry;     /* clients only [MQTT-3.14.2-2] */
    uint32_t session_expiry_s;
    struct midge_slice reason_string, server_reference, auth_method, auth_data;
};
void midge_encode_control(struct midge_wr *w, enum midge_packet type, uint8_t version,
                          const struct midge_control_out *p); /* DISCONNECT, AUTH; 3.x DISCONNECT: E0 00 */
void midge_encode_ping(struct midge_wr *w, enum midge_packet type); /* PINGREQ, PINGRESP */

/* ---- reason.c ------------------------------------------------------------------------------------------ */

/* CONNACK return code of 3.x for a 5.0 reason: 0 accepted, 1 version, 2 identifier, 3 unavailable, 4 bad user name or
 * password, 5 not authorized. */
uint8_t midge_reason_connack_v3(uint8_t reason);
/* SUBACK return code of 3.x: granted QoS or 0x80. */
uint8_t midge_reason_suback_v3(uint8_t reason);

/* True when a packet may carry this reason code (MQTT 5.0 table 2-6).
 * where: MIDGE_IN(packet type); DISCONNECT and AUTH: that by a client, these by a server. */
#define MIDGE_IN_SERVER_DISCONNECT MIDGE_IN(PK_RESERVED)
#define MIDGE_IN_SERVER_AUTH MIDGE_IN(PK_CONNECT)
bool midge_reason_lawful(uint8_t reason, unsigned where);

#endif
