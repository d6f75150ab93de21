/* desk.h - a place where somebody asks for lines and gets answers: the control socket and the admin listener.
 *
 * Few talk to it at once, and none of them can hold the broker up: what is not taken waits, and who comes when all
 * places are taken gets that of whoever has been silent longest. */
#ifndef MIDGE_APP_DESK_H
#define MIDGE_APP_DESK_H

#include "midge/midge_posix.h"

#include <stdio.h>

struct desk;

#define DESK_REQUEST_SIZE 256

/* What a talk remembers between its lines; zeroed at its start. */
struct desk_talk {
    char request[DESK_REQUEST_SIZE];
    unsigned lines;
};

/* Answers a line, whose end is cut off, by writing to `out`. False: that was all, the talk ends. */
typedef bool (*desk_answer)(void *user, struct desk_talk *talk, char *line, FILE *out);

/* A Unix socket that its owner alone may use, mode 0600. `longest`: bytes of a line; who sends more is cut off. NULL,
 * and `why`: it cannot be opened. */
struct desk *desk_open_unix(struct midge_loop *loop, const char *path, size_t longest, desk_answer answer,
                            void *user, char *why, size_t why_size);
struct desk *desk_open_tcp(struct midge_loop *loop, const char *address, uint16_t port, size_t longest,
                           desk_answer answer, void *user, char *why, size_t why_size);
/* Its port. */
uint16_t desk_port(const struct desk *d);
/* Before the loop is freed. NULL is allowed. */
void desk_close(struct desk *d);

#endif
