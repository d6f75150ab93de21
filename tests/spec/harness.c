/* harness.c - a broker, its clock and its peers for one test. */
#include "store.h"
#include "peer.h"

#include <stdlib.h>

struct midge_limits limits;
struct midge_hooks hooks;
struct midge_config config;
struct midge *broker;
midge_ms now;
struct run_mode run_mode;
const struct test *tests;

struct peer *peers;
bool broker_is_shut;
static struct peer **peers_tail;
static unsigned peer_count;
static size_t input_bytes;
static unsigned checks_to_skip;
static bool inside;          /* a call of the broker's: its hooks may end the test */
static uint8_t *bite;        /* what midge_recv is reading */
static size_t waiting_bytes; /* in all peers' `out` */
static struct test *tests_last;

void test_add(struct test *t)
{
    if (tests_last)
        tests_last->next = t;
    else
        tests = t;
    tests_last = t;
}

/* ---- the broker's bytes -------------------------------------------------------------------------------- */

static void trace(const struct peer *p, const char *arrow, const void *bytes, size_t n)
{
    char label[64];
    if (!run_mode.trace)
        return;
    snprintf(label, sizeof label, "%8llu  peer %u %s", (unsigned long long)now, p->number, arrow);
    print_hex(stdout, label, bytes, n);
}

/* The latest earlier connection of the same client id. */
static const struct rules *rules_before(const struct peer *p)
{
    const struct rules *before = NULL;
    for (const struct peer *q = peers; q && q != p; q = q->next) {
        if (q->rules.client_id && p->rules.client_id && q->rules.greeted && !q->rules.refused &&
            strcmp(q->rules.client_id, p->rules.client_id) == 0)
            before = &q->rules;
    }
    return before;
}

static void check_packets(struct peer *p)
{
    size_t head, size;
    while (p->checked < p->in.len && (size = packet_length(p->in.at + p->checked, p->in.len - p->checked, &head)) > 0) {
        struct arrived a = { .begin = p->checked, .end = p->checked + size };
        const struct rules *before = p->rules.greeted ? NULL : rules_before(p);
        const char *wrong = rules_check(&p->rules, before, p->in.at + p->checked, size, &a.packet);
        if (wrong)
            broken_packet(wrong, p->in.at + p->checked, size);
        put(&p->arrived, &a, sizeof a);
        p->checked += size;
    }
}

static size_t pull_once(struct peer *p, void *out, size_t room)
{
    inside = true;
    const size_t n = midge_pull(p->conn, out, room, now);
    inside = false;
    return n;
}

static void pull(struct peer *p)
{
    static uint8_t out[65536];
    const size_t room = run_mode.pull && run_mode.pull < sizeof out ? run_mode.pull : sizeof out;
    size_t n;
    while ((n = pull_once(p, out, room)) > 0) {
        if (n > room)
            broken("midge_pull wrote %zu bytes into a room of %zu", n, room);
        trace(p, "<-", out, n);
        put(&p->in, out, n);
    }
    check_packets(p);
    if (midge_status(p->conn) & MIDGE_STATUS_PULL)
        broken("MIDGE_STATUS_PULL, but midge_pull has nothing");
}

static void lose(struct peer *p)
{
    struct midge_conn *c = p->conn;
    p->conn = NULL;
    inside = true;
    midge_lost(c, now);
    inside = false;
}

static void serve(struct peer *p)
{
    if (!p->held)
        pull(p);
    if (!(midge_status(p->conn) & MIDGE_STATUS_CLOSE))
        return;
    trace(p, "closed by the broker", "", 0);
    if (!p->was_held && p->checked != p->in.len)
        broken_packet("closed in the middle of a packet", p->in.at + p->checked, p->in.len - p->checked);
    p->closed = true;
    lose(p);
}

static size_t next_bite(const struct peer *p)
{
    size_t n = p->out.len - p->fed;
    if (run_mode.feed && n > run_mode.feed)
        n = run_mode.feed;
    if (input_bytes < run_mode.cut && input_bytes + n > run_mode.cut)
        n = run_mode.cut - input_bytes;
    return n;
}

static void drop_bite(void)
{
    free(bite);
    bite = NULL;
}

/* Gives the broker one piece of what p has sent, if it will read. */
static bool feed(struct peer *p)
{
    if (!p->conn) {
        waiting_bytes -= p->out.len - p->fed;
        p->fed = p->out.len;
    }
    if (p->fed == p->out.len || is_paused(p))
        return false;
    const size_t n = next_bite(p);
    bite = malloc(n); /* exactly as long, so that reading past the end shows */
    if (!bite)
        abort();
    memcpy(bite, p->out.at + p->fed, n);
    p->fed += n;
    input_bytes += n;
    waiting_bytes -= n;
    trace(p, "->", bite, n);
    rules_sent(&p->rules, bite, n);
    inside = true;
    midge_recv(p->conn, bite, n, now);
    inside = false;
    memset(bite, 0x5A, n); /* nothing of it may be kept */
    drop_bite();
    return true;
}

static void serve_ready(void)
{
    struct midge_conn *c;
    unsigned rounds = 0;
    while ((c = midge_ready(broker, now)) != NULL) {
        serve(midge_conn_user(c));
        if (++rounds > 1000000)
            broken("midge_ready never ends");
    }
}

/* What has to be true between any two calls; looked at less often when there are many sessions to count. */
static void check_broker(void)
{
    struct midge_stats s;
    if (checks_to_skip && checks_to_skip--)
        return;
    midge_get_stats(broker, &s);
    checks_to_skip = s.sessions / 64;
    if (s.memory_used != memory_used())
        broken("the broker counts %zu bytes, the allocator %zu", s.memory_used, memory_used());
    if (s.memory_used > limits.memory_bytes)
        broken("%zu bytes used, %zu allowed", s.memory_used, limits.memory_bytes);
    for (unsigned qos = 0; MIDGE_BOOKS && qos < 3; qos++) {
        const struct midge_books *b = &s.books[qos];
        uint64_t gone = b->acknowledged + b->expired + b->ended + b->queued + b->inflight;
        for (unsigned i = 0; i < MIDGE_DROP_REASONS; i++)
            gone += b->dropped[i];
        if (gone != b->enqueued)
            broken("books of QoS %u do not close: %llu enqueued, %llu accounted for", qos,
                   (unsigned long long)b->enqueued, (unsigned long long)gone);
    }
}

void settle(void)
{
    bool more;
    do {
        more = false;
        serve_ready();
        for (struct peer *p = waiting_bytes ? peers : NULL; p; p = p->next)
            more |= feed(p);
    } while (more);
    serve_ready();
    check_broker();
}

static bool restore_one(void *arg, struct midge_slice key, struct midge_slice value)
{
    (void)arg;
    return midge_restore(broker, key, value) == MIDGE_OK;
}

void start(void)
{
    if (run_mode.durable && !config.store)
        config.store = &test_store;
    broker = midge_new(&config, now);
    if (!broker)
        fail_at(HERE, "midge_new: no memory");
    if (!config.store)
        return;
    broker_is_shut = true;
    if (!store_each(restore_one, NULL))
        fail_at(HERE, "midge_restore refuses a record");
    midge_restored(broker, now);
    broker_is_shut = false;
    settle();
}

void crash(midge_ms away)
{
    store_kill();
    for (struct peer *p = peers; p; p = p->next)
        drop(p);
    midge_free(broker);
    broker = NULL;
    store_begin();
    now += away;
    start();
}

static uint64_t wall_ms(void *user)
{
    (void)user;
    return 1700000000000u + now;
}

void shut_down(void)
{
    broker_is_shut = true;
    midge_shutdown(broker, now);
    settle();
}

static void tick(void)
{
    inside = true;
    midge_tick(broker, now);
    inside = false;
    settle();
}

void advance(midge_ms ms)
{
    const midge_ms end = now + ms;
    unsigned still = 0;
    for (midge_ms due; (due = midge_deadline(broker)) <= end;) {
        still = due > now ? 0 : still + 1;
        if (still > 10000)
            broken("the deadline stands still");
        now = due > now ? due : now;
        tick();
    }
    now = end;
    tick();
}

struct midge_stats stats(void)
{
    struct midge_stats s;
    midge_get_stats(broker, &s);
    return s;
}

/* ---- peers --------------------------------------------------------------------------------------------- */

struct peer *try_dial(uint32_t address_key)
{
    if (!broker)
        start();
    struct peer *p = keep(sizeof *p);
    rules_init(&p->rules);
    p->number = ++peer_count;
    p->conn = midge_accept(broker, &(struct midge_peer){ .user = p, .address_key = address_key }, now);
    if (!p->conn)
        return NULL;
    *peers_tail = p;
    peers_tail = &p->next;
    settle();
    return p;
}

struct peer *dial_at(struct place at, uint32_t address_key)
{
    struct peer *p = try_dial(address_key);
    if (!p)
        fail_at(at, "the broker does not accept the connection");
    return p;
}

void send_bytes(struct peer *p, const void *bytes, size_t n)
{
    put(&p->out, bytes, n);
    waiting_bytes += n;
    settle();
}

void send_hex_at(struct place at, struct peer *p, const char *hex)
{
    const struct bytes b = parse_hex(at, hex, NULL);
    send_bytes(p, b.at, b.len);
}

void send_all(struct peer *p, struct bytes b)
{
    send_bytes(p, b.at, b.len);
}

void send_body_at(struct place at, struct peer *p, unsigned first, const char *hex)
{
    parse_hex(at, hex, NULL); /* complains with the right place */
    send_all(p, body_bytes(first, hex));
}

void send_connect(struct peer *p, const struct c_connect *c)
{
    send_all(p, connect_bytes(c));
}

struct bytes publish_bytes(const struct peer *p, const struct c_publish *c)
{
    return encode_publish(p->rules.version, c);
}

void send_publish(struct peer *p, const struct c_publish *c)
{
    send_all(p, publish_bytes(p, c));
}

void send_subscribe(struct peer *p, const struct c_subscribe *c)
{
    send_all(p, encode_subscribe(p->rules.version, PK_SUBSCRIBE, c));
}

void send_unsubscribe(struct peer *p, const struct c_subscribe *c)
{
    send_all(p, encode_subscribe(p->rules.version, PK_UNSUBSCRIBE, c));
}

void send_ack(struct peer *p, enum packet_type type, uint16_t pid, uint8_t reason)
{
    send_all(p, encode_ack(p->rules.version, type, pid, reason));
}

void send_ping(struct peer *p)
{
    send_hex(p, "C0 00");
}

void send_disconnect(struct peer *p, uint8_t reason, struct props props)
{
    send_all(p, encode_reason(p->rules.version, PK_DISCONNECT, reason, props));
}

void send_auth(struct peer *p, uint8_t reason, struct props props)
{
    send_all(p, encode_reason(5, PK_AUTH, reason, props));
}

bool is_closed(const struct peer *p)
{
    return p->closed;
}

bool is_paused(const struct peer *p)
{
    return p->conn && midge_status(p->conn) & MIDGE_STATUS_PAUSED;
}

size_t unread(const struct peer *p)
{
    return p->in.len - p->read;
}

void read_all(struct peer *p)
{
    p->read = p->in.len;
}

struct midge_conn *conn_of(const struct peer *p)
{
    return p->conn;
}

struct midge_conn *live_conn_at(struct place at, const struct peer *p)
{
    if (!p->conn)
        fail_at(at, "the connection is gone");
    return p->conn;
}

void drop(struct peer *p)
{
    if (p->conn)
        lose(p);
    settle();
}

void hold(struct peer *p)
{
    p->held = p->was_held = true;
}

void resume(struct peer *p)
{
    p->held = false;
    if (p->conn)
        serve(p);
    settle();
}

/* ---- one test ------------------------------------------------------------------------------------------ */

static uint64_t random_state;

/* xorshift: the same bytes in every run. */
static void repeatable(void *user, void *out, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        ((uint8_t *)out)[i] = (uint8_t)(random_state >> 24);
    }
}

static void begin(void)
{
    limits = midge_limits_gateway;
    store_clear();
    hooks = (struct midge_hooks){ .random = repeatable, .wall_ms = wall_ms };
    random_state = 88172645463325252u;
    config = (struct midge_config){ .memory = &counted_memory, .limits = &limits, .hooks = &hooks };
    broker = NULL;
    now = 1000000;
    peers = NULL;
    peers_tail = &peers;
    peer_count = 0;
    input_bytes = waiting_bytes = 0;
    checks_to_skip = 0;
    inside = false;
    broker_is_shut = false;
}

static void check_ends(void)
{
    for (const struct peer *p = peers; p; p = p->next) {
        if (p->closed && !p->close_expected && !p->rules.client_left)
            fail_at(HERE, "at the end: the broker had closed peer %u unexpectedly", p->number);
        if (unread(p))
            fail_bytes(HERE, "at the end: bytes that the test has not read", p->in.at + p->read, unread(p),
                       NULL, 0);
    }
}

/* Everything is given back, and counted while it is. */
static void end(const struct test *t)
{
    (void)t;
    if (!broker)
        return;
    for (struct peer *p = peers; p; p = p->next)
        drop(p);
    checks_to_skip = 0;
    check_broker();
    shut_down();
    midge_free(broker);
    broker = NULL;
    if (memory_used())
        broken("%zu bytes were not given back by midge_free", memory_used());
}

static void serve_and_end(const struct test *t)
{
    serve_after_refusal(t);
    end(t);
}

static void run(const struct test *t)
{
    t->run();
    check_ends();
}

bool run_test(const struct test *t)
{
    begin();
    count_memory_anew();
    enum outcome outcome = outcome_of(run, t);
    if (outcome == FAILED && run_mode.refuse && inside)
        outcome = PASSED; /* ended in a hook, so the broker cannot be used any more */
    else if (outcome == PASSED || (outcome == FAILED && run_mode.refuse))
        outcome = outcome_of(run_mode.refuse ? serve_and_end : end, t);
    if (outcome != PASSED)
        fprintf(stderr, "    in %s (%s)\n", t->name, t->file);
    drop_bite(); /* a hook may have ended the test */
    forget_memory();
    store_clear();
    return outcome == PASSED;
}

size_t run_input_bytes(void)
{
    return input_bytes;
}
