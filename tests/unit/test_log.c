/* test_log.c - the log: never waits, counts what it loses, and shows what peers chose without obeying it. */
#include "peer.h"

#include <fcntl.h>
#include <stdio.h>

#include "ports/posix/log.h"

static struct midge_log the_log;

/* Reads what is in the pipe now, as text. */
static size_t drain(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t more;
    while (n < size - 1 && (more = read(fd, out + n, size - 1 - n)) > 0)
        n += (size_t)more;
    out[n] = '\0';
    return n;
}

static void open_pipe(int fds[2])
{
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
}

static void a_line_has_its_time(void **state)
{
    (void)state;
    int fds[2];
    char got[256];
    long long time = 0;
    int end = 0;
    open_pipe(fds);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_NOTICE));
    midge_log_line(&the_log, MIDGE_LOG_NOTICE, "shown");
    midge_log_line(&the_log, MIDGE_LOG_DEBUG, "not shown");
    drain(fds[0], got, sizeof got);
    assert_int_equal(sscanf(got, "%lld: shown\n%n", &time, &end), 1);
    assert_int_equal(end, strlen(got));
    assert_true(time > 1700000000);
    midge_log_free(&the_log);
    assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0); /* others may share it */
    close(fds[0]);
    close(fds[1]);
}

/* Nobody reads: the pipe fills, the ring fills, then lines are counted. None of it waits, or this test would
 * hang. */
static void lines_that_find_no_room_are_counted(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    static char got[1 << 21];
    int fds[2];
    open_pipe(fds);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_NOTICE));
    for (int i = 0; i < LINES; i++)
        midge_log_line(&the_log, MIDGE_LOG_NOTICE, "thirty bytes of text in a line");
    size_t n = drain(fds[0], got, sizeof got);
    midge_log_line(&the_log, MIDGE_LOG_NOTICE, "after");
    n += drain(fds[0], got + n, sizeof got - n);
    midge_log_free(&the_log);
    drain(fds[0], got + n, sizeof got - n);

    unsigned long long lost = 0;
    unsigned written = 0;
    for (char *line = strtok(got, "\n"); line; line = strtok(NULL, "\n")) {
        const char *said = strchr(line, ' ') + 1;
        if (strstr(said, "log lines lost"))
            assert_int_equal(sscanf(said, "%llu log lines lost", &lost), 1);
        else if (strcmp(said, "after") != 0)
            written++;
    }
    assert_true(lost > 0);
    assert_int_equal(lost + written, LINES);
    assert_true(written * 42 <= 65536 + MIDGE_LOG_RING);
    close(fds[0]);
    close(fds[1]);
}

static void quit(void *user, int fd)
{
    (void)fd;
    midge_loop_stop(user);
}

/* What waits is written by the loop as soon as somebody reads, without another line. */
static void the_loop_writes_what_waits(void **state)
{
    (void)state;
    static char got[1 << 18];
    int fds[2], go[2];
    open_pipe(fds);
    assert_int_equal(pipe(go), 0);
    struct midge_loop *loop = midge_loop_new(NULL);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_NOTICE));
    midge_log_attach(&the_log, loop);
    while (!the_log.len)
        midge_log_line(&the_log, MIDGE_LOG_NOTICE, "text");
    drain(fds[0], got, sizeof got);
    uint32_t waits = the_log.len;
    assert_true(waits > 0);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_true(midge_loop_watch(loop, go[0], false, quit, loop));
    assert_int_equal(midge_loop_run(loop), 0);
    assert_int_equal(the_log.len, 0);
    assert_int_equal(drain(fds[0], got, sizeof got), waits);
    midge_log_attach(&the_log, NULL);
    midge_loop_free(loop);
    midge_log_free(&the_log);
    close(go[0]);
    close(go[1]);
    close(fds[0]);
    close(fds[1]);
}

static void show(struct midge_slice id, const char *expected)
{
    int fds[2];
    char got[2048];
    open_pipe(fds);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_DEBUG));
    const struct midge_event e = { .kind = MIDGE_EV_DISCONNECTED, .who = { .client_id = id } };
    midge_log_event(midge_log_line, &the_log, the_log.kinds, &e);
    drain(fds[0], got, sizeof got);
    assert_string_equal(strchr(got, ' ') + 1, expected);
    midge_log_free(&the_log);
    close(fds[0]);
    close(fds[1]);
}

static void what_a_peer_chose_cannot_forge_a_line(void **state)
{
    (void)state;
    show(text("plain"), "Client plain disconnected.\n");
    show(text("z\xc3\xbcrich"), "Client z\xc3\xbcrich disconnected.\n");
    show(text("a\n1700000000: forged"), "Client a\\x0a1700000000: forged disconnected.\n");
    show(text("\x1b[2J\x7f\\"), "Client \\x1b[2J\\x7f\\x5c disconnected.\n");
    show(text("\xc2\x9b"
              "2J"),
         "Client \xc2\\x9b"
         "2J disconnected.\n"); /* CSI as one character */
    static uint8_t longest[65535];
    char expected[300] = "Client ";
    memset(longest, 'x', sizeof longest);
    memset(expected + 7, 'x', 200);
    strcpy(expected + 207, "... disconnected.\n");
    show((struct midge_slice){ .data = longest, .len = sizeof longest }, expected);
}

static void every_event_has_a_line_that_fits(void **state)
{
    (void)state;
    static uint8_t worst[65535];
    char got[4096];
    int fds[2];
    memset(worst, 1, sizeof worst);
    const struct midge_slice all = { .data = worst, .len = sizeof worst };
    const struct midge_message message = { .topic = all };
    open_pipe(fds);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_DEBUG));
    for (int kind = MIDGE_EV_CONNECTED; kind <= MIDGE_EV_LOW_MEMORY; kind++) {
        const struct midge_event e = { .kind = (enum midge_event_kind)kind,
                                       .who = { .client_id = all, .username = all, .version = 5 },
                                       .reason = 2,
                                       .topic = all,
                                       .message = &message };
        midge_log_event(midge_log_line, &the_log, the_log.kinds, &e);
        size_t n = drain(fds[0], got, sizeof got);
        assert_true(n > 20);
        assert_true(strchr(got, '\n') == got + n - 1); /* one line */
    }
    midge_log_free(&the_log);
    close(fds[0]);
    close(fds[1]);
}

static void a_socket_as_log_is_not_waited_for_either(void **state)
{
    (void)state;
    int fds[2];
    char got[64] = "";
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    midge_log_init(&the_log, fds[1], MIDGE_LOG_UP_TO(MIDGE_LOG_NOTICE));
    while (!the_log.lost)
        midge_log_line(&the_log, MIDGE_LOG_NOTICE, "text");
    assert_int_equal(recv(fds[0], got, 18, MSG_WAITALL), 18);
    assert_string_equal(got + 10, ": text\n1");
    midge_log_free(&the_log);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_its_time),
        cmocka_unit_test(lines_that_find_no_room_are_counted),
        cmocka_unit_test(the_loop_writes_what_waits),
        cmocka_unit_test(what_a_peer_chose_cannot_forge_a_line),
        cmocka_unit_test(every_event_has_a_line_that_fits),
        cmocka_unit_test(a_socket_as_log_is_not_waited_for_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
