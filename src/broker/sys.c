/* sys.c - counters below $SYS/broker, as retained messages; only what has changed is published. */
#include "broker/internal.h"

static uint64_t uptime(const struct midge *m)
{
    return m->age / 1000;
}

static uint64_t away(const struct midge *m)
{
    return m->sessions.by_id.count - m->client_count;
}

static uint64_t dropped(const struct midge *m)
{
    uint64_t n = 0;
    for (int q = 0; MIDGE_BOOKS && q < 3; q++)
        for (int why = 0; why < MIDGE_DROP_REASONS; why++)
            n += m->books[q].dropped[why];
    return n;
}

#define COUNTER(name, expression)                                                                           \
    static uint64_t name(const struct midge *m)                                                             \
    {                                                                                                       \
        return expression;                                                                                  \
    }
COUNTER(connected, m->client_count)
COUNTER(total, m->sessions.by_id.count)
COUNTER(subscriptions, m->subs.subs)
COUNTER(retained, m->retain.count)
COUNTER(bytes_received, m->bytes_received)
COUNTER(bytes_sent, m->bytes_sent)
COUNTER(publish_received, m->publish_received)
COUNTER(publish_sent, m->publish_sent)
COUNTER(publish_refused, m->publish_refused)
COUNTER(heap_current, m->mem.used)
COUNTER(heap_maximum, m->mem.peak)

/* Mosquitto's names where it has one. */
static const struct row {
    const char *name; /* after $SYS/broker/ */
    uint64_t (*value)(const struct midge *m);
} rows[] = {
    { "uptime", uptime },
    { "clients/connected", connected },
    { "clients/disconnected", away },
    { "clients/total", total },
    { "subscriptions/count", subscriptions },
    { "retained messages/count", retained },
    { "bytes/received", bytes_received },
    { "bytes/sent", bytes_sent },
    { "publish/messages/received", publish_received },
    { "publish/messages/sent", publish_sent },
    { "publish/messages/dropped", dropped },
    { "publish/messages/refused", publish_refused },
    { "heap/current", heap_current },
    { "heap/maximum", heap_maximum },
};
#define ROWS (sizeof rows / sizeof *rows)

struct midge_sys {
    uint64_t told[ROWS]; /* what was last published */
};

static uint32_t put_number(uint8_t *end, uint64_t v)
{
    uint32_t n = 0;
    do {
        *--end = (uint8_t)('0' + v % 10);
        n++;
    } while (v /= 10);
    return n;
}

static void publish(struct midge *m, const char *name, struct midge_slice payload)
{
    static const char root[] = "$SYS/broker/";
    uint8_t topic[64];
    size_t n = strlen(name);
    memcpy(topic, root, sizeof root - 1);
    memcpy(topic + sizeof root - 1, name, n);
    struct midge_msg_parts parts = { .topic = midge_slice_of(topic, sizeof root - 1 + n),
                                     .payload = payload,
                                     .retain = true,
                                     .age_base = m->age };
    struct midge_msg *msg = midge_msg_new(&m->mem, &parts);
    if (msg)
        (void)midge_route(m, msg, NULL);
    midge_msg_drop(&m->mem, msg);
}

void midge_sys_tick(struct midge *m)
{
    for (size_t i = 0; m->sys && i < ROWS; i++) {
        uint64_t v = rows[i].value(m);
        if (v == m->sys->told[i])
            continue;
        uint8_t text[20];
        uint32_t n = put_number(text + sizeof text, v);
        publish(m, rows[i].name, midge_slice_of(text + sizeof text - n, n));
        m->sys->told[i] = v;
    }
    m->sys_due = m->age + (midge_ms)m->sys_interval_s * 1000u;
}

void midge_sys_start(struct midge *m)
{
    m->sys = midge_mem_alloc(&m->mem, sizeof *m->sys, MIDGE_TAG_BROKER);
    if (!m->sys)
        return; /* a broker without $SYS serves all the same; it is asked for again at no time */
    memset(m->sys, 0xFF, sizeof *m->sys); /* nothing was told yet */
    publish(m, "version", midge_slice_str("midge version " MIDGE_VERSION));
    midge_sys_tick(m);
}

void midge_sys_stop(struct midge *m)
{
    midge_mem_free(&m->mem, m->sys, sizeof *m->sys, MIDGE_TAG_BROKER);
}
