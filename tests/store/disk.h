/* disk.h - an SQLite VFS whose power fails: files in memory, of which a cut leaves what was synced and, of the writes
 * since, none, all, or some torn at sectors. */
#ifndef MIDGE_STORE_DISK_H
#define MIDGE_STORE_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* What a cut leaves of writes that were not synced. */
enum disk_leaves { LEAVES_NOTHING, LEAVES_ALL, LEAVES_TORN, LEAVES_KINDS };

#define DISK_NAME "failing-disk" /* the VFS that is opened from now on, also by who names none */

bool disk_register(void);
/* Every file is gone, nothing was counted, the power is on. */
void disk_clear(void);
/* The n-th change of the disk (write, truncation, sync, removal) fails, half done, and everything after it. 0 = none. */
void disk_fail_at(unsigned n);
unsigned disk_changes(void); /* so far */
unsigned disk_syncs(void);
bool disk_failed(void);
/* Power is back: the files are what the disk has. */
void disk_power_on(enum disk_leaves leaves, uint32_t seed);

#endif
