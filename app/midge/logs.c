/* logs.c - the daemon's log: standard streams, a file, syslog, topics. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "logs.h"

#include "../../ports/posix/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define DEFAULT_KINDS (CONF_LOG_ERROR | CONF_LOG_WARNING | CONF_LOG_NOTICE | CONF_LOG_INFORMATION)
#define LINE_MAX_BYTES 1024

/* ---- places -------------------------------------------------------------------------------------------- */

/* NULL: not wanted, or no memory. */
static struct midge_log *open_place(const struct logs *l, bool wanted, int fd)
{
    struct midge_log *log = wanted ? malloc(sizeof *log) : NULL;
    if (!log)
        return NULL;
    midge_log_init(log, fd, l->kinds);
    log->stamp = l->stamp;
    return log;
}

static void close_place(struct midge_log **log)
{
    if (*log)
        midge_log_free(*log);
    free(*log);
    *log = NULL;
}

/* A datagram a line, and one that is not taken is lost: syslog must not hold the broker up. -1: nobody listens. */
static int open_syslog(void)
{
    static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void close_all(struct logs *l)
{
    logs_attach(l, NULL);
    close_place(&l->err);
    close_place(&l->out);
    if (l->file)
        close(l->file_fd);
    close_place(&l->file);
    if (l->syslog_fd > 0)
        close(l->syslog_fd);
    l->syslog_fd = -1;
}

static uint8_t kinds_of(const struct conf *c, bool verbose)
{
    if (verbose)
        return CONF_LOG_ALL;
    if (c->log_none)
        return 0;
    return c->log_types ? c->log_types : DEFAULT_KINDS;
}

static void set_stamp(struct logs *l, const struct conf *c)
{
    const char *format = c->log_timestamp_format.text;
    l->stamp = !c->log_timestamp ? "" : format ? l->stamp_text : NULL;
    if (format)
        snprintf(l->stamp_text, sizeof l->stamp_text, "%s", format);
}

bool logs_set(struct logs *l, const struct conf *c, bool verbose, char *why, size_t why_size)
{
    uint8_t dest = c->log_dest ? c->log_dest : CONF_LOG_STDERR;
    if (dest & CONF_LOG_NOWHERE)
        dest = 0;
    int fd = -1;
    if (dest & CONF_LOG_FILE)
        fd = open(c->log_file.text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if ((dest & CONF_LOG_FILE) && fd < 0) {
        snprintf(why, why_size, "%s:%u: log_dest: %s: %s", c->log_file.file, c->log_file.line,
                 c->log_file.text, strerror(errno));
        return false;
    }
    struct midge_loop *loop = l->loop;
    close_all(l);
    l->kinds = kinds_of(c, verbose);
    set_stamp(l, c);
    l->connections = c->connection_messages;
    l->topic = dest & CONF_LOG_TOPIC;
    l->facility =
        c->log_facility == CONF_UNSET ? LOG_DAEMON >> 3 : (uint8_t)((LOG_LOCAL0 >> 3) + c->log_facility);
    l->err = open_place(l, dest & CONF_LOG_STDERR, STDERR_FILENO);
    l->out = open_place(l, dest & CONF_LOG_STDOUT, STDOUT_FILENO);
    l->file = open_place(l, fd >= 0, fd);
    l->file_fd = fd;
    if (dest & CONF_LOG_SYSLOG)
        l->syslog_fd = open_syslog();
    logs_attach(l, loop);
    return true;
}

void logs_attach(struct logs *l, struct midge_loop *loop)
{
    struct midge_log *const all[] = { l->err, l->out, l->file };
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            midge_log_attach(all[i], loop);
    l->loop = loop;
}

void logs_free(struct logs *l)
{
    close_all(l);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

static void to_syslog(struct logs *l, enum midge_log_level level, const char *text)
{
    static const int severities[] = { [MIDGE_LOG_ERROR] = LOG_ERR,      [MIDGE_LOG_WARNING] = LOG_WARNING,
                                      [MIDGE_LOG_NOTICE] = LOG_NOTICE,  [MIDGE_LOG_INFORMATION] = LOG_INFO,
                                      [MIDGE_LOG_SUBSCRIBE] = LOG_INFO, [MIDGE_LOG_UNSUBSCRIBE] = LOG_INFO,
                                      [MIDGE_LOG_DEBUG] = LOG_DEBUG };
    char line[LINE_MAX_BYTES + 64];
    int n = snprintf(line, sizeof line, "<%d>midge[%ld]: %.*s", l->facility << 3 | severities[level],
                     (long)getpid(), LINE_MAX_BYTES, text);
    if (send(l->syslog_fd, line, (size_t)n, MSG_NOSIGNAL) >= 0)
        return;
    l->lost++;
    if (errno == ECONNREFUSED || errno == ENOTCONN) { /* it was started anew */
        close(l->syslog_fd);
        l->syslog_fd = open_syslog();
    }
}

/* What is logged about messages would log itself: that kind never goes there. */
static void to_topic(const struct logs *l, enum midge_log_level level, const char *text)
{
    static const char *const topics[] = { "E", "W", "N", "I", "M/subscribe", "M/unsubscribe" };
    if (level == MIDGE_LOG_DEBUG || !l->loop)
        return;
    char topic[40], line[LINE_MAX_BYTES + 128];
    int topic_len = snprintf(topic, sizeof topic, "$SYS/broker/log/%s", topics[level]);
    size_t n = midge_log_stamp(l->stamp, line, 128);
    n += (size_t)snprintf(line + n, sizeof line - n, "%.*s", LINE_MAX_BYTES - 1, text);
    const struct midge_publication p = { .topic = { (const uint8_t *)topic, (uint32_t)topic_len },
                                         .payload = { (const uint8_t *)line, (uint32_t)n } };
    enum midge_err err = midge_publish(midge_loop_broker(l->loop), NULL, &p, midge_loop_now(l->loop));
    (void)err; /* nobody to tell */
}

void logs_line(void *logs, enum midge_log_level level, const char *text)
{
    struct logs *l = logs;
    if (!(l->kinds & 1u << level))
        return;
    struct midge_log *const all[] = { l->err, l->out, l->file };
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            midge_log_line(all[i], level, text);
    if (l->syslog_fd > 0)
        to_syslog(l, level, text);
    if (l->topic)
        to_topic(l, level, text);
}

void logs_say(struct logs *l, enum midge_log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    logs_line(l, level, text);
}

void logs_event(struct logs *l, const struct midge_event *event)
{
    bool moves = event->kind == MIDGE_EV_CONNECTED || event->kind == MIDGE_EV_DISCONNECTED;
    if (l->connections || !moves)
        midge_log_event(logs_line, l, l->kinds, event);
}
