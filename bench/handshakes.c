/* handshakes.c PORT [CLIENTS [SECONDS [STRANGERS]]] - what clients notice of a flood of TLS handshakes.
 *
 * CLIENTS (200) are connected by TLS and publish ten times a second each, at QoS 1, to their neighbour: first alone
 * for SECONDS (10), then while STRANGERS (4) processes flood the broker as fast as they can: half of them shake hands
 * and hang up, the others begin BATCH handshakes at once, let the broker sign, and go.
 * bench/handshakes.py makes certificates and starts the broker.
 */
#define _GNU_SOURCE

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 2000
#define STRANGERS_MAX 64
#define BATCH 100
#define RATE 10 /* messages a second of each client */
#define DRAIN_MS 3000
#define SAMPLES_MAX 4000000u

struct client {
    SSL *ssl;
    int fd;
    uint64_t due_us;
    size_t len;
    uint8_t in[4096];
};

static uint16_t port;
static SSL_CTX *ctx;
static struct client clients[CLIENTS_MAX];
static struct pollfd fds[CLIENTS_MAX];
static unsigned client_count = 200;
static uint32_t *samples; /* microseconds */
static size_t received, sent, acknowledged;
static struct { atomic_ulong shaken, begun, failed; } *strangers; /* shared with them */

static void die(const char *what)
{
    fprintf(stderr, "handshakes: %s\n", what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int open_socket(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    const struct linger at_once = { .l_onoff = 1 }; /* no TIME_WAIT, of which there are not enough */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Connected and through its handshake; NULL: not. */
static SSL *shake(int *fd)
{
    SSL *ssl = SSL_new(ctx);
    *fd = open_socket();
    if (*fd >= 0 && ssl) {
        SSL_set_fd(ssl, *fd);
        if (SSL_connect(ssl) == 1)
            return ssl;
    }
    SSL_free(ssl);
    close(*fd);
    return NULL;
}

/* ---- strangers ----------------------------------------------------------------------------------------- */

static void shake_and_go(void)
{
    int fd;
    SSL *ssl = shake(&fd);
    ERR_clear_error();
    atomic_fetch_add(ssl ? &strangers->shaken : &strangers->failed, 1);
    if (ssl) {
        SSL_free(ssl);
        close(fd);
    }
}

/* The same ClientHello each time: it costs its sender nothing. */
static size_t write_hello(uint8_t *out, size_t size)
{
    SSL *ssl = SSL_new(ctx);
    BIO *wire = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), wire);
    SSL_connect(ssl);
    int n = BIO_read(wire, out, (int)size);
    SSL_free(ssl);
    return n > 0 ? (size_t)n : 0;
}

static void begin_and_go(const uint8_t *hello, size_t n)
{
    int batch[BATCH];
    uint8_t answer[1];
    for (int i = 0; i < BATCH; i++) {
        batch[i] = open_socket();
        if (send(batch[i], hello, n, MSG_NOSIGNAL) != (ssize_t)n)
            atomic_fetch_add(&strangers->failed, 1);
    }
    for (int i = 0; i < BATCH; i++) {
        bool answered = recv(batch[i], answer, sizeof answer, 0) == 1;
        atomic_fetch_add(answered ? &strangers->begun : &strangers->failed, 1);
        close(batch[i]);
    }
}

/* A process of its own: a lock of the library's, held by who has to wait for the processor, would hold up the others. */
static pid_t start_stranger(bool finishes)
{
    static const struct sched_param none;
    uint8_t hello[2048];
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sched_setscheduler(0, SCHED_OTHER, &none); /* where the others were put above the rest of the machine */
    size_t n = write_hello(hello, sizeof hello);
    for (;;)
        if (finishes)
            shake_and_go();
        else
            begin_and_go(hello, n);
}

/* ---- clients ------------------------------------------------------------------------------------------- */

static void write_all(struct client *c, const uint8_t *bytes, size_t n)
{
    if (SSL_write(c->ssl, bytes, (int)n) != (int)n)
        die("a client was cut off");
}

static void expect(struct client *c, uint8_t first, size_t n)
{
    uint8_t got[8] = { 0 };
    for (size_t have = 0; have < n;) {
        int more = SSL_read(c->ssl, got + have, (int)(n - have));
        if (more <= 0)
            die("a client was not let in");
        have += (size_t)more;
    }
    if (got[0] != first)
        die("an answer that was not expected");
}

static void log_in(struct client *c, unsigned i)
{
    uint8_t connect[] = { 0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 4, 'h', 0, 0, 0 };
    uint8_t subscribe[] = { 0x82, 9, 0, 1, 0, 4, 'h', 0, 0, 0, 1 };
    c->ssl = shake(&c->fd);
    if (!c->ssl)
        die("no TLS connection");
    for (unsigned k = 0; k < 3; k++)
        connect[17 - k] = subscribe[9 - k] = (uint8_t)('a' + i / (k == 0 ? 1 : k == 1 ? 26 : 676) % 26);
    write_all(c, connect, sizeof connect);
    expect(c, 0x20, 4);
    write_all(c, subscribe, sizeof subscribe);
    expect(c, 0x90, 5);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    fds[i] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
}

static void publish(struct client *c, unsigned to, uint64_t now)
{
    uint8_t packet[18] = { 0x32, 16, 0, 4, 'h' };
    for (unsigned k = 0; k < 3; k++)
        packet[7 - k] = (uint8_t)('a' + to / (k == 0 ? 1 : k == 1 ? 26 : 676) % 26);
    packet[9] = 1; /* one is in flight at a time */
    memcpy(packet + 10, &now, sizeof now);
    write_all(c, packet, sizeof packet);
    sent++;
}

static void take(struct client *c, const uint8_t *packet)
{
    uint64_t then;
    if (packet[0] >> 4 == 4)
        acknowledged++;
    if (packet[0] >> 4 != 3)
        return;
    const uint8_t puback[] = { 0x40, 2, packet[8], packet[9] };
    write_all(c, puback, sizeof puback);
    memcpy(&then, packet + 10, sizeof then);
    if (received < SAMPLES_MAX)
        samples[received] = (uint32_t)(now_us() - then);
    received++;
}

static void read_some(struct client *c)
{
    int n;
    while ((n = SSL_read(c->ssl, c->in + c->len, (int)(sizeof c->in - c->len))) > 0) {
        size_t at = 0;
        c->len += (size_t)n;
        while (c->len - at >= 2 && c->len - at >= 2u + c->in[at + 1]) {
            take(c, c->in + at);
            at += 2u + c->in[at + 1];
        }
        memmove(c->in, c->in + at, c->len - at);
        c->len -= at;
    }
    if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
        die("a client was cut off");
}

/* Until `end`, and then until all has arrived. */
static void exchange(uint64_t end)
{
    for (uint64_t now = now_us(); now < end || (received < sent && now < end + DRAIN_MS * 1000); now = now_us()) {
        uint64_t next = now + 10000;
        for (unsigned i = 0; i < client_count && now < end; i++) {
            struct client *c = &clients[i];
            if (c->due_us <= now) {
                publish(c, (i + 1) % client_count, now_us());
                c->due_us += 1000000 / RATE;
            }
            next = c->due_us < next ? c->due_us : next;
        }
        now = now_us();
        const struct timespec wait = { .tv_nsec = next > now ? (long)(next - now) * 1000 : 0 };
        if (ppoll(fds, client_count, &wait, NULL) > 0)
            for (unsigned i = 0; i < client_count; i++)
                if (fds[i].revents)
                    read_some(&clients[i]);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void phase(const char *name, unsigned seconds)
{
    received = sent = acknowledged = 0;
    uint64_t begin = now_us();
    for (unsigned i = 0; i < client_count; i++)
        clients[i].due_us = begin + (uint64_t)i * 1000000 / RATE / client_count;
    exchange(begin + (uint64_t)seconds * 1000000);
    qsort(samples, received < SAMPLES_MAX ? received : SAMPLES_MAX, sizeof *samples, by_size);
    printf("%-10s %8zu %6zu %10zu %7.2f %7.2f %7.2f", name, received, sent - received, sent - acknowledged,
           samples[received / 2] / 1e3, samples[received * 99 / 100] / 1e3, samples[received - 1] / 1e3);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 3 ? (unsigned)atoi(argv[3]) : 10, stranger_count = argc > 4 ? (unsigned)atoi(argv[4]) : 4;
    port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 0);
    client_count = argc > 2 ? (unsigned)atoi(argv[2]) : client_count;
    strangers = mmap(NULL, sizeof *strangers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    samples = calloc(SAMPLES_MAX, sizeof *samples);
    ctx = SSL_CTX_new(TLS_client_method());
    if (!port || client_count < 1 || client_count > CLIENTS_MAX || stranger_count > STRANGERS_MAX || !samples || strangers == MAP_FAILED || !ctx)
        die("PORT [CLIENTS [SECONDS [STRANGERS]]]");
    for (unsigned i = 0; i < client_count; i++)
        log_in(&clients[i], i);
    printf("%-10s %8s %6s %10s %7s %7s %7s %9s %9s %9s\n", "", "messages", "lost", "unanswered", "p50 ms", "p99 ms",
           "max ms", "shaken/s", "begun/s", "failed/s");
    phase("alone", seconds);
    printf("\n");
    fflush(stdout);
    pid_t pids[STRANGERS_MAX];
    uint64_t begin = now_us();
    for (unsigned i = 0; i < stranger_count; i++)
        pids[i] = start_stranger(i % 2 == 0);
    phase("flooded", seconds);
    double took = (double)(now_us() - begin) / 1e6;
    printf(" %9.0f %9.0f %9.0f\n", (double)atomic_load(&strangers->shaken) / took,
           (double)atomic_load(&strangers->begun) / took, (double)atomic_load(&strangers->failed) / took);
    for (unsigned i = 0; i < stranger_count; i++)
        kill(pids[i], SIGKILL);
    return 0;
}
