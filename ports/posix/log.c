/* log.c - log lines through a bounded ring: what is not taken waits, what does not fit is counted. */
#include "posix.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define STAMP_SIZE 128

/* ---- where to ------------------------------------------------------------------------------------------ */

/* A second, non-blocking way into the same pipe or terminal. O_NONBLOCK on `fd` itself would reach everybody
 * who shares it, the user's shell for one. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void midge_log_init(struct midge_log *log, int fd, unsigned kinds)
{
    *log = (struct midge_log){ .fd = fd, .kinds = kinds, .way = LOG_WRITE };
    struct stat st;
    if (fstat(fd, &st))
        log->fd = -1; /* closed: the next socket may get its number, and is not to get our lines */
    if (log->fd < 0 || S_ISREG(st.st_mode))
        return; /* a file takes everything */
    if (S_ISSOCK(st.st_mode)) {
        log->way = LOG_SEND;
        return;
    }
    int again = open_again(fd);
    log->own_fd = again >= 0;
    if (log->own_fd)
        log->fd = again;
    else
        log->way = LOG_ASK_FIRST;
}

/* A pipe that is ready takes PIPE_BUF bytes without waiting. */
static ssize_t ask_and_write(int fd, const char *bytes, size_t n)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    if (poll(&p, 1, 0) == 1)
        return write(fd, bytes, n < PIPE_BUF ? n : PIPE_BUF);
    errno = EAGAIN;
    return -1;
}

static ssize_t put_out(const struct midge_log *log, const char *bytes, size_t n)
{
    switch (log->way) {
    case LOG_SEND:
        return send(log->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    case LOG_ASK_FIRST:
        return ask_and_write(log->fd, bytes, n);
    default:
        return write(log->fd, bytes, n);
    }
}

/* ---- the ring ------------------------------------------------------------------------------------------ */

static void flush(struct midge_log *log);

static void writable(void *user, int fd)
{
    (void)fd;
    flush(user);
}

static void watch(struct midge_log *log, bool on)
{
    if (!log->loop || log->watched == on)
        return;
    log->watched = on && midge_loop_watch(log->loop, log->fd, true, writable, log);
    if (!on)
        midge_loop_watch(log->loop, log->fd, true, NULL, NULL);
}

static void flush(struct midge_log *log)
{
    while (log->len) {
        uint32_t run = MIDGE_LOG_RING - log->at; /* up to the ring's end, then from its start */
        ssize_t n = put_out(log, log->ring + log->at, log->len < run ? log->len : run);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno == EAGAIN))
            break;
        uint32_t gone = n < 0 ? log->len : (uint32_t)n; /* whoever read it is away: lines go nowhere */
        log->at = (log->at + gone) % MIDGE_LOG_RING;
        log->len -= gone;
    }
    watch(log, log->len > 0);
}

static bool push(struct midge_log *log, const char *line, size_t n)
{
    if (n > MIDGE_LOG_RING - log->len)
        return false;
    uint32_t to = (log->at + log->len) % MIDGE_LOG_RING;
    size_t run = MIDGE_LOG_RING - to;
    memcpy(log->ring + to, line, n < run ? n : run);
    if (n > run)
        memcpy(log->ring, line + run, n - run);
    log->len += (uint32_t)n;
    return true;
}

size_t midge_log_stamp(const char *stamp, char *out, size_t size)
{
    time_t now = time(NULL);
    struct tm local;
    if (stamp && !*stamp)
        return 0;
    size_t n = stamp ? strftime(out, size - 2, stamp, localtime_r(&now, &local))
                     : (size_t)snprintf(out, size, "%lld", (long long)now);
    memcpy(out + n, ": ", 3);
    return n + 2;
}

/* True: said, or nothing to say. */
static bool push_lost(struct midge_log *log)
{
    char line[STAMP_SIZE + 64];
    if (!log->lost)
        return true;
    size_t stamp = midge_log_stamp(log->stamp, line, STAMP_SIZE);
    int n = snprintf(line + stamp, 64, "%llu log lines lost\n", (unsigned long long)log->lost) + (int)stamp;
    if (!push(log, line, (size_t)n))
        return false;
    log->lost = 0;
    return true;
}

void midge_log_line(void *user, enum midge_log_level level, const char *text)
{
    struct midge_log *log = user;
    if (!(log->kinds & 1u << level))
        return;
    char line[STAMP_SIZE + LINE_MAX_BYTES + 2];
    size_t n = midge_log_stamp(log->stamp, line, STAMP_SIZE);
    n += (size_t)snprintf(line + n, sizeof line - n, "%.*s\n", LINE_MAX_BYTES, text);
    if (log->len)
        flush(log);
    if (!push_lost(log) || !push(log, line, n))
        log->lost++;
    flush(log);
}

void midge_log_attach(struct midge_log *log, struct midge_loop *loop)
{
    watch(log, false);
    log->loop = loop;
    flush(log);
}

void midge_log_free(struct midge_log *log)
{
    flush(log);
    if (push_lost(log))
        flush(log);
    watch(log, false);
    if (log->own_fd)
        close(log->fd);
}
