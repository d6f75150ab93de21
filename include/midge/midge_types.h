/* midge_types.h - slices, time, reason codes, limits: the words that every header of Midge uses. */
#ifndef MIDGE_TYPES_H
#define MIDGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MIDGE_MUST_USE __attribute__((warn_unused_result))
/* Not to be inlined: what it has on the stack is not to lie there while its caller calls others. */
#define MIDGE_APART __attribute__((noinline))
#else
#define MIDGE_MUST_USE
#define MIDGE_APART
#endif

/* Milliseconds on a clock of the host's choice that starts anywhere and does not go back (a step back
 * counts as no time passed). The core never reads a clock: each call that needs one is handed `now`. */
typedef uint64_t midge_ms;
#define MIDGE_NEVER UINT64_MAX

/* Borrowed bytes: valid as long as the place that hands them out says. `data` may be NULL when len is 0. */
struct midge_slice {
    const uint8_t *data;
    uint32_t len;
};

/* One filter of a SUBSCRIBE with its options, MQTT 5.0 section 3.8.3.1. 3.x has the QoS alone. */
struct midge_filter_request {
    struct midge_slice filter;
    uint8_t qos; /* 0..2 */
    bool no_local;
    bool retain_as_published;
    uint8_t retain_handling; /* 0..2 */
};

/* Results of calls that the host makes. Protocol failures are reason codes, never these. */
enum midge_err {
    MIDGE_OK = 0,
    MIDGE_ERR_NO_MEMORY = -1, /* the memory limit, or the allocator, said no; nothing changed */
    MIDGE_ERR_FULL = -2,      /* a limit of struct midge_limits said no; nothing changed */
    MIDGE_ERR_INVALID = -3,   /* an argument breaks its contract; nothing changed */
    MIDGE_ERR_NOT_FOUND = -4
};

/* MQTT 5.0 reason codes, section 2.4. 3.x packets are mapped to and from these in the codec. */
enum midge_reason {
    MIDGE_RC_SUCCESS = 0x00, /* also: normal disconnection, granted QoS 0 */
    MIDGE_RC_GRANTED_QOS_1 = 0x01,
    MIDGE_RC_GRANTED_QOS_2 = 0x02,
    MIDGE_RC_DISCONNECT_WITH_WILL = 0x04,
    MIDGE_RC_NO_MATCHING_SUBSCRIBERS = 0x10,
    MIDGE_RC_NO_SUBSCRIPTION_EXISTED = 0x11,
    MIDGE_RC_CONTINUE_AUTHENTICATION = 0x18,
    MIDGE_RC_REAUTHENTICATE = 0x19,
    MIDGE_RC_UNSPECIFIED = 0x80,
    MIDGE_RC_MALFORMED = 0x81,
    MIDGE_RC_PROTOCOL_ERROR = 0x82,
    MIDGE_RC_IMPLEMENTATION_SPECIFIC = 0x83,
    MIDGE_RC_UNSUPPORTED_VERSION = 0x84,
    MIDGE_RC_CLIENT_ID_NOT_VALID = 0x85,
    MIDGE_RC_BAD_USER_NAME_OR_PASSWORD = 0x86,
    MIDGE_RC_NOT_AUTHORIZED = 0x87,
    MIDGE_RC_SERVER_UNAVAILABLE = 0x88,
    MIDGE_RC_SERVER_BUSY = 0x89,
    MIDGE_RC_BANNED = 0x8A,
    MIDGE_RC_SERVER_SHUTTING_DOWN = 0x8B,
    MIDGE_RC_BAD_AUTHENTICATION_METHOD = 0x8C,
    MIDGE_RC_KEEP_ALIVE_TIMEOUT = 0x8D,
    MIDGE_RC_SESSION_TAKEN_OVER = 0x8E,
    MIDGE_RC_TOPIC_FILTER_INVALID = 0x8F,
    MIDGE_RC_TOPIC_NAME_INVALID = 0x90,
    MIDGE_RC_PACKET_ID_IN_USE = 0x91,
    MIDGE_RC_PACKET_ID_NOT_FOUND = 0x92,
    MIDGE_RC_RECEIVE_MAXIMUM_EXCEEDED = 0x93,
    MIDGE_RC_TOPIC_ALIAS_INVALID = 0x94,
    MIDGE_RC_PACKET_TOO_LARGE = 0x95,
    MIDGE_RC_MESSAGE_RATE_TOO_HIGH = 0x96,
    MIDGE_RC_QUOTA_EXCEEDED = 0x97,
    MIDGE_RC_ADMINISTRATIVE_ACTION = 0x98,
    MIDGE_RC_PAYLOAD_FORMAT_INVALID = 0x99,
    MIDGE_RC_RETAIN_NOT_SUPPORTED = 0x9A,
    MIDGE_RC_QOS_NOT_SUPPORTED = 0x9B,
    MIDGE_RC_USE_ANOTHER_SERVER = 0x9C,
    MIDGE_RC_SERVER_MOVED = 0x9D,
    MIDGE_RC_SHARED_NOT_SUPPORTED = 0x9E,
    MIDGE_RC_CONNECTION_RATE_EXCEEDED = 0x9F,
    MIDGE_RC_MAXIMUM_CONNECT_TIME = 0xA0,
    MIDGE_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1,
    MIDGE_RC_WILDCARDS_NOT_SUPPORTED = 0xA2
};

/* Short English text for a reason code ("Quota exceeded"); "" in builds without MIDGE_REASON_STRINGS.
 * Static storage. */
const char *midge_reason_text(uint8_t reason);

/* What happens to a message for a session that is at queue_msgs or queue_bytes. */
enum midge_queue_policy {
    MIDGE_QUEUE_DROP_NEW,   /* the new message is not queued for that session */
    MIDGE_QUEUE_DROP_OLD,   /* the oldest unsent one makes room */
    MIDGE_QUEUE_END_SESSION, /* the session ends, its connection with 0x97 */
    MIDGE_QUEUE_REFUSE,     /* the publisher is refused with 0x97 and nobody gets the message */
    MIDGE_QUEUE_LAST_VALUE  /* of struct midge_inside only: what is unsent of the same topic gives way at once, the
                               oldest of another topic at a limit */
};

/* Every count and size that a peer can choose. docs/LIMITS.md tells what happens at each one.
 * 0 means "none allowed", except where a line says otherwise. */
struct midge_limits {
    /* memory, bytes */
    size_t memory_bytes;           /* all that the broker may hold; SIZE_MAX = what the allocator gives */
    size_t reserve_bytes;          /* part of it that only control packets, connections, CONNECT may use */

    /* connections */
    uint32_t connections;          /* open at once, CONNECT complete or not */
    uint32_t connections_per_address; /* of one address key (struct midge_peer); 0 = no such limit */
    uint32_t hello_ms;             /* time for CONNECT to arrive and be answered */
    uint32_t hello_bytes;          /* CONNECT bytes that every connection may bring */
    uint32_t connect_bytes;        /* largest CONNECT, beyond hello_bytes out of connect_pool_bytes */
    uint32_t connect_pool_bytes;   /* all unfinished CONNECTs together, beyond hello_bytes each */
    uint32_t linger_ms;            /* time that an ending connection has to take its last bytes */
    uint32_t control_bytes;        /* answers waiting for a peer that does not read, before it is paused */
    uint32_t pause_ms;             /* longest PAUSE for memory before publishers are refused instead */
    uint16_t keepalive_s;          /* longest keep alive; 5.0 clients are told; 0 = any, also none */

    /* packets */
    uint32_t packet_bytes;         /* largest packet accepted, fixed header included */
    uint32_t payload_bytes;        /* largest payload that is passed on; 0 = no such limit */
    uint16_t user_properties;      /* in one packet */
    uint16_t topic_levels;         /* of a topic name or filter */
    uint16_t client_id_bytes;
    uint16_t filters;              /* in one SUBSCRIBE or UNSUBSCRIBE */

    /* sessions */
    uint32_t sessions;             /* known client ids, connected or not */
    uint32_t session_expiry_s;     /* longest session expiry; UINT32_MAX = never */
    uint32_t subscriptions;        /* of one session */
    uint32_t queue_msgs;           /* of one session, waiting and in flight */
    uint32_t queue_bytes;          /* the same, as bytes of topic, properties and payload */
    uint16_t inflight;             /* QoS 1 and 2 sent and not yet complete, if the client allows as many */
    uint32_t inflight_bytes;       /* the same, as bytes: at or above it no more are sent; 0 = no such limit */
    uint16_t receive_maximum;      /* QoS 1 and 2 from a 5.0 client not yet complete, 1..65535 */
    uint16_t inbound_qos2;         /* QoS 2 ids of a 3.x client not yet released */
    uint16_t alias_in;             /* Topic Alias Maximum that clients are told */
    uint16_t alias_out;            /* aliases used towards a client, if it allows as many */

    /* retained messages */
    uint32_t retained_msgs;
    uint32_t retained_bytes;       /* topic, properties and payload */

    /* what is served; a build cannot serve more than its switches */
    uint8_t max_qos;               /* 0..2 */
    bool retain;
    bool wildcards;
    bool shared;
    bool subscription_ids;
    bool queue_qos0;               /* QoS 0 waits for clients that are away, too */
    uint8_t queue_policy;          /* enum midge_queue_policy */
};

/* Defaults for a chip with tens of kB to give and for a gateway; docs/LIMITS.md lists them. */
extern const struct midge_limits midge_limits_chip;
extern const struct midge_limits midge_limits_gateway;

#ifdef __cplusplus
}
#endif
#endif
