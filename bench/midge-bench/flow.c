/* flow.c - publishers and subscribers that talk: W1 to W6, W8, W9, and all that the options make of them. */
#include "bench.h"
#include "matching.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX ((size_t)64 * 1024) /* bytes of one publisher, before more are made */

struct publisher {
    char *topic; /* owns */
    uint16_t topic_bytes;
    uint64_t sent, done; /* messages; those before `done` are delivered and acknowledged */
    uint32_t *left; /* owns; by message, window of them: deliveries and acknowledgement that are missing */
};

/* Where a subscriber gets a part of the messages: which ones, so that each has a number in its stream. */
struct expected {
    uint64_t count;
    uint64_t *numbers; /* owns; the last `slots` of them */
};

struct flow {
    struct bench *b;
    const struct parameters *p;
    uint32_t window, slots; /* slots: a power of two */
    struct client *clients; /* own; publishers, subscribers, bystanders */
    struct publisher *publishers;
    struct client *subscribers;
    uint32_t *active; /* owns; publishers that may be able to send */
    uint32_t active_count;
    bool *is_active;
    uint32_t subacks_due;
    uint64_t end_ns;              /* of publishing */
    uint64_t begun_ns, scheduled; /* with a rate: since when, and the how-manieth is next */
    uint64_t open;                /* messages that are not done */
    struct matching *matching;    /* NULL = every subscriber gets every message */
    struct expected *expected;
};

/* ---- what is done -------------------------------------------------------------------------------------- */

static void activate(struct flow *f, uint32_t publisher)
{
    if (f->is_active[publisher])
        return;
    f->is_active[publisher] = true;
    f->active[f->active_count++] = publisher;
}

static void settle(struct flow *f, uint32_t publisher, uint64_t number)
{
    struct publisher *pub = &f->publishers[publisher];
    const uint64_t before = pub->done;
    pub->left[number & (f->slots - 1)]--;
    while (pub->done < pub->sent && pub->left[pub->done & (f->slots - 1)] == 0)
        pub->done++;
    f->open -= pub->done - before;
    if (pub->done != before)
        activate(f, publisher);
}

static uint16_t id_of(uint64_t number)
{
    return (uint16_t)(number % 65535 + 1);
}

static void acknowledged(void *user, struct client *c, uint16_t id)
{
    struct flow *f = user;
    const struct publisher *pub = &f->publishers[c->number];
    const uint64_t number = pub->done + (uint64_t)(id + 65535u - id_of(pub->done)) % 65535;
    if (c->number >= f->p->publishers || number >= pub->sent || pub->left[number & (f->slots - 1)] == 0)
        hub_fail(&f->b->hub, "client %u: acknowledgement of packet id %u, which is not in flight", c->number,
                 id);
    else
        settle(f, c->number, number);
}

/* The number in the subscriber's own stream; false: this message is none of those that it is to get. */
static bool number_in_stream(const struct flow *f, uint32_t subscriber, uint64_t *number)
{
    const struct expected *e = &f->expected[subscriber];
    uint64_t i = f->b->ledger.next[subscriber];
    if (i < e->count && e->numbers[i & (f->slots - 1)] == *number) {
        *number = i;
        return true;
    }
    for (i = e->count > f->slots ? e->count - f->slots : 0; i < e->count; i++)
        if (e->numbers[i & (f->slots - 1)] == *number) {
            *number = i;
            return true;
        }
    return false;
}

static void published(void *user, struct client *c, const struct wire_publish *p)
{
    struct flow *f = user;
    struct bench *b = f->b;
    struct stamp stamp;
    const uint32_t subscriber = c->number - f->p->publishers;
    if (subscriber >= f->p->subscribers || p->qos != f->p->qos ||
        !payload_read(&b->payloads, p->payload, p->payload_bytes, p->topic, p->topic_bytes, &stamp) ||
        stamp.publisher >= f->p->publishers || stamp.number >= f->publishers[stamp.publisher].sent) {
        b->ledger.wrong++;
        return;
    }
    uint64_t number = stamp.number;
    if (f->matching && !number_in_stream(f, subscriber, &number)) {
        b->ledger.wrong++;
        return;
    }
    if (!ledger_note(&b->ledger, (size_t)subscriber * f->p->publishers + stamp.publisher, number))
        return;
    histogram_add(&b->latency_ns, b->hub.now_ns > stamp.sent_ns ? b->hub.now_ns - stamp.sent_ns : 0);
    settle(f, stamp.publisher, stamp.number);
}

/* ---- publishing ---------------------------------------------------------------------------------------- */

/* A random topic for the message; how many are to get it. */
static uint32_t expect(struct flow *f, struct publisher *pub)
{
    uint32_t receivers[MATCHES_MAX];
    unsigned count;
    pub->topic_bytes =
        (uint16_t)matching_topic(f->matching, &f->b->random, pub->topic, TOPIC_BYTES_MAX, receivers, &count);
    for (unsigned i = 0; i < count; i++) {
        struct expected *e = &f->expected[receivers[i]];
        e->numbers[e->count++ & (f->slots - 1)] = pub->sent;
    }
    return count;
}

static void publish(struct flow *f, uint32_t publisher, uint64_t due_ns)
{
    struct publisher *pub = &f->publishers[publisher];
    const uint32_t receivers = f->matching ? expect(f, pub) : f->p->subscribers;
    const uint64_t number = pub->sent++;
    const uint8_t *topic = (const uint8_t *)pub->topic;
    const struct wire_publish p = {
        .topic = topic,
        .topic_bytes = pub->topic_bytes,
        .payload_bytes = f->p->payload_bytes,
        .id = f->p->qos ? id_of(number) : 0,
        .qos = (uint8_t)f->p->qos,
    };
    const struct stamp stamp = { .sent_ns = due_ns, .number = number, .publisher = publisher };
    payload_write(&f->b->payloads, client_publish(&f->clients[publisher], &p), &stamp, topic,
                  pub->topic_bytes);
    pub->left[number & (f->slots - 1)] = receivers + 1; /* 1: of its own, until it is acknowledged */
    f->b->sent++;
    f->open++;
    if (f->p->qos == 0)
        settle(f, publisher, number);
}

static bool may_send(const struct flow *f, uint32_t publisher)
{
    const struct publisher *pub = &f->publishers[publisher];
    const struct client *c = &f->clients[publisher];
    const uint32_t window =
        f->p->qos && c->granted.receive_maximum < f->window ? c->granted.receive_maximum : f->window;
    return pub->sent - pub->done < window && client_waiting(c) < WAITING_MAX;
}

static bool publishing_is_over(const struct flow *f)
{
    return f->p->messages ? f->b->sent >= f->p->messages : f->b->hub.now_ns >= f->end_ns;
}

/* A message is due whether or not the last one has gone: when it is late, that counts as its latency. */
static void publish_by_the_clock(struct flow *f)
{
    while (!publishing_is_over(f)) {
        const uint64_t due_ns = f->begun_ns + f->scheduled * 1000000000u / f->p->rate;
        const uint32_t publisher = (uint32_t)(f->scheduled % f->p->publishers);
        if (due_ns > f->b->hub.now_ns || !may_send(f, publisher))
            return;
        publish(f, publisher, due_ns);
        f->scheduled++;
    }
}

static void publish_what_fits(struct flow *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->active_count; i++) {
        const uint32_t publisher = f->active[i];
        const struct publisher *pub = &f->publishers[publisher];
        while (!publishing_is_over(f) && may_send(f, publisher))
            publish(f, publisher, f->b->hub.now_ns);
        f->is_active[publisher] = pub->sent - pub->done < f->window; /* the socket was full, or time was up */
        if (f->is_active[publisher])
            f->active[kept++] = publisher;
    }
    f->active_count = kept;
}

static int sleep_ms(const struct flow *f)
{
    if (!f->p->rate)
        return f->active_count ? 1 : 50;
    const uint64_t due_ns = f->begun_ns + f->scheduled * 1000000000u / f->p->rate;
    return due_ns > f->b->hub.now_ns + 1500000 ? (int)((due_ns - f->b->hub.now_ns) / 1000000 - 1) : 0;
}

/* False: the run failed, or nothing came for the time of --patience. */
static bool publish_until(struct flow *f, uint64_t until_ns)
{
    struct bench *b = f->b;
    const uint64_t patience_ns = (uint64_t)b->options.patience_s * 1000000000u;
    uint64_t heard = b->hub.heard, since_ns = clock_ns();
    while (!publishing_is_over(f) && b->hub.now_ns < until_ns) {
        if (f->p->rate)
            publish_by_the_clock(f);
        else
            publish_what_fits(f);
        if (!hub_turn(&b->hub, sleep_ms(f)))
            return false;
        report_progress(b);
        if (heard != b->hub.heard || f->open == 0) {
            heard = b->hub.heard;
            since_ns = b->hub.now_ns;
        } else if (b->hub.now_ns - since_ns > patience_ns) {
            b->stalled = true;
            return false;
        }
    }
    return true;
}

static bool all_is_done(const void *flow)
{
    return ((const struct flow *)flow)->open == 0;
}

/* ---- the beginning and the end ------------------------------------------------------------------------- */

static void subscribed(void *user, struct client *c)
{
    (void)c;
    ((struct flow *)user)->subacks_due--;
}

static bool all_are_subscribed(const void *flow)
{
    return ((const struct flow *)flow)->subacks_due == 0;
}

static bool subscribe(struct flow *f)
{
    struct bench *b = f->b;
    static char topic[TOPIC_BYTES_MAX];
    const char *filter = topic;
    b->now_doing = "subscribing";
    for (uint32_t i = 0; i < f->p->subscribers + f->p->bystanders; i++) {
        const bool talks = i < f->p->subscribers;
        struct client *c = &f->subscribers[i];
        const uint32_t last = !talks ? i : f->p->publishers > 1 ? BENCH_ANY : 0;
        bench_topic(b, topic, sizeof topic, talks ? "flow" : "idle", last);
        if (talks && f->matching) {
            f->subacks_due += matching_subscribe(f->matching, c, i, (uint8_t)f->p->qos);
        } else {
            client_subscribe(c, &filter, 1, (uint8_t)f->p->qos);
            f->subacks_due++;
        }
        if (!hub_turn(&b->hub, 0))
            return false;
    }
    return bench_until(b, all_are_subscribed, f) || bench_unanswered(b, "SUBACK", f->subacks_due);
}

static void init_publisher(struct flow *f, uint32_t i)
{
    struct publisher *pub = &f->publishers[i];
    pub->topic = zeroed(TOPIC_BYTES_MAX, 1);
    pub->topic_bytes = (uint16_t)bench_topic(f->b, pub->topic, TOPIC_BYTES_MAX, "flow", i);
    pub->left = zeroed(f->slots, sizeof *pub->left);
    activate(f, i);
}

static void init_matching(struct flow *f)
{
    if (!f->p->subscriptions)
        return;
    f->matching = zeroed(1, sizeof *f->matching);
    matching_init(f->matching, f->p->subscriptions, f->p->subscribers, f->b->options.prefix, &f->b->random);
    f->expected = zeroed(f->p->subscribers, sizeof *f->expected);
    for (uint32_t i = 0; i < f->p->subscribers; i++)
        f->expected[i].numbers = zeroed(f->slots, sizeof(uint64_t));
}

static void init(struct flow *f, struct bench *b)
{
    const struct parameters *p = &b->options.parameters;
    *f = (struct flow){ .b = b, .p = p, .window = p->window, .slots = 1 };
    while (f->slots < f->window)
        f->slots *= 2;
    f->clients = zeroed((size_t)p->publishers + p->subscribers + p->bystanders, sizeof *f->clients);
    f->subscribers = f->clients + p->publishers;
    f->publishers = zeroed(p->publishers, sizeof *f->publishers);
    f->active = zeroed(p->publishers, sizeof *f->active);
    f->is_active = zeroed(p->publishers, sizeof *f->is_active);
    for (uint32_t i = 0; i < p->publishers; i++)
        init_publisher(f, i);
    init_matching(f);
    ledger_init(&b->ledger, (size_t)p->publishers * p->subscribers);
}

static void free_all(struct flow *f)
{
    for (uint32_t i = 0; i < f->p->publishers; i++) {
        free(f->publishers[i].topic);
        free(f->publishers[i].left);
    }
    for (uint32_t i = 0; f->matching && i < f->p->subscribers; i++)
        free(f->expected[i].numbers);
    if (f->matching)
        matching_free(f->matching);
    free(f->matching);
    free(f->expected);
    free(f->active);
    free(f->is_active);
    free(f->publishers);
    free(f->clients);
}

static uint64_t count_lost(const struct flow *f)
{
    uint64_t lost = 0;
    for (size_t stream = 0; stream < f->b->ledger.streams; stream++)
        lost += ledger_lost(&f->b->ledger, stream,
                            f->matching ? f->expected[stream].count
                                        : f->publishers[stream % f->p->publishers].sent);
    return lost;
}

static uint32_t client_count(const struct flow *f)
{
    return f->p->publishers + f->p->subscribers + f->p->bystanders;
}

static bool open_all(struct flow *f)
{
    if (f->p->persistent && !bench_scrub(f->b, f->clients, client_count(f), 0))
        return false;
    for (uint32_t i = 0; i < client_count(f); i++)
        f->clients[i].keep_session = f->p->persistent;
    return bench_connect(f->b, f->clients, client_count(f), 0) && subscribe(f);
}

static bool measure(struct flow *f)
{
    struct bench *b = f->b;
    const uint64_t warmup_ns = f->p->messages ? 0 : (uint64_t)b->options.warmup_ms * 1000000u;
    b->now_doing = "publishing";
    f->begun_ns = b->hub.now_ns = clock_ns();
    f->end_ns = f->begun_ns + warmup_ns + (uint64_t)f->p->seconds * 1000000000u;
    if (warmup_ns && !publish_until(f, f->begun_ns + warmup_ns))
        return false;
    memset(&b->latency_ns, 0, sizeof b->latency_ns);
    phase_begin(b, "flow", "delivery", b->ledger.delivered);
    const bool good = publish_until(f, UINT64_MAX) && bench_until(b, all_is_done, f);
    phase_end(b, b->ledger.delivered);
    return good;
}

static void close_all(struct flow *f)
{
    for (uint32_t i = 0; i < client_count(f); i++)
        client_close(&f->clients[i]);
    if (f->p->persistent && !*f->b->hub.failure)
        bench_scrub(f->b, f->clients, client_count(f), 0);
}

void run_flow(struct bench *b)
{
    static const struct client_calls calls = { .subscribed = subscribed,
                                               .published = published,
                                               .acknowledged = acknowledged };
    struct flow f;
    init(&f, b);
    b->hub.calls = &calls;
    b->hub.user = &f;
    if (open_all(&f)) {
        measure(&f);
        b->lost = count_lost(&f);
    }
    close_all(&f);
    free_all(&f);
}
