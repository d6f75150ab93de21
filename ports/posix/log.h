/* log.h - log lines as Mosquitto writes them; the broker never waits for whoever reads them. */
#ifndef MIDGE_POSIX_LOG_H
#define MIDGE_POSIX_LOG_H

#include "midge/midge_posix.h"

#define MIDGE_LOG_RING 65536u /* bytes of lines that wait */

enum midge_log_way { LOG_WRITE, LOG_SEND, LOG_ASK_FIRST };

struct midge_log {
    int fd;                  /* where lines go */
    unsigned kinds;          /* lines of other kinds are not written: bits 1u << enum midge_log_level */
    const char *stamp;       /* how the time looks, for strftime; NULL = seconds since 1970, "" = none. Borrows */
    enum midge_log_way way;
    bool own_fd;             /* opened here */
    bool watched;            /* the loop tells when fd takes lines again */
    struct midge_loop *loop; /* borrows; NULL = nobody tells: the next line tries again */
    uint32_t at, len;        /* the bytes that wait in ring */
    uint64_t lost;           /* lines that found no room since the last that did */
    char ring[MIDGE_LOG_RING];
};

/* A level and all that matter more. */
#define MIDGE_LOG_UP_TO(level) ((2u << (level)) - 1)

/* Lines go to `fd`, which stays the caller's and is not made non-blocking, as others may share it. */
void midge_log_init(struct midge_log *log, int fd, unsigned kinds);
/* From now on, what waits is written as soon as fd takes it. NULL: no longer (before the loop is freed). */
void midge_log_attach(struct midge_log *log, struct midge_loop *loop);
/* What fd takes at once is written, the rest forgotten. */
void midge_log_free(struct midge_log *log);

/* "1700000000: text\n". Takes `log` as a void pointer to fit midge_loop_config.say. */
void midge_log_line(void *log, enum midge_log_level level, const char *text);

/* The time as `stamp` wants it, with ": " behind; returns its length, 0 for "". */
size_t midge_log_stamp(const char *stamp, char *out, size_t size);

/* Says the line for an event of hooks.event, if there is one of these kinds. Bytes of peers that are not plain text
 * appear as \xNN, long ones end in "...". */
typedef void (*midge_log_say)(void *user, enum midge_log_level level, const char *text);
void midge_log_event(midge_log_say say, void *user, unsigned kinds, const struct midge_event *event);

#endif
