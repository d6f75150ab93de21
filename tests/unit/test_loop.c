/* test_loop.c - the posix loop with real sockets: listeners, backpressure, descriptors, stopping. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

/* ---- listeners ----------------------------------------------------------------------------------------- */

static void two_listeners_have_their_own_ports(void **state)
{
    (void)state;
    struct runner r;
    char why[256], one[64], two[64];
    runner_open(&r, NULL);
    assert_int_equal(midge_loop_listen(r.loop, "127.0.0.1", 0, why, sizeof why), 0);
    uint16_t second = midge_loop_address(r.loop, 1, two, sizeof two);
    assert_int_equal(midge_loop_address(r.loop, 0, one, sizeof one), r.port);
    assert_true(r.port && second && r.port != second);
    snprintf(two, sizeof two, "127.0.0.1:%u", r.port);
    assert_string_equal(one, two);
    assert_int_equal(pthread_create(&r.thread, NULL, runner_main, &r), 0);
    close(peer_client(r.port, 'a'));
    runner_stop(&r);
    midge_loop_free(r.loop);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void ipv6_is_on_its_own_and_all_is_both(void **state)
{
    (void)state;
    char why[256], address[64];
    if (!has_ipv6())
        skip();
    struct midge_loop *loop = midge_loop_new(NULL);
    assert_int_equal(midge_loop_listen(loop, "*", 0, why, sizeof why), 0);
    uint16_t port = midge_loop_address(loop, 0, address, sizeof address);
    assert_int_equal(midge_loop_address(loop, 1, NULL, 0), port); /* the same, where it is free */
    assert_int_equal(midge_loop_address(loop, 2, NULL, 0), 0);
    midge_loop_free(loop);

    loop = midge_loop_new(NULL);
    assert_int_equal(midge_loop_listen(loop, "::", port, why, sizeof why), 0);
    assert_int_equal(midge_loop_listen(loop, "0.0.0.0", port, why, sizeof why), 0);
    midge_loop_free(loop);
}

static void what_cannot_be_listened_on_is_said_in_a_line(void **state)
{
    (void)state;
    struct runner r;
    char why[256], expected[256];
    runner_open(&r, NULL);
    struct midge_loop *other = midge_loop_new(NULL);
    assert_int_equal(midge_loop_listen(other, "127.0.0.1", r.port, why, sizeof why), EADDRINUSE);
    snprintf(expected, sizeof expected, "cannot listen on 127.0.0.1:%u: %s", r.port, strerror(EADDRINUSE));
    assert_string_equal(why, expected);
    assert_int_equal(midge_loop_listen(other, "192.0.2.1", 0, why, sizeof why), EADDRNOTAVAIL);
    assert_int_equal(midge_loop_listen(other, "no such name", 0, why, sizeof why), ENOENT);
    assert_non_null(strstr(why, "cannot listen on 'no such name': "));
    assert_int_equal(midge_loop_address(other, 0, NULL, 0), 0); /* nothing was opened */
    midge_loop_free(other);
    midge_loop_free(r.loop);
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

static void a_message_goes_from_one_client_to_another(void **state)
{
    (void)state;
    struct runner r;
    runner_start(&r, NULL);
    int sub = peer_client(r.port, 's'), pub = peer_client(r.port, 'p');
    peer_subscribe_t(sub);
    SEND(pub, "\x30\x05\0\1thi");
    EXPECT(sub, "\x30\x05\0\1thi");
    SEND(pub, "\xe0\0");
    peer_expect_end(pub);
    close(sub);
    close(pub);
    runner_stop(&r);
    struct midge_loop_stats stats;
    midge_loop_get_stats(r.loop, &stats);
    assert_int_equal(stats.accepted, 2);
    assert_int_equal(stats.sockets, 0);
    midge_loop_free(r.loop);
}

static void get_stats(void *user, struct midge *m, midge_ms now)
{
    (void)m;
    (void)now;
    struct runner *r = *(struct runner **)user;
    midge_loop_get_stats(r->loop, (struct midge_loop_stats *)((struct runner **)user)[1]);
}

static struct midge_loop_stats stats_of(struct runner *r)
{
    struct midge_loop_stats stats;
    void *both[2] = { r, &stats };
    runner_call(r, get_stats, both);
    return stats;
}

/* A reader that reads nothing, until its socket is full, then everything: the same bytes, in order. */
static void what_a_socket_does_not_take_waits_and_comes_whole(void **state)
{
    (void)state;
    enum { PAYLOAD = 50000, MESSAGES = 200 };
    struct runner r;
    runner_start(&r, NULL);
    int sub = peer_try(r.port, 4096), pub = peer_client(r.port, 'p');
    SEND(sub, "\x10\x0d\0\4MQTT\4\2\0\0\0\1s");
    EXPECT(sub, "\x20\x02\0\0");
    peer_subscribe_t(sub);

    static uint8_t packet[4 + 2 + 1 + 2 + PAYLOAD] = "\x32\xd5\x86\x03\0\1t\0\1"; /* at QoS 1 */
    for (int i = 0; i < MESSAGES; i++) {
        memset(packet + 9, 'A' + i % 26, PAYLOAD);
        peer_send(pub, packet, sizeof packet);
        EXPECT(pub, "\x40\x02\0\1");
    }
    assert_true(stats_of(&r).waiting_bytes > 0);
    assert_true(stats_of(&r).waiting_bytes <= 65536);

    static uint8_t got[4 + 2 + 1 + PAYLOAD];
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(recv(sub, got, sizeof got, MSG_WAITALL), sizeof got);
        assert_memory_equal(got, "\x30\xd3\x86\x03\0\1t", 7);
        for (size_t j = 7; j < sizeof got; j++)
            assert_int_equal(got[j], 'A' + i % 26);
    }
    assert_int_equal(stats_of(&r).waiting_bytes, 0);
    close(sub);
    close(pub);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

/* The C library's, of which this thread's calls take no more than so many bytes. */
static _Thread_local size_t most_sent = SIZE_MAX;

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    return sendto(fd, bytes, n < most_sent ? n : most_sent, flags, NULL, 0);
}

static void send_little(void *user, struct midge *m, midge_ms now)
{
    (void)user;
    (void)m;
    (void)now;
    most_sent = 7;
}

static void a_socket_may_take_a_few_bytes_at_a_time(void **state)
{
    (void)state;
    struct runner r;
    runner_start(&r, NULL);
    runner_call(&r, send_little, NULL);
    int fd = peer_client(r.port, 'x');
    peer_subscribe_t(fd);
    for (char c = 'a'; c <= 'z'; c++) {
        char packet[] = "\x30\x17\0\1t....................";
        memset(packet + 5, c, 20);
        peer_send(fd, packet, sizeof packet - 1);
        peer_expect(fd, packet, sizeof packet - 1);
    }
    SEND(fd, "\xe0\0");
    peer_expect_end(fd);
    close(fd);
    assert_int_equal(stats_of(&r).waiting_bytes, 0);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

/* ---- the end of a connection --------------------------------------------------------------------------- */

/* Much unread input when the broker closes must not reset the connection before its last packet is read. */
static void the_last_packet_arrives_though_the_peer_goes_on_sending(void **state)
{
    (void)state;
    static char junk[200000];
    struct runner r;
    runner_start(&r, NULL);
    int fd = peer_open(r.port);
    SEND(fd, "\x10\x0e\0\4MQTT\5\2\0\0\0\0\1x");
    uint8_t head[2], rest[256];
    assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
    assert_int_equal(head[0], 0x20);
    assert_int_equal(recv(fd, rest, head[1], MSG_WAITALL), head[1]);
    SEND(fd, "\xf0\xff\xff\x03"); /* AUTH without a method: a protocol error, or malformed */
    (void)send(fd, junk, sizeof junk, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
    assert_int_equal(head[0], 0xe0);
    assert_int_equal(recv(fd, rest, head[1], MSG_WAITALL), head[1]);
    assert_true(rest[0] >= 0x80);
    peer_expect_end(fd);
    for (int i = 0; i < 20; i++)
        peer_send(fd, junk, sizeof junk); /* read and thrown away: no reset */
    close(fd);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

static void over_the_limit_of_an_address_one_is_closed_at_once(void **state)
{
    (void)state;
    struct midge_limits limits = midge_limits_gateway;
    limits.connections_per_address = 2;
    struct midge_loop_config config = { .limits = &limits };
    struct runner r;
    runner_start(&r, &config);
    int a = peer_client(r.port, 'a'), b = peer_client(r.port, 'b'), c = peer_open(r.port);
    peer_expect_end(c);
    close(c);
    assert_int_equal(stats_of(&r).refused, 1);
    SEND(b, "\xe0\0");
    peer_expect_end(b); /* and where one goes, there is room for another */
    close(peer_client(r.port, 'c'));
    close(a);
    close(b);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

static void set_descriptors(rlim_t n)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
}

/* No descriptor is left: the loop rests instead of spinning, and goes on as soon as one is free. */
static void without_descriptors_it_waits_and_then_accepts(void **state)
{
    (void)state;
    struct rlimit before;
    struct runner r;
    getrlimit(RLIMIT_NOFILE, &before);
    runner_start(&r, NULL);
    int a = peer_client(r.port, 'a'), b = peer_client(r.port, 'b');
    int next = socket(AF_INET, SOCK_STREAM, 0); /* ours, made before the descriptors run out */
    int probe = dup(next);
    close(probe);
    set_descriptors((rlim_t)probe); /* the lowest free number is the first that is not to be had */
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(r.port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval patience = { .tv_sec = 10 };
    setsockopt(next, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(next, (struct sockaddr *)&to, sizeof to), 0);
    while (stats_of(&r).starved == 0)
        continue;
    uint64_t passes = stats_of(&r).passes;
    for (int i = 0; i < 1000; i++)
        stats_of(&r);
    /* Those of the questions, and an end of the rest a second. */
    assert_true(stats_of(&r).passes - passes < 1100);

    set_descriptors(before.rlim_cur);
    SEND(next, "\x10\x0d\0\4MQTT\4\2\0\0\0\1n");
    EXPECT(next, "\x20\x02\0\0");
    close(next);
    close(a);
    close(b);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

/* ---- stopping ------------------------------------------------------------------------------------------ */

static void a_stop_tells_5_0_clients_why(void **state)
{
    (void)state;
    struct runner r;
    runner_start(&r, NULL);
    int fd = peer_open(r.port), old = peer_client(r.port, 'o');
    SEND(fd, "\x10\x0e\0\4MQTT\5\2\0\0\0\0\1x");
    uint8_t head[2], rest[256];
    assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
    assert_int_equal(recv(fd, rest, head[1], MSG_WAITALL), head[1]);
    runner_stop(&r);
    assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
    assert_int_equal(head[0], 0xe0);
    assert_int_equal(recv(fd, rest, head[1], MSG_WAITALL), head[1]);
    assert_int_equal(rest[0], MIDGE_RC_SERVER_SHUTTING_DOWN);
    peer_expect_end(fd);
    peer_expect_end(old);
    close(fd);
    close(old);
    assert_int_equal(peer_try(r.port, 0), -1); /* nobody listens any more */
    midge_loop_free(r.loop);
}

static void a_stop_before_the_run_ends_it_at_once(void **state)
{
    (void)state;
    struct runner r;
    runner_open(&r, NULL);
    midge_loop_stop(r.loop);
    assert_int_equal(midge_loop_run(r.loop), 0);
    assert_int_equal(midge_loop_run(r.loop), EINVAL); /* a loop runs once */
    midge_loop_free(r.loop);
}

static void a_reader_that_does_not_read_cannot_hold_up_a_stop(void **state)
{
    (void)state;
    struct midge_loop_config config = { .stop_ms = 50 };
    struct runner r;
    runner_start(&r, &config);
    int sub = peer_try(r.port, 4096), pub = peer_client(r.port, 'p');
    SEND(sub, "\x10\x0d\0\4MQTT\4\2\0\0\0\1s");
    EXPECT(sub, "\x20\x02\0\0");
    peer_subscribe_t(sub);
    static uint8_t packet[3 + 3 + 10000] = "\x30\x93\x4e\0\1t";
    while (stats_of(&r).waiting_bytes == 0) {
        peer_send(pub, packet, sizeof packet);
        SEND(pub, "\xc0\0");
        EXPECT(pub, "\xd0\0");
    }
    runner_stop(&r);
    struct midge_loop_stats stats;
    midge_loop_get_stats(r.loop, &stats);
    assert_int_equal(stats.waiting_bytes, 0);
    assert_int_equal(stats.sockets, 0);
    close(sub);
    close(pub);
    midge_loop_free(r.loop);
}

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void a_thousand_starts_and_stops_leave_nothing_behind(void **state)
{
    (void)state;
    int before = descriptors();
    for (int i = 0; i < 1000; i++) {
        struct runner r;
        runner_start(&r, NULL);
        int fd = i % 10 ? -1 : peer_client(r.port, 'x');
        runner_stop(&r);
        midge_loop_free(r.loop);
        if (fd >= 0)
            close(fd);
    }
    assert_int_equal(descriptors(), before);
}

/* ---- idle ---------------------------------------------------------------------------------------------- */

static void assert_asleep(struct runner *r, int fd)
{
    uint64_t before = stats_of(r).passes;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 500), 0);            /* any length will do: more would only be stricter */
    assert_int_equal(stats_of(r).passes - before, 1); /* this question's own */
}

static void an_idle_broker_does_not_wake(void **state)
{
    (void)state;
    struct runner r;
    runner_start(&r, NULL);
    int fd = peer_client(r.port, 'i'); /* without a keep alive: nothing is ever due */
    assert_asleep(&r, fd);
    int other = peer_open(r.port);
    SEND(other, "\x10\x0d\0\4MQTT\4\2\0\x3c\0\1k"); /* due in a minute and a half */
    EXPECT(other, "\x20\x02\0\0");
    assert_asleep(&r, fd);
    close(fd);
    close(other);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

/* ---- the host's descriptors ---------------------------------------------------------------------------- */

struct pipe_end {
    struct midge_loop *loop;
    int calls;
};

static void read_once(void *user, int fd)
{
    struct pipe_end *end = user;
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    if (++end->calls == 2) {
        assert_true(midge_loop_watch(end->loop, fd, false, NULL, NULL));
        midge_loop_stop(end->loop);
    }
}

static void a_watch_is_called_until_it_is_ended(void **state)
{
    (void)state;
    int fds[2];
    struct runner r;
    runner_open(&r, NULL);
    struct pipe_end end = { .loop = r.loop };
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_true(midge_loop_watch(r.loop, fds[0], false, read_once, &end));
    assert_int_equal(midge_loop_run(r.loop), 0);
    assert_int_equal(end.calls, 2);
    int file = open("/dev/null", O_RDONLY);
    assert_false(midge_loop_watch(r.loop, file, false, read_once, &end)); /* epoll cannot wait for it */
    close(file);
    close(fds[0]);
    close(fds[1]);
    midge_loop_free(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_listeners_have_their_own_ports),
        cmocka_unit_test(ipv6_is_on_its_own_and_all_is_both),
        cmocka_unit_test(what_cannot_be_listened_on_is_said_in_a_line),
        cmocka_unit_test(a_message_goes_from_one_client_to_another),
        cmocka_unit_test(what_a_socket_does_not_take_waits_and_comes_whole),
        cmocka_unit_test(a_socket_may_take_a_few_bytes_at_a_time),
        cmocka_unit_test(the_last_packet_arrives_though_the_peer_goes_on_sending),
        cmocka_unit_test(over_the_limit_of_an_address_one_is_closed_at_once),
        cmocka_unit_test(without_descriptors_it_waits_and_then_accepts),
        cmocka_unit_test(a_stop_tells_5_0_clients_why),
        cmocka_unit_test(a_stop_before_the_run_ends_it_at_once),
        cmocka_unit_test(a_reader_that_does_not_read_cannot_hold_up_a_stop),
        cmocka_unit_test(a_thousand_starts_and_stops_leave_nothing_behind),
        cmocka_unit_test(an_idle_broker_does_not_wake),
        cmocka_unit_test(a_watch_is_called_until_it_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
