/* feed.c - the publisher of W10 and W12. */
#include "feed.h"

#define WAITING_MAX ((size_t)64 * 1024)

static void publish(struct feed *f)
{
    char topic[TOPIC_BYTES_MAX];
    const struct parameters *parameters = &f->b->options.parameters;
    const uint64_t i = f->sent++;
    const uint32_t which = (uint32_t)(i % f->topics);
    const struct wire_publish p = {
        .topic = (const uint8_t *)topic,
        .topic_bytes = (uint16_t)bench_topic(f->b, topic, sizeof topic, f->topic, which),
        .payload_bytes = f->empty ? 0 : parameters->payload_bytes,
        .id = (uint16_t)(i % 65535 + 1),
        .qos = parameters->qos == 2 ? 2 : 1,
        .retain = f->retain,
    };
    const struct stamp stamp = { .sent_ns = f->b->hub.now_ns, .number = i / f->topics, .publisher = which };
    uint8_t *payload = client_publish(f->client, &p);
    if (!f->empty)
        payload_write(&f->b->payloads, payload, &stamp, p.topic, p.topic_bytes);
}

static bool may_send(const struct feed *f)
{
    const uint32_t granted = f->client->granted.receive_maximum;
    const uint32_t window = f->b->options.parameters.window;
    return f->sent < f->count && f->sent - f->acknowledged < (granted < window ? granted : window) &&
           client_waiting(f->client) < WAITING_MAX;
}

static bool something_moved(const void *feed)
{
    const struct feed *f = feed;
    return may_send(f) || f->acknowledged == f->count;
}

bool feed_all(struct feed *f)
{
    f->sent = f->acknowledged = 0;
    while (f->acknowledged < f->count) {
        while (may_send(f))
            publish(f);
        if (!bench_until(f->b, something_moved, f))
            return bench_unanswered(f->b, "acknowledgement", (uint32_t)(f->sent - f->acknowledged));
    }
    f->b->sent += f->empty ? 0 : f->count;
    return true;
}
