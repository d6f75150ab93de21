/* logs.h - the daemon's log: one line to each place that log_dest names, and never a wait for any of them. */
#ifndef MIDGE_APP_LOGS_H
#define MIDGE_APP_LOGS_H

#include "conf.h"
#include "midge/midge_posix.h"

/* One place that takes lines through a ring. */
struct midge_log;

struct logs {
    struct midge_log *err, *out, *file; /* owns; NULL = not there */
    int file_fd;                        /* of `file` */
    int syslog_fd;                      /* -1 = none */
    uint8_t facility;
    bool topic, connections; /* connections: who comes and goes */
    uint8_t kinds;           /* bits of enum conf_log_type, which are those of enum midge_log_level */
    const char *stamp;       /* "", NULL or stamp_text; as struct midge_log has it */
    char stamp_text[CONF_STAMP_SIZE];
    struct midge_loop *loop;
    uint64_t lost; /* that syslog did not take */
};

/* As `c` says, all kinds when `verbose`. In place of what it did before, which stays when this fails: `why` is one
 * line. Opens the log file, anew. The first call: on a zeroed struct. */
bool logs_set(struct logs *l, const struct conf *c, bool verbose, char *why, size_t why_size);
/* From now on what waits goes out as soon as it is taken; NULL: no longer. */
void logs_attach(struct logs *l, struct midge_loop *loop);
void logs_free(struct logs *l);

/* Takes `logs` as a void pointer to fit midge_loop_config.say. */
void logs_line(void *logs, enum midge_log_level level, const char *text);
__attribute__((format(printf, 3, 4))) void logs_say(struct logs *l, enum midge_log_level level,
                                                    const char *format, ...);
void logs_event(struct logs *l, const struct midge_event *event);

#endif
