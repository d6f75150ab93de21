/* plan.c - midge_plan.h's sum beside what a broker takes, within 5 %, and inside the block that it names.
 *
 * Built with -m32 and profiles/mcu.h: the constants are those of a 32-bit chip.
 */
#include "client.h"
#include "midge/midge_plan.h"

#define TOPIC 32
#define PAYLOAD 64

struct work {
    const char *name;
    unsigned clients, subs, retained, queued;
};

static size_t planned(const struct work *w)
{
    size_t subs = (size_t)w->clients * w->subs;
    return MIDGE_PLAN_START + MIDGE_PLAN_CLIENTS(w->clients, 23) +
           MIDGE_PLAN_SUBSCRIPTIONS(subs, 2 * subs, 8) +
           MIDGE_PLAN_RETAIN(w->retained, TOPIC, PAYLOAD) +
           MIDGE_PLAN_QUEUED(w->queued, 1, TOPIC, PAYLOAD) + MIDGE_PLAN_RECEIVERS(w->queued ? 1u : 0u);
}

static void work(const struct work *w)
{
    struct midge_conn *reader = client(0, true);
    struct midge_conn *c = reader;
    for (unsigned i = 0; i < w->clients; i++) {
        c = i ? client(i, true) : reader;
        for (unsigned k = 0; k < w->subs; k++) {
            char filter[64];
            snprintf(filter, sizeof filter, "home/%03u-%04u/temp%04u", i, k, k);
            subscribe(c, filter, 1);
        }
    }
    for (unsigned i = 0; i < w->retained; i++) {
        char topic[TOPIC + 16];
        snprintf(topic, sizeof topic, "retained_topic_%017u", i);
        publish(c, topic, PAYLOAD, 1, true);
    }
    if (w->queued)
        subscribe(reader, "queued_topic_0000000000000000000", 1);
    stalled = reader;
    for (unsigned i = 0; i < w->queued; i++)
        publish(c, "queued_topic_0000000000000000000", PAYLOAD, 1, false);
    stalled = NULL;
}

static bool check(const struct work *w)
{
    static uint8_t block[1024 * 1024];
    size_t size = MIDGE_PLAN_BLOCK(planned(w) - MIDGE_PLAN_START + 1024); /* 1 kB for packets under way */
    static struct midge_memory memory;
    static struct midge_limits limits;
    limits = midge_limits_chip;
    limits.reserve_bytes = 0;
    limits.connections = limits.sessions = limits.retained_msgs = limits.queue_msgs = 10000;
    limits.retained_bytes = limits.queue_bytes = 1000000;
    limits.subscriptions = 1000;
    limits.connections_per_address = 0;
    limits.pause_ms = 0;
    limits.control_bytes = 1000000;
    if (size > sizeof block || !midge_arena_memory(block, size, &memory))
        return false;
    broker = midge_new(&(struct midge_config){ .memory = &memory, .limits = &limits }, now);
    work(w);
    struct midge_stats s;
    midge_get_stats(broker, &s);
    double off = 100.0 * ((double)planned(w) / (double)s.memory_used - 1);
    bool whole = s.clients == w->clients && s.retained == w->retained &&
                 s.subscriptions == w->clients * w->subs + (w->queued ? 1 : 0);
    bool good = whole && off > -5 && off < 5;
    printf("%-34s %9zu planned %9zu measured %+6.1f %%%s\n", w->name, planned(w), s.memory_used, off,
           good ? "" : whole ? "   FAILED" : "   FAILED: it did not fit");
    midge_free(broker);
    return good;
}

int main(void)
{
    static const struct work works[] = {
        { "20 clients", 20, 0, 0, 0 },
        { "20 clients, 5 subscriptions", 20, 5, 0, 0 },
        { "20 clients, 5 subs, 50 retained", 20, 5, 50, 0 },
        { "64 clients, 1 subscription", 64, 1, 0, 0 },
        { "5 clients, 200 retained", 5, 1, 200, 0 },
        { "5 clients, 100 queued", 5, 0, 0, 100 },
        { "200 clients, 10 subs, 500 retained", 200, 10, 500, 0 },
    };
    bool good = sizeof(void *) == 4;
    if (!good)
        fprintf(stderr, "plan: the constants are those of 32 bits\n");
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++)
        good &= check(&works[i]);
    return good ? 0 : 1;
}
