/* embed.c - a program with brokers inside it. Each scenario checks itself: status 0, or what failed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "midge/midge_posix.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define PATIENCE_S 30 /* for what happens at once unless something is broken; then alarm() ends the program */

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

static bool equals(struct midge_slice s, const char *want)
{
    return s.len == strlen(want) && memcmp(s.data, want, s.len) == 0;
}

/* ---- a number that threads wait for -------------------------------------------------------------------- */

struct count {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n;
};
/* clang-format off */
#define COUNT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }
/* clang-format on */

static void add(struct count *c)
{
    pthread_mutex_lock(&c->lock);
    c->n++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void wait_for(struct count *c, unsigned n)
{
    pthread_mutex_lock(&c->lock);
    while (c->n < n)
        pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

/* ---- memory that is counted ---------------------------------------------------------------------------- */

struct heap {
    size_t used;
};

static void *heap_alloc(void *user, size_t n)
{
    struct heap *h = user;
    void *p = malloc(n);
    h->used += p ? n : 0;
    return p;
}

static void heap_free(void *user, void *p, size_t n)
{
    struct heap *h = user;
    h->used -= p ? n : 0;
    free(p);
}

static void *heap_resize(void *user, void *p, size_t old, size_t n)
{
    struct heap *h = user;
    void *q = realloc(p, n);
    if (q)
        h->used += n - old;
    return q;
}

/* ---- a broker on a thread of its own ------------------------------------------------------------------- */

struct host {
    struct midge_loop *loop;
    pthread_t thread;
    uint16_t port;
};

static void *run(void *user)
{
    CHECK(midge_loop_run(user) == 0);
    return NULL;
}

static void start(struct host *h, const struct midge_loop_config *config)
{
    char why[128];
    h->loop = midge_loop_new(config);
    CHECK(h->loop);
    CHECK(midge_loop_listen(h->loop, "127.0.0.1", 0, why, sizeof why) == 0);
    h->port = midge_loop_address(h->loop, 0, NULL, 0);
    CHECK(h->port);
    CHECK(pthread_create(&h->thread, NULL, run, h->loop) == 0);
}

static void stop(struct host *h)
{
    midge_loop_stop(h->loop);
    CHECK(pthread_join(h->thread, NULL) == 0);
    midge_loop_free(h->loop);
}

/* What became of a call from another thread: +1 each, and the last result. */
struct outcome {
    struct count count;
    enum midge_err result;
};

static void note(void *user, enum midge_err result)
{
    struct outcome *o = user;
    o->result = result;
    add(&o->count);
}

static enum midge_err subscribe(struct host *h, const char *filter, midge_on_message on_message, void *user)
{
    struct outcome o = { .count = COUNT };
    const struct midge_subscription s = {
        .filter = text(filter), .qos = 2, .on_message = on_message, .user = user
    };
    CHECK(midge_post_subscribe(h->loop, NULL, &s, note, &o) == MIDGE_OK);
    wait_for(&o.count, 1);
    return o.result;
}

static enum midge_err publish(struct host *h, const struct midge_publication *p)
{
    struct outcome o = { .count = COUNT };
    CHECK(midge_post_publish(h->loop, NULL, p, note, &o) == MIDGE_OK);
    wait_for(&o.count, 1);
    return o.result;
}

/* Runs `call` on the loop's thread and waits for it. */
struct errand {
    struct count done;
    void (*call)(void *user, struct midge *m, midge_ms now);
    void *user;
};

static void run_errand(void *user, struct midge *m, midge_ms now)
{
    struct errand *e = user;
    e->call(e->user, m, now);
    add(&e->done);
}

static void call(struct host *h, void (*what)(void *user, struct midge *m, midge_ms now), void *user)
{
    struct errand e = { .done = COUNT, .call = what, .user = user };
    CHECK(midge_post_call(h->loop, run_errand, &e) == MIDGE_OK);
    wait_for(&e.done, 1);
}

static void get_stats(void *user, struct midge *m, midge_ms now)
{
    (void)now;
    midge_get_stats(m, user);
}

/* ---- a client with a socket ---------------------------------------------------------------------------- */

static void send_all(int fd, const void *bytes, size_t n)
{
    CHECK(send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static void expect(int fd, const void *bytes, size_t n)
{
    uint8_t got[256];
    CHECK(n <= sizeof got && recv(fd, got, n, MSG_WAITALL) == (ssize_t)n);
    CHECK(memcmp(got, bytes, n) == 0);
}

static void expect_closed(int fd)
{
    uint8_t byte;
    CHECK(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

static int connect_socket(uint16_t port, const void *hello, size_t n)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    send_all(fd, hello, n);
    return fd;
}

/* 3.1.1, clean session, no keep alive, the id "c" */
static int connect_v311(uint16_t port)
{
    int fd = connect_socket(port, "\x10\x0d\0\4MQTT\4\2\0\0\0\1c", 15);
    expect(fd, "\x20\2\0\0", 4);
    return fd;
}

/* 5.0, clean start, no keep alive, Request Problem Information 0 so that answers are short, the id "v" */
static int connect_v5(uint16_t port)
{
    int fd = connect_socket(port, "\x10\x10\0\4MQTT\5\2\0\0\2\x17\0\0\1v", 18);
    uint8_t head[2], body[127];
    CHECK(recv(fd, head, 2, MSG_WAITALL) == 2 && head[0] == 0x20 && head[1] < sizeof body);
    CHECK(recv(fd, body, head[1], MSG_WAITALL) == head[1] && body[1] == 0);
    return fd;
}

/* ---- scenarios ----------------------------------------------------------------------------------------- */

static void count_hi(void *user, const struct midge_message *m)
{
    CHECK(equals(m->topic, "a/b") && equals(m->payload, "hi"));
    add(user);
}

/* Sockets and the program itself talk to each other and cannot tell. */
static void scenario_both_sides(void)
{
    struct host h;
    struct count heard = COUNT;
    start(&h, NULL);
    CHECK(subscribe(&h, "a/+", count_hi, &heard) == MIDGE_OK);

    int fd = connect_v311(h.port);
    send_all(fd, "\x82\x08\0\1\0\3a/b\1", 10);
    expect(fd, "\x90\3\0\1\1", 5);
    send_all(fd, "\x30\7\0\3a/bhi", 9); /* from the socket to the program and back to the socket */
    expect(fd, "\x30\7\0\3a/bhi", 9);
    wait_for(&heard, 1);

    const struct midge_publication p = { .topic = text("a/b"), .payload = text("hi"), .qos = 1 };
    CHECK(publish(&h, &p) == MIDGE_OK);
    expect(fd, "\x32\x09\0\3a/b\0\1hi", 11);
    send_all(fd, "\x40\2\0\1", 4);
    wait_for(&heard, 2);
    stop(&h);
    expect_closed(fd);
}

/* A callback answers with the next message, a hundred times: it is queued and sent after the callback. */
#define HOPS 100
struct chain {
    struct host host;
    struct count hops;
    struct midge_local *client;
    bool inside; /* a callback is running */
};

static void hop(void *user, const struct midge_message *m)
{
    struct chain *c = user;
    CHECK(!c->inside); /* never nested */
    c->inside = true;
    CHECK(m->payload.len == 1 && m->payload.data[0] == (uint8_t)c->hops.n);
    const uint8_t next = (uint8_t)(c->hops.n + 1);
    const struct midge_publication p = { .topic = m->topic,
                                         .payload = { &next, 1 },
                                         .qos = (uint8_t)(next % 3) };
    if (next <= HOPS)
        CHECK(midge_publish(midge_loop_broker(c->host.loop), c->client, &p, midge_loop_now(c->host.loop)) ==
              MIDGE_OK);
    c->inside = false;
    add(&c->hops);
}

static void begin_chain(void *user, struct midge *m, midge_ms now)
{
    struct chain *c = user;
    enum midge_err err;
    const struct midge_local_config config = { .client_id = text("chain") };
    c->client = midge_local_open(m, &config, now, &err);
    CHECK(c->client);
    const struct midge_subscription s = { .filter = text("chain"), .qos = 2, .on_message = hop, .user = c };
    CHECK(midge_local_subscribe(c->client, &s, now) == MIDGE_OK);
    const uint8_t zero = 0;
    const struct midge_publication p = { .topic = text("chain"), .payload = { &zero, 1 } };
    CHECK(midge_publish(m, c->client, &p, now) == MIDGE_OK);
}

static void scenario_from_a_callback(void)
{
    struct chain c = { .hops = COUNT };
    start(&c.host, NULL);
    call(&c.host, begin_chain, &c);
    wait_for(&c.hops, HOPS + 1);
    stop(&c.host);
}

/* A subscription that a callback makes is heard from then on. */
static void hear_second(void *user, const struct midge_message *m)
{
    struct chain *c = user;
    CHECK(equals(m->topic, "second"));
    add(&c->hops);
}

static void hear_first(void *user, const struct midge_message *m)
{
    struct chain *c = user;
    (void)m;
    const midge_ms now = midge_loop_now(c->host.loop);
    const struct midge_subscription s = { .filter = text("second"), .on_message = hear_second, .user = c };
    CHECK(midge_local_subscribe(c->client, &s, now) == MIDGE_OK);
    CHECK(midge_local_unsubscribe(c->client, text("first"), now) == MIDGE_OK);
    const struct midge_publication p = { .topic = text("second") };
    CHECK(midge_publish(midge_loop_broker(c->host.loop), c->client, &p, now) == MIDGE_OK);
}

static void begin_subscribing(void *user, struct midge *m, midge_ms now)
{
    struct chain *c = user;
    enum midge_err err;
    c->client = midge_local_open(m, &(struct midge_local_config){ .client_id = text("x") }, now, &err);
    CHECK(c->client);
    const struct midge_subscription s = { .filter = text("first"), .on_message = hear_first, .user = c };
    CHECK(midge_local_subscribe(c->client, &s, now) == MIDGE_OK);
    const struct midge_publication p = { .topic = text("first") };
    CHECK(midge_publish(m, NULL, &p, now) == MIDGE_OK);
}

static void scenario_subscribe_from_a_callback(void)
{
    struct chain c = { .hops = COUNT };
    start(&c.host, NULL);
    call(&c.host, begin_subscribing, &c);
    wait_for(&c.hops, 1);
    stop(&c.host);
}

/* Four threads publish at once; each one's messages arrive in its order. */
#define THREADS 4
#define EACH 2000u
struct gathering {
    struct host host;
    struct count all;
    unsigned next[THREADS];
};
struct speaker {
    struct gathering *g;
    uint8_t number;
};

static void gather(void *user, const struct midge_message *m)
{
    struct gathering *g = user;
    CHECK(m->payload.len == 3 && m->payload.data[0] < THREADS);
    CHECK(g->next[m->payload.data[0]]++ == m->payload.data[1] * 256u + m->payload.data[2]);
    add(&g->all);
}

static void *speak(void *user)
{
    const struct speaker *s = user;
    for (unsigned i = 0; i < EACH; i++) {
        const uint8_t bytes[3] = { s->number, (uint8_t)(i >> 8), (uint8_t)i };
        const struct midge_publication p = { .topic = text("gather"), .payload = { bytes, 3 }, .qos = 1 };
        enum midge_err err;
        while ((err = midge_post_publish(s->g->host.loop, NULL, &p, NULL, NULL)) == MIDGE_ERR_FULL)
            sched_yield(); /* the postbox says so at once: this thread decides to try again */
        CHECK(err == MIDGE_OK);
    }
    return NULL;
}

static void scenario_from_threads(void)
{
    struct gathering g = { .all = COUNT };
    pthread_t threads[THREADS];
    struct speaker speakers[THREADS];
    struct midge_limits limits = midge_limits_gateway;
    limits.queue_msgs = THREADS * EACH; /* it may fall behind, but is to lose nothing */
    start(&g.host, &(struct midge_loop_config){ .limits = &limits });
    CHECK(subscribe(&g.host, "gather", gather, &g) == MIDGE_OK);
    for (uint8_t i = 0; i < THREADS; i++) {
        speakers[i] = (struct speaker){ .g = &g, .number = i };
        CHECK(pthread_create(&threads[i], NULL, speak, &speakers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    wait_for(&g.all, THREADS * EACH);
    stop(&g.host);
}

/* A memory limit: everybody is told, nothing breaks, and when there is room again everything works. */
static enum midge_err keep(struct host *h, unsigned i, size_t bytes)
{
    static const uint8_t zeros[1024];
    char topic[32];
    snprintf(topic, sizeof topic, "kept/%u", i);
    const struct midge_publication p = { .topic = text(topic),
                                         .payload = { zeros, (uint32_t)bytes },
                                         .retain = true };
    return publish(h, &p);
}

static void scenario_memory_limit(void)
{
    struct heap heap = { 0 };
    const struct midge_memory memory = { &heap, heap_alloc, heap_free, heap_resize, NULL, 0 };
    struct midge_limits limits = midge_limits_gateway;
    limits.memory_bytes = 200000;
    limits.reserve_bytes = 20000;
    limits.pause_ms = 1; /* publishers are refused rather than slowed */
    const struct midge_loop_config config = { .memory = &memory, .limits = &limits };
    struct host h;
    struct midge_stats before, full, after;
    start(&h, &config);
    int v5 = connect_v5(h.port), v311 = connect_v311(h.port);
    call(&h, get_stats, &before);

    unsigned kept = 0;
    enum midge_err err;
    while ((err = keep(&h, kept, 1024)) == MIDGE_OK)
        CHECK(++kept < 200);
    CHECK(err == MIDGE_ERR_FULL && kept > 100); /* the last sixteenth is for what passes through */
    while (keep(&h, kept, 1) == MIDGE_OK) /* the last gaps too */
        CHECK(++kept < 2000);
    call(&h, get_stats, &full);
    CHECK(full.memory_used <= limits.memory_bytes && full.memory_peak <= limits.memory_bytes);
    CHECK(full.publish_refused > 0);

    /* Sockets are refused as well. A retained QoS 1 PUBLISH over 5.0: Quota exceeded */
    static const uint8_t v5_publish[110] = "\x33\x6c\0\5other\0\1",
                         v311_publish[109] = "\x33\x6b\0\5other\0\1";
    send_all(v5, v5_publish, sizeof v5_publish);
    expect(v5, "\x40\3\0\1\x97", 5);
    send_all(v5, "\xc0\0", 2); /* control packets have a reserve */
    expect(v5, "\xd0\0", 2);
    send_all(v311, v311_publish, sizeof v311_publish); /* 3.1.1 has no way to say it: the connection closes */
    expect_closed(v311);
    v311 = connect_v311(h.port); /* and who comes back is let in */

    for (unsigned i = 0; i < kept; i++)
        CHECK(keep(&h, i, 0) == MIDGE_OK); /* an empty retained message makes room */
    send_all(v5, "\x32\x07\0\1x\0\2\0y", 9);
    expect(v5, "\x40\3\0\2\x10", 5); /* No matching subscribers: it was taken */
    send_all(v311, "\x32\x06\0\1x\0\3y", 8);
    expect(v311, "\x40\2\0\3", 4);
    call(&h, get_stats, &after);
    CHECK(after.retained == 0 &&
          after.memory_by_tag[MIDGE_TAG_RETAIN] == before.memory_by_tag[MIDGE_TAG_RETAIN]);
    CHECK(after.memory_by_tag[MIDGE_TAG_MSG] == before.memory_by_tag[MIDGE_TAG_MSG]);
    printf("refused with %u messages kept, %zu of %zu bytes in use\n", kept, full.memory_used,
           limits.memory_bytes);
    stop(&h);
    CHECK(heap.used == 0);
    uint8_t last[128];
    CHECK(recv(v5, last, sizeof last, 0) > 0 && last[0] == 0xe0 &&
          last[2] == 0x8b); /* Server shutting down */
    expect_closed(v5);
    expect_closed(v311);
}

/* Two brokers know nothing of each other, until the program carries a message over. */
struct pair {
    struct host one, two;
    struct count over, back;
};

static void carry_over(void *user, const struct midge_message *m)
{
    struct pair *p = user;
    const struct midge_publication out = { .topic = text("over"), .payload = m->payload, .qos = 1 };
    CHECK(midge_post_publish(p->two.loop, NULL, &out, NULL, NULL) == MIDGE_OK);
    add(&p->over);
}

static void arrived(void *user, const struct midge_message *m)
{
    struct pair *p = user;
    CHECK(equals(m->topic, "over") && equals(m->payload, "hi"));
    add(&p->back);
}

static void scenario_two_brokers(void)
{
    struct pair p = { .over = COUNT, .back = COUNT };
    start(&p.one, NULL);
    start(&p.two, NULL);
    CHECK(p.one.port != p.two.port);
    CHECK(subscribe(&p.one, "#", carry_over, &p) == MIDGE_OK);
    CHECK(subscribe(&p.two, "#", arrived, &p) == MIDGE_OK);
    int fd = connect_v311(p.one.port), other = connect_v311(p.two.port); /* the same id, without a quarrel */
    for (unsigned i = 1; i <= 100; i++) {
        send_all(fd, "\x30\7\0\3a/bhi", 9);
        wait_for(&p.back, i);
    }
    stop(&p.one);
    CHECK(p.over.n == 100);
    expect_closed(fd);
    send_all(other, "\xc0\0", 2); /* the second is not touched by the first one's end */
    expect(other, "\xd0\0", 2);
    stop(&p.two);
    expect_closed(other);
}

/* A thousand lives: no byte, no descriptor, no thread is left. */
#define CYCLES 1000
static unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void ignore(void *user, const struct midge_message *m)
{
    (void)user;
    (void)m;
}

static void scenario_start_and_stop(void)
{
    const unsigned descriptors = open_descriptors();
    for (unsigned i = 0; i < CYCLES; i++) {
        struct heap heap = { 0 };
        const struct midge_memory memory = { &heap, heap_alloc, heap_free, heap_resize, NULL, 0 };
        const struct midge_loop_config config = { .memory = &memory, .sys_interval_s = 10 };
        struct host h;
        start(&h, &config);
        int fd = -1;
        if (i % 2) { /* every other one is used, and stopped in the middle of it */
            fd = connect_v311(h.port);
            CHECK(subscribe(&h, "a/#", ignore, NULL) == MIDGE_OK);
            send_all(fd, "\x30\7\0\3a/bhi", 9);
            CHECK(keep(&h, i, 100) == MIDGE_OK);
        }
        stop(&h);
        CHECK(heap.used == 0);
        if (fd >= 0)
            expect_closed(fd);
    }
    CHECK(open_descriptors() == descriptors);
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    void (*play)(void);
} scenarios[] = {
    { "both_sides", scenario_both_sides },
    { "from_a_callback", scenario_from_a_callback },
    { "subscribe_from_a_callback", scenario_subscribe_from_a_callback },
    { "from_threads", scenario_from_threads },
    { "memory_limit", scenario_memory_limit },
    { "two_brokers", scenario_two_brokers },
    { "start_and_stop", scenario_start_and_stop },
};

int main(int argc, char *argv[])
{
    alarm(PATIENCE_S * 4);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (argc < 2)
            puts(scenarios[i].name);
        else if (strcmp(argv[1], scenarios[i].name) == 0)
            return scenarios[i].play(), 0;
    }
    return argc < 2 ? 0 : 2;
}
