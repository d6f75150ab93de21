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
#define SHOWN_BYTES 200 /* of a client id, a topic, a user name */
#define SHOWN_SIZE (4 * SHOWN_BYTES + 4)

/* ---- where to ------------------------------------------------------------------------------------------ */

/* A second, non-blocking way into the same pipe or terminal. O_NONBLOCK on `fd` itself would reach everybody
 * who shares it, the user's shell for one. */
static int open_again(int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void midge_log_init(struct midge_log *log, int fd, enum midge_log_level level)
{
    *log = (struct midge_log){ .fd = fd, .level = level, .way = LOG_WRITE };
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

/* True: said, or nothing to say. */
static bool push_lost(struct midge_log *log, long long now)
{
    char line[64];
    if (!log->lost)
        return true;
    int n = snprintf(line, sizeof line, "%lld: %llu log lines lost\n", now, (unsigned long long)log->lost);
    if (!push(log, line, (size_t)n))
        return false;
    log->lost = 0;
    return true;
}

void midge_log_line(void *user, enum midge_log_level level, const char *text)
{
    struct midge_log *log = user;
    if (level > log->level)
        return;
    char line[LINE_MAX_BYTES + 32];
    long long now = time(NULL);
    int n = snprintf(line, sizeof line, "%lld: %.*s\n", now, LINE_MAX_BYTES, text);
    if (log->len)
        flush(log);
    if (!push_lost(log, now) || !push(log, line, (size_t)n))
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
    if (push_lost(log, time(NULL)))
        flush(log);
    watch(log, false);
    if (log->own_fd)
        close(log->fd);
}

/* ---- events -------------------------------------------------------------------------------------------- */

/* What a peer chose, as text that cannot forge a line or move a cursor. Returns out. */
static const char *show(struct midge_slice s, char out[SHOWN_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (uint32_t i = 0; i < s.len && i < SHOWN_BYTES; i++) {
        uint8_t c = s.data[i];
        /* 0xc2 0x80..0x9f are control characters too, so what follows 0xc2 is looked at */
        bool c1 = c >= 0x80 && c < 0xa0 && i > 0 && s.data[i - 1] == 0xc2;
        if (c >= 0x20 && c != 0x7f && c != '\\' && !c1) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    memcpy(at, s.len > SHOWN_BYTES ? "..." : "\0\0\0", 4);
    return out;
}

static const char *reason_of(const struct midge_event *e)
{
    if (e->kind == MIDGE_EV_DISCONNECTED && e->reason == MIDGE_RC_UNSPECIFIED && !e->by_client)
        return "connection lost";
    return midge_reason_text(e->reason);
}

static void say_connected(struct midge_log *log, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES], peer[MIDGE_PEER_TEXT], username[SHOWN_BYTES + 8] = "";
    char id[SHOWN_SIZE], name[SHOWN_SIZE];
    midge_peer_text(e->who.peer, peer, sizeof peer);
    if (e->who.username.data)
        snprintf(username, sizeof username, ", u'%.*s'", SHOWN_BYTES, show(e->who.username, name));
    int clean = e->clean_start, version = e->who.version == 5 ? 5 : e->who.version == 3 ? 1 : 2;
    snprintf(line, sizeof line, "New client connected from %s as %s (p%d, c%d, k%u%s).", peer,
             show(e->who.client_id, id), version, clean, e->keepalive_s, username);
    midge_log_line(log, MIDGE_LOG_NOTICE, line);
}

static void say_disconnected(struct midge_log *log, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    const char *who = show(e->who.client_id, id);
    if (e->reason == MIDGE_RC_SUCCESS)
        snprintf(line, sizeof line, "Client %s disconnected.", who);
    else
        snprintf(line, sizeof line, "Client %s disconnected%s: %s (0x%02x).", who,
                 e->by_client ? " itself" : "", reason_of(e), e->reason);
    midge_log_line(log, MIDGE_LOG_NOTICE, line);
}

static void say_refused(struct midge_log *log, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES], peer[MIDGE_PEER_TEXT];
    char id[SHOWN_SIZE];
    midge_peer_text(e->who.peer, peer, sizeof peer);
    snprintf(line, sizeof line, "Client %s from %s refused: %s (0x%02x).",
             e->who.client_id.len ? show(e->who.client_id, id) : "<unknown>", peer, reason_of(e), e->reason);
    midge_log_line(log, MIDGE_LOG_NOTICE, line);
}

static void say_topic(struct midge_log *log, const struct midge_event *e)
{
    char line[2 * LINE_MAX_BYTES];
    char id[SHOWN_SIZE], topic[SHOWN_SIZE];
    const char *what = e->kind == MIDGE_EV_SUBSCRIBED ? "subscribed to" : "unsubscribed from";
    snprintf(line, sizeof line, "Client %s %s %s (QoS %u).", show(e->who.client_id, id), what,
             show(e->topic, topic), e->qos);
    midge_log_line(log, MIDGE_LOG_DEBUG, line);
}

static void say_dropped(struct midge_log *log, const struct midge_event *e)
{
    static const char *const why[MIDGE_DROP_REASONS] = {
        [MIDGE_DROP_QUEUE_MSGS] = "its queue has no room for more messages",
        [MIDGE_DROP_QUEUE_BYTES] = "its queue has no room for more bytes",
        [MIDGE_DROP_PACKET_SIZE] = "larger than its Maximum Packet Size",
        [MIDGE_DROP_RIGHT] = "no right to receive it",
    };
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    snprintf(line, sizeof line, "A message for client %s is dropped: %s.", show(e->who.client_id, id),
             e->reason < MIDGE_DROP_REASONS ? why[e->reason] : "?");
    midge_log_line(log, MIDGE_LOG_DEBUG, line);
}

static void say_message(struct midge_log *log, const struct midge_event *e)
{
    char line[2 * LINE_MAX_BYTES];
    char id[SHOWN_SIZE], topic[SHOWN_SIZE];
    snprintf(line, sizeof line, "Received PUBLISH from %s (q%u, r%d, '%s', %u bytes).",
             show(e->who.client_id, id), e->message->qos, e->message->retain, show(e->message->topic, topic),
             e->message->payload.len);
    midge_log_line(log, MIDGE_LOG_DEBUG, line);
}

static void say_session_ended(struct midge_log *log, const struct midge_event *e)
{
    char line[LINE_MAX_BYTES];
    char id[SHOWN_SIZE];
    snprintf(line, sizeof line, "Session of client %s ended%s.", show(e->who.client_id, id),
             e->reason == MIDGE_RC_QUOTA_EXCEEDED ? ": its room was needed" : "");
    midge_log_line(log, e->reason ? MIDGE_LOG_NOTICE : MIDGE_LOG_DEBUG, line);
}

void midge_log_event(struct midge_log *log, const struct midge_event *event)
{
    static const struct {
        void (*say)(struct midge_log *log, const struct midge_event *event);
        enum midge_log_level level; /* the least that shows it: nothing is made up for nobody */
    } rows[] = {
        [MIDGE_EV_CONNECTED] = { say_connected, MIDGE_LOG_NOTICE },
        [MIDGE_EV_DISCONNECTED] = { say_disconnected, MIDGE_LOG_NOTICE },
        [MIDGE_EV_REFUSED] = { say_refused, MIDGE_LOG_NOTICE },
        [MIDGE_EV_SESSION_ENDED] = { say_session_ended, MIDGE_LOG_NOTICE },
        [MIDGE_EV_SUBSCRIBED] = { say_topic, MIDGE_LOG_DEBUG },
        [MIDGE_EV_UNSUBSCRIBED] = { say_topic, MIDGE_LOG_DEBUG },
        [MIDGE_EV_MESSAGE] = { say_message, MIDGE_LOG_DEBUG },
        [MIDGE_EV_DROPPED] = { say_dropped, MIDGE_LOG_DEBUG },
    };
    if (event->kind == MIDGE_EV_LOW_MEMORY)
        midge_log_line(log, MIDGE_LOG_WARNING, "The memory limit is reached: publishers are refused.");
    else if (event->kind == MIDGE_EV_STORE_FAILED)
        midge_log_line(log, MIDGE_LOG_ERROR, "The store failed: nobody is served until a restart finds it in order.");
    else if ((size_t)event->kind < sizeof rows / sizeof *rows && rows[event->kind].level <= log->level)
        rows[event->kind].say(log, event);
}
