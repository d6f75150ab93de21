/* store_sqlite.c - records in one table, a transaction a turn; WAL and synchronous=FULL, so a commit is on the disk. */
#include "store_sqlite.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x4D696467 /* "Midg": tells our files from others' */
#define FORMAT 1

enum statement { PUT, DEL, DEL_ALL, BEGIN, COMMIT, STATEMENTS };

/* Where a key or value that comes in two pieces is put together. */
struct joined {
    uint8_t *at;
    size_t size;
};

struct midge_sqlite {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    struct joined joined[2]; /* by the number of the parameter, from 1 */
    bool open_transaction;
    struct midge_store store;
};

static const char *const texts[STATEMENTS] = {
    [PUT] = "INSERT OR REPLACE INTO records VALUES (?1, ?2)",
    [DEL] = "DELETE FROM records WHERE key = ?1",
    [DEL_ALL] = "DELETE FROM records WHERE key >= ?1 AND key < ?2",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
};

/* ---- writing -------------------------------------------------------------------------------------------- */

static bool run(struct midge_sqlite *d, enum statement which)
{
    sqlite3_stmt *s = d->statements[which];
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return rc == SQLITE_DONE;
}

static bool begin(struct midge_sqlite *d)
{
    if (!d->open_transaction)
        d->open_transaction = run(d, BEGIN);
    return d->open_transaction;
}

static bool fits(struct joined *j, size_t n)
{
    if (n <= j->size)
        return true;
    uint8_t *grown = realloc(j->at, n);
    if (grown)
        *j = (struct joined){ .at = grown, .size = n };
    return grown;
}

/* Two pieces as one blob. One piece is bound where it lies. */
static bool bind(struct midge_sqlite *d, enum statement which, int parameter, const struct midge_slice pieces[2])
{
    struct joined *j = &d->joined[parameter - 1];
    const void *bytes = pieces[0].len ? (const void *)pieces[0].data : "";
    size_t n = (size_t)pieces[0].len + pieces[1].len;
    if (n > INT_MAX || (pieces[1].len && !fits(j, n)))
        return false;
    if (pieces[1].len) {
        memcpy(j->at, bytes, pieces[0].len);
        memcpy(j->at + pieces[0].len, pieces[1].data, pieces[1].len);
        bytes = j->at;
    }
    return sqlite3_bind_blob(d->statements[which], parameter, bytes, (int)n, SQLITE_STATIC) == SQLITE_OK;
}

static bool put(void *user, const struct midge_record *record)
{
    struct midge_sqlite *d = user;
    return begin(d) && bind(d, PUT, 1, record->key) && bind(d, PUT, 2, record->value) && run(d, PUT);
}

/* The first key behind all that begin with this one: its last byte counted up. Ours begin with a letter, so there is
 * one. */
static void count_up(uint8_t *key, uint32_t *len)
{
    while (*len && key[*len - 1] == 0xFF)
        --*len;
    if (*len)
        key[*len - 1]++;
}

static bool del(void *user, const struct midge_record *record, bool all)
{
    struct midge_sqlite *d = user;
    if (!begin(d))
        return false;
    if (!all)
        return bind(d, DEL, 1, record->key) && run(d, DEL);
    uint8_t end[16];
    uint32_t len = record->key[0].len;
    if (record->key[1].len || len > sizeof end)
        return false; /* the broker asks for short beginnings only */
    memcpy(end, record->key[0].data, len);
    count_up(end, &len);
    const struct midge_slice behind[2] = { { .data = end, .len = len } };
    return bind(d, DEL_ALL, 1, record->key) && bind(d, DEL_ALL, 2, behind) && run(d, DEL_ALL);
}

static bool sync_records(void *user)
{
    struct midge_sqlite *d = user;
    if (!d->open_transaction)
        return true;
    d->open_transaction = false;
    return run(d, COMMIT);
}

/* ---- opening -------------------------------------------------------------------------------------------- */

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* One number, or -1. */
static sqlite3_int64 ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    sqlite3_int64 n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static bool is_sound(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    sqlite3_finalize(s);
    return ok;
}

static const char *reason_of(sqlite3 *db)
{
    return sqlite3_errcode(db) == SQLITE_CANTOPEN ? "cannot be opened: is its folder there, and writable by this user?"
                                                  : sqlite3_errmsg(db);
}

/* NULL = it is ours, or new and made ours. */
static const char *claim(sqlite3 *db)
{
    sqlite3_int64 tables = ask(db, "SELECT count(*) FROM sqlite_schema");
    if (tables < 0)
        return reason_of(db);
    if (tables == 0 && execute(db, "PRAGMA application_id = 0x4D696467; PRAGMA user_version = 1;"
                                   "CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"))
        return NULL;
    if (ask(db, "PRAGMA application_id") != APPLICATION_ID)
        return "it is the file of another program";
    if (ask(db, "PRAGMA user_version") != FORMAT)
        return "it was written by another version of midge";
    return is_sound(db) ? NULL : "it is damaged; it is left as it is: move it away to begin anew";
}

static const char *prepare(struct midge_sqlite *d)
{
    /* One process owns the file, so WAL needs no shared memory beside it. */
    if (!execute(d->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        "PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY"))
        return reason_of(d->db);
    const char *wrong = claim(d->db);
    for (int i = 0; !wrong && i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(d->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &d->statements[i], NULL) != SQLITE_OK)
            wrong = reason_of(d->db);
    return wrong;
}

struct midge_sqlite *midge_sqlite_open(const char *path, uint32_t relaxed_ms, char *why, size_t why_size)
{
    struct midge_sqlite *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(why, why_size, "%s: no memory", path);
        return NULL;
    }
    d->store = (struct midge_store){
        .user = d, .put = put, .del = del, .sync = sync_records, .relaxed_ms = relaxed_ms
    };
    mode_t before = umask(0077); /* what clients say is nobody else's to read */
    int rc = sqlite3_open(path, &d->db);
    const char *wrong = rc == SQLITE_OK ? prepare(d) : reason_of(d->db);
    umask(before);
    if (!wrong)
        return d;
    snprintf(why, why_size, "%s: %s", path, wrong);
    midge_sqlite_close(d);
    return NULL;
}

const struct midge_store *midge_sqlite_store(struct midge_sqlite *db)
{
    return &db->store;
}

void midge_sqlite_close(struct midge_sqlite *db)
{
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->db);
    free(db->joined[0].at);
    free(db->joined[1].at);
    free(db);
}

/* ---- reading back ---------------------------------------------------------------------------------------- */

static struct midge_slice column(sqlite3_stmt *s, int i)
{
    const void *data = sqlite3_column_blob(s, i);
    return (struct midge_slice){ .data = data, .len = (uint32_t)sqlite3_column_bytes(s, i) };
}

static enum midge_err restore_all(sqlite3_stmt *s, struct midge *m, int *rc)
{
    enum midge_err err = MIDGE_OK;
    while (err == MIDGE_OK && (*rc = sqlite3_step(s)) == SQLITE_ROW)
        err = midge_restore(m, column(s, 0), column(s, 1));
    return err;
}

bool midge_sqlite_restore(struct midge_sqlite *d, struct midge *m, midge_ms now, char *why, size_t why_size)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(d->db, "SELECT key, value FROM records ORDER BY key", -1, &s, NULL);
    enum midge_err err = rc == SQLITE_OK ? restore_all(s, m, &rc) : MIDGE_OK;
    const char *wrong = err == MIDGE_ERR_INVALID    ? "a record is damaged"
                        : err != MIDGE_OK           ? "what it holds does not fit into memory_limit"
                        : rc != SQLITE_DONE         ? sqlite3_errmsg(d->db)
                                                    : NULL;
    if (wrong)
        snprintf(why, why_size, "%s: %s", sqlite3_db_filename(d->db, "main"), wrong);
    sqlite3_finalize(s);
    if (!wrong)
        midge_restored(m, now);
    return !wrong;
}
