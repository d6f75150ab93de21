/* bench.h - one run: what all workloads share. */
#ifndef MIDGE_BENCH_BENCH_H
#define MIDGE_BENCH_BENCH_H

#include "client.h"
#include "histogram.h"
#include "ledger.h"
#include "options.h"
#include "payload.h"
#include "probe.h"

#define PHASES_MAX 8
#define FIGURES_MAX 12
#define TOPIC_BYTES_MAX 4096
#define BENCH_ANY UINT32_MAX

/* A stretch of the run that is measured. */
struct phase {
    const char *name;
    const char *unit; /* of what is counted */
    uint64_t count;
    uint64_t ns;
    uint64_t cpu_ns; /* of the broker; 0 = not known */
};

/* Something measured besides. */
struct figure {
    const char *name;
    const char *unit;
    double value;
};

struct bench {
    struct options options;
    struct hub hub;
    struct ledger ledger;
    struct payloads payloads;
    struct histogram latency_ns;
    uint64_t random; /* state of random_next */
    uint64_t sent;
    uint64_t lost;
    uint64_t shown_ns, shown_count; /* of the progress line */
    bool stalled;                   /* nothing came any more, and something should have */
    unsigned phase_count, figure_count;
    struct phase phases[PHASES_MAX];
    struct figure figures[FIGURES_MAX];
    const char *now_doing;
};

/* From here on `count` grows; and up to here it has. */
void phase_begin(struct bench *b, const char *name, const char *unit, uint64_t count);
void phase_end(struct bench *b, uint64_t count);

void figure_add(struct bench *b, const char *name, double value, const char *unit);

/* Turns until `done` says so. False: the run failed, or nothing came for --patience (`stalled`). */
bool bench_until(struct bench *b, bool (*done)(const void *state), const void *state);

/* Connects those of `clients` that are off, a few at a time, so that no backlog overflows. Their numbers
 * ascend from `number`. */
bool bench_connect(struct bench *b, struct client *clients, uint32_t count, uint32_t number);

/* Ends what sessions a former run may have left. */
bool bench_scrub(struct bench *b, struct client *clients, uint32_t count, uint32_t number);

/* After bench_until was false: says so if the broker left `count` of these unanswered. False. */
bool bench_unanswered(struct bench *b, const char *packet, uint32_t count);

/* Topic `i` of the run, of --levels levels; BENCH_ANY: the filter for all of them. Its length. */
size_t bench_topic(const struct bench *b, char *out, size_t size, const char *name, uint32_t i);

/* ---- telling (report.c) -------------------------------------------------------------------------------- */

/* Now and then, on a terminal. */
void report_progress(struct bench *b);
void report_table(const struct bench *b);
/* False: the file cannot be written. */
bool report_json(const struct bench *b, const char *path);

#endif
