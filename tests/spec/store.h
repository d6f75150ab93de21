/* store.h - a store for the tests: records in memory, of which a crash leaves what was synced. */
#ifndef MIDGE_SPEC_STORE_H
#define MIDGE_SPEC_STORE_H

#include "midge/midge_store.h"

extern struct midge_store test_store; /* relaxed_ms and the failures below are the test's to set */
extern unsigned store_syncs;          /* calls so far */
extern unsigned store_fails_after;    /* puts, deletes, syncs that still work; UINT_MAX = all */

void store_clear(void);
/* The process is killed: what was put since the last sync is gone, and what its end would write goes nowhere. */
void store_kill(void);
/* A new process begins. */
void store_begin(void);
size_t store_count(char kind);
/* In key order; false from `each` ends it. */
bool store_each(bool (*each)(void *arg, struct midge_slice key, struct midge_slice value), void *arg);

#endif
