/* report.c - what the run has found: a line while it goes on, a table and JSON at its end. */
#include "bench.h"

#include "midge/midge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHOW_EVERY_NS 250000000u

static const struct {
    const char *name;
    double quantile;
} quantiles[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1.0 } };
#define QUANTILES (sizeof quantiles / sizeof *quantiles)

void report_progress(struct bench *b)
{
    const uint64_t now_ns = b->hub.now_ns;
    if (b->options.quiet || now_ns - b->shown_ns < SHOW_EVERY_NS || !isatty(STDERR_FILENO))
        return;
    const double seconds = (double)(now_ns - b->shown_ns) / 1e9;
    const uint64_t delivered = b->ledger.delivered;
    if (b->shown_ns)
        fprintf(stderr, "\r\033[K%s %s: %" PRIu64 " delivered, %.0f a second", b->options.workload->name,
                b->now_doing, delivered, (double)(delivered - b->shown_count) / seconds);
    b->shown_ns = now_ns;
    b->shown_count = delivered;
}

static double per_second(const struct phase *p)
{
    return p->ns ? (double)p->count * 1e9 / (double)p->ns : 0;
}

static double cpu_us_each(const struct phase *p)
{
    return p->count ? (double)p->cpu_ns / 1e3 / (double)p->count : 0;
}

/* ---- the table ----------------------------------------------------------------------------------------- */

static void print_phase(const struct bench *b, const struct phase *p)
{
    printf("%-10s %11" PRIu64 " %-13s %8.3f s %12.0f a second", p->name, p->count, p->unit,
           (double)p->ns / 1e9, per_second(p));
    if (b->options.pid)
        printf(" %10.3f us of CPU each", cpu_us_each(p));
    putchar('\n');
}

static void print_latency(const struct bench *b)
{
    printf("latency   ");
    for (size_t i = 0; i < QUANTILES; i++)
        printf("  %s %.1f", quantiles[i].name,
               (double)histogram_quantile(&b->latency_ns, quantiles[i].quantile) / 1e3);
    printf(" us\n");
}

void report_table(const struct bench *b)
{
    const struct options *o = &b->options;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    printf("%s: %s; MQTT %s, seed %u\n", o->workload->name, o->workload->what,
           o->version == WIRE_V5 ? "5.0" : "3.1.1", o->seed);
    for (unsigned i = 0; i < b->phase_count; i++)
        print_phase(b, &b->phases[i]);
    if (b->latency_ns.count)
        print_latency(b);
    for (unsigned i = 0; i < b->figure_count; i++)
        printf("%-28s %10.1f %s\n", b->figures[i].name, b->figures[i].value, b->figures[i].unit);
    printf("sent %" PRIu64 ", delivered %" PRIu64 ": lost %" PRIu64 ", duplicated %" PRIu64
           ", reordered %" PRIu64 ", wrong %" PRIu64 "\n",
           b->sent, b->ledger.delivered, b->lost, b->ledger.duplicated, b->ledger.reordered, b->ledger.wrong);
    if (b->stalled)
        printf("nothing came any more for %u s, and something should have\n", o->patience_s);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

/* Names are ours and need no escape. */
static void write_phases(const struct bench *b, FILE *f)
{
    fprintf(f, "  \"phases\": [");
    for (unsigned i = 0; i < b->phase_count; i++) {
        const struct phase *p = &b->phases[i];
        fprintf(f,
                "%s\n    {\"name\": \"%s\", \"unit\": \"%s\", \"count\": %" PRIu64
                ", \"seconds\": %.6f, \"per_second\": %.1f",
                i ? "," : "", p->name, p->unit, p->count, (double)p->ns / 1e9, per_second(p));
        if (b->options.pid)
            fprintf(f, ", \"cpu_seconds\": %.9f, \"cpu_us_each\": %.6f", (double)p->cpu_ns / 1e9,
                    cpu_us_each(p));
        fprintf(f, "}");
    }
    fprintf(f, "\n  ],\n");
}

static void write_latency(const struct bench *b, FILE *f)
{
    if (!b->latency_ns.count)
        return;
    fprintf(f, "  \"latency_us\": {\"count\": %" PRIu64, b->latency_ns.count);
    for (size_t i = 0; i < QUANTILES; i++)
        fprintf(f, ", \"%s\": %.3f", quantiles[i].name,
                (double)histogram_quantile(&b->latency_ns, quantiles[i].quantile) / 1e3);
    fprintf(f, "},\n");
}

static void write_parameters(const struct bench *b, FILE *f)
{
    const struct parameters *p = &b->options.parameters;
    fprintf(f,
            "  \"parameters\": {\"publishers\": %u, \"subscribers\": %u, \"bystanders\": %u, "
            "\"connections\": %u, "
            "\"subscriptions\": %u, \"retained\": %u, \"queued\": %u, \"qos\": %u, \"window\": %u, "
            "\"payload_bytes\": %u, \"levels\": %u, \"rate\": %u, \"persistent\": %u, "
            "\"tls\": %s, \"ws\": %s},\n",
            p->publishers, p->subscribers, p->bystanders, p->connections, p->subscriptions, p->retained,
            p->queued, p->qos, p->window, p->payload_bytes, p->levels, p->rate, p->persistent,
            p->tls ? "true" : "false", p->ws ? "true" : "false");
}

static void write_json(const struct bench *b, FILE *f)
{
    const struct options *o = &b->options;
    fprintf(f,
            "{\n  \"midge_bench\": \"" MIDGE_VERSION
            "\",\n  \"workload\": \"%s\",\n  \"what\": \"%s\",\n  \"protocol\": \"%s\",\n  \"seed\": %u,\n",
            o->workload->name, o->workload->what, o->version == WIRE_V5 ? "5.0" : "3.1.1", o->seed);
    write_parameters(b, f);
    write_phases(b, f);
    write_latency(b, f);
    fprintf(f, "  \"figures\": [");
    for (unsigned i = 0; i < b->figure_count; i++)
        fprintf(f, "%s\n    {\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}", i ? "," : "",
                b->figures[i].name, b->figures[i].value, b->figures[i].unit);
    fprintf(f,
            "%s],\n  \"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"lost\": %" PRIu64
            ", \"duplicated\": %" PRIu64 ", \"reordered\": %" PRIu64 ", \"wrong\": %" PRIu64
            ",\n  \"stalled\": %s\n}\n",
            b->figure_count ? "\n  " : "", b->sent, b->ledger.delivered, b->lost, b->ledger.duplicated,
            b->ledger.reordered, b->ledger.wrong, b->stalled ? "true" : "false");
}

bool report_json(const struct bench *b, const char *path)
{
    if (strcmp(path, "-") == 0) {
        write_json(b, stdout);
        return true;
    }
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    write_json(b, f);
    return fclose(f) == 0;
}
