/* workload.h - the named workloads: what runs, and with which numbers. */
#ifndef MIDGE_BENCH_WORKLOAD_H
#define MIDGE_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

struct bench;

/* What the command line can change. */
struct parameters {
    uint32_t publishers;
    uint32_t subscribers;
    uint32_t bystanders;    /* connected, with a subscription each that matches nothing */
    uint32_t connections;   /* of those that only connect */
    uint32_t subscriptions; /* in all, where the subscribers share out many */
    uint32_t retained;
    uint32_t queued; /* messages for each session that is away */
    uint32_t qos;
    uint32_t
        window; /* messages of one publisher in flight: sent, and not yet both delivered and acknowledged */
    uint32_t payload_bytes;
    uint32_t levels;     /* of a topic */
    uint32_t rate;       /* messages a second, 0 = as fast as the window lets */
    uint32_t persistent; /* 1 = sessions outlive connections */
    bool tls, ws;        /* between the socket and the packets */
    uint32_t seconds;    /* of publishing */
    uint32_t messages;   /* not 0: publish so many instead */
};

struct workload {
    const char *name;
    const char *what;
    void (*run)(struct bench *b);
    struct parameters parameters;
};

extern const struct workload workloads[];
extern const unsigned workload_count;

/* NULL: there is none of this name. */
const struct workload *workload_find(const char *name);

/* One file each. A failure is told by hub_fail. */
void run_flow(struct bench *b);     /* publishers and subscribers that talk */
void run_idle(struct bench *b);     /* connections that do not */
void run_retained(struct bench *b); /* stored, then read at once */
void run_offline(struct bench *b);  /* queued for sessions that are away, then fetched */

#endif
