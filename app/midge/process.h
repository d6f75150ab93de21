/* process.h - the program as a process: background, user, files of its own. */
#ifndef MIDGE_APP_PROCESS_H
#define MIDGE_APP_PROCESS_H

#include "conf.h"

/* Opens the standard streams that are closed, on /dev/null: no socket is to get the number of one. */
void process_fill_streams(void);

/* As many descriptors as the system gives; how many connections they are good for. */
uint32_t process_descriptors(void);

/* What large messages leave is kept for the next ones, up to some megabytes, and not given back page by page. */
void process_keep_memory(void);

/* Goes on in a child. The parent waits, and leaves with status 0 when the child is ready or with the child's status
 * when it ends before that. False: no process. */
bool process_background(void);
/* The child is ready: its streams are closed, except a standard error that is not a terminal, which is where somebody
 * wants the log. Without process_background: nothing happens. */
void process_ready(void);

/* Whom root goes on as. uid 0: nobody else. */
struct process_user {
    unsigned uid, gid;
    char name[64];
};
/* False, and `why` is one line: there is no such user. Asked by others than root, it is nobody else. */
bool process_find_user(const struct conf *c, struct process_user *out, char *why, size_t why_size);
/* Files are made and opened as this user until it is left again. */
void process_try_user(const struct process_user *u);
void process_leave_user(const struct process_user *u);
/* For good. */
bool process_become(const struct process_user *u, char *why, size_t why_size);

/* Writes the process id. False, and `why` is one line. */
bool process_write_pid(const struct conf_text *file, char *why, size_t why_size);

#endif
