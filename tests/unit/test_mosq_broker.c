/* test_mosq_broker.c - the drop-in's two functions: callbacks, return codes, and stops at every moment. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "mosq_broker.h"

/* Runs that begin while standard error is this pipe log to it; tests read the port there. */
static int log_pipe[2];
static int real_stderr;

static int open_log(void **state)
{
    (void)state;
    real_stderr = dup(STDERR_FILENO);
    return pipe2(log_pipe, O_CLOEXEC) || fcntl(log_pipe[1], F_SETPIPE_SZ, 1 << 20) < 0 ? -1 : 0;
}

static int close_log(void **state)
{
    (void)state;
    close(real_stderr);
    close(log_pipe[0]);
    close(log_pipe[1]);
    return 0;
}

static void log_to_pipe(void)
{
    char old[4096];
    int left;
    while (ioctl(log_pipe[0], FIONREAD, &left) == 0 && left > 0)
        assert_true(read(log_pipe[0], old, sizeof old) > 0);
    dup2(log_pipe[1], STDERR_FILENO);
}

static void log_as_usual(void)
{
    dup2(real_stderr, STDERR_FILENO);
}

/* The text of the next line that contains `part`. */
static const char *wait_for_log(const char *part)
{
    static char line[2048];
    size_t n = 0;
    for (;;) {
        assert_int_equal(read(log_pipe[0], line + n, 1), 1);
        assert_true(n < sizeof line - 1);
        line[n] = line[n] == '\n' ? '\0' : line[n];
        if (line[n]) {
            n++;
            continue;
        }
        if (strstr(line, part))
            return strstr(line, part);
        n = 0;
    }
}

/* ---- a broker on a thread ------------------------------------------------------------------------------ */

struct broker {
    struct mosq_broker_config config;
    pthread_t thread;
    uint16_t port;
    int result;
};

static void *broker_main(void *user)
{
    struct broker *b = user;
    b->result = mosq_broker_run(&b->config);
    return NULL;
}

/* Runs and listens. */
static void start(struct broker *b)
{
    unsigned port;
    b->config.host = "127.0.0.1";
    log_to_pipe();
    assert_int_equal(pthread_create(&b->thread, NULL, broker_main, b), 0);
    assert_int_equal(sscanf(wait_for_log("listen socket"), "listen socket on port %u.", &port), 1);
    log_as_usual();
    b->port = (uint16_t)port;
}

static void stop(struct broker *b)
{
    mosq_broker_stop();
    assert_int_equal(pthread_join(b->thread, NULL), 0);
    assert_int_equal(b->result, 0);
}

/* ---- callbacks ----------------------------------------------------------------------------------------- */

static struct {
    int messages, connects;
    char client[64], topic[64], data[64];
    int len, qos, retain;
    bool data_was_null, username_was_null, password_was_null;
    char username[64], password[64];
    int password_len;
    int answer;
} seen;

static void on_message(char *client, char *topic, char *data, int len, int qos, int retain)
{
    seen.messages++;
    strcpy(seen.client, client);
    strcpy(seen.topic, topic);
    seen.data_was_null = !data;
    if (data) {
        assert_int_equal(data[len], '\0');
        memcpy(seen.data, data, (size_t)len + 1);
    }
    seen.len = len;
    seen.qos = qos;
    seen.retain = retain;
    topic[0] = '!'; /* a copy: what is sent on stays as it was */
}

static int on_connect(const char *client_id, const char *username, const char *password, int password_len)
{
    seen.connects++;
    strcpy(seen.client, client_id);
    seen.username_was_null = !username;
    seen.password_was_null = !password;
    if (username)
        strcpy(seen.username, username);
    if (password) {
        assert_int_equal(password[password_len], '\0');
        memcpy(seen.password, password, (size_t)password_len);
    }
    seen.password_len = password_len;
    return seen.answer;
}

static int run(struct mosq_broker_config *config)
{
    log_to_pipe();
    int result = mosq_broker_run(config);
    log_as_usual();
    return result;
}

static void messages_are_told_with_a_nul_behind_them(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    struct broker b = { .config = { .handle_message_cb = on_message } };
    start(&b);
    int fd = peer_client(b.port, 'p');
    peer_subscribe_t(fd);
    SEND(fd, "\x33\x07\0\1t\0\2hi"); /* QoS 1, retain */
    uint8_t got[7 + 4];
    assert_int_equal(recv(fd, got, sizeof got, MSG_WAITALL), sizeof got);
    assert_int_equal(seen.messages, 1);
    assert_string_equal(seen.client, "p");
    assert_string_equal(seen.topic, "t");
    assert_string_equal(seen.data, "hi");
    assert_int_equal(seen.len, 2);
    assert_int_equal(seen.qos, 1);
    assert_int_equal(seen.retain, 1);
    SEND(fd, "\x30\x03\0\1t"); /* nothing in it */
    EXPECT(fd, "\x30\x03\0\1t");
    assert_int_equal(seen.messages, 2);
    assert_true(seen.data_was_null);
    assert_int_equal(seen.len, 0);
    close(fd);
    stop(&b);
}

/* Once a message, though it comes twice before it is released. */
static void a_qos_2_message_is_told_once(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    struct broker b = { .config = { .handle_message_cb = on_message } };
    start(&b);
    int fd = peer_client(b.port, 'p');
    SEND(fd, "\x34\x06\0\1t\0\7x");
    EXPECT(fd, "\x50\x02\0\7");
    SEND(fd, "\x3c\x06\0\1t\0\7x"); /* DUP */
    EXPECT(fd, "\x50\x02\0\7");
    SEND(fd, "\x62\x02\0\7");
    EXPECT(fd, "\x70\x02\0\7");
    assert_int_equal(seen.messages, 1);
    close(fd);
    stop(&b);
}

static void connects_are_asked(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    struct broker b = { .config = { .handle_connect_cb = on_connect } };
    start(&b);
    int fd = peer_open(b.port);
    SEND(fd, "\x10\x14\0\4MQTT\4\xc2\0\0\0\1c\0\1u\0\2p\0"); /* a password may contain NUL */
    EXPECT(fd, "\x20\x02\0\0");
    assert_int_equal(seen.connects, 1);
    assert_string_equal(seen.client, "c");
    assert_string_equal(seen.username, "u");
    assert_int_equal(seen.password_len, 2);
    assert_memory_equal(seen.password, "p\0", 2);
    close(fd);

    seen.answer = -7;
    fd = peer_open(b.port);
    SEND(fd, "\x10\x0d\0\4MQTT\4\2\0\0\0\1d");
    EXPECT(fd, "\x20\x02\0\5"); /* not authorized */
    peer_expect_end(fd);
    assert_true(seen.username_was_null && seen.password_was_null);
    close(fd);

    fd = peer_open(b.port);
    SEND(fd, "\x10\x0e\0\4MQTT\5\2\0\0\0\0\1d");
    uint8_t connack[4];
    assert_int_equal(recv(fd, connack, 4, MSG_WAITALL), 4);
    assert_int_equal(connack[0], 0x20);
    assert_int_equal(connack[3], 0x87);
    close(fd);

    /* The id that the broker makes up is known already. */
    seen.answer = 0;
    fd = peer_open(b.port);
    SEND(fd, "\x10\x0c\0\4MQTT\4\2\0\0\0\0");
    EXPECT(fd, "\x20\x02\0\0");
    assert_true(strncmp(seen.client, "auto-", 5) == 0);
    close(fd);

    /* Nobody is asked about a method that nobody could answer for. */
    int asked = seen.connects;
    fd = peer_open(b.port);
    SEND(fd, "\x10\x12\0\4MQTT\5\2\0\0\4\x15\0\1m\0\1e");
    assert_int_equal(recv(fd, connack, 4, MSG_WAITALL), 4);
    assert_int_equal(connack[3], 0x8c);
    assert_int_equal(seen.connects, asked);
    close(fd);
    stop(&b);
}

static void callbacks_do_not_outlive_their_run(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    seen.answer = 1;
    struct broker first = { .config = { .handle_connect_cb = on_connect, .handle_message_cb = on_message } };
    start(&first);
    stop(&first);
    struct broker second = { .config = { .host = NULL } };
    start(&second);
    int fd = peer_client(second.port, 'x'); /* everybody is welcome */
    SEND(fd, "\x32\x05\0\1t\0\1");
    EXPECT(fd, "\x40\x02\0\1");
    assert_int_equal(seen.connects, 0);
    assert_int_equal(seen.messages, 0);
    close(fd);
    stop(&second);
}

static void the_log_has_the_lines_that_people_search_for(void **state)
{
    (void)state;
    struct broker b = { .config = { .host = NULL } };
    start(&b);
    int fd = peer_open(b.port);
    char expected[128];
    snprintf(expected, sizeof expected, " on port %u.", b.port);
    assert_non_null(strstr(wait_for_log("New connection from 127.0.0.1:"), expected));
    SEND(fd, "\x10\x0d\0\4MQTT\4\2\0\x3c\0\1x");
    const char *line = wait_for_log("New client connected from 127.0.0.1:");
    assert_non_null(strstr(line, " as x (p2, c1, k60)."));
    close(fd);
    stop(&b);
}

/* ---- return codes -------------------------------------------------------------------------------------- */

static void what_cannot_run_says_why(void **state)
{
    (void)state;
    struct broker b = { .config = { .host = NULL } };
    start(&b);
    struct mosq_broker_config config = { .host = "127.0.0.1", .port = b.port };
    assert_int_equal(run(&config), MOSQ_ERR_ALREADY_EXISTS);
    stop(&b);

    assert_int_equal(run(NULL), MOSQ_ERR_INVAL);
    config.port = 65536;
    assert_int_equal(run(&config), MOSQ_ERR_INVAL);
    config.port = -1;
    assert_int_equal(run(&config), MOSQ_ERR_INVAL);
    config.port = 0;
    esp_tls_cfg_server_t tls = { .servercert_bytes = 0 };
    config.tls_cfg = &tls;
    assert_int_equal(run(&config), MOSQ_ERR_TLS);
    wait_for_log("tls_cfg");

    struct runner r;
    runner_open(&r, NULL);
    config = (struct mosq_broker_config){ .host = "127.0.0.1", .port = r.port };
    assert_int_equal(run(&config), 1);
    wait_for_log("cannot listen on 127.0.0.1:");
    midge_loop_free(r.loop);
}

/* ---- stops --------------------------------------------------------------------------------------------- */

static void a_stop_just_before_the_run_is_kept(void **state)
{
    (void)state;
    struct mosq_broker_config config = { .host = "127.0.0.1" };
    mosq_broker_stop();
    mosq_broker_stop(); /* several are one */
    assert_int_equal(run(&config), 0);
    struct broker b = { .config = { .host = NULL } };
    start(&b); /* and it is spent */
    close(peer_client(b.port, 'x'));
    stop(&b);
}

static void an_old_stop_does_not_end_a_later_run(void **state)
{
    (void)state;
    mosq_broker_stop();
    const struct timespec longer_than_kept = { .tv_sec = 1, .tv_nsec = 50000000 };
    assert_int_equal(clock_nanosleep(CLOCK_MONOTONIC, 0, &longer_than_kept, NULL),
                     0); /* time is what is tested */
    struct broker b = { .config = { .host = NULL } };
    start(&b);
    close(peer_client(b.port, 'x'));
    stop(&b);
}

/* Wherever in the start it comes, it ends the run: a lost one would leave this test waiting. */
static void a_stop_is_never_lost(void **state)
{
    (void)state;
    log_to_pipe();
    for (int i = 0; i < 300; i++) {
        struct broker b = { .config = { .host = "127.0.0.1" } };
        assert_int_equal(pthread_create(&b.thread, NULL, broker_main, &b), 0);
        for (volatile int wait = 0; wait < i * 1000; wait++)
            continue;
        mosq_broker_stop();
        assert_int_equal(pthread_join(b.thread, NULL), 0);
        assert_int_equal(b.result, 0);
    }
    log_as_usual();
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    mosq_broker_stop();
}

static void a_signal_handler_may_stop_it(void **state)
{
    (void)state;
    const struct sigaction action = { .sa_handler = on_alarm };
    struct broker b = { .config = { .host = NULL } };
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    start(&b);
    assert_int_equal(pthread_kill(b.thread, SIGUSR1), 0);
    assert_int_equal(pthread_join(b.thread, NULL), 0);
    assert_int_equal(b.result, 0);
}

static void on_message_stop(char *client, char *topic, char *data, int len, int qos, int retain)
{
    (void)client, (void)topic, (void)data, (void)len, (void)qos, (void)retain;
    mosq_broker_stop();
}

static void a_callback_may_stop_it(void **state)
{
    (void)state;
    struct broker b = { .config = { .handle_message_cb = on_message_stop } };
    start(&b);
    int fd = peer_client(b.port, 'x');
    SEND(fd, "\x30\x03\0\1t");
    peer_expect_end(fd);
    assert_int_equal(pthread_join(b.thread, NULL), 0);
    assert_int_equal(b.result, 0);
    close(fd);
}

/* Clients that are connected, one with a will, one that subscribed to it, and neither reads: it returns all
 * the same. */
static void a_stop_with_a_will_and_its_reader(void **state)
{
    (void)state;
    struct broker b = { .config = { .host = NULL } };
    start(&b);
    int sub = peer_client(b.port, 's'), will = peer_open(b.port);
    peer_subscribe_t(sub);
    SEND(will, "\x10\x13\0\4MQTT\4\6\0\0\0\1w\0\1t\0\1!");
    EXPECT(will, "\x20\x02\0\0");
    stop(&b);
    close(sub);
    close(will);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_with_a_nul_behind_them),
        cmocka_unit_test(a_qos_2_message_is_told_once),
        cmocka_unit_test(connects_are_asked),
        cmocka_unit_test(callbacks_do_not_outlive_their_run),
        cmocka_unit_test(the_log_has_the_lines_that_people_search_for),
        cmocka_unit_test(what_cannot_run_says_why),
        cmocka_unit_test(a_stop_just_before_the_run_is_kept),
        cmocka_unit_test(an_old_stop_does_not_end_a_later_run),
        cmocka_unit_test(a_stop_is_never_lost),
        cmocka_unit_test(a_signal_handler_may_stop_it),
        cmocka_unit_test(a_callback_may_stop_it),
        cmocka_unit_test(a_stop_with_a_will_and_its_reader),
    };
    return cmocka_run_group_tests(tests, open_log, close_log);
}
