/* limits.c - the core's limits by the configuration's. */
#include "doors.h"

#define LARGEST_RESERVE ((size_t)4 * 1024 * 1024)

/* What the file gives, or what stands there already; `zero` is what 0 means. */
static uint32_t number(int64_t given, uint32_t otherwise, uint32_t zero)
{
    if (given == CONF_UNSET || given < 0)
        return otherwise;
    return given == 0 ? zero : given < UINT32_MAX ? (uint32_t)given : UINT32_MAX;
}

static uint16_t small(int64_t given, uint16_t otherwise, uint16_t zero)
{
    uint32_t n = number(given, otherwise, zero);
    return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

static void set_memory(const struct conf *c, struct midge_limits *l)
{
    if (c->memory_limit == CONF_UNSET)
        return;
    l->memory_bytes =
        c->memory_limit && (uint64_t)c->memory_limit < SIZE_MAX ? (size_t)c->memory_limit : SIZE_MAX;
    size_t part = l->memory_bytes / 16;
    l->reserve_bytes = part < LARGEST_RESERVE ? part : LARGEST_RESERVE;
}

/* Mosquitto counts what waits, the core what waits and what is on its way. */
static void set_queues(const struct conf *c, struct midge_limits *l)
{
    l->inflight = small(c->max_inflight_messages, l->inflight, UINT16_MAX);
    l->inflight_bytes = number(c->max_inflight_bytes, l->inflight_bytes, 0);
    if (c->max_queued_messages != CONF_UNSET) {
        uint32_t most = number(c->max_queued_messages, 0, UINT32_MAX);
        l->queue_msgs = most < UINT32_MAX - l->inflight ? most + l->inflight : UINT32_MAX;
    }
    l->queue_bytes = number(c->max_queued_bytes, l->queue_bytes, UINT32_MAX);
    l->queue_qos0 = c->queue_qos0_messages;
    static const uint8_t policies[] = { MIDGE_QUEUE_DROP_NEW, MIDGE_QUEUE_DROP_OLD, MIDGE_QUEUE_END_SESSION,
                                        MIDGE_QUEUE_REFUSE };
    l->queue_policy = policies[c->queue_policy];
}

void doors_limits(const struct conf *c, uint32_t descriptors, struct midge_limits *out)
{
    struct midge_limits *l = out;
    *l = midge_limits_gateway;
    set_memory(c, l);
    set_queues(c, l);
    l->connections = number(c->global_max_connections, l->connections, 0);
    l->connections = l->connections < descriptors ? l->connections : descriptors;
    l->sessions = number(c->global_max_clients, l->sessions, 0);
    l->connections_per_address = number(c->connections_per_address, l->connections_per_address, 0);
    l->packet_bytes = number(c->max_packet_size, l->packet_bytes, l->packet_bytes);
    l->payload_bytes = number(c->message_size_limit, l->payload_bytes, 0);
    l->keepalive_s = small(c->max_keepalive, l->keepalive_s, 0);
    l->session_expiry_s = number(c->session_expiry_s, l->session_expiry_s, UINT32_MAX);
    l->retain = c->retain_available;
}
