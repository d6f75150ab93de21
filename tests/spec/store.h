/* store.h - a store for the tests: records in memory, of which a crash leaves what was synced. */
#ifndef MIDGE_SPEC_STORE_H
#define MIDGE_SPEC_STORE_H

#include "midge/midge_store.h"

extern struct midge_store test_store; /* relaxed_ms and the failures below are the test's to set */
extern unsigned store_syncs;          /* calls so far */
extern bool store_in_sync;          /* the store behind is asked to sync, and has not answered */
extern unsigned store_fails_after;    /* puts, deletes, syncs that still work; UINT_MAX = all */

void store_clear(void);
/* The process is killed: what was put since the last sync is gone, and what its end would write goes nowhere. */
void store_kill(void);
/* A new process begins. */
void store_begin(void);
size_t store_count(char kind);
/* In key order; false from `each` ends it. */
typedef bool (*store_visit)(void *arg, struct midge_slice key, struct midge_slice value);
bool store_each(store_visit each, void *arg);
bool store_each_synced(store_visit each, void *arg);

/* A real store behind this one, which is told everything too and may say no; and who makes a new one of what the disk
 * has left when a process begins. NULL: there is none. */
extern const struct midge_store *store_behind;
extern void (*store_restarts)(void);

#endif
