/* idle.c - W7: what a connection costs that says nothing, and what making it costs. */
#include "bench.h"

#include <stdlib.h>

struct idle {
    struct bench *b;
    uint32_t count;
    struct client *clients; /* owns; the first warms the broker up and is not counted */
    uint32_t subacks_due;
};

static void subscribed(void *user, struct client *c)
{
    (void)c;
    ((struct idle *)user)->subacks_due--;
}

static bool all_are_subscribed(const void *idle)
{
    return ((const struct idle *)idle)->subacks_due == 0;
}

static bool time_is_up(const void *until_ns)
{
    return clock_ns() >= *(const uint64_t *)until_ns;
}

/* Nothing comes, so nothing is waited for but the clock. */
static bool rest(struct bench *b, uint64_t ns)
{
    const uint64_t until_ns = clock_ns() + ns;
    const uint32_t patience_s = b->options.patience_s;
    b->options.patience_s = (uint32_t)(ns / 1000000000u) + 3600;
    const bool good = bench_until(b, time_is_up, &until_ns);
    b->options.patience_s = patience_s;
    return good;
}

static void add_memory(const struct idle *d, const struct probe *before, const char *rss, const char *uss)
{
    struct probe now;
    if (!d->b->options.pid || !probe_read((int)d->b->options.pid, &now))
        return;
    figure_add(d->b, rss, ((double)now.rss_bytes - (double)before->rss_bytes) / d->count, "B");
    figure_add(d->b, uss, ((double)now.uss_bytes - (double)before->uss_bytes) / d->count, "B");
}

static bool subscribe(struct idle *d, uint32_t from, uint32_t count)
{
    char topic[TOPIC_BYTES_MAX];
    const char *filter = topic;
    d->b->now_doing = "subscribing";
    for (uint32_t i = from; i < from + count; i++) {
        bench_topic(d->b, topic, sizeof topic, "idle", i);
        client_subscribe(&d->clients[i], &filter, 1, (uint8_t)d->b->options.parameters.qos);
        d->subacks_due++;
        if (!hub_turn(&d->b->hub, 0))
            return false;
    }
    return bench_until(d->b, all_are_subscribed, d) || bench_unanswered(d->b, "SUBACK", d->subacks_due);
}

static bool measure(struct idle *d)
{
    struct bench *b = d->b;
    struct probe before = { .cpu_ns = 0 };
    if (!bench_connect(b, d->clients, 1, 0) || !subscribe(d, 0, 1))
        return false;
    if (b->options.pid)
        probe_read((int)b->options.pid, &before);
    phase_begin(b, "connect", "connection", 0);
    if (!bench_connect(b, d->clients + 1, d->count, 1))
        return false;
    phase_end(b, d->count);
    add_memory(d, &before, "idle connection, RSS", "idle connection, USS");
    b->now_doing = "idle";
    if (!rest(b, 500000000u))
        return false;
    phase_begin(b, "idle", "second", 0);
    if (!rest(b, (uint64_t)b->options.parameters.seconds * 1000000000u))
        return false;
    phase_end(b, b->options.parameters.seconds);
    phase_begin(b, "subscribe", "subscription", 0);
    if (!subscribe(d, 1, d->count))
        return false;
    phase_end(b, d->count);
    add_memory(d, &before, "with one subscription, RSS", "with one subscription, USS");
    return true;
}

void run_idle(struct bench *b)
{
    static const struct client_calls calls = { .subscribed = subscribed };
    struct idle d = { .b = b, .count = b->options.parameters.connections };
    d.clients = zeroed((size_t)d.count + 1, sizeof *d.clients);
    b->hub.calls = &calls;
    b->hub.user = &d;
    b->hub.spin = false; /* it is the broker that is watched */
    measure(&d);
    for (uint32_t i = 0; i <= d.count; i++)
        client_close(&d.clients[i]);
    free(d.clients);
}
