/* power.c - power cuts: the tests of test_durable.c on an SQLite file, with the power cut at each change of the disk.
 *
 *     power [--every N]
 *
 * After each cut the file has to open, to hold exactly what was synced (or, cut inside a sync, what that was to make
 * durable), and to be taken by a broker. --every N: only each N-th cut.
 */
#include "../spec/run.h"
#include "../spec/store.h"
#include "disk.h"
#include "store_sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>

#define PATH "state.db"

static struct midge_sqlite *db;
static char why[200];
static unsigned syncs_asked; /* in this test */
static unsigned every = 1;
static struct {
    unsigned tests, cuts, inside_sync, wrong, most_changes, store_syncs, disk_syncs;
} sum;

/* ---- records, one behind the other, to be compared ----------------------------------------------------- */

struct dump {
    uint8_t *at;
    size_t len;
};

static void append(struct dump *d, struct midge_slice s)
{
    d->at = realloc(d->at, d->len + sizeof s.len + s.len);
    if (!d->at)
        abort();
    memcpy(d->at + d->len, &s.len, sizeof s.len);
    if (s.len)
        memcpy(d->at + d->len + sizeof s.len, s.data, s.len);
    d->len += sizeof s.len + s.len;
}

static bool append_record(void *arg, struct midge_slice key, struct midge_slice value)
{
    append(arg, key);
    append(arg, value);
    return true;
}

static bool same(const struct dump *a, const struct dump *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->at, b->at, a->len) == 0);
}

/* ---- the store behind the tests' own ------------------------------------------------------------------- */

/* What the store had been told when the power went. */
static struct {
    bool known, inside_sync;
    struct dump synced, written;
} at_cut;

/* After each call: the tests' own lists are gone when a test is over, and closing the file may be what is cut. */
static bool look(bool ok)
{
    if (at_cut.known)
        return ok;
    at_cut.known = disk_failed();
    at_cut.inside_sync = store_in_sync && !ok;
    at_cut.synced.len = at_cut.written.len = 0;
    (store_in_sync && ok ? store_each : store_each_synced)(append_record, &at_cut.synced);
    store_each(append_record, &at_cut.written);
    return ok;
}

static bool put(void *user, const struct midge_record *record)
{
    (void)user;
    const struct midge_store *s = db ? midge_sqlite_store(db) : NULL;
    return look(s && s->put(s->user, record));
}

static bool del(void *user, const struct midge_record *record, bool all)
{
    (void)user;
    const struct midge_store *s = db ? midge_sqlite_store(db) : NULL;
    return look(s && s->del(s->user, record, all));
}

static bool sync_all(void *user)
{
    (void)user;
    syncs_asked++;
    const struct midge_store *s = db ? midge_sqlite_store(db) : NULL;
    return look(s && s->sync(s->user));
}

static const struct midge_store behind = { .put = put, .del = del, .sync = sync_all };

static void close_file(void)
{
    if (db)
        midge_sqlite_close(db);
    db = NULL;
}

static bool open_file(void)
{
    db = midge_sqlite_open(PATH, 0, why, sizeof why);
    return db != NULL;
}

/* A test's own crash: here the file is closed in good order, which is when SQLite tidies it up. */
static void restart(void)
{
    close_file();
    (void)open_file();
    (void)look(true);
}

/* ---- what a cut has left ------------------------------------------------------------------------------- */

static struct midge_slice column(sqlite3_stmt *s, int i)
{
    const void *data = sqlite3_column_blob(s, i);
    return (struct midge_slice){ .data = data, .len = (uint32_t)sqlite3_column_bytes(s, i) };
}

/* False: SQLite says no. */
static bool read_records(struct dump *d)
{
    sqlite3 *file = NULL;
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_open(PATH, &file);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(file, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(file, "SELECT key, value FROM records ORDER BY key", -1, &s, NULL);
    while (rc == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        append_record(d, column(s, 0), column(s, 1));
    bool ok = rc == SQLITE_OK && sqlite3_reset(s) == SQLITE_OK;
    sqlite3_finalize(s);
    sqlite3_close(file);
    return ok;
}

static bool a_broker_takes_it(void)
{
    const struct midge_config c = {
        .memory = &midge_memory_libc, .limits = &midge_limits_gateway, .hooks = &hooks, .store = midge_sqlite_store(db)
    };
    struct midge *m = midge_new(&c, now);
    bool ok = m && midge_sqlite_restore(db, m, now, why, sizeof why);
    midge_free(m);
    return ok;
}

/* NULL = nothing. */
static const char *wrong_with(const struct dump *found)
{
    if (same(found, &at_cut.synced) || (at_cut.inside_sync && same(found, &at_cut.written)))
        return NULL;
    return found->len < at_cut.synced.len ? "records that were synced are lost" : "other records than were synced";
}

static const char *wrong_on_disk(void)
{
    struct dump found = { 0 };
    if (!open_file())
        return why;
    close_file();
    const char *wrong = read_records(&found) ? wrong_with(&found) : "SQLite cannot read it";
    free(found.at);
    if (!wrong && (!open_file() || !a_broker_takes_it()))
        wrong = why;
    close_file();
    return wrong;
}

/* ---- cutting ------------------------------------------------------------------------------------------- */

/* The test itself may fail once the power is gone. */
static void run_with_cut(const struct test *t, unsigned at)
{
    syncs_asked = 0;
    disk_clear();
    disk_fail_at(at);
    at_cut.known = at_cut.inside_sync = false;
    at_cut.synced.len = at_cut.written.len = 0;
    (void)open_file();
    (void)look(true);
    run_mode.refuse = at ? SIZE_MAX : 0;
    if (!run_test(t))
        sum.wrong++;
    run_mode.refuse = 0;
    close_file();
}

static void cut(const struct test *t, unsigned at, enum disk_leaves leaves)
{
    static const char *const names[LEAVES_KINDS] = { "nothing", "all", "some" };
    run_with_cut(t, at);
    if (!disk_failed())
        return;
    disk_power_on(leaves, at);
    sum.cuts++;
    sum.inside_sync += at_cut.inside_sync;
    const char *wrong = wrong_on_disk();
    if (!wrong)
        return;
    sum.wrong++;
    fprintf(stderr, "%s: power cut at change %u of the disk, which keeps %s of what was not synced: %s\n", t->name, at,
            names[leaves], wrong);
}

static void cut_everywhere(const struct test *t)
{
    run_with_cut(t, 0);
    const unsigned changes = disk_changes();
    sum.tests++;
    sum.store_syncs += syncs_asked;
    sum.disk_syncs += disk_syncs();
    if (changes > sum.most_changes)
        sum.most_changes = changes;
    for (unsigned at = 1; at <= changes; at += every)
        for (int leaves = 0; leaves < LEAVES_KINDS; leaves++)
            cut(t, at, (enum disk_leaves)leaves);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--every") == 0 && atoi(argv[2]) > 0)
        every = (unsigned)atoi(argv[2]);
    else if (argc != 1) {
        fprintf(stderr, "usage: power [--every N]\n");
        return 2;
    }
    if (!disk_register())
        return 1;
    store_behind = &behind;
    store_restarts = restart;
    for (const struct test *t = tests; t; t = t->next)
        cut_everywhere(t);
    printf("%u scenarios, %u power cuts (%u inside a sync), at most %u changes of the disk in one; "
           "%u syncs asked for took %u of the disk; %u wrong\n",
           sum.tests, sum.cuts, sum.inside_sync, sum.most_changes, sum.store_syncs, sum.disk_syncs, sum.wrong);
    return sum.wrong ? 1 : 0;
}
