/* test_store_sqlite.c - records in a file: kept in order, refused and left alone when they are not ours or damaged. */
#include "support.h"

#include "plug/store_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/midge-store-XXXXXX";
static char path[64];
static char why[256];

static int make_folder(void **state)
{
    (void)state;
    return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/state.db", folder);
    why[0] = '\0';
    return 0;
}

static int end(void **state)
{
    (void)state;
    char name[80];
    unlink(path);
    snprintf(name, sizeof name, "%s-wal", path);
    unlink(name);
    return 0;
}

static struct midge_sqlite *open_store(void)
{
    struct midge_sqlite *db = midge_sqlite_open(path, 0, why, sizeof why);
    if (!db)
        fail_msg("%s", why);
    return db;
}

static struct midge *broker_on(struct midge_sqlite *db)
{
    struct midge *m = midge_new(&(struct midge_config){ .memory = &midge_memory_libc,
                                                        .limits = &midge_limits_gateway,
                                                        .store = midge_sqlite_store(db) },
                                0);
    assert_non_null(m);
    return m;
}

static void retain(struct midge *m, const char *topic, const char *payload)
{
    const struct midge_publication p = { .topic = midge_slice_str(topic), .payload = midge_slice_str(payload), .retain = true,
                                         .qos = 1 };
    assert_int_equal(midge_publish(m, NULL, &p, 0), MIDGE_OK);
    midge_ready(m, 0); /* the turn's sync */
}

static uint32_t retained(const struct midge *m)
{
    struct midge_stats s;
    midge_get_stats(m, &s);
    return s.retained;
}

static void what_was_synced_comes_back(void **state)
{
    (void)state;
    struct midge_sqlite *db = open_store();
    struct midge *m = broker_on(db);
    assert_true(midge_sqlite_restore(db, m, 0, why, sizeof why));
    retain(m, "a/b", "1");
    retain(m, "a/c", "2");
    retain(m, "a/b", "");
    midge_free(m);
    midge_sqlite_close(db);

    db = open_store();
    m = broker_on(db);
    assert_true(midge_sqlite_restore(db, m, 0, why, sizeof why));
    assert_int_equal(retained(m), 1);
    midge_free(m);
    midge_sqlite_close(db);
}

static void the_file_is_nobody_elses_to_read(void **state)
{
    (void)state;
    struct stat s;
    midge_sqlite_close(open_store());
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
}

/* ---- records as such ----------------------------------------------------------------------------------- */

static struct midge_record record(const char *key, const char *more, const char *value)
{
    return (struct midge_record){ .key = { midge_slice_str(key), midge_slice_str(more) }, .value = { midge_slice_str(value) } };
}

static void a_beginning_deletes_all_that_begin_with_it(void **state)
{
    (void)state;
    struct midge_sqlite *db = open_store();
    const struct midge_store *s = midge_sqlite_store(db);
    const struct midge_record meta = record("A", "", "not ours"), one = record("H1", "x", "v"),
                              two = record("H1\xFF", "", "v"), other = record("H2", "", "v"),
                              prefix = record("H1", "", "");
    assert_true(s->put(s->user, &one) && s->put(s->user, &two) && s->put(s->user, &other) && s->put(s->user, &meta));
    assert_true(s->del(s->user, &prefix, true) && s->del(s->user, &meta, false) && s->sync(s->user));
    midge_sqlite_close(db);

    db = open_store();
    struct midge *m = broker_on(db);
    assert_false(midge_sqlite_restore(db, m, 0, why, sizeof why)); /* "H2" is no record of ours: it is what is left */
    assert_non_null(strstr(why, path));
    assert_non_null(strstr(why, "damaged"));
    midge_free(m);
    midge_sqlite_close(db);

    db = open_store();
    s = midge_sqlite_store(db);
    assert_true(s->del(s->user, &other, false) && s->sync(s->user));
    m = broker_on(db);
    assert_true(midge_sqlite_restore(db, m, 0, why, sizeof why));
    midge_free(m);
    midge_sqlite_close(db);
}

/* ---- files that are not taken -------------------------------------------------------------------------- */

static void write_file(const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static char *read_file(size_t *n)
{
    static char bytes[262144];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return bytes;
}

static void refused(const char *because)
{
    size_t n;
    char *now = read_file(&n), *before = malloc(n);
    assert_non_null(before);
    memcpy(before, now, n);
    assert_null(midge_sqlite_open(path, 0, why, sizeof why));
    assert_non_null(strstr(why, path));
    if (!strstr(why, because))
        fail_msg("'%s' does not say '%s'", why, because);
    size_t after;
    now = read_file(&after);
    assert_int_equal(n, after);
    assert_memory_equal(now, before, n);
    free(before);
}

static void what_is_no_database_is_refused_and_kept(void **state)
{
    (void)state;
    static const char text[] = "allow_anonymous true\nthis is somebody's configuration, not a database\n";
    write_file(text, sizeof text - 1);
    refused("not a database");
}

static void a_damaged_file_is_refused_and_kept(void **state)
{
    (void)state;
    struct midge_sqlite *db = open_store();
    const struct midge_store *s = midge_sqlite_store(db);
    char key[24];
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "B%08d", i);
        const struct midge_record r = record(key, "", "a value that takes some room on its page");
        assert_true(s->put(s->user, &r));
    }
    assert_true(s->sync(s->user));
    midge_sqlite_close(db);
    size_t n;
    char *bytes = read_file(&n);
    assert_true(n > 5 * 4096);
    memset(bytes + 3 * 4096, 0x77, 4096);
    char *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    write_file(copy, n);
    free(copy);
    refused("damaged");
}

static void the_database_of_another_program_is_refused_and_kept(void **state)
{
    (void)state;
    midge_sqlite_close(open_store());
    size_t n;
    char *bytes = read_file(&n);
    char *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    memset(copy + 68, 0x11, 4); /* application id */
    write_file(copy, n);
    refused("another program");
    memcpy(copy + 68, "Midg", 4);
    copy[63] = 9; /* user version */
    write_file(copy, n);
    free(copy);
    refused("another version");
}

static void a_folder_that_is_not_there_is_said(void **state)
{
    (void)state;
    assert_null(midge_sqlite_open("/nonexistent/state.db", 0, why, sizeof why));
    assert_non_null(strstr(why, "/nonexistent/state.db: cannot be opened: is its folder there"));
}

static void a_file_in_use_by_another_broker_is_refused(void **state)
{
    (void)state;
    struct midge_sqlite *db = open_store();
    assert_null(midge_sqlite_open(path, 0, why, sizeof why));
    assert_non_null(strstr(why, "locked"));
    midge_sqlite_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_synced_comes_back, begin, end),
        cmocka_unit_test_setup_teardown(the_file_is_nobody_elses_to_read, begin, end),
        cmocka_unit_test_setup_teardown(a_beginning_deletes_all_that_begin_with_it, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_refused_and_kept, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused_and_kept, begin, end),
        cmocka_unit_test_setup_teardown(the_database_of_another_program_is_refused_and_kept, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_said, begin, end),
        cmocka_unit_test_setup_teardown(a_file_in_use_by_another_broker_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
