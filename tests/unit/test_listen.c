/* test_listen.c - listeners by options, without TLS: Unix sockets, WebSocket, one port for all, PROXY, renewal. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "visit.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- Unix sockets -------------------------------------------------------------------------------------- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    if (!*folder) {
        strcpy(folder, "/tmp/midge-test-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = 10 };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    strcpy(to.sun_path, path);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static void a_unix_socket_serves_and_goes_with_its_listener(void **state)
{
    (void)state;
    struct house h;
    struct stat st;
    const char *path = in_folder("midge.sock");
    house_open(&h, NULL);
    struct midge_listener *l = house_listen(&h, (struct midge_listen){ .unix_path = path, .unix_mode = 0600 });
    assert_int_equal(midge_loop_address(h.r.loop, 0, NULL, 0), 0); /* it has no port */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    house_run(&h);
    int fd = connect_unix(path);
    assert_true(fd >= 0);
    SEND(fd, CONNECT_A);
    EXPECT(fd, CONNACK);
    assert_string_equal(h.peer, "unix");
    house_end_listener(&h, l);
    assert_int_equal(stat(path, &st), -1);
    SEND(fd, "\xc0\0"); /* who is in, stays */
    EXPECT(fd, "\xd0\0");
    close(fd);
    house_close(&h);
}

static void a_socket_that_nobody_listens_on_is_replaced_and_no_other(void **state)
{
    (void)state;
    struct house h;
    char why[256];
    struct sockaddr_un left = { .sun_family = AF_UNIX };
    strcpy(left.sun_path, in_folder("left.sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&left, sizeof left), 0);
    close(fd); /* as if it had been killed */

    house_open(&h, NULL);
    house_listen(&h, (struct midge_listen){ .unix_path = left.sun_path });
    const struct midge_listen again = { .unix_path = left.sun_path };
    assert_int_equal(midge_loop_open(h.r.loop, &again, NULL, why, sizeof why), EADDRINUSE);
    assert_non_null(strstr(why, "cannot listen on '"));

    FILE *file = fopen(in_folder("file"), "w");
    fclose(file);
    const struct midge_listen over = { .unix_path = in_folder("file") };
    assert_int_equal(midge_loop_open(h.r.loop, &over, NULL, why, sizeof why), EADDRINUSE);
    assert_int_equal(access(in_folder("file"), F_OK), 0);

    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    const struct midge_listen too_long = { .unix_path = longer };
    assert_int_equal(midge_loop_open(h.r.loop, &too_long, NULL, why, sizeof why), ENAMETOOLONG);
    midge_loop_free(h.r.loop);
    assert_int_equal(access(left.sun_path, F_OK), -1);
    unlink(in_folder("file"));
}

static void a_socket_may_come_from_somebody_else(void **state)
{
    (void)state;
    struct house h;
    char why[256];
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    house_open(&h, NULL);
    const struct midge_listen what = { .socket_fd = fd };
    assert_int_equal(midge_loop_open(h.r.loop, &what, NULL, why, sizeof why), EINVAL); /* it does not listen */
    assert_int_equal(listen(fd, 8), 0);
    house_listen(&h, what);
    house_run(&h);
    fd = peer_open(h.r.port);
    SEND(fd, CONNECT_A);
    EXPECT(fd, CONNACK);
    close(fd);
    house_close(&h);
}

/* ---- WebSocket, and one port for all ------------------------------------------------------------------- */

#define UPGRADE(origin)                                                                                      \
    "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" origin                  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                           \
    "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
#define MASK "\0\0\0\0"

/* The answer's first line; the rest of its head is read. */
static void read_head(int fd, char *line, size_t size)
{
    char head[1024] = "";
    size_t n = 0;
    while (n + 1 < sizeof head && !strstr(head, "\r\n\r\n")) {
        assert_int_equal(recv(fd, head + n, 1, 0), 1);
        head[++n] = '\0';
    }
    snprintf(line, size, "%.*s", (int)strcspn(head, "\r"), head);
}

static void expect_upgrade(int fd)
{
    char line[128];
    SEND(fd, UPGRADE(""));
    read_head(fd, line, sizeof line);
    assert_string_equal(line, "HTTP/1.1 101 Switching Protocols");
}

static void expect_mqtt_in_frames(int fd)
{
    SEND(fd, "\x82\x8f" MASK CONNECT_A);
    EXPECT(fd, "\x82\4" CONNACK);
    SEND(fd, "\x89\x82" MASK "hi"); /* ping */
    EXPECT(fd, "\x8a\2hi");
    SEND(fd, "\x82\x82" MASK "\xe0\0"); /* DISCONNECT */
    EXPECT(fd, "\x88\2\x03\xe8");       /* close 1000 */
    peer_expect_end(fd);
}

static void mqtt_in_websocket(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, NULL);
    house_listen(&h, (struct midge_listen){ .transport = MIDGE_TRANSPORT_WS });
    house_run(&h);
    int fd = peer_open(h.r.port);
    expect_upgrade(fd);
    expect_mqtt_in_frames(fd);
    close(fd);
    fd = peer_open(h.r.port); /* plain MQTT on this port: not what it is for */
    SEND(fd, CONNECT_A "\n\n");
    char line[128];
    read_head(fd, line, sizeof line);
    assert_string_equal(line, "HTTP/1.1 400 Bad Request");
    close(fd);
    assert_int_equal(house_stats(&h).failed, 1);
    assert_non_null(strstr(h.said, " failed: not an HTTP/1.1 request.\n"));
    house_close(&h);
}

static void one_port_tells_them_apart(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, NULL);
    house_listen(&h, (struct midge_listen){ .transport = MIDGE_TRANSPORT_ANY });
    house_run(&h);
    int fd = peer_open(h.r.port);
    SEND(fd, "\x10"); /* a byte is enough to tell */
    peer_send(fd, &CONNECT_A[1], sizeof CONNECT_A - 2);
    EXPECT(fd, CONNACK);
    close(fd);
    fd = peer_open(h.r.port);
    expect_upgrade(fd);
    expect_mqtt_in_frames(fd);
    close(fd);
    fd = peer_open(h.r.port);
    SEND(fd, "\x16\x03\x01\x02"); /* TLS, which this listener has no certificate for: no CONNECT either */
    peer_expect_end(fd);
    close(fd);
    house_close(&h);
}

/* ---- PROXY --------------------------------------------------------------------------------------------- */

static void a_proxy_says_who_it_speaks_for(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, NULL);
    house_listen(&h, (struct midge_listen){ .proxy = true });
    house_run(&h);
    int fd = peer_open(h.r.port);
    SEND(fd, "PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n");
    SEND(fd, CONNECT_A);
    EXPECT(fd, CONNACK);
    assert_string_equal(h.peer, "192.0.2.7:56324");
    int other = peer_open(h.r.port);
    SEND(other, CONNECT_A);
    peer_expect_end(other);
    assert_non_null(strstr(h.said, "New connection from 192.0.2.7:56324 through a proxy.\n"));
    assert_non_null(strstr(h.said, " failed: no valid PROXY header.\n"));
    close(fd);
    close(other);
    house_close(&h);
}

static void an_address_limit_counts_whom_the_proxy_names(void **state)
{
    (void)state;
    struct house h;
    struct midge_limits limits = midge_limits_gateway;
    limits.connections_per_address = 1;
    house_open(&h, &(struct midge_loop_config){ .limits = &limits });
    house_listen(&h, (struct midge_listen){ .proxy = true });
    house_run(&h);
    int one = peer_open(h.r.port), same = peer_open(h.r.port), two = peer_open(h.r.port);
    SEND(one, "PROXY TCP4 192.0.2.1 198.51.100.1 1 1883\r\n" CONNECT_A);
    EXPECT(one, CONNACK);
    SEND(same, "PROXY TCP4 192.0.2.1 198.51.100.1 2 1883\r\n");
    peer_expect_end(same);
    SEND(two, "PROXY TCP4 192.0.2.2 198.51.100.1 1 1883\r\n\x10\x0d\0\4MQTT\4\2\0\0\0\1b");
    EXPECT(two, CONNACK);
    close(one);
    close(same);
    close(two);
    house_close(&h);
}

/* ---- how many, how long -------------------------------------------------------------------------------- */

static void a_listener_has_its_own_limit(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, NULL);
    house_listen(&h, (struct midge_listen){ .connections = 2 });
    house_listen(&h, (struct midge_listen){ .connections = 0 });
    uint16_t second = midge_loop_address(h.r.loop, 1, NULL, 0);
    house_run(&h);
    int a = peer_client(h.r.port, 'a'), b = peer_client(h.r.port, 'b');
    int c = peer_open(h.r.port);
    peer_expect_end(c);
    close(c);
    c = peer_client(second, 'c');
    SEND(a, "\xe0\0");
    peer_expect_end(a);
    close(a);
    while (house_stats(&h).sockets > 2)
        continue;
    a = peer_client(h.r.port, 'a'); /* there is room again */
    close(a);
    close(b);
    close(c);
    assert_int_equal(house_stats(&h).refused, 1);
    house_close(&h);
}

static void who_takes_too_long_to_begin_is_put_out(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, &(struct midge_loop_config){ .greeting_ms = 1 });
    house_listen(&h, (struct midge_listen){ .transport = MIDGE_TRANSPORT_WS });
    house_run(&h);
    int fd = peer_open(h.r.port);
    peer_expect_end(fd);
    close(fd);
    assert_int_equal(house_stats(&h).failed, 1);
    assert_int_equal(house_stats(&h).greeting, 0);
    house_close(&h);
}

static void of_too_many_that_begin_the_oldest_goes(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, &(struct midge_loop_config){ .greetings = 2 });
    house_listen(&h, (struct midge_listen){ .transport = MIDGE_TRANSPORT_WS });
    house_run(&h);
    int in = peer_open(h.r.port);
    expect_upgrade(in);
    int first = peer_open(h.r.port), second = peer_open(h.r.port), third = peer_open(h.r.port);
    peer_expect_end(first);
    expect_upgrade(third);
    expect_upgrade(second);
    expect_mqtt_in_frames(in); /* who is through, is not counted */
    assert_non_null(strstr(h.said, " failed: too many connections are beginning.\n"));
    close(in);
    close(first);
    close(second);
    close(third);
    house_close(&h);
}

/* ---- renewal ------------------------------------------------------------------------------------------- */

static void expect_origin(struct house *h, const char *request, const char *status)
{
    char line[128];
    int fd = peer_open(h->r.port);
    peer_send(fd, request, strlen(request));
    read_head(fd, line, sizeof line);
    assert_string_equal(line, status);
    close(fd);
}

static void a_renewal_is_for_whoever_connects_from_then_on(void **state)
{
    (void)state;
    static const char *const here[] = { "https://here.example" }, *const there[] = { "https://there.example" };
    static const char from_here[] = UPGRADE("Origin: https://here.example\r\n");
    static const char from_there[] = UPGRADE("Origin: https://there.example\r\n");
    int before, after;
    struct house h;
    struct midge_listen what = {
        .transport = MIDGE_TRANSPORT_WS, .ws_origins = here, .ws_origin_count = 1, .user = &before
    };
    house_open(&h, NULL);
    struct midge_listener *l = house_listen(&h, what);
    house_run(&h);
    int early = peer_open(h.r.port);
    expect_upgrade(early);
    SEND(early, "\x82\x8f" MASK CONNECT_A);
    EXPECT(early, "\x82\4" CONNACK);
    assert_ptr_equal(h.listener_user, &before);
    expect_origin(&h, from_here, "HTTP/1.1 101 Switching Protocols");
    expect_origin(&h, from_there, "HTTP/1.1 403 Forbidden");

    what.ws_origins = there;
    what.user = &after;
    assert_string_equal(house_renew(&h, l, what), "");
    expect_origin(&h, from_here, "HTTP/1.1 403 Forbidden");
    expect_origin(&h, from_there, "HTTP/1.1 101 Switching Protocols");
    int late = peer_open(h.r.port);
    expect_upgrade(late);
    SEND(late, "\x82\x8f" MASK "\x10\x0d\0\4MQTT\4\2\0\0\0\1b");
    EXPECT(late, "\x82\4" CONNACK);
    assert_ptr_equal(h.listener_user, &after);
    SEND(early, "\x82\x82" MASK "\xc0\0");
    EXPECT(early, "\x82\2\xd0\0");
    close(early);
    close(late);
    house_close(&h);
}

static void where_a_listener_was_closed_nobody_comes_in(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, NULL);
    struct midge_listener *l = house_listen(&h, (struct midge_listen){ .port = 0 });
    house_run(&h);
    int fd = peer_client(h.r.port, 'a');
    house_end_listener(&h, l);
    assert_int_equal(peer_try(h.r.port, 0), -1);
    SEND(fd, "\xc0\0");
    EXPECT(fd, "\xd0\0");
    close(fd);
    house_close(&h);
}

static void without_a_library_tls_is_refused_in_words(void **state)
{
    (void)state;
    struct house h;
    char why[256];
    house_open(&h, NULL);
    const struct midge_listen what = { .transport = MIDGE_TRANSPORT_TLS, .host = "127.0.0.1" };
    assert_int_equal(midge_loop_open(h.r.loop, &what, NULL, why, sizeof why), EPROTONOSUPPORT);
    assert_string_equal(why, "this program was built without TLS");
    midge_loop_free(h.r.loop);
}

static int clean(void **state)
{
    (void)state;
    return *folder ? rmdir(folder) : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_socket_serves_and_goes_with_its_listener),
        cmocka_unit_test(a_socket_that_nobody_listens_on_is_replaced_and_no_other),
        cmocka_unit_test(a_socket_may_come_from_somebody_else),
        cmocka_unit_test(mqtt_in_websocket),
        cmocka_unit_test(one_port_tells_them_apart),
        cmocka_unit_test(a_proxy_says_who_it_speaks_for),
        cmocka_unit_test(an_address_limit_counts_whom_the_proxy_names),
        cmocka_unit_test(a_listener_has_its_own_limit),
        cmocka_unit_test(who_takes_too_long_to_begin_is_put_out),
        cmocka_unit_test(of_too_many_that_begin_the_oldest_goes),
        cmocka_unit_test(a_renewal_is_for_whoever_connects_from_then_on),
        cmocka_unit_test(where_a_listener_was_closed_nobody_comes_in),
        cmocka_unit_test(without_a_library_tls_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
