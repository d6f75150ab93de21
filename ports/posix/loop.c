/* loop.c - the loop of one broker: wait, hand over what came, send what is ready, sleep until it is due. */
#include "posix.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_PASS 128
#define DEFAULT_STOP_MS 2000u
#define DEFAULT_POSTS 1024u
#define DEFAULT_POST_BYTES ((size_t)1024 * 1024)
#define DEFAULT_GREETINGS 1024u
#define DEFAULT_GREETING_MS 10000u

static midge_ms clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (midge_ms)t.tv_sec * 1000 + (midge_ms)t.tv_nsec / 1000000;
}

static uint64_t wall_ms(void *user)
{
    (void)user;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* False: this kernel has no getrandom. What worked once goes on working. */
static bool fill_random(uint8_t *out, size_t n)
{
    while (n) {
        ssize_t got = getrandom(out, n, 0);
        if (got < 0 && errno != EINTR)
            return false;
        size_t more = got > 0 ? (size_t)got : 0;
        out += more;
        n -= more;
    }
    return true;
}

static void kernel_random(void *user, void *out, size_t n)
{
    (void)user;
    fill_random(out, n); /* midge_loop_new has seen it work */
}

void midge_say(const struct midge_loop *loop, enum midge_log_level level, const char *format, ...)
{
    if (!loop->config.say)
        return;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    loop->config.say(loop->config.say_user, level, text);
}

/* ---- waking up ----------------------------------------------------------------------------------------- */

void midge_loop_wake(struct midge_loop *loop)
{
    int kept = errno; /* signal handlers come through here */
    uint64_t one = 1;
    ssize_t n = write(loop->wake_fd, &one, sizeof one);
    (void)n; /* EAGAIN: it is counted high enough to wake up anyhow */
    errno = kept;
}

static void woken(void *user, int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
    midge_postbox_empty(user);
}

void midge_loop_stop(struct midge_loop *loop)
{
    atomic_store(&loop->stop, true);
    midge_loop_wake(loop);
}

/* ---- the host's descriptors ---------------------------------------------------------------------------- */

static struct midge_watch *find_watch(const struct midge_loop *loop, int fd)
{
    struct midge_watch *w = loop->watches;
    while (w && w->fd != fd)
        w = w->next;
    return w;
}

/* An event of this pass may still name it: it is freed at the end of the pass. */
static void end_watch(struct midge_loop *loop, struct midge_watch *w)
{
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
    loop->watch_ended = true;
}

bool midge_loop_watch(struct midge_loop *loop, int fd, bool for_writing, void (*ready)(void *user, int fd),
                      void *user)
{
    struct midge_watch *old = find_watch(loop, fd);
    if (old)
        end_watch(loop, old);
    if (!ready)
        return true;
    struct midge_watch *w = malloc(sizeof *w);
    if (!w)
        return false;
    *w = (struct midge_watch){
        .source = SOURCE_WATCH, .fd = fd, .next = loop->watches, .ready = ready, .user = user
    };
    struct epoll_event event = { .events = for_writing ? EPOLLOUT : EPOLLIN, .data.ptr = w };
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        free(w);
        return false;
    }
    loop->watches = w;
    return true;
}

static void bury_watches(struct midge_loop *loop)
{
    loop->watch_ended = false;
    struct midge_watch **at = &loop->watches;
    while (*at) {
        struct midge_watch *w = *at;
        if (w->fd >= 0) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void fill_in(struct midge_loop_config *c)
{
    if (!c->limits)
        c->limits = &midge_limits_gateway;
    if (!c->stop_ms)
        c->stop_ms = DEFAULT_STOP_MS;
    if (!c->posts)
        c->posts = DEFAULT_POSTS;
    if (!c->post_bytes)
        c->post_bytes = DEFAULT_POST_BYTES;
    if (!c->greetings)
        c->greetings = DEFAULT_GREETINGS;
    if (!c->greeting_ms)
        c->greeting_ms = DEFAULT_GREETING_MS;
}

static bool start(struct midge_loop *loop)
{
    if (!fill_random((uint8_t *)&loop->address_seed, sizeof loop->address_seed))
        return false;
    loop->address_seed |= 1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->greeting_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll_fd < 0 || !midge_loop_watch(loop, loop->wake_fd, false, woken, loop) ||
        !midge_loop_watch(loop, loop->greeting_fd, false, midge_socks_hear, loop))
        return false;
    const struct midge_config config = {
        .memory = loop->config.memory,
        .limits = loop->config.limits,
        .hooks = &loop->hooks,
        .auto_id_prefix = loop->config.auto_id_prefix,
        .store = loop->config.store,
        .sys_interval_s = loop->config.sys_interval_s,
    };
    loop->broker = midge_new(&config, loop->now);
    return loop->broker != NULL;
}

struct midge_loop *midge_loop_new(const struct midge_loop_config *config)
{
    struct midge_loop *loop = malloc(sizeof *loop);
    if (!loop)
        return NULL;
    /* The buffers behind are touched only as far as they are used. */
    memset(loop, 0, offsetof(struct midge_loop, in));
    if (config)
        loop->config = *config;
    fill_in(&loop->config);
    midge_pool_init(&loop->pool);
    if (!loop->config.memory)
        loop->config.memory = &loop->pool.memory;
    if (loop->config.hooks)
        loop->hooks = *loop->config.hooks;
    if (!loop->hooks.random)
        loop->hooks.random = kernel_random;
    if (!loop->hooks.wall_ms)
        loop->hooks.wall_ms = wall_ms;
    loop->epoll_fd = -1;
    loop->greeting_fd = -1;
    loop->wake_fd = -1;
    loop->greeting.tail = &loop->greeting.first;
    loop->closing.tail = &loop->closing.first;
    loop->now = clock_ms();
    midge_postbox_init(&loop->postbox, loop->config.posts, loop->config.post_bytes);
    if (!start(loop)) {
        midge_loop_free(loop);
        return NULL;
    }
    return loop;
}

void midge_loop_free(struct midge_loop *loop)
{
    if (!loop)
        return;
    loop->stopping = true;
    midge_listeners_close(loop);
    midge_postbox_close(loop);
    midge_postbox_free(&loop->postbox);
    midge_uplinks_close(loop);
    midge_uplinks_bury(loop);
    midge_socks_close(loop);
    midge_socks_bury(loop);
    midge_listeners_bury(loop);
    if (loop->broker)
        midge_free(loop->broker);
    midge_pool_free(&loop->pool);
    while (loop->watches) {
        struct midge_watch *w = loop->watches;
        loop->watches = w->next;
        free(w);
    }
    if (loop->greeting_fd >= 0)
        close(loop->greeting_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    free(loop);
}

struct midge *midge_loop_broker(struct midge_loop *loop)
{
    return loop->broker;
}

struct midge_hooks *midge_loop_hooks(struct midge_loop *loop)
{
    return &loop->hooks;
}

midge_ms midge_loop_now(const struct midge_loop *loop)
{
    return loop->now;
}

void midge_loop_get_stats(const struct midge_loop *loop, struct midge_loop_stats *out)
{
    *out = loop->stats;
}

/* ---- a pass -------------------------------------------------------------------------------------------- */

static midge_ms sooner(midge_ms a, midge_ms b)
{
    return a < b ? a : b;
}

/* How long epoll may wait: 0 = something is due, -1 = nothing is, ever. */
static int sleep_ms(const struct midge_loop *loop, midge_ms until)
{
    midge_ms due = sooner(midge_deadline(loop->broker), until);
    if (loop->closing.first)
        due = sooner(due, loop->closing.first->u.until);
    if (loop->greeting.first)
        due = sooner(due, loop->greeting.first->u.until);
    if (loop->starving)
        due = sooner(due, loop->accept_again);
    due = sooner(due, midge_uplinks_deadline(loop));
    if (due == MIDGE_NEVER)
        return -1;
    if (due <= loop->now)
        return 0;
    midge_ms now = clock_ms(); /* the pass took time too */
    if (due <= now)
        return 0;
    return due - now < INT_MAX ? (int)(due - now) : INT_MAX;
}

static void hand_over(const struct epoll_event *event)
{
    void *source = event->data.ptr;
    struct midge_watch *w = source;
    switch (*(const uint8_t *)source) {
    case SOURCE_SOCK:
        midge_sock_event(source, event->events);
        break;
    case SOURCE_DOOR:
        midge_door_event(source);
        break;
    case SOURCE_UPLINK:
        midge_uplink_event(source, event->events);
        break;
    default:
        if (w->fd >= 0)
            w->ready(w->user, w->fd);
    }
}

static void serve_ready(struct midge_loop *loop)
{
    struct midge_conn *c;
    while ((c = midge_ready(loop->broker, loop->now)))
        midge_sock_serve(midge_conn_user(c));
}

/* After something happened: what is due, what is ready, what is over. */
static void settle(struct midge_loop *loop)
{
    if (midge_deadline(loop->broker) <= loop->now)
        midge_tick(loop->broker, loop->now);
    serve_ready(loop);
    if (loop->uplinks) {
        midge_uplinks_turn(loop);
        serve_ready(loop);
    }
    midge_socks_settle(loop);
    midge_socks_expire(loop, loop->now);
    midge_socks_give_up(loop, loop->now);
    if (loop->starving && loop->accept_again <= loop->now)
        midge_doors_resume(loop);
    midge_socks_bury(loop);
    if (loop->watch_ended)
        bury_watches(loop);
    if (loop->uplink_ended)
        midge_uplinks_bury(loop);
    if (loop->listener_ended)
        midge_listeners_bury(loop);
}

static int pass(struct midge_loop *loop, midge_ms until)
{
    struct epoll_event events[EVENTS_A_PASS];
    int n = epoll_wait(loop->epoll_fd, events, EVENTS_A_PASS, sleep_ms(loop, until));
    if (n < 0 && errno != EINTR)
        return errno;
    loop->now = clock_ms();
    loop->stats.passes++;
    for (int i = 0; i < n; i++)
        hand_over(&events[i]);
    settle(loop);
    return 0;
}

/* What was posted before the stop is carried out; then everybody is told, and has stop_ms to take it. */
static void finish(struct midge_loop *loop)
{
    midge_listeners_close(loop);
    midge_postbox_close(loop);
    midge_postbox_empty(loop);
    loop->now = clock_ms();
    loop->stopping = true;
    midge_uplinks_close(loop);
    midge_socks_give_up(loop, MIDGE_NEVER);
    midge_shutdown(loop->broker, loop->now);
    settle(loop);
    midge_ms until = loop->now + loop->config.stop_ms;
    while ((loop->open || loop->closing.first) && loop->now < until && pass(loop, until) == 0)
        continue;
    midge_socks_close(loop);
    midge_socks_bury(loop);
}

int midge_loop_run(struct midge_loop *loop)
{
    int err = loop->stopping ? EINVAL : 0;
    loop->now = clock_ms();
    while (!err && !atomic_load(&loop->stop))
        err = pass(loop, MIDGE_NEVER);
    if (!loop->stopping)
        finish(loop);
    return err;
}
