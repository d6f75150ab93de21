/* retained.c - W10: retained messages stored, read by one subscriber, and cleared. */
#include "feed.h"

#include <stdio.h>

struct retained {
    struct bench *b;
    uint32_t count;
    struct client clients[2]; /* the publisher, the subscriber */
    struct feed feed;
};

static void acknowledged(void *user, struct client *c, uint16_t id)
{
    (void)c;
    (void)id;
    ((struct retained *)user)->feed.acknowledged++;
}

/* Each topic is a stream of one message: which topic comes first is the broker's affair. */
static void published(void *user, struct client *c, const struct wire_publish *p)
{
    const struct retained *r = user;
    struct bench *b = r->b;
    struct stamp stamp;
    if (c != &r->clients[1] || !p->retain || p->payload_bytes == 0 ||
        !payload_read(&b->payloads, p->payload, p->payload_bytes, p->topic, p->topic_bytes, &stamp) ||
        stamp.publisher >= r->count || stamp.number != 0)
        b->ledger.wrong++;
    else
        ledger_note(&b->ledger, stamp.publisher, 0);
}

static bool all_have_come(const void *retained)
{
    const struct retained *r = retained;
    return r->b->ledger.delivered == r->count;
}

static bool store(struct retained *r)
{
    struct bench *b = r->b;
    struct probe before, after;
    const bool measured = b->options.pid && probe_read((int)b->options.pid, &before);
    b->now_doing = "storing";
    phase_begin(b, "store", "message", 0);
    if (!feed_all(&r->feed))
        return false;
    phase_end(b, r->count);
    if (measured && probe_read((int)b->options.pid, &after))
        figure_add(b, "retained message, RSS",
                   ((double)after.rss_bytes - (double)before.rss_bytes) / r->count, "B");
    return true;
}

/* At QoS 0: what is measured is the scan. */
static bool replay(struct retained *r)
{
    struct bench *b = r->b;
    char filter[CLIENT_ID_BYTES_MAX];
    const char *filters = filter;
    const uint32_t levels = b->options.parameters.levels;
    snprintf(filter, sizeof filter, levels > 2 ? "%s/#" : "%s-kept/#", b->options.prefix);
    b->now_doing = "reading";
    if (!bench_connect(b, &r->clients[1], 1, 1))
        return false;
    phase_begin(b, "replay", "delivery", 0);
    client_subscribe(&r->clients[1], &filters, 1, 0);
    const bool good = bench_until(b, all_have_come, r);
    phase_end(b, b->ledger.delivered);
    for (uint32_t i = 0; i < r->count; i++)
        b->lost += ledger_lost(&b->ledger, i, 1);
    client_close(&r->clients[1]);
    return good || b->stalled;
}

static bool clear(struct retained *r)
{
    struct bench *b = r->b;
    b->now_doing = "clearing";
    r->feed.empty = true;
    phase_begin(b, "clear", "message", 0);
    if (!feed_all(&r->feed))
        return false;
    phase_end(b, r->count);
    return true;
}

void run_retained(struct bench *b)
{
    static const struct client_calls calls = { .published = published, .acknowledged = acknowledged };
    struct retained r = { .b = b, .count = b->options.parameters.retained };
    r.feed = (struct feed){
        .b = b, .client = &r.clients[0], .topic = "kept", .topics = r.count, .count = r.count, .retain = true
    };
    ledger_init(&b->ledger, r.count);
    b->hub.calls = &calls;
    b->hub.user = &r;
    if (bench_connect(b, &r.clients[0], 1, 0) && store(&r) && replay(&r))
        clear(&r);
    client_close(&r.clients[0]);
    client_drop(&r.clients[1]);
}
