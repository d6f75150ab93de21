/* store_none.c - durable state in a program that was built without SQLite: refused, never ignored. */
#include "store_sqlite.h"

#include <stdio.h>

struct midge_sqlite *midge_sqlite_open(const char *path, uint32_t relaxed_ms, char *why, size_t why_size)
{
    (void)relaxed_ms;
    snprintf(why, why_size, "%s: this program was built without SQLite", path);
    return NULL;
}

/* Nothing was opened, so nobody gets here. */

const struct midge_store *midge_sqlite_store(struct midge_sqlite *db)
{
    (void)db;
    return NULL;
}

bool midge_sqlite_restore(struct midge_sqlite *db, struct midge *m, midge_ms now, char *why, size_t why_size)
{
    (void)db;
    (void)m;
    (void)now;
    snprintf(why, why_size, "nothing was opened");
    return false;
}

void midge_sqlite_close(struct midge_sqlite *db)
{
    (void)db;
}
