/* topics.c - topics below $SYS/broker that the core does not have: Mosquitto's averages, Midge's own counts. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOADS 6u
#define SPANS 3u
#define SLOWEST 5u

struct sys {
    struct inside *in;
    int fd;
    double interval_s;
    uint64_t before[LOADS];
    double load[LOADS][SPANS]; /* a minute, as averages of the last 1, 5, 15 minutes */
    bool told;
    uint64_t numbers[NUMBERS_MAX]; /* as they were told */
};

static void publish(const struct sys *s, const char *topic, const char *payload)
{
    const struct midge_publication p = { .topic = { (const uint8_t *)topic, (uint32_t)strlen(topic) },
                                         .payload = { (const uint8_t *)payload, (uint32_t)strlen(payload) },
                                         .retain = true };
    enum midge_err err = midge_publish(midge_loop_broker(s->in->loop), NULL, &p, midge_loop_now(s->in->loop));
    (void)err; /* told again in a while */
}

/* ---- load ---------------------------------------------------------------------------------------------- */

static void read_loads(const struct sys *s, uint64_t out[LOADS])
{
    struct midge_stats st;
    struct midge_loop_stats ls;
    midge_get_stats(midge_loop_broker(s->in->loop), &st);
    midge_loop_get_stats(s->in->loop, &ls);
    const uint64_t now[LOADS] = { st.publish_received, st.publish_sent, st.bytes_received,
                                  st.bytes_sent,       ls.accepted,     s->in->connects };
    memcpy(out, now, sizeof now);
}

static void tell_loads(struct sys *s)
{
    static const char *const names[LOADS] = { "publish/received", "publish/sent", "bytes/received",
                                              "bytes/sent",       "sockets",      "connections" };
    static const double spans[SPANS] = { 1, 5, 15 };
    uint64_t now[LOADS];
    read_loads(s, now);
    for (unsigned i = 0; i < LOADS; i++) {
        double a_minute = (double)(now[i] - s->before[i]) * 60 / s->interval_s;
        s->before[i] = now[i];
        for (unsigned k = 0; k < SPANS; k++) {
            char topic[64], text[32];
            double old = s->load[i][k], kept = exp(-s->interval_s / (60 * spans[k]));
            double new = s->load[i][k] = a_minute + kept *(old - a_minute);
            snprintf(topic, sizeof topic, "$SYS/broker/load/%s/%umin", names[i], (unsigned)spans[k]);
            snprintf(text, sizeof text, "%.2f", new);
            if (!s->told || fabs(new - old) >= 0.01)
                publish(s, topic, text);
        }
    }
}

/* ---- counts -------------------------------------------------------------------------------------------- */

/* Where Mosquitto has a name for a number; all are below $SYS/broker/midge/ as well. */
static const char *name_of(const struct number *n)
{
    static const struct {
        const char *ours, *theirs;
    } rows[] = {
        { "clients", "clients/active" },           { "clients_maximum", "clients/maximum" },
        { "memory_bytes", "heap/current size" },   { "memory_peak_bytes", "heap/maximum size" },
        { "sockets", "connections/socket/count" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].ours, n->name) == 0)
            return rows[i].theirs;
    return NULL;
}

static void tell_number(const struct sys *s, const struct number *n)
{
    char topic[128], text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)n->value);
    snprintf(topic, sizeof topic, "$SYS/broker/midge/%s%s%s", n->name, n->label ? "/" : "",
             n->label ? n->value_of_label : "");
    publish(s, topic, text);
    const char *theirs = name_of(n);
    if (!theirs)
        return;
    snprintf(topic, sizeof topic, "$SYS/broker/%s", theirs);
    publish(s, topic, text);
}

static void tell_numbers(struct sys *s)
{
    struct number all[NUMBERS_MAX];
    size_t count = inside_numbers(s->in, all);
    for (size_t i = 0; i < count; i++) {
        if (!s->told || all[i].value != s->numbers[i])
            tell_number(s, &all[i]);
        s->numbers[i] = all[i].value;
    }
}

/* ---- who is slow --------------------------------------------------------------------------------------- */

struct slowest {
    struct slow {
        uint32_t queued, bytes;
        char id[64];
    } rows[SLOWEST]; /* longest queue first */
};

static void note_slow(void *user, const struct midge_client_info *c)
{
    struct slowest *all = user;
    unsigned at = SLOWEST;
    while (at && c->connected && c->queued > all->rows[at - 1].queued)
        at--;
    if (at == SLOWEST)
        return;
    memmove(&all->rows[at + 1], &all->rows[at], (SLOWEST - 1 - at) * sizeof *all->rows);
    struct slow *s = &all->rows[at];
    *s = (struct slow){ .queued = c->queued, .bytes = c->queued_bytes };
    memcpy(s->id, c->who.client_id.data, c->who.client_id.len < 63 ? c->who.client_id.len : 63);
}

/* "queued bytes id" a line. */
static void tell_slowest(const struct sys *s)
{
    struct slowest all = { 0 };
    char text[SLOWEST * 96];
    size_t n = 0;
    midge_each_client(midge_loop_broker(s->in->loop), note_slow, &all);
    for (unsigned i = 0; i < SLOWEST && all.rows[i].queued; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%u %u %s\n", all.rows[i].queued, all.rows[i].bytes,
                              all.rows[i].id);
    publish(s, "$SYS/broker/midge/slowest", n ? text : "none");
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static void tell(struct sys *s)
{
    tell_loads(s);
    tell_numbers(s);
    tell_slowest(s);
    s->told = true;
}

static void on_time(void *user, int fd)
{
    uint64_t times;
    if (read(fd, &times, sizeof times) == sizeof times)
        tell(user);
}

struct sys *sys_open(struct inside *in, uint32_t interval_s)
{
    struct sys *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->in = in;
    s->interval_s = interval_s;
    s->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    const struct itimerspec timer = { .it_interval.tv_sec = (time_t)interval_s,
                                      .it_value.tv_sec = (time_t)interval_s };
    if (s->fd >= 0 && !timerfd_settime(s->fd, 0, &timer, NULL) &&
        midge_loop_watch(in->loop, s->fd, false, on_time, s)) {
        tell(s);
        return s;
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return NULL;
}

void sys_close(struct sys *s)
{
    if (!s)
        return;
    midge_loop_watch(s->in->loop, s->fd, false, NULL, NULL);
    close(s->fd);
    free(s);
}
