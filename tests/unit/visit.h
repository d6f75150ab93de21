/* visit.h - listeners by options on a loop of its own thread, and what the broker is told of who comes. */
#ifndef MIDGE_TESTS_VISIT_H
#define MIDGE_TESTS_VISIT_H

#include "peer.h"

#include <stdio.h>

/* A broker with a house book: who logged in last. Look into it when the loop's thread has answered. */
struct house {
    struct runner r;
    char peer[MIDGE_PEER_TEXT];
    char identity[64];
    void *listener_user;
    char said[4096]; /* what the loop said, a line each */
};

static inline void house_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    struct house *h = user;
    struct midge_slice name = midge_peer_identity(in->who.peer);
    midge_peer_text(in->who.peer, h->peer, sizeof h->peer);
    snprintf(h->identity, sizeof h->identity, "%.*s", (int)name.len, name.data ? (const char *)name.data : "");
    h->listener_user = midge_peer_listener_user(in->who.peer);
    out->answer = MIDGE_ALLOW;
}

static inline void house_say(void *user, enum midge_log_level level, const char *line)
{
    struct house *h = user;
    size_t used = strlen(h->said);
    (void)level;
    if (used + strlen(line) + 2 < sizeof h->said)
        snprintf(h->said + used, sizeof h->said - used, "%s\n", line);
}

/* config: NULL or what differs from the defaults. */
static inline void house_open(struct house *h, const struct midge_loop_config *config)
{
    const struct midge_hooks hooks = { .user = h, .login = house_login };
    struct midge_loop_config c = config ? *config : (struct midge_loop_config){ .stop_ms = 0 };
    *h = (struct house){ .peer = "" };
    c.hooks = &hooks;
    c.say = house_say;
    c.say_user = h;
    h->r.loop = midge_loop_new(&c);
    assert_non_null(h->r.loop);
}

static inline struct midge_listener *house_listen(struct house *h, struct midge_listen what)
{
    char why[256] = "";
    struct midge_listener *l = NULL;
    if (!what.host)
        what.host = "127.0.0.1";
    int err = midge_loop_open(h->r.loop, &what, &l, why, sizeof why);
    assert_string_equal(why, "");
    assert_int_equal(err, 0);
    if (!h->r.port)
        h->r.port = midge_loop_address(h->r.loop, 0, NULL, 0);
    return l;
}

static inline void house_run(struct house *h)
{
    assert_int_equal(pthread_create(&h->r.thread, NULL, runner_main, &h->r), 0);
}

static inline void house_close(struct house *h)
{
    runner_stop(&h->r);
    midge_loop_free(h->r.loop);
}

/* On the loop's thread. */
static inline void house_get_stats(void *user, struct midge *m, midge_ms now)
{
    (void)m;
    (void)now;
    struct { struct midge_loop *loop; struct midge_loop_stats *out; } *both = user;
    midge_loop_get_stats(both->loop, both->out);
}

static inline struct midge_loop_stats house_stats(struct house *h)
{
    struct midge_loop_stats stats;
    struct { struct midge_loop *loop; struct midge_loop_stats *out; } both = { h->r.loop, &stats };
    runner_call(&h->r, house_get_stats, &both);
    return stats;
}

struct renewal {
    struct midge_listener *listener;
    struct midge_listen what; /* transport MIDGE_TRANSPORT_... of no meaning; listener closed if `close` */
    bool close;
    int err;
    char why[256];
};

static inline void house_renew_main(void *user, struct midge *m, midge_ms now)
{
    struct renewal *x = user;
    (void)m;
    (void)now;
    if (x->close)
        midge_listener_close(x->listener);
    else
        x->err = midge_listener_renew(x->listener, &x->what, x->why, sizeof x->why);
}

static inline void house_end_listener(struct house *h, struct midge_listener *l)
{
    struct renewal x = { .listener = l, .close = true };
    runner_call(&h->r, house_renew_main, &x);
}

/* "" or why not. */
static inline const char *house_renew(struct house *h, struct midge_listener *l, struct midge_listen what)
{
    static struct renewal x;
    x = (struct renewal){ .listener = l, .what = what };
    runner_call(&h->r, house_renew_main, &x);
    assert_int_equal(x.err != 0, x.why[0] != '\0');
    return x.why;
}

#define CONNECT_A "\x10\x0d\0\4MQTT\4\2\0\0\0\1a"
#define CONNACK "\x20\x02\0\0"

#endif
