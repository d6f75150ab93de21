/* log.h - log lines as Mosquitto writes them; the broker never waits for whoever reads them. */
#ifndef MIDGE_POSIX_LOG_H
#define MIDGE_POSIX_LOG_H

#include "midge/midge_posix.h"

#define MIDGE_LOG_RING 65536u /* bytes of lines that wait */

enum midge_log_way { LOG_WRITE, LOG_SEND, LOG_ASK_FIRST };

struct midge_log {
    int fd;                  /* where lines go */
    enum midge_log_level level; /* lines above it are not written */
    enum midge_log_way way;
    bool own_fd;             /* opened here */
    bool watched;            /* the loop tells when fd takes lines again */
    struct midge_loop *loop; /* borrows; NULL = nobody tells: the next line tries again */
    uint32_t at, len;        /* the bytes that wait in ring */
    uint64_t lost;           /* lines that found no room since the last that did */
    char ring[MIDGE_LOG_RING];
};

/* Lines go to `fd`, which stays the caller's and is not made non-blocking, as others may share it. */
void midge_log_init(struct midge_log *log, int fd, enum midge_log_level level);
/* From now on, what waits is written as soon as fd takes it. NULL: no longer (before the loop is freed). */
void midge_log_attach(struct midge_log *log, struct midge_loop *loop);
/* What fd takes at once is written, the rest forgotten. */
void midge_log_free(struct midge_log *log);

/* "1700000000: text\n". Takes `log` as a void pointer to fit midge_loop_config.say. */
void midge_log_line(void *log, enum midge_log_level level, const char *text);

/* The line for an event of hooks.event, if there is one at this level. Bytes of peers that are not plain text
 * appear as \xNN, long ones end in "...". */
void midge_log_event(struct midge_log *log, const struct midge_event *event);

#endif
