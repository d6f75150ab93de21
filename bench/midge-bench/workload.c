/* workload.c - a row a workload. */
#include "workload.h"

#include <stddef.h>
#include <strings.h>

/* clang-format off */
const struct workload workloads[] = {
    { "W1", "1 publisher to 1 subscriber, QoS 0, pipelined", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 4096 } },
    { "W2", "1 publisher to 1,000 subscribers, QoS 0, pipelined", run_flow,
      { .publishers = 1, .subscribers = 1000, .window = 64 } },
    { "W2s", "1 to 1,000, the next message only when all have the last", run_flow,
      { .publishers = 1, .subscribers = 1000, .window = 1 } },
    { "W3", "500 publishers to 1 subscriber, QoS 0", run_flow,
      { .publishers = 500, .subscribers = 1, .window = 1 } },
    { "W3q1", "500 publishers to 1 subscriber, QoS 1", run_flow,
      { .publishers = 500, .subscribers = 1, .window = 1, .qos = 1 } },
    { "W4", "1 to 1, QoS 1, 100 in flight", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 100, .qos = 1 } },
    { "W4p", "1 to 1, QoS 1, 100 in flight, persistent sessions", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 100, .qos = 1, .persistent = 1 } },
    { "W5", "1 to 1, QoS 2, 20 in flight", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 20, .qos = 2 } },
    { "W6", "10,000 subscriptions (exact, +, #) of 100 clients, random topics, 1 match in the mean", run_flow,
      { .publishers = 1, .subscribers = 100, .subscriptions = 10000, .window = 1024 } },
    { "W7", "10,000 idle connections", run_idle,
      { .connections = 10000 } },
    { "W8", "latency at 2,000 messages a second, 1 to 1, QoS 0", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 65536, .rate = 2000 } },
    { "W9", "256 kB messages, 1 to 1, QoS 1", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 8, .qos = 1, .payload_bytes = 262144 } },
    { "W10", "100,000 retained messages stored, then read by one # subscriber", run_retained,
      { .retained = 100000, .window = 100, .qos = 1 } },
    { "W11t", "W1 through TLS", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 4096, .tls = true } },
    { "W11tq1", "W4 through TLS", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 100, .qos = 1, .tls = true } },
    { "W11w", "W1 through WebSocket", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 4096, .ws = true } },
    { "W11wq1", "W4 through WebSocket", run_flow,
      { .publishers = 1, .subscribers = 1, .window = 100, .qos = 1, .ws = true } },
    { "W12", "10,000 persistent sessions that are away, QoS 1 queues filled and drained", run_offline,
      { .subscribers = 10000, .queued = 10, .window = 100, .qos = 1 } },
};

const unsigned workload_count = sizeof workloads / sizeof *workloads;

const struct workload *workload_find(const char *name)
{
    for (unsigned i = 0; i < workload_count; i++)
        if (strcasecmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}
