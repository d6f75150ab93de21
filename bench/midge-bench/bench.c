/* bench.c - what all workloads do alike: wait, connect, measure a stretch of time. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#define CONNECTING_AT_ONCE 200u
#define TURN_MS 100

/* ---- measuring ----------------------------------------------------------------------------------------- */

static uint64_t broker_cpu_ns(const struct bench *b)
{
    uint64_t ns = 0;
    if (b->options.pid)
        probe_cpu((int)b->options.pid, &ns);
    return ns;
}

/* Until its end a phase holds what the clocks said at its beginning. */
void phase_begin(struct bench *b, const char *name, const char *unit, uint64_t count)
{
    b->phases[b->phase_count] = (struct phase){
        .name = name, .unit = unit, .count = count, .ns = clock_ns(), .cpu_ns = broker_cpu_ns(b)
    };
}

void phase_end(struct bench *b, uint64_t count)
{
    struct phase *p = &b->phases[b->phase_count++];
    p->cpu_ns = broker_cpu_ns(b) - p->cpu_ns;
    p->ns = clock_ns() - p->ns;
    p->count = count - p->count;
}

void figure_add(struct bench *b, const char *name, double value, const char *unit)
{
    if (b->figure_count < FIGURES_MAX)
        b->figures[b->figure_count++] = (struct figure){ .name = name, .unit = unit, .value = value };
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

bool bench_until(struct bench *b, bool (*done)(const void *state), const void *state)
{
    const uint64_t patience_ns = (uint64_t)b->options.patience_s * 1000000000u;
    uint64_t heard = b->hub.heard, since_ns = clock_ns();
    while (!done(state)) {
        if (!hub_turn(&b->hub, TURN_MS))
            return false;
        report_progress(b);
        if (heard != b->hub.heard) {
            heard = b->hub.heard;
            since_ns = b->hub.now_ns;
        } else if (b->hub.now_ns - since_ns > patience_ns) {
            b->stalled = true;
            return false;
        }
    }
    return true;
}

static bool few_are_connecting(const void *hub)
{
    return ((const struct hub *)hub)->connecting < CONNECTING_AT_ONCE;
}

static bool all_are_connected(const void *hub)
{
    return ((const struct hub *)hub)->connecting == 0;
}

bool bench_unanswered(struct bench *b, const char *packet, uint32_t count)
{
    if (b->stalled)
        hub_fail(&b->hub, "%u times no %s came within %u s", count, packet, b->options.patience_s);
    return false;
}

bool bench_connect(struct bench *b, struct client *clients, uint32_t count, uint32_t number)
{
    b->now_doing = "connecting";
    for (uint32_t i = 0; i < count; i++) {
        if (clients[i].state != CLIENT_OFF)
            continue;
        if (!bench_until(b, few_are_connecting, &b->hub))
            return bench_unanswered(b, "CONNACK", b->hub.connecting);
        client_open(&b->hub, &clients[i], number + i);
    }
    return bench_until(b, all_are_connected, &b->hub) || bench_unanswered(b, "CONNACK", b->hub.connecting);
}

bool bench_scrub(struct bench *b, struct client *clients, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        client_close(&clients[i]);
        clients[i].keep_session = false;
    }
    if (!bench_connect(b, clients, count, number))
        return false;
    for (uint32_t i = 0; i < count; i++)
        client_close(&clients[i]);
    return true;
}

/* ---- topics -------------------------------------------------------------------------------------------- */

/* prefix/name/17, prefix/name/l/l/17, or prefix-name/17 for two levels. */
size_t bench_topic(const struct bench *b, char *out, size_t size, const char *name, uint32_t i)
{
    const uint32_t levels = b->options.parameters.levels;
    size_t n = (size_t)snprintf(out, size, "%s%c%s", b->options.prefix, levels > 2 ? '/' : '-', name);
    for (uint32_t level = 3; level < levels && n + 16 < size; level++)
        n += (size_t)snprintf(out + n, size - n, "/l");
    return n + (size_t)snprintf(out + n, size - n, i == BENCH_ANY ? "/+" : "/%u", i);
}
