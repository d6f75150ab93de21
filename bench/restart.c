/* restart.c [RETAINED [SESSIONS]] - how long a broker with an SQLite store takes to have its state back.
 *
 * Writes RETAINED messages of 64 bytes on topics of three levels (100,000) and SESSIONS persistent sessions with a
 * subscription and a queued message each (10,000), as clients would, and starts again on the file.
 */
#include "store_sqlite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define A_TURN 100u /* changes that share a sync */

static char why[256];

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t wall_ms(void *user)
{
    (void)user;
    return (uint64_t)time(NULL) * 1000;
}

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

static void die(const char *what)
{
    fprintf(stderr, "restart: %s\n", what);
    exit(1);
}

static struct midge *broker_on(struct midge_sqlite *db)
{
    static const struct midge_hooks hooks = { .wall_ms = wall_ms };
    static struct midge_limits limits;
    limits = midge_limits_gateway;
    limits.memory_bytes = SIZE_MAX;
    limits.retained_msgs = limits.sessions = limits.connections = 10000000;
    struct midge *m = midge_new(&(struct midge_config){ .memory = &midge_memory_libc, .limits = &limits,
                                                        .hooks = &hooks, .store = midge_sqlite_store(db) },
                                0);
    if (!m || !midge_sqlite_restore(db, m, 0, why, sizeof why))
        die(m ? why : "no memory");
    return m;
}

/* The turn's sync. */
static void turn(struct midge *m)
{
    struct midge_conn *c;
    uint8_t out[4096];
    while ((c = midge_ready(m, 0)) != NULL)
        while (midge_pull(c, out, sizeof out, 0))
            ;
}

static void publish(struct midge *m, const char *topic, bool retain)
{
    static uint8_t payload[64];
    const struct midge_publication p = { .topic = text(topic), .payload = { payload, sizeof payload }, .qos = 1,
                                         .retain = retain };
    if (midge_publish(m, NULL, &p, 0) != MIDGE_OK)
        die("a message is refused");
}

/* A client that comes, subscribes to a topic of its own, and goes; its message waits for it. */
static void leave_session(struct midge *m, unsigned i)
{
    uint8_t in[128];
    char id[24], topic[32];
    int id_len = snprintf(id, sizeof id, "client-%06u", i);
    int topic_len = snprintf(topic, sizeof topic, "to/client/%06u", i);
    size_t n = 0;
    const uint8_t connect[] = { 0x10, (uint8_t)(12 + id_len), 0, 4, 'M', 'Q', 'T', 'T', 4, 0, 0, 0, 0, (uint8_t)id_len };
    const uint8_t subscribe[] = { 0x82, (uint8_t)(5 + topic_len), 0, 1, 0, (uint8_t)topic_len };
    memcpy(in, connect, sizeof connect);
    memcpy(in + (n = sizeof connect), id, (size_t)id_len);
    memcpy(in + (n += (size_t)id_len), subscribe, sizeof subscribe);
    memcpy(in + (n += sizeof subscribe), topic, (size_t)topic_len);
    in[n += (size_t)topic_len] = 1;
    struct midge_conn *c = midge_accept(m, &(struct midge_peer){ 0 }, 0);
    if (!c)
        die("a connection is refused");
    (void)midge_recv(c, in, n + 1, 0);
    turn(m);
    midge_lost(c, 0);
    publish(m, topic, false);
}

static void fill(struct midge *m, unsigned retained, unsigned sessions)
{
    char topic[48];
    for (unsigned i = 0; i < retained; i++) {
        snprintf(topic, sizeof topic, "site/device-%05u/value-%u", i / 10, i % 10);
        publish(m, topic, true);
        if (i % A_TURN == 0)
            turn(m);
    }
    for (unsigned i = 0; i < sessions; i++)
        leave_session(m, i);
    turn(m);
}

static void end(struct midge *m, struct midge_sqlite *db)
{
    midge_free(m);
    midge_sqlite_close(db);
}

int main(int argc, char **argv)
{
    unsigned retained = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000,
             sessions = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10000;
    char folder[] = "/tmp/midge-restart-XXXXXX", path[64];
    if (!mkdtemp(folder))
        die("no temporary folder");
    snprintf(path, sizeof path, "%s/state.db", folder);
    struct midge_sqlite *db = midge_sqlite_open(path, 0, why, sizeof why);
    if (!db)
        die(why);
    struct midge *m = broker_on(db);
    double start = seconds();
    fill(m, retained, sessions);
    double written = seconds() - start;
    end(m, db);

    struct stat s;
    struct midge_stats stats;
    stat(path, &s);
    start = seconds();
    db = midge_sqlite_open(path, 0, why, sizeof why);
    if (!db)
        die(why);
    double opened = seconds() - start;
    m = broker_on(db);
    double restored = seconds() - start;
    midge_get_stats(m, &stats);
    printf("%u retained messages, %u sessions: written in %.1f s, %.1f MB on disk\n"
           "restart: %.2f s (%.2f of it to check the file), %" PRIu32 " retained, %" PRIu32 " sessions, %.1f MB in memory\n",
           retained, sessions, written, (double)s.st_size / 1e6, restored, opened, stats.retained, stats.sessions,
           (double)stats.memory_used / 1e6);
    end(m, db);
    unlink(path);
    rmdir(folder);
    return stats.retained == retained && stats.sessions == sessions ? 0 : 1;
}
