/* peer.h - a blocking MQTT 3.1.1 client of a few lines, and a thread that runs a loop, for tests of the posix
 * port. */
#ifndef MIDGE_TESTS_PEER_H
#define MIDGE_TESTS_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "midge/midge_posix.h"

static inline struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

/* ---- a client ------------------------------------------------------------------------------------------ */

/* A connected socket whose reads give up after ten seconds; -1: nobody listens. rcvbuf 0 = the system's. */
static inline int peer_try(uint16_t port, int rcvbuf)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = { .tv_sec = 10 };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (rcvbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int peer_open(uint16_t port)
{
    int fd = peer_try(port, 0);
    assert_true(fd >= 0);
    return fd;
}

static inline void peer_send(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

/* Reads exactly these bytes. */
static inline void peer_expect(int fd, const void *bytes, size_t n)
{
    uint8_t got[256];
    assert_true(n <= sizeof got);
    for (size_t have = 0; have < n;) {
        ssize_t more = recv(fd, got + have, n - have, 0);
        assert_true(more > 0);
        have += (size_t)more;
    }
    assert_memory_equal(got, bytes, n);
}
#define SEND(fd, literal) peer_send(fd, literal, sizeof(literal) - 1)
#define EXPECT(fd, literal) peer_expect(fd, literal, sizeof(literal) - 1)

/* The broker closes in order: an end of the stream, no reset. */
static inline void peer_expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Connected as a clean 3.1.1 client with a one-letter id and no keep alive. */
static inline int peer_client(uint16_t port, char id)
{
    char connect[] = "\x10\x0d\0\4MQTT\4\2\0\0\0\1?";
    int fd = peer_open(port);
    connect[14] = id;
    peer_send(fd, connect, 15);
    EXPECT(fd, "\x20\x02\0\0");
    return fd;
}

/* Subscribed to t at QoS 0. */
static inline void peer_subscribe_t(int fd)
{
    SEND(fd, "\x82\x06\0\1\0\1t\0");
    EXPECT(fd, "\x90\x03\0\1\0");
}

/* ---- a loop on a thread of its own --------------------------------------------------------------------- */

struct runner {
    struct midge_loop *loop;
    uint16_t port;
    pthread_t thread;
    int result;
};

static inline void *runner_main(void *user)
{
    struct runner *r = user;
    r->result = midge_loop_run(r->loop);
    return NULL;
}

static inline void runner_open(struct runner *r, const struct midge_loop_config *config)
{
    char why[256] = "";
    r->loop = midge_loop_new(config);
    assert_non_null(r->loop);
    int err = midge_loop_listen(r->loop, "127.0.0.1", 0, why, sizeof why);
    assert_string_equal(why, "");
    assert_int_equal(err, 0);
    r->port = midge_loop_address(r->loop, 0, NULL, 0);
}

static inline void runner_start(struct runner *r, const struct midge_loop_config *config)
{
    runner_open(r, config);
    assert_int_equal(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

/* The run has ended; the loop may still be looked at. */
static inline void runner_stop(struct runner *r)
{
    midge_loop_stop(r->loop);
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    assert_int_equal(r->result, 0);
}

/* Hands `call` over and waits until it was done. */
struct errand {
    void (*call)(void *user, struct midge *m, midge_ms now);
    void *user;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int is_done;
};

static inline void errand_main(void *user, struct midge *m, midge_ms now)
{
    struct errand *e = user;
    if (e->call)
        e->call(e->user, m, now);
    pthread_mutex_lock(&e->lock);
    e->is_done = 1;
    pthread_cond_signal(&e->done);
    pthread_mutex_unlock(&e->lock);
}

/* call NULL: waits until everything that was posted before was carried out. */
static inline void runner_call(struct runner *r, void (*call)(void *user, struct midge *m, midge_ms now),
                               void *user)
{
    struct errand e = { .call = call, .user = user };
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.done, NULL);
    assert_int_equal(midge_post_call(r->loop, errand_main, &e), MIDGE_OK);
    pthread_mutex_lock(&e.lock);
    while (!e.is_done)
        pthread_cond_wait(&e.done, &e.lock);
    pthread_mutex_unlock(&e.lock);
    pthread_cond_destroy(&e.done);
    pthread_mutex_destroy(&e.lock);
}

#endif
