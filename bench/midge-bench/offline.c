/* offline.c - W12: queues filled while their clients are away, and drained when they come. */
#include "feed.h"

#include <stdlib.h>

struct offline {
    struct bench *b;
    uint32_t count;
    struct client *clients; /* owns; the publisher, then the sessions */
    uint32_t subacks_due;
    struct feed feed;
};

static void subscribed(void *user, struct client *c)
{
    (void)c;
    ((struct offline *)user)->subacks_due--;
}

static void acknowledged(void *user, struct client *c, uint16_t id)
{
    (void)c;
    (void)id;
    ((struct offline *)user)->feed.acknowledged++;
}

static void published(void *user, struct client *c, const struct wire_publish *p)
{
    const struct offline *o = user;
    struct bench *b = o->b;
    struct stamp stamp;
    if (!payload_read(&b->payloads, p->payload, p->payload_bytes, p->topic, p->topic_bytes, &stamp) ||
        stamp.publisher + 1 != c->number || stamp.number >= b->options.parameters.queued)
        b->ledger.wrong++;
    else
        ledger_note(&b->ledger, stamp.publisher, stamp.number);
}

static bool all_are_subscribed(const void *offline)
{
    return ((const struct offline *)offline)->subacks_due == 0;
}

static bool all_have_come(const void *offline)
{
    const struct offline *o = offline;
    return o->b->ledger.delivered == o->feed.count;
}

static bool make_sessions(struct offline *o)
{
    struct bench *b = o->b;
    char topic[TOPIC_BYTES_MAX];
    const char *filter = topic;
    for (uint32_t i = 0; i <= o->count; i++)
        o->clients[i].keep_session = i > 0;
    if (!bench_connect(b, o->clients, o->count + 1, 0))
        return false;
    b->now_doing = "subscribing";
    for (uint32_t i = 0; i < o->count; i++) {
        bench_topic(b, topic, sizeof topic, "away", i);
        client_subscribe(&o->clients[i + 1], &filter, 1, 1);
        o->subacks_due++;
        if (!hub_turn(&b->hub, 0))
            return false;
    }
    if (!bench_until(b, all_are_subscribed, o))
        return bench_unanswered(b, "SUBACK", o->subacks_due);
    for (uint32_t i = 1; i <= o->count; i++)
        client_close(&o->clients[i]);
    return true;
}

static bool fill(struct offline *o)
{
    struct bench *b = o->b;
    struct probe before, after;
    const bool measured = b->options.pid && probe_read((int)b->options.pid, &before);
    b->now_doing = "filling";
    phase_begin(b, "fill", "message", 0);
    if (!feed_all(&o->feed))
        return false;
    phase_end(b, o->feed.count);
    if (measured && probe_read((int)b->options.pid, &after))
        figure_add(b, "queued message, RSS",
                   ((double)after.rss_bytes - (double)before.rss_bytes) / (double)o->feed.count, "B");
    return true;
}

static void drain(struct offline *o)
{
    struct bench *b = o->b;
    phase_begin(b, "drain", "delivery", 0);
    if (!bench_connect(b, o->clients + 1, o->count, 1))
        return;
    b->now_doing = "draining";
    bench_until(b, all_have_come, o);
    phase_end(b, b->ledger.delivered);
    for (uint32_t i = 0; i < o->count; i++)
        b->lost += ledger_lost(&b->ledger, i, b->options.parameters.queued);
}

void run_offline(struct bench *b)
{
    static const struct client_calls calls = { .subscribed = subscribed,
                                               .published = published,
                                               .acknowledged = acknowledged };
    const struct parameters *p = &b->options.parameters;
    struct offline o = { .b = b, .count = p->subscribers };
    o.clients = zeroed((size_t)o.count + 1, sizeof *o.clients);
    o.feed = (struct feed){ .b = b,
                            .client = &o.clients[0],
                            .topic = "away",
                            .topics = o.count,
                            .count = (uint64_t)o.count * p->queued };
    ledger_init(&b->ledger, o.count);
    b->hub.calls = &calls;
    b->hub.user = &o;
    if (bench_scrub(b, o.clients, o.count + 1, 0) && make_sessions(&o) && fill(&o))
        drain(&o);
    if (!*b->hub.failure)
        bench_scrub(b, o.clients, o.count + 1, 0);
    for (uint32_t i = 0; i <= o.count; i++)
        client_drop(&o.clients[i]);
    free(o.clients);
}
