/* reason.c - reason codes: where each may stand, what it is on 3.x, and its text. */
#include "codec/packet.h"

#include <string.h>

#define FIRST_FAILURE 0x80
#define FAILURES (MIDGE_RC_WILDCARDS_NOT_SUPPORTED + 1 - FIRST_FAILURE)

/* The first rows of both tables; the failures from 0x80 on follow without a gap. */
static const uint8_t successes[] = {
    MIDGE_RC_SUCCESS,
    MIDGE_RC_GRANTED_QOS_1,
    MIDGE_RC_GRANTED_QOS_2,
    MIDGE_RC_DISCONNECT_WITH_WILL,
    MIDGE_RC_NO_MATCHING_SUBSCRIBERS,
    MIDGE_RC_NO_SUBSCRIPTION_EXISTED,
    MIDGE_RC_CONTINUE_AUTHENTICATION,
    MIDGE_RC_REAUTHENTICATE,
};
#define SUCCESSES ((unsigned)sizeof successes)
#define ROWS (SUCCESSES + FAILURES)

/* ROWS = there is no such code. */
static unsigned row_of(uint8_t reason)
{
    if (reason >= FIRST_FAILURE + FAILURES)
        return ROWS;
    if (reason >= FIRST_FAILURE)
        return SUCCESSES + (reason - FIRST_FAILURE);
    const uint8_t *found = memchr(successes, reason, SUCCESSES);
    return found ? (unsigned)(found - successes) : ROWS;
}

#define IN(type) MIDGE_IN(PK_##type)
#define PUB_ACK (IN(PUBACK) | IN(PUBREC))
#define PUB_END (IN(PUBREL) | IN(PUBCOMP))
#define BY_SERVER MIDGE_IN_SERVER_DISCONNECT
#define BY_BOTH (IN(DISCONNECT) | BY_SERVER)
#define AT(failure) [SUCCESSES + MIDGE_RC_##failure - FIRST_FAILURE]

/* MQTT 5.0 table 2-6, line by line.
 * [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2]
 * [MQTT-3.14.2-1] [MQTT-3.15.2-1] [MQTT-4.12.0-2] [MQTT-4.12.0-3] */
static const uint16_t lawful[ROWS] = {
    /* Success */ IN(CONNACK) | PUB_ACK | PUB_END | IN(SUBACK) | IN(UNSUBACK) | BY_BOTH | MIDGE_IN_SERVER_AUTH,
    /* Granted QoS 1 */ IN(SUBACK),
    /* Granted QoS 2 */ IN(SUBACK),
    /* Disconnect with will message */ IN(DISCONNECT),
    /* No matching subscribers */ PUB_ACK,
    /* No subscription existed */ IN(UNSUBACK),
    /* Continue authentication */ IN(AUTH) | MIDGE_IN_SERVER_AUTH,
    /* Re-authenticate */ IN(AUTH),
    AT(UNSPECIFIED) = IN(CONNACK) | PUB_ACK | IN(SUBACK) | IN(UNSUBACK) | BY_BOTH,
    AT(MALFORMED) = IN(CONNACK) | BY_BOTH,
    AT(PROTOCOL_ERROR) = IN(CONNACK) | BY_BOTH,
    AT(IMPLEMENTATION_SPECIFIC) = IN(CONNACK) | PUB_ACK | IN(SUBACK) | IN(UNSUBACK) | BY_BOTH,
    AT(UNSUPPORTED_VERSION) = IN(CONNACK),
    AT(CLIENT_ID_NOT_VALID) = IN(CONNACK),
    AT(BAD_USER_NAME_OR_PASSWORD) = IN(CONNACK),
    AT(NOT_AUTHORIZED) = IN(CONNACK) | PUB_ACK | IN(SUBACK) | IN(UNSUBACK) | BY_SERVER,
    AT(SERVER_UNAVAILABLE) = IN(CONNACK),
    AT(SERVER_BUSY) = IN(CONNACK) | BY_SERVER,
    AT(BANNED) = IN(CONNACK),
    AT(SERVER_SHUTTING_DOWN) = BY_SERVER,
    AT(BAD_AUTHENTICATION_METHOD) = IN(CONNACK) | BY_SERVER,
    AT(KEEP_ALIVE_TIMEOUT) = BY_SERVER,
    AT(SESSION_TAKEN_OVER) = BY_SERVER,
    AT(TOPIC_FILTER_INVALID) = IN(SUBACK) | IN(UNSUBACK) | BY_SERVER,
    AT(TOPIC_NAME_INVALID) = IN(CONNACK) | PUB_ACK | BY_BOTH,
    AT(PACKET_ID_IN_USE) = PUB_ACK | IN(SUBACK) | IN(UNSUBACK),
    AT(PACKET_ID_NOT_FOUND) = PUB_END,
    AT(RECEIVE_MAXIMUM_EXCEEDED) = BY_BOTH,
    AT(TOPIC_ALIAS_INVALID) = BY_BOTH,
    AT(PACKET_TOO_LARGE) = IN(CONNACK) | BY_BOTH,
    AT(MESSAGE_RATE_TOO_HIGH) = BY_BOTH,
    AT(QUOTA_EXCEEDED) = IN(CONNACK) | PUB_ACK | IN(SUBACK) | BY_BOTH,
    AT(ADMINISTRATIVE_ACTION) = BY_BOTH,
    AT(PAYLOAD_FORMAT_INVALID) = IN(CONNACK) | PUB_ACK | BY_BOTH,
    AT(RETAIN_NOT_SUPPORTED) = IN(CONNACK) | BY_SERVER,
    AT(QOS_NOT_SUPPORTED) = IN(CONNACK) | BY_SERVER,
    AT(USE_ANOTHER_SERVER) = IN(CONNACK) | BY_SERVER,
    AT(SERVER_MOVED) = IN(CONNACK) | BY_SERVER,
    AT(SHARED_NOT_SUPPORTED) = IN(SUBACK) | BY_SERVER,
    AT(CONNECTION_RATE_EXCEEDED) = IN(CONNACK) | BY_SERVER,
    AT(MAXIMUM_CONNECT_TIME) = BY_SERVER,
    AT(SUBSCRIPTION_IDS_NOT_SUPPORTED) = IN(SUBACK) | BY_SERVER,
    AT(WILDCARDS_NOT_SUPPORTED) = IN(SUBACK) | BY_SERVER,
};

bool midge_reason_lawful(uint8_t reason, unsigned where)
{
    unsigned row = row_of(reason);
    return row < ROWS && (lawful[row] & where) != 0;
}

uint8_t midge_reason_connack_v3(uint8_t reason)
{
    switch (reason) {
    case MIDGE_RC_SUCCESS:
        return 0;
    case MIDGE_RC_UNSUPPORTED_VERSION:
        return 1; /* [MQTT311-3.1.2-2] */
    case MIDGE_RC_CLIENT_ID_NOT_VALID:
        return 2; /* [MQTT311-3.1.3-8] [MQTT311-3.1.3-9] */
    case MIDGE_RC_BAD_USER_NAME_OR_PASSWORD:
        return 4;
    case MIDGE_RC_NOT_AUTHORIZED: /* and what trying again does not mend */
    case MIDGE_RC_BANNED:
    case MIDGE_RC_BAD_AUTHENTICATION_METHOD:
    case MIDGE_RC_TOPIC_NAME_INVALID:
    case MIDGE_RC_RETAIN_NOT_SUPPORTED:
    case MIDGE_RC_QOS_NOT_SUPPORTED:
        return 5;
    default:
        return 3;
    }
}

uint8_t midge_reason_suback_v3(uint8_t reason)
{
    return reason < FIRST_FAILURE ? reason : FIRST_FAILURE; /* [MQTT311-3.9.3-2] */
}

/* A row each, ended by a NUL: no table of pointers. */
static const char texts[] = "Success\0"
                            "Granted QoS 1\0"
                            "Granted QoS 2\0"
                            "Disconnect with will message\0"
                            "No matching subscribers\0"
                            "No subscription existed\0"
                            "Continue authentication\0"
                            "Re-authenticate\0"
                            "Unspecified error\0"
                            "Malformed packet\0"
                            "Protocol error\0"
                            "Implementation specific error\0"
                            "Unsupported protocol version\0"
                            "Client identifier not valid\0"
                            "Bad user name or password\0"
                            "Not authorized\0"
                            "Server unavailable\0"
                            "Server busy\0"
                            "Banned\0"
                            "Server shutting down\0"
                            "Bad authentication method\0"
                            "Keep alive timeout\0"
                            "Session taken over\0"
                            "Topic filter invalid\0"
                            "Topic name invalid\0"
                            "Packet identifier in use\0"
                            "Packet identifier not found\0"
                            "Receive maximum exceeded\0"
                            "Topic alias invalid\0"
                            "Packet too large\0"
                            "Message rate too high\0"
                            "Quota exceeded\0"
                            "Administrative action\0"
                            "Payload format invalid\0"
                            "Retain not supported\0"
                            "QoS not supported\0"
                            "Use another server\0"
                            "Server moved\0"
                            "Shared subscriptions not supported\0"
                            "Connection rate exceeded\0"
                            "Maximum connect time\0"
                            "Subscription identifiers not supported\0"
                            "Wildcard subscriptions not supported";

const char *midge_reason_text(uint8_t reason)
{
    unsigned row = row_of(reason);
    if (!MIDGE_REASON_STRINGS || row == ROWS)
        return "";
    const char *text = texts;
    while (row--)
        text += strlen(text) + 1;
    return text;
}
