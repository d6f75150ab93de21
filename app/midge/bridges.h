/* bridges.h - the bridges as they are open. */
#ifndef MIDGE_APP_BRIDGES_H
#define MIDGE_APP_BRIDGES_H

#include "conf.h"
#include "midge/midge_posix.h"

struct bridge;

struct bridges {
    struct midge_loop *loop;
    struct bridge *all;
    char host[64];
    char node[80]; /* this broker's name in messages that pass through bridges */
};

/* Opens, changes and closes bridges as `c` says; those that are the same stay connected. False: `why` is one line about
 * one that could not be opened; the others are. */
bool bridges_set(struct bridges *b, struct conf *c, char *why, size_t why_size);
/* After the loop was freed, which closes what is open. */
void bridges_end(struct bridges *b);

#endif
