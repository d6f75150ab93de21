/* store_sqlite.h - durable state in an SQLite file. */
#ifndef MIDGE_STORE_SQLITE_H
#define MIDGE_STORE_SQLITE_H

#include "midge/midge.h"

struct midge_sqlite;

/* Opens or makes the file (mode 0600). relaxed_ms: as in struct midge_store. NULL: `why` has one line that names the
 * file and what is wrong; a damaged file, or one of another program, is left as it is. */
struct midge_sqlite *midge_sqlite_open(const char *path, uint32_t relaxed_ms, char *why, size_t why_size);

/* For midge_config.store. Lives as long as the file is open. */
const struct midge_store *midge_sqlite_store(struct midge_sqlite *db);

/* Every record into the broker, then midge_restored. False and `why`: the file is damaged, or memory does not do. */
bool midge_sqlite_restore(struct midge_sqlite *db, struct midge *m, midge_ms now, char *why, size_t why_size);

/* After midge_free. */
void midge_sqlite_close(struct midge_sqlite *db);

#endif
