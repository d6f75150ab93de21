/* harness.c - a broker, its clock and its peers for one test; what is expected of them. */
#include "run.h"
#include "rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

struct midge_limits limits;
struct midge_hooks hooks;
struct midge_config config;
struct midge *broker;
midge_ms now;
struct run_mode run_mode;
const struct test *tests;

struct arrived {
    struct packet packet;
    size_t begin, end; /* in peer.in */
};

struct peer {
    struct peer *next;
    unsigned number;
    struct midge_conn *conn;     /* NULL: closed, or dropped */
    bool held, was_held, closed, close_expected;
    struct buffer out;           /* sent by the test */
    size_t fed;                  /* of it, to the broker */
    struct buffer in;            /* pulled from the broker */
    size_t read, checked;        /* of `in`: by the test, by the rules */
    struct buffer arrived;       /* struct arrived, one a packet */
    struct rules rules;
    struct packet connack;
    uint16_t last_pid;
};

static struct peer *peers, **peers_tail;
static unsigned peer_count;
static size_t input_bytes;
static unsigned checks_to_skip;
static size_t waiting_bytes; /* in all peers' `out` */
static jmp_buf test_end;
static bool failed;
static struct test *tests_last;

void test_add(struct test *t)
{
    if (tests_last)
        tests_last->next = t;
    else
        tests = t;
    tests_last = t;
}

/* ---- failing ---------------------------------------------------------------------------------------------- */

static void print_hex(FILE *out, const char *label, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    const size_t shown = n > 400 ? 400 : n;
    fprintf(out, "%s", label);
    for (size_t i = 0; i < shown; i++)
        fprintf(out, " %02x", at[i]);
    fprintf(out, shown < n ? " ... (%zu bytes)\n" : "\n", n);
}

static void fail_begin(struct place at)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: ", at.file, at.line);
    failed = true;
}

static _Noreturn void fail_end(void)
{
    longjmp(test_end, 1);
}

void fail_at(struct place at, const char *format, ...)
{
    va_list args;
    fail_begin(at);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fail_end();
}

static _Noreturn void fail_bytes(struct place at, const char *what, const void *got, size_t got_len,
                                 const void *want, size_t want_len)
{
    fail_begin(at);
    fprintf(stderr, "%s\n", what);
    print_hex(stderr, "    got ", got, got_len);
    if (want)
        print_hex(stderr, "    want", want, want_len);
    fail_end();
}

void check_equal_at(struct place at, const char *what, unsigned long long got, unsigned long long want)
{
    if (got != want)
        fail_at(at, "%s is %llu (0x%llx), not %llu (0x%llx)", what, got, got, want, want);
}

void check_text_at(struct place at, const char *what, const char *got, const char *want)
{
    if (!got || !want || strcmp(got, want) != 0)
        fail_at(at, "%s is '%s', not '%s'", what, got ? got : "(null)", want ? want : "(null)");
}

void check_bytes_at(struct place at, const void *got, size_t got_len, const void *want, size_t want_len)
{
    if (got_len != want_len || (got_len && memcmp(got, want, got_len) != 0))
        fail_bytes(at, "other bytes than expected", got, got_len, want, want_len);
}

/* ---- memory: the test's own, and the broker's, which is counted ------------------------------------------- */

struct kept {
    struct kept *next;
    max_align_t bytes[];
};
static struct kept *kept;

void *keep(size_t n)
{
    struct kept *k = calloc(1, sizeof *k + n);
    if (!k)
        abort();
    k->next = kept;
    kept = k;
    return k->bytes;
}

char *text_of(char c, size_t n)
{
    char *text = keep(n + 1);
    memset(text, c, n);
    return text;
}

char *format(const char *format, ...)
{
    va_list args;
    char text[1024];
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = keep((size_t)n + 1);
    memcpy(copy, text, (size_t)n);
    return copy;
}

static void forget_kept(void)
{
    while (kept) {
        struct kept *k = kept;
        kept = k->next;
        free(k);
    }
}

struct block {
    struct block *next, **pprev;
    size_t size;
    max_align_t bytes[];
};
static struct block *blocks;
static size_t blocks_used;

static void link_block(struct block *b, size_t n)
{
    b->size = n;
    b->next = blocks;
    b->pprev = &blocks;
    if (blocks)
        blocks->pprev = &b->next;
    blocks = b;
    blocks_used += n;
}

static void unlink_block(struct block *b)
{
    *b->pprev = b->next;
    if (b->next)
        b->next->pprev = b->pprev;
    blocks_used -= b->size;
}

static struct block *block_of(void *p, size_t n)
{
    struct block *b = (struct block *)(void *)((char *)p - offsetof(struct block, bytes));
    if (b->size != n)
        fail_at(HERE, "a block of %zu bytes is given back as %zu", b->size, n);
    return b;
}

static void *take(void *user, size_t n)
{
    (void)user;
    struct block *b = malloc(sizeof *b + n);
    if (!b)
        return NULL;
    memset(b->bytes, 0xA5, n); /* who reads before writing shall notice */
    link_block(b, n);
    return b->bytes;
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    struct block *b = block_of(p, n);
    unlink_block(b);
    free(b);
}

static void *change(void *user, void *p, size_t old, size_t n)
{
    void *bigger = take(user, n);
    if (!bigger)
        return NULL;
    memcpy(bigger, p, old < n ? old : n);
    give(user, p, old);
    return bigger;
}

static const struct midge_memory counted = { .alloc = take, .free = give, .resize = change };

size_t memory_used(void)
{
    return blocks_used;
}

static void forget_blocks(void)
{
    while (blocks) {
        struct block *b = blocks;
        unlink_block(b);
        free(b);
    }
}

/* ---- the broker's bytes -------------------------------------------------------------------------------------- */

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
    while ((size = packet_length(p->in.at + p->checked, p->in.len - p->checked, &head)) > 0) {
        struct arrived a = { .begin = p->checked, .end = p->checked + size };
        const struct rules *before = p->rules.greeted ? NULL : rules_before(p);
        const char *wrong = rules_check(&p->rules, before, p->in.at + p->checked, size, &a.packet);
        if (wrong)
            fail_bytes(HERE, wrong, p->in.at + p->checked, size, NULL, 0);
        put(&p->arrived, &a, sizeof a);
        p->checked += size;
    }
}

static void pull(struct peer *p)
{
    static uint8_t out[65536];
    const size_t room = run_mode.pull && run_mode.pull < sizeof out ? run_mode.pull : sizeof out;
    size_t n;
    while ((n = midge_pull(p->conn, out, room, now)) > 0) {
        if (n > room)
            fail_at(HERE, "midge_pull wrote %zu bytes into a room of %zu", n, room);
        trace(p, "<-", out, n);
        put(&p->in, out, n);
    }
    check_packets(p);
    if (midge_status(p->conn) & MIDGE_STATUS_PULL)
        fail_at(HERE, "MIDGE_STATUS_PULL, but midge_pull has nothing");
}

static void lose(struct peer *p)
{
    struct midge_conn *c = p->conn;
    p->conn = NULL;
    midge_lost(c, now);
}

static void serve(struct peer *p)
{
    if (!p->held)
        pull(p);
    if (!(midge_status(p->conn) & MIDGE_STATUS_CLOSE))
        return;
    trace(p, "closed by the broker", "", 0);
    if (!p->was_held && p->checked != p->in.len)
        fail_bytes(HERE, "closed in the middle of a packet", p->in.at + p->checked, p->in.len - p->checked, NULL, 0);
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
    uint8_t *copy = malloc(n); /* exactly as long, so that reading past the end shows */
    if (!copy)
        abort();
    memcpy(copy, p->out.at + p->fed, n);
    p->fed += n;
    input_bytes += n;
    waiting_bytes -= n;
    trace(p, "->", copy, n);
    rules_sent(&p->rules, copy, n);
    midge_recv(p->conn, copy, n, now);
    memset(copy, 0x5A, n); /* nothing of it may be kept */
    free(copy);
    return true;
}

static void serve_ready(void)
{
    struct midge_conn *c;
    unsigned rounds = 0;
    while ((c = midge_ready(broker, now)) != NULL) {
        serve(midge_conn_user(c));
        if (++rounds > 1000000)
            fail_at(HERE, "midge_ready never ends");
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
    if (s.memory_used != blocks_used)
        fail_at(HERE, "the broker counts %zu bytes, the allocator %zu", s.memory_used, blocks_used);
    if (s.memory_used > limits.memory_bytes)
        fail_at(HERE, "%zu bytes used, %zu allowed", s.memory_used, limits.memory_bytes);
    for (unsigned qos = 0; MIDGE_BOOKS && qos < 3; qos++) {
        const struct midge_books *b = &s.books[qos];
        uint64_t gone = b->acknowledged + b->expired + b->ended + b->queued + b->inflight;
        for (unsigned i = 0; i < MIDGE_DROP_REASONS; i++)
            gone += b->dropped[i];
        if (gone != b->enqueued)
            fail_at(HERE, "books of QoS %u do not close: %llu enqueued, %llu accounted for", qos,
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

void start(void)
{
    broker = midge_new(&config, now);
    if (!broker)
        fail_at(HERE, "midge_new: no memory");
}

void advance(midge_ms ms)
{
    const midge_ms end = now + ms;
    unsigned still = 0;
    for (midge_ms due; (due = midge_deadline(broker)) <= end;) {
        still = due > now ? 0 : still + 1;
        if (still > 10000)
            fail_at(HERE, "the deadline stands still");
        now = due > now ? due : now;
        midge_tick(broker, now);
        settle();
    }
    now = end;
    midge_tick(broker, now);
    settle();
}

struct midge_stats stats(void)
{
    struct midge_stats s;
    midge_get_stats(broker, &s);
    return s;
}

/* ---- peers ------------------------------------------------------------------------------------------------- */

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

/* ---- expectations -------------------------------------------------------------------------------------------- */

void expect_hex_at(struct place at, struct peer *p, const char *hex)
{
    const uint8_t *any;
    const struct bytes want = parse_hex(at, hex, &any);
    const uint8_t *got = p->in.at + p->read;
    bool same = unread(p) >= want.len;
    for (size_t i = 0; same && i < want.len; i++)
        same = any[i] || got[i] == want.at[i];
    if (!same)
        fail_bytes(at, "other bytes than expected", got, unread(p), want.at, want.len);
    p->read += want.len;
}

static const struct arrived *next_arrived(const struct peer *p)
{
    const struct arrived *a = (const struct arrived *)(const void *)p->arrived.at;
    const size_t count = p->arrived.len / sizeof *a;
    size_t low = 0, high = count; /* they begin in ascending order */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (a[middle].begin < p->read)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && a[low].begin == p->read ? &a[low] : NULL;
}

struct packet expect_packet_at(struct place at, struct peer *p, enum packet_type type)
{
    const struct arrived *a = next_arrived(p);
    if (!a && unread(p) == 0)
        fail_at(at, "nothing came%s, a packet of type %d was expected", p->closed ? " but the close" : "", (int)type);
    if (!a || (type != PK_ANY && a->packet.type != type))
        fail_bytes(at, "not a packet of the expected type", p->in.at + p->read, unread(p),
                   (const uint8_t[]){ (uint8_t)(type << 4) }, 1);
    p->read = a->end;
    return a->packet;
}

static void expect_no_bytes(struct place at, const struct peer *p)
{
    if (unread(p))
        fail_bytes(at, "bytes came, and none were expected", p->in.at + p->read, unread(p), NULL, 0);
}

void expect_nothing_at(struct place at, struct peer *p)
{
    expect_no_bytes(at, p);
    if (p->closed)
        fail_at(at, "the broker has closed the connection");
}

void expect_closed_at(struct place at, struct peer *p)
{
    expect_no_bytes(at, p);
    if (!p->closed)
        fail_at(at, "the broker has not closed the connection");
    p->close_expected = true;
}

void expect_disconnect_at(struct place at, struct peer *p, uint8_t reason)
{
    if (p->rules.version == 5)
        check_equal_at(at, "reason of DISCONNECT", expect_packet_at(at, p, PK_DISCONNECT).reason, reason);
    expect_closed_at(at, p);
}

struct packet expect_connack_at(struct place at, struct peer *p, uint8_t reason)
{
    p->connack = expect_packet_at(at, p, PK_CONNACK);
    check_equal_at(at, "code of CONNACK", p->connack.reason, reason);
    if (reason)
        expect_closed_at(at, p);
    return p->connack;
}

struct packet expect_ack_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid, uint8_t reason)
{
    const struct packet pk = expect_packet_at(at, p, type);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    check_equal_at(at, "reason code", pk.reason, reason);
    return pk;
}

struct packet expect_publish_at(struct place at, struct peer *p, const char *topic, const char *payload)
{
    const struct packet pk = expect_packet_at(at, p, PK_PUBLISH);
    check_text_at(at, "topic", pk.topic, topic);
    check_text_at(at, "payload", pk.payload, payload);
    return pk;
}

/* ---- whole conversations -------------------------------------------------------------------------------------- */

struct peer *connect_at(struct place at, const struct c_connect *c)
{
    struct peer *p = dial_at(at, 0);
    send_connect(p, c);
    expect_connack_at(at, p, 0);
    return p;
}

const struct packet *connack_of(const struct peer *p)
{
    return &p->connack;
}

static uint16_t next_pid(struct peer *p)
{
    if (++p->last_pid == 0)
        p->last_pid = 1;
    return p->last_pid;
}

void subscribe_at(struct place at, struct peer *p, const char *filter, uint8_t options)
{
    const uint16_t pid = next_pid(p);
    send_subscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ filter, options }) });
    const struct packet pk = expect_packet_at(at, p, PK_SUBACK);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    check_equal_at(at, "code of SUBACK", pk.codes[0], options & 3u);
}

void unsubscribe_at(struct place at, struct peer *p, const char *filter)
{
    const uint16_t pid = next_pid(p);
    send_unsubscribe(p, &(struct c_subscribe){ .pid = pid, FILTERS({ filter, 0 }) });
    const struct packet pk = expect_packet_at(at, p, PK_UNSUBACK);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    if (pk.code_count)
        check_equal_at(at, "code of UNSUBACK", pk.codes[0], 0);
}

static void expect_success(struct place at, struct peer *p, enum packet_type type, uint16_t pid)
{
    const struct packet pk = expect_packet_at(at, p, type);
    check_equal_at(at, "packet identifier", pk.pid, pid);
    if (pk.reason >= 0x80)
        fail_at(at, "refused with 0x%02X", pk.reason);
}

void publish_at(struct place at, struct peer *p, const char *topic, const char *payload, uint8_t qos, bool retain)
{
    const uint16_t pid = qos ? next_pid(p) : 0;
    send_publish(p, &(struct c_publish){ .topic = topic, .payload = payload, .qos = qos, .pid = pid, .retain = retain });
    if (qos == 1)
        expect_success(at, p, PK_PUBACK, pid);
    if (qos != 2)
        return;
    expect_success(at, p, PK_PUBREC, pid);
    send_ack(p, PK_PUBREL, pid, 0);
    expect_success(at, p, PK_PUBCOMP, pid);
}

/* Takes the PUBREL of this id out of what has come, wherever it stands: others may have come before it. */
static void take_pubrel(struct place at, struct peer *p, uint16_t pid)
{
    struct arrived *a = (struct arrived *)(void *)p->arrived.at, *end = a + p->arrived.len / sizeof *a;
    while (a < end && (a->begin < p->read || a->packet.type != PK_PUBREL || a->packet.pid != pid))
        a++;
    if (a == end)
        fail_at(at, "no PUBREL %u came", pid);
    const size_t gone = a->end - a->begin;
    memmove(p->in.at + a->begin, p->in.at + a->end, p->in.len - a->end);
    p->in.len -= gone;
    p->checked -= gone;
    p->arrived.len -= sizeof *a;
    for (; a + 1 < end; a++) {
        a[0] = a[1];
        a->begin -= gone;
        a->end -= gone;
    }
}

struct packet take_publish_at(struct place at, struct peer *p, const char *topic, const char *payload, uint8_t qos)
{
    const struct packet pk = expect_publish_at(at, p, topic, payload);
    check_equal_at(at, "QoS", pk.qos, qos);
    if (qos == 1)
        send_ack(p, PK_PUBACK, pk.pid, 0);
    if (qos != 2)
        return pk;
    send_ack(p, PK_PUBREC, pk.pid, 0);
    take_pubrel(at, p, pk.pid);
    send_ack(p, PK_PUBCOMP, pk.pid, 0);
    return pk;
}

void leave_at(struct place at, struct peer *p)
{
    send_disconnect(p, 0, NO_PROPS);
    expect_closed_at(at, p);
}

/* ---- one test --------------------------------------------------------------------------------------------------- */

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
    hooks = (struct midge_hooks){ .random = repeatable };
    random_state = 88172645463325252u;
    config = (struct midge_config){ .memory = &counted, .limits = &limits, .hooks = &hooks };
    broker = NULL;
    now = 1000000;
    peers = NULL;
    peers_tail = &peers;
    peer_count = 0;
    input_bytes = waiting_bytes = 0;
    checks_to_skip = 0;
    failed = false;
}

static void check_ends(void)
{
    for (const struct peer *p = peers; p; p = p->next) {
        if (p->closed && !p->close_expected && !p->rules.client_left)
            fail_at(HERE, "at the end: the broker had closed peer %u unexpectedly", p->number);
        if (unread(p))
            fail_bytes(HERE, "at the end: bytes that the test has not read", p->in.at + p->read, unread(p), NULL, 0);
    }
}

/* Everything is given back, and counted while it is. */
static void end(void)
{
    check_ends();
    for (struct peer *p = peers; p; p = p->next)
        drop(p);
    if (!broker)
        return;
    checks_to_skip = 0;
    check_broker();
    midge_shutdown(broker, now);
    settle();
    midge_free(broker);
    broker = NULL;
    if (blocks_used)
        fail_at(HERE, "%zu bytes were not given back by midge_free", blocks_used);
}

bool run_test(const struct test *t)
{
    begin();
    if (setjmp(test_end) == 0) {
        t->run();
        end();
    }
    if (failed)
        fprintf(stderr, "    in %s (%s)%s\n", t->name, t->file, run_mode.cut ? ", cut" : "");
    forget_blocks();
    forget_kept();
    return !failed;
}

size_t run_input_bytes(void)
{
    return input_bytes;
}
