/* loop.c - the loop of one broker: wait, hand over what came, send what is ready, sleep until it is due. */
#include "esp.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_STOP_MS 2000u
#define LONGEST_SLEEP_MS (24u * 3600 * 1000)
#define REST_US 10000
#define ACCEPTS_A_PASS 8
#define ACCEPT_REST_MS 200
#define DATE_IS_KNOWN 1577836800000 /* 2020 */

static midge_ms read_clock(int which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (midge_ms)t.tv_sec * 1000 + (midge_ms)(t.tv_nsec / 1000000);
}

midge_ms midge_esp_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void hardware_random(void *user, void *out, size_t n)
{
    (void)user;
    ssize_t got = getrandom(out, n, 0); /* esp_fill_random, which cannot fail */
    (void)got;
}

/* Before the date is known a chip's clock stands near 1970. */
static uint64_t calendar_ms(void *user)
{
    (void)user;
    midge_ms now = read_clock(CLOCK_REALTIME);
    return now > DATE_IS_KNOWN ? now : 0;
}

void *midge_esp_alloc(struct midge_esp *e, size_t n)
{
    return e->config.memory->alloc(e->config.memory->user, n);
}

void midge_esp_release(struct midge_esp *e, void *p, size_t n)
{
    e->config.memory->free(e->config.memory->user, p, n);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void fill_in(struct midge_esp *e)
{
    struct midge_esp_config *c = &e->config;
    if (!c->memory)
        c->memory = &midge_esp_memory;
    if (!c->stop_ms)
        c->stop_ms = DEFAULT_STOP_MS;
    if (!c->post_bytes)
        c->post_bytes = MIDGE_ESP_POST_BYTES;
    if (!c->sockets)
        c->sockets = MIDGE_ESP_MAX_CLIENTS;
    if (!c->limits)
        c->limits = &midge_limits_chip;
    if (c->hooks)
        e->hooks = *c->hooks;
    if (!e->hooks.event)
        e->hooks.event = midge_esp_report;
    if (!e->hooks.random)
        e->hooks.random = hardware_random;
    if (MIDGE_DURABLE && !e->hooks.wall_ms)
        e->hooks.wall_ms = calendar_ms;
}

static struct midge *new_broker(const struct midge_esp *e)
{
    const struct midge_config config = {
        .memory = e->config.memory,
        .limits = e->config.limits,
        .hooks = &e->hooks,
        .auto_id_prefix = e->config.auto_id_prefix,
        .sys_interval_s = e->config.sys_interval_s,
        .store = MIDGE_DURABLE && e->nvs ? midge_nvs_store(e->nvs) : NULL,
    };
    return midge_new(&config, e->now);
}

/* What an earlier run left, if it is to be kept. */
static bool open_state(struct midge_esp *e)
{
    const bool keeps = MIDGE_DURABLE && e->config.nvs;
    if (e->config.nvs && !keeps) {
        ESP_LOGE(MIDGE_TAG, "State in NVS is asked for, and MIDGE_DURABLE is not compiled in.");
        return false;
    }
    if (keeps && !(e->nvs = midge_nvs_open(e->config.nvs, e->config.memory, e->now)))
        return false;
    e->broker = new_broker(e);
    if (keeps && e->broker)
        midge_nvs_restore(e->nvs, e->broker, e->now);
    return e->broker != NULL;
}

struct midge_esp *midge_esp_new(const struct midge_esp_config *config)
{
    const struct midge_memory *memory = config && config->memory ? config->memory : &midge_esp_memory;
    struct midge_esp *e = memory->alloc(memory->user, sizeof *e);
    if (!e)
        return NULL;
    memset(e, 0, offsetof(struct midge_esp, buffer));
    if (config)
        e->config = *config;
    fill_in(e);
    e->now = midge_esp_clock();
    e->wake_fd = midge_wake_open();
    if (e->wake_fd >= 0 && open_state(e))
        return e;
    midge_esp_free(e);
    return NULL;
}

static void close_listeners(struct midge_esp *e)
{
    for (struct midge_listener *l = e->listeners; l; l = l->next) {
        close(l->fd);
        l->fd = -1;
    }
}

static void free_listeners(struct midge_esp *e)
{
    while (e->listeners) {
        struct midge_listener *l = e->listeners;
        e->listeners = l->next;
        midge_listener_free(e, l);
    }
}

void midge_esp_free(struct midge_esp *e)
{
    if (!e)
        return;
    atomic_store(&e->stop, true);
    midge_posts_empty(e, true);
    midge_socks_close(e);
    if (e->broker)
        midge_free(e->broker);
    if (MIDGE_DURABLE)
        midge_nvs_close(e->nvs);
    free_listeners(e);
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    midge_esp_release(e, e, sizeof *e);
}

struct midge *midge_esp_broker(struct midge_esp *e)
{
    return e->broker;
}

midge_ms midge_esp_now(const struct midge_esp *e)
{
    return e->now;
}

void midge_esp_get_stats(const struct midge_esp *e, struct midge_esp_stats *out)
{
    *out = e->stats;
}

void midge_esp_get_nvs_stats(const struct midge_esp *e, struct midge_esp_nvs_stats *out)
{
    *out = (struct midge_esp_nvs_stats){ .written = 0 };
    if (e->nvs)
        midge_nvs_get_stats(e->nvs, out);
}

void midge_esp_stop(struct midge_esp *e)
{
    atomic_store(&e->stop, true);
    midge_wake(e->wake_fd);
}

/* ---- a pass -------------------------------------------------------------------------------------------- */

/* What select is asked. */
struct ask {
    fd_set in, out;
    int top;
    midge_ms due;
};

static void add(struct ask *a, int fd, fd_set *set)
{
    FD_SET(fd, set);
    if (fd > a->top)
        a->top = fd;
}

static void no_later(struct ask *a, midge_ms due)
{
    if (due < a->due)
        a->due = due;
}

static void add_listeners(struct ask *a, const struct midge_esp *e)
{
    if (e->accept_again > e->now) {
        no_later(a, e->accept_again);
        return;
    }
    for (const struct midge_listener *l = e->listeners; l; l = l->next)
        if (l->fd >= 0)
            add(a, l->fd, &a->in);
}

static void add_socks(struct ask *a, const struct midge_esp *e)
{
    for (const struct midge_sock *s = e->socks; s; s = s->next) {
        if (midge_sock_reads(s))
            add(a, s->fd, &a->in);
        if (s->wants_write)
            add(a, s->fd, &a->out);
        if (s->closing)
            no_later(a, s->u.until);
    }
}

/* Waits until something can be done, or is due: with nothing due, for ever. */
static int wait(struct midge_esp *e, struct ask *a)
{
    struct timeval sleep = { .tv_sec = 0 };
    midge_ms now = midge_esp_clock();
    if (a->due > now) {
        uint32_t ms = a->due - now < LONGEST_SLEEP_MS ? (uint32_t)(a->due - now) : LONGEST_SLEEP_MS;
        sleep.tv_sec = ms / 1000;
        sleep.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    }
    int n = select(a->top + 1, &a->in, &a->out, NULL, a->due == MIDGE_NEVER ? NULL : &sleep);
    e->now = midge_esp_clock();
    e->stats.passes++;
    return n;
}

static void accept_all(struct midge_esp *e, const struct midge_listener *l)
{
    for (int i = 0; i < ACCEPTS_A_PASS; i++) {
        int fd = accept(l->fd, NULL, NULL);
        if (fd >= 0) {
            midge_sock_open(e, fd, l);
            continue;
        }
        int err = errno;
        if (err == ENFILE || err == EMFILE || err == ENOMEM || err == ENOBUFS) {
            midge_socks_expire(e, MIDGE_NEVER); /* who waits for a peer's end gives way */
            e->accept_again = e->now + ACCEPT_REST_MS; /* a listener that cannot be served would keep us awake */
        }
        return;
    }
}

/* Listeners last: a new socket may have the number of one that has just died. */
static void hand_over(struct midge_esp *e, const struct ask *a)
{
    for (struct midge_sock *s = e->socks; s; s = s->next)
        midge_sock_event(s, FD_ISSET(s->fd, &a->in), FD_ISSET(s->fd, &a->out));
    for (const struct midge_listener *l = e->listeners; l; l = l->next)
        if (l->fd >= 0 && FD_ISSET(l->fd, &a->in))
            accept_all(e, l);
    if (FD_ISSET(e->wake_fd, &a->in)) {
        midge_wake_drain(e->wake_fd);
        midge_posts_empty(e, false);
    }
}

/* After something happened: what is due, what is ready, what is over. */
static void settle(struct midge_esp *e)
{
    if (midge_deadline(e->broker) <= e->now)
        midge_tick(e->broker, e->now);
    struct midge_conn *c;
    while ((c = midge_ready(e->broker, e->now)))
        midge_sock_serve(midge_conn_user(c));
    midge_socks_expire(e, e->now);
    midge_socks_bury(e);
}

static int pass(struct midge_esp *e, midge_ms until)
{
    struct ask a = { .top = -1, .due = until };
    FD_ZERO(&a.in);
    FD_ZERO(&a.out);
    no_later(&a, midge_deadline(e->broker));
    if (MIDGE_DURABLE && e->nvs)
        no_later(&a, midge_nvs_tick(e->nvs, e->now));
    add(&a, e->wake_fd, &a.in);
    add_listeners(&a, e);
    add_socks(&a, e);
    int n = wait(e, &a);
    int err = n < 0 ? errno : 0;
    if (err && err != EINTR && err != ENOMEM)
        return err;
    if (n > 0)
        hand_over(e, &a);
    else if (n < 0)
        usleep(REST_US); /* select allocates on this platform, and others may give some back */
    settle(e);
    return 0;
}

/* What was posted before the stop is carried out; then everybody is told, and has stop_ms to take it. */
static void finish(struct midge_esp *e)
{
    close_listeners(e);
    midge_posts_empty(e, false);
    e->now = midge_esp_clock();
    e->stopping = true;
    midge_shutdown(e->broker, e->now);
    settle(e);
    midge_ms until = e->now + e->config.stop_ms;
    while (e->socks && e->now < until && pass(e, until) == 0)
        continue;
    midge_socks_close(e);
}

static void tell_state(const struct midge_esp *e, bool running)
{
    midge_esp_report_state(running);
    if (e->config.state)
        e->config.state(e->config.state_user, running);
}

int midge_esp_run(struct midge_esp *e)
{
    int err = e->stopping ? EINVAL : 0;
    e->now = midge_esp_clock();
    tell_state(e, true);
    while (!err && !atomic_load(&e->stop))
        err = pass(e, MIDGE_NEVER);
    if (!e->stopping)
        finish(e);
    tell_state(e, false);
    return err;
}
