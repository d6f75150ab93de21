/* sys.c - counters below $SYS/broker, as retained messages; only what has changed is published. */
#include "broker/durable.h"

static uint64_t dropped(const struct midge *m)
{
    uint64_t n = 0;
    for (int q = 0; MIDGE_BOOKS && q < 3; q++)
        for (int why = 0; why < MIDGE_DROP_REASONS; why++)
            n += m->counts->books[q].dropped[why];
    return n;
}

/* After $SYS/broker/, each ended by a NUL, in the order of read_counters. Mosquitto's names where it has one. */
static const char names[] = "uptime\0"
                            "clients/connected\0"
                            "clients/disconnected\0"
                            "clients/total\0"
                            "subscriptions/count\0"
                            "retained messages/count\0"
                            "bytes/received\0"
                            "bytes/sent\0"
                            "publish/messages/received\0"
                            "publish/messages/sent\0"
                            "publish/messages/dropped\0"
                            "publish/messages/refused\0"
                            "heap/current\0"
                            "heap/maximum";
#define COUNTERS 14

static void read_counters(const struct midge *m, uint64_t v[COUNTERS])
{
    uint32_t total = m->sessions.by_id.count;
    *v++ = (m->age - (MIDGE_DURABLE && m->durable ? START_AGE : 0)) / 1000;
    *v++ = m->client_count;
    *v++ = total - m->client_count;
    *v++ = total;
    *v++ = m->subs.subs;
    *v++ = m->retain.count;
    *v++ = m->counts->bytes_received;
    *v++ = m->counts->bytes_sent;
    *v++ = m->counts->publish_received;
    *v++ = m->counts->publish_sent;
    *v++ = dropped(m);
    *v++ = m->counts->publish_refused;
    *v++ = m->mem.used;
    *v++ = m->counts->memory.peak;
}

struct midge_sys {
    uint64_t told[COUNTERS]; /* what was last published */
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
    uint64_t now[COUNTERS];
    read_counters(m, now);
    const char *name = names;
    for (size_t i = 0; m->sys && i < COUNTERS; i++, name += strlen(name) + 1) {
        if (now[i] == m->sys->told[i])
            continue;
        uint8_t text[20];
        uint32_t n = put_number(text + sizeof text, now[i]);
        publish(m, name, midge_slice_of(text + sizeof text - n, n));
        m->sys->told[i] = now[i];
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
