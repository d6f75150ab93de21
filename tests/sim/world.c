/* world.c - one world: drawn from its seed, run step by step, brought to rest, and taken down. */
#include "world.h"

struct world W;

static struct rng mix(uint64_t seed, uint64_t step)
{
    struct rng r = { .state = seed * 0xD1342543DE82EF95u + step * 0x2545F4914F6CDD1Du };
    (void)rng_next(&r);
    return r;
}

/* ---- topics and filters -------------------------------------------------------------------------------- */

static const char *const topics[] = { "a",
                                      "a/b",
                                      "a/b/c",
                                      "b",
                                      "b/c",
                                      "x/y/z",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      "$x/y",
                                      "$x",
                                      "s/1",
                                      "s/2",
                                      "long/topic/with/several/levels/in/it",
                                      "\xC3\xA4/\xE2\x82\xAC" };
static const char *const filters[] = { "#",
                                       "+",
                                       "a",
                                       "a/b",
                                       "a/#",
                                       "a/+",
                                       "+/b",
                                       "a/+/c",
                                       "+/+/+",
                                       "/#",
                                       "+/#",
                                       "b/c",
                                       "x/y/z",
                                       "$x/#",
                                       "$x/y",
                                       "s/#",
                                       "s/1",
                                       "s/+",
                                       "/+",
                                       "a//b",
                                       "+//+",
                                       "a/",
                                       "long/+/with/+/levels/#",
                                       "\xC3\xA4/+",
                                       "nobody/publishes/here" };

/* Naive on purpose: a level at a time. */
static bool matches(const char *filter, const char *topic)
{
    if (topic[0] == '$' && filter[0] != '$')
        return false;
    for (;;) {
        if (strcmp(filter, "#") == 0)
            return true;
        const size_t f = strcspn(filter, "/"), t = strcspn(topic, "/");
        if (!(f == 1 && filter[0] == '+') && !(f == t && memcmp(filter, topic, f) == 0))
            return false;
        filter += f;
        topic += t;
        if (!*topic)
            return !*filter || strcmp(filter, "/#") == 0;
        if (!*filter)
            return false;
        filter++;
        topic++;
    }
}

static void add_topic(const char *text)
{
    W.topic_len[W.topic_count] = (uint16_t)strlen(text);
    strcpy(W.topics[W.topic_count++], text);
}

static void add_filter(const char *text)
{
    strcpy(W.filters[W.filter_count++], text);
}

/* a/0/1/2 ... with `levels` levels */
static void deep(char *text, uint32_t levels, const char *level)
{
    strcpy(text, "deep");
    for (uint32_t i = 1; i < levels; i++)
        strcat(strcat(text, "/"), level);
}

static void draw_names(struct rng *r)
{
    char text[400];
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        add_topic(topics[i]);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        add_filter(filters[i]);
    const uint32_t levels = between(r, 3, W.limits.topic_levels < 150 ? W.limits.topic_levels : 150);
    deep(text, levels, "l");
    add_topic(text);
    add_filter(text);
    deep(text, levels, "+");
    add_filter(text);
    deep(text, levels - 1, "+");
    add_filter(strcat(text, "/#"));
    for (uint32_t i = below(r, 30); i; i--) {
        (void)snprintf(text, sizeof text, "w/%u/%u", i % 5, i);
        add_topic(text);
    }
    add_filter("w/+/+");
    add_filter("w/1/#");
    for (uint32_t t = 0; t < W.topic_count; t++)
        for (uint32_t f = 0; f < W.filter_count; f++)
            W.matches[t] |= matches(W.filters[f], W.topics[t]) ? 1ull << f : 0;
    for (uint32_t f = 0; f < W.filter_count; f++)
        W.wildcard |= strpbrk(W.filters[f], "+#") ? 1ull << f : 0;
}

/* ---- what the world is like ---------------------------------------------------------------------------- */

static void draw_limits(struct rng *r)
{
    struct midge_limits *l = &W.limits;
    *l = chance(r, 500) ? midge_limits_chip : midge_limits_gateway;
    l->memory_bytes = SIZE_MAX;
    l->connections = 4 * 64;
    l->connections_per_address = 0;
    l->sessions = chance(r, 800) ? 1000 : between(r, 3, 30);
    l->subscriptions = chance(r, 800) ? FILTERS_MAX * GROUPS : between(r, 1, 10);
    l->queue_msgs = chance(r, 400) ? 1000 : between(r, 1, 40);
    l->queue_bytes = chance(r, 600) ? 1u << 20 : between(r, 100, 5000);
    l->inflight = (uint16_t)(chance(r, 500) ? 20 : between(r, 1, 10));
    l->receive_maximum = (uint16_t)between(r, 1, 20);
    l->inbound_qos2 = 64;
    l->alias_in = (uint16_t)below(r, 12);
    l->alias_out = (uint16_t)below(r, 12);
    l->keepalive_s = (uint16_t)(chance(r, 500) ? 0 : between(r, 10, 300));
    l->session_expiry_s = chance(r, 500) ? UINT32_MAX : between(r, 1, 100000);
    l->queue_policy = (uint8_t)below(r, 4);
    l->retained_msgs = chance(r, 800) ? 1000 : between(r, 1, 10);
    l->retained_bytes = 1u << 24;
    l->shared = chance(r, 800);
    l->wildcards = chance(r, 950);
    l->subscription_ids = chance(r, 800);
    l->control_bytes = chance(r, 500) ? 512 : 65536;
    l->topic_levels = (uint16_t)between(r, 8, 200);
    if (chance(r, 300)) {
        l->reserve_bytes = between(r, 2048, 8192);
        l->memory_bytes = l->reserve_bytes + between(r, 15000, 200000);
        W.tight = true;
    }
}

static void draw_client(struct rng *r, struct client *cl, int slot)
{
    static const uint8_t versions[] = { 3, 4, 4, 5, 5, 5 };
    cl->slot = slot;
    cl->version = versions[below(r, 6)];
    cl->must_clean = true;
    if (cl->version == 3 || chance(r, 950))
        (void)snprintf(cl->id, sizeof cl->id, "c%d", slot);
    cl->qos0 = (uint8_t)below(r, 251);
    cl->qos1 = (uint8_t)below(r, 251);
    cl->publish_rate = chance(r, 200) ? 10 : between(r, 50, 400);
    cl->subscribe_rate = between(r, 10, 200);
    cl->next_pid = (uint16_t)(chance(r, 200) ? 65530 : below(r, 10));
}

/* One topic in eight or so, of each kind. */
static void draw_rights(struct rng *r, uint32_t slot)
{
    W.no_publish[slot] = rng_next(r) & rng_next(r) & rng_next(r);
    W.no_subscribe[slot] = rng_next(r) & rng_next(r) & rng_next(r) & rng_next(r);
    W.no_deliver[slot] = rng_next(r) & rng_next(r) & rng_next(r);
    W.rights_moment[slot] = ++W.moment;
}

static void draw_world(struct rng *r)
{
    draw_limits(r);
    draw_names(r);
    W.clients = chance(r, 600) ? between(r, 3, 8) : between(r, 3, 50);
    for (uint32_t i = 0; i < W.clients; i++)
        draw_client(r, &W.client[i], (int)i);
    W.cut_rate = below(r, 8);
    W.evil_rate = chance(r, 500) ? 0 : between(r, 1, 200);
    W.clean_rate = between(r, 50, 600);
    W.time_rate = between(r, 10, 80);
    W.tempo = below(r, 4);
    if (chance(r, 300)) {
        W.tight = true;
        W.fails = true;
    }
    if (chance(r, 400)) {
        W.store = true;
        W.wall = chance(r, 700);
        W.relaxed_ms = chance(r, 800) ? 0 : between(r, 1, 5000);
        W.kill_rate = between(r, 1, 100);
    }
    W.store_fails_after = UINT32_MAX;
    W.acl = chance(r, 250);
    for (uint32_t i = 0; W.acl && i < W.clients; i++)
        draw_rights(r, i);
}

static const midge_ms starts[] = { 0, 1, 0xFFFFF000u, 0x7FFFF000u, 1ull << 62, 1700000000000u };

/* ---- a broker comes and goes --------------------------------------------------------------------------- */

static void dice(void *user, void *out, size_t n)
{
    (void)user;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)rng_next(&W.dice);
}

static void tick(void)
{
    model_before(NULL);
    W.in_tick = true;
    midge_tick(W.broker, W.now);
    W.in_tick = false;
    model_ticked();
    model_after();
    if (!store_is_synced() && W.age - W.unsynced_since >= (W.relaxed_ms ? W.relaxed_ms : 1000))
        diverge("what was written %llu ms ago is not synced", (unsigned long long)(W.age - W.unsynced_since));
    port_ready();
    for (unsigned i = 0; midge_deadline(W.broker) <= W.now; i++) {
        if (i == 3)
            diverge("midge_deadline stays in the past: a port would spin");
        model_before(NULL);
        midge_tick(W.broker, W.now);
        model_ticked();
        model_after();
        port_ready();
    }
}

static uint64_t wall_ms(void *user)
{
    (void)user;
    return 1700000000000u + W.age;
}

static void new_broker(void)
{
    W.hooks = (struct midge_hooks){ .event = model_event,
                                    .random = dice,
                                    .wall_ms = W.wall ? wall_ms : NULL,
                                    .allow = W.acl ? model_allow : NULL };
    W.config = (struct midge_config){
        .memory = &sim_memory, .limits = &W.limits, .hooks = &W.hooks, .store = W.store ? &sim_store : NULL
    };
    sim_store.relaxed_ms = W.relaxed_ms;
    W.last_now = W.now;
    W.refused_before = 0;
    W.unaccepted0 = 0;
    W.fed_bytes = W.pulled_bytes = W.sent0 = 0;
    W.shutting_down = W.store_dead = W.store_failed = W.sync_fails = false;
    W.store_fails_after = UINT32_MAX;
    const uint32_t rate = W.fail_rate;
    W.fail_rate = 0;
    W.broker = midge_new(&W.config, W.now);
    if (!W.broker)
        diverge("midge_new: no memory");
    if (W.store) {
        const enum midge_err err = store_restore(W.broker);
        if (err != MIDGE_OK && !(err == MIDGE_ERR_NO_MEMORY && W.tight))
            diverge("a record is not restored: %d", err);
        W.over = err != MIDGE_OK; /* there was more than fits: the host gives up */
        midge_restored(W.broker, W.now);
    }
    W.fail_rate = rate;
}

static void world_start(void)
{
    W.age = 0;
    new_broker();
    if (W.seed % 2 == 0) {
        W.now += (1ull << 32) - below(&W.rng, 100000); /* soon its 32-bit clock wraps */
        tick();
    }
}

void world_stop(void)
{
    while (W.conns)
        conn_lost(W.conns);
    midge_free(W.broker);
    W.broker = NULL;
    if (W.used || W.blocks)
        diverge("memory: %zu bytes in %zu blocks are left when the broker is gone", W.used, W.blocks);
}

static void forget_all(void)
{
    model_forget();
    store_clear();
    for (uint32_t i = 0; i < W.clients; i++) {
        client_forget(&W.client[i]);
        W.client[i].must_clean = true;
    }
}

/* It comes back on another clock, after a while. */
static void come_back(void)
{
    W.now = chance(&W.rng, 500) ? W.now : starts[below(&W.rng, 6)];
    W.age_before = W.age;
    W.age += below(&W.rng, chance(&W.rng, 900) ? 5000 : 100000000);
    model_killed();
    new_broker();
    if (W.over)
        return;
    model_restored();
    W.exposed = !store_is_synced();
    tick();
    model_check();
}

/* Shutdown as a port does it: served for a while, then the rest is cut off. */
static void restart(void)
{
    TRACE("world   the broker is restarted");
    W.restarts++;
    W.faults++;
    if (chance(&W.rng, 700)) {
        W.shutting_down = true;
        model_before(NULL);
        model_shutdown();
        midge_shutdown(W.broker, W.now);
        model_after();
        port_ready();
        for (uint32_t n = below(&W.rng, 20); n && W.conn_count; n--) {
            struct conn *c = W.conn_at[below(&W.rng, W.conn_count)];
            if (c->close)
                conn_lost(c);
            else if (!c->served)
                conn_pull(c, between(&W.rng, 1, 200));
        }
    }
    world_stop();
    if (W.store) {
        come_back();
        return;
    }
    forget_all();
    world_start();
}

/* ---- a broker is killed -------------------------------------------------------------------------------- */

/* After its store has failed it tells nobody anything but that it ends. */
static void check_silence(void)
{
    static uint8_t out[8192];
    const struct midge_peer peer = { .user = NULL };
    port_ready();
    if (midge_accept(W.broker, &peer, W.now))
        diverge("a connection is accepted after the store has failed");
    for (uint32_t i = 0; i < W.conn_count; i++) {
        struct conn *c = W.conn_at[i];
        const bool begun = c->in.len != 0;
        const size_t n = midge_pull(c->c, out, sizeof out, W.now);
        if (n && !begun && out[0] != 0xE0)
            diverge("a packet of type %u goes out to %u after the store has failed", out[0] >> 4, c->serial);
    }
}

static void kill_now(void)
{
    TRACE("world   the broker is killed%s", W.store_failed ? ", as its store has failed" : "");
    W.kills++;
    W.faults++;
    if (W.store_failed) {
        W.store_failures++;
        check_silence();
    }
    W.store_dead = true; /* what its end would write goes nowhere */
    midge_free(W.broker);
    W.broker = NULL;
    W.deaf = false;
    while (W.conns)
        free_conn(W.conns);
    if (W.used || W.blocks)
        diverge("memory: %zu bytes in %zu blocks are left when the broker is gone", W.used, W.blocks);
    store_roll_back();
    come_back();
}

/* A call that the broker does not survive: what it was fed or gave is lost with it. */
static void doomed_call(void)
{
    static uint8_t out[4096];
    struct conn *c = W.conn_count ? W.conn_at[below(&W.rng, W.conn_count)] : NULL;
    const uint32_t most = between(&W.rng, 1, sizeof out);
    W.deaf = true;
    if (chance(&W.rng, 300))
        W.store_fails_after = below(&W.rng, 20);
    if (!c) {
        W.sync_fails = true;
        W.now += below(&W.rng, 10000);
        midge_tick(W.broker, W.now);
    } else if (c->up.len > c->up_at && !c->paused && chance(&W.rng, 600)) {
        const uint32_t left = c->up.len - c->up_at;
        TRACE("feed    %u: its last bytes", c->serial);
        midge_recv(c->c, c->up.at + c->up_at, left < most ? left : most, W.now);
    } else {
        TRACE("pull    %u: bytes that nobody gets", c->serial);
        (void)midge_pull(c->c, out, most, W.now);
    }
    kill_now();
}

static bool step_kill(void)
{
    if (W.exposed || (W.relaxed_ms && !store_is_synced()))
        return false;
    if (chance(&W.rng, 500) || W.relaxed_ms)
        kill_now();
    else
        doomed_call();
    return true;
}

/* ---- the network's and the clock's steps --------------------------------------------------------------- */

#define R (&W.rng)

static uint32_t draw_piece(void)
{
    switch (below(R, 4)) {
    case 0:
        return 1;
    case 1:
        return between(R, 2, 30);
    case 2:
        return between(R, 20, 500);
    default:
        return 4096;
    }
}

static void cut(struct conn *c)
{
    TRACE("network cuts %u", c->serial);
    W.cuts++;
    W.faults++;
    conn_lost(c);
}

static void flip_stall(struct conn *c)
{
    W.faults++;
    if (chance(R, 500))
        c->stalled_up = !c->stalled_up;
    else
        c->stalled_down = !c->stalled_down;
}

static bool feed_possible(const struct conn *c)
{
    return !c->paused && !c->stalled_up && c->up.len > c->up_at;
}

#define SOCKET_BYTES 20000u /* that a client has not read */

/* The rarer things. False: none of them. */
static bool step_trouble(struct conn *c)
{
    if (chance(R, W.cut_rate))
        cut(c);
    else if (chance(R, 4))
        flip_stall(c);
    else if (!c->client && (chance(R, 20) || (c->up.len == c->up_at && chance(R, 100))))
        cut(c); /* its end arrives, at last */
    else
        return false;
    return true;
}

static void read_some(struct conn *c)
{
    const uint64_t left = c->pulled - c->read, n = draw_piece();
    client_read(c, c->read + (n < left ? n : left));
}

/* False: nothing is under way there. */
static bool step_network(struct conn *c)
{
    const bool feed = feed_possible(c);
    const bool pull = !c->served && !c->stalled_down && c->pulled - c->read < SOCKET_BYTES;
    const bool read = c->pulled > c->read;
    if (c->close && chance(R, 700))
        conn_lost(c);
    else if (chance(R, 30) && step_trouble(c))
        return true;
    else if (feed && (chance(R, 500) || !(pull || read)))
        conn_feed(c, draw_piece());
    else if (pull && (chance(R, 600) || !read))
        conn_pull(c, draw_piece());
    else if (read)
        read_some(c);
    else
        return false;
    return true;
}

static midge_ms draw_leap(void)
{
    static const uint32_t tempo[] = { 5, 100, 2000, 20 };
    const uint32_t what = below(R, 1000);
    if (what < 700)
        return below(R, tempo[W.tempo]);
    if (what < 980)
        return between(R, 100, 3000);
    if (what < 995)
        return between(R, 3000, 100000);
    if (what < 999)
        return (midge_ms)between(R, 100, 100000) * 1000;
    return (midge_ms)between(R, 1, 80) * 86400000u;
}

static void step_clock(void)
{
    const midge_ms deadline = midge_deadline(W.broker);
    midge_ms leap = draw_leap();
    if (chance(R, 10) && W.now > 10000) {
        W.now -= below(R, 5000); /* a step back counts as no time */
        model_before(NULL);
        midge_tick(W.broker, W.now);
        model_ticked();
        model_after();
        port_ready();
        return;
    }
    if (deadline != MIDGE_NEVER && deadline > W.now && deadline - W.now < 3600000 && chance(R, 200))
        leap = deadline - W.now - (chance(R, 300) ? 1 : 0);
    if (leap >> 29) { /* what is connected ends first, so that it is known when */
        W.now += 99000000;
        tick();
    }
    W.jumps += leap > 100000;
    W.faults += leap > 100000;
    W.now += leap;
    TRACE("clock   +%llu ms, age %llu", (unsigned long long)leap, (unsigned long long)(W.age + leap));
    if (leap > 1u << 30 || chance(R, 900)) /* a port may be late */
        tick();
}

static void check_deadline(void)
{
    const char *what = "";
    const midge_ms due = model_due(&what);
    const midge_ms deadline = midge_deadline(W.broker);
    if (due == MIDGE_NEVER || due <= W.age)
        return;
    if (deadline == MIDGE_NEVER || (deadline > W.last_now && W.age + (deadline - W.last_now) > due))
        diverge("midge_deadline is in %lld ms, but %s is due in %llu", (long long)(deadline - W.last_now),
                what, (unsigned long long)(due - W.age));
}

static void check_step(void)
{
    if (W.conn_count) {
        const struct conn *c = W.conn_at[W.step % W.conn_count];
        const unsigned status = midge_status(c->c);
        if (c->served && (status & MIDGE_STATUS_PULL))
            diverge("connection %u has bytes to pull, and midge_ready did not name it", c->serial);
        if (!c->close && (status & MIDGE_STATUS_CLOSE))
            diverge("connection %u is to be closed, and midge_ready did not name it", c->serial);
        if (c->paused && !(status & MIDGE_STATUS_PAUSED))
            diverge("connection %u may be read again, and midge_ready did not name it", c->serial);
    }
    if (W.step % 16 == 0)
        check_deadline();
    if (W.step % 512 == 0)
        model_check();
}

/* ---- what the host does of itself ----------------------------------------------------------------------- */

static struct midge_slice slice_of(const char *text)
{
    return (struct midge_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

static void host_publishes(void)
{
    static uint8_t payload[4096];
    struct content *m = draw_message(&W.client[below(R, W.clients)], 4);
    m->publisher = -1;
    for (uint32_t i = 0; i < m->len; i++)
        payload[i] = payload_byte(m->number, i);
    const struct midge_publication p = { .topic = slice_of(W.topics[m->topic]),
                                         .payload = { payload, m->len },
                                         .qos = m->qos,
                                         .retain = m->retain };
    model_before(NULL);
    const enum midge_err err = midge_publish(W.broker, NULL, &p, W.now);
    TRACE("host    publishes #%u %s qos %u%s: %d", m->number, W.topics[m->topic], m->qos,
          m->retain ? " retain" : "", err);
    model_host_published(m, err);
    content_drop(m);
    model_after();
    port_ready();
}

static void host_kicks(void)
{
    const struct client *cl = &W.client[below(R, W.clients)];
    const bool end = chance(R, 300);
    W.kicked = W.by_slot[cl->slot];
    TRACE("host    kicks %s%s", cl->id, end ? ", and ends its session" : "");
    const bool known = W.kicked != NULL, up = known && W.kicked->conn;
    model_before(NULL);
    const enum midge_err err = midge_kick(W.broker, slice_of(cl->id), 0x98, end, W.now);
    if (err == MIDGE_OK ? !known : err != MIDGE_ERR_NOT_FOUND || up)
        diverge("midge_kick says %d of %s", err, cl->id);
    if (W.by_slot[cl->slot] && W.by_slot[cl->slot]->conn)
        diverge("%s is still connected after it was kicked", cl->id);
    W.kicked = NULL;
    model_after();
    port_ready();
}

static void step_host(void)
{
    const uint32_t what = below(R, 100);
    if (what < 60)
        host_publishes();
    else if (what < 80)
        host_kicks();
    else if (W.acl)
        draw_rights(R, below(R, W.clients));
}

/* One event. False: what was drawn cannot happen now. */
static bool happen(void)
{
    const uint32_t what = below(R, 1000);
    if (what < W.time_rate)
        step_clock();
    else if (what < 400)
        return client_act(&W.client[below(R, W.clients)]);
    else if (what == 998 && chance(R, 100))
        restart();
    else if (what == 997)
        step_host();
    else if (what == 999 && W.store && chance(R, W.kill_rate * 10))
        return step_kill();
    else
        return W.conn_count && step_network(W.conn_at[below(R, W.conn_count)]);
    return true;
}

static void step(void)
{
    if (W.fails && W.step >= W.fail_until && chance(R, 1)) {
        W.fail_rate = between(R, 1, 300);
        W.fail_until = W.step + between(R, 1, 400);
    }
    unsigned tries = 0;
    while (tries < 12 && !happen())
        tries++;
    W.idle += tries == 12; /* not a step */
    check_step();
}

/* ---- rest ---------------------------------------------------------------------------------------------- */

/* All that is under way for this connection moves on. Returns whether something did. */
static bool flush(struct conn *c)
{
    const uint64_t before = c->fed + c->pulled + c->read + c->written;
    c->stalled_up = c->stalled_down = false;
    if (!c->close && !c->paused && c->up.len > c->up_at)
        conn_feed(c, 4096);
    for (unsigned i = 0; i < 100 && !c->served && !c->close; i++)
        conn_pull(c, 4096);
    client_read(c, c->pulled);
    if (c->client && !c->evil)
        client_send_acks(c, ACKS_MAX);
    return before != c->fed + c->pulled + c->read + c->written;
}

static bool flush_all(void)
{
    bool moved = false;
    struct conn *all[sizeof W.conn_at / sizeof W.conn_at[0]];
    const uint32_t n = W.conn_count;
    memcpy(all, W.conn_at, n * sizeof *all);
    for (uint32_t i = 0; i < n; i++) {
        struct conn *c = all[i];
        if (c->close || (!c->client && (c->ended || c->up.len == c->up_at))) {
            conn_lost(c);
            moved = true;
        } else {
            moved |= flush(c);
        }
    }
    return moved;
}

/* No faults, and nobody does anything new, until nothing is under way any more. */
void world_calm(void)
{
    TRACE("world   calm");
    const uint32_t rate = W.fail_rate;
    W.fail_rate = 0;
    W.calm = true;
    for (uint32_t rounds = 0, still = 0; still < 3; rounds++) {
        if (rounds > 20000)
            diverge("the world does not come to rest");
        still = flush_all() ? 0 : still + 1;
        bool paused = false;
        for (uint32_t i = 0; i < W.conn_count; i++)
            paused |= W.conn_at[i]->paused && !W.conn_at[i]->ended;
        W.now += still && paused ? W.limits.pause_ms : 1;
        const uint32_t routed = W.routed;
        tick();
        still = W.routed == routed ? still : 0; /* a will */
        if (still == 3 && paused)
            break; /* for ever: model_quiet says so */
    }
    model_quiet();
    model_check();
    W.calm = false;
    W.fail_rate = rate;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

void world_run(uint64_t seed, uint64_t steps, const uint8_t *keep)
{
    const bool verbose = W.verbose;
    memset(&W, 0, sizeof W);
    W.verbose = verbose;
    W.seed = seed;
    struct rng r = mix(seed, UINT64_MAX);
    W.dice = mix(seed, UINT64_MAX - 1);
    W.rng = mix(seed, UINT64_MAX - 2);
    draw_world(&r);
    W.now = starts[below(&r, 6)];
    const struct midge_limits *l = &W.limits;
    TRACE("world   %u clients, memory %zu (reserve %zu), queue %u msgs %u bytes policy %u, inflight %u, "
          "receive %u, "
          "retained %u, sessions %u, subscriptions %u, expiry %u, keepalive %u%s%s",
          W.clients, l->memory_bytes, l->reserve_bytes, l->queue_msgs, l->queue_bytes, l->queue_policy,
          l->inflight, l->receive_maximum, l->retained_msgs, l->sessions, l->subscriptions,
          l->session_expiry_s, l->keepalive_s, W.tight ? ", tight" : "", W.fails ? ", allocations fail" : "");
    TRACE("world   %s, relaxed %u, wall clock %d", W.store ? "has a store" : "no store", W.relaxed_ms,
          W.wall);
    world_start();
    for (W.step = 1; W.step <= steps && !W.over; W.step++) {
        if (keep && !keep[W.step])
            continue;
        W.rng = mix(seed, W.step);
        world_progress();
        step();
        if (W.step % 4096 == 0)
            world_calm();
    }
    W.rng = mix(seed, W.step);
    world_progress();
    if (!W.over)
        world_calm();
    world_stop();
    forget_all();
}
