/* probe.h - what a process on this machine has used: processor time and memory, as the kernel says. */
#ifndef MIDGE_BENCH_PROBE_H
#define MIDGE_BENCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct probe {
    uint64_t cpu_ns;    /* user and system, all threads */
    uint64_t rss_bytes; /* resident */
    uint64_t uss_bytes; /* resident and its own alone */
};

/* Processor time only: cheap enough to be taken in the middle of a run. False: there is no such process. */
bool probe_cpu(int pid, uint64_t *cpu_ns);

/* All of it. */
bool probe_read(int pid, struct probe *out);

#endif
