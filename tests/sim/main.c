/* main.c - runs worlds, each in a process of its own; shrinks and shows the one that diverges.
 *
 *     sim [--seed N | --seeds A..B] [--steps M] [--verbose] [--no-shrink]
 *     sim --soak days=30 clients=5 | --soak hours=1 clients=500
 */
#include "soak.h"
#include "world.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the parent sees, whatever becomes of the world. */
struct report {
    uint64_t step, idle, clients, faults, published, delivered, restarts, kills;
    const char *kind; /* the format of the divergence: its name */
    char text[600];
};
static struct report *report;

void world_progress(void)
{
    report->step = W.step;
}

static void fill_report(void)
{
    report->step = W.step;
    report->clients = W.clients;
    report->faults = W.faults;
    report->published = W.published;
    report->delivered = W.delivered;
    report->restarts = W.restarts;
    report->kills = W.kills;
    report->idle = W.idle;
}

void diverge(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(report->text, sizeof report->text, format, args);
    va_end(args);
    report->kind = format;
    fill_report();
    if (W.verbose)
        printf("%8llu DIVERGENCE %s\n", (unsigned long long)W.step, report->text);
    (void)fflush(stdout);
    if (getenv("SIM_ABORT"))
        abort();
    _exit(3);
}

void trace(const char *format, ...)
{
    va_list args;
    printf("%8llu ", (unsigned long long)W.step);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

/* ---- one world in a process of its own ----------------------------------------------------------------- */

static bool run(uint64_t seed, uint64_t steps, const uint8_t *keep, bool verbose)
{
    memset(report, 0, sizeof *report);
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        W.verbose = verbose;
        world_run(seed, steps, keep);
        fill_report();
        (void)fflush(stdout);
        _exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (!report->kind) {
        report->kind = "crash";
        (void)snprintf(report->text, sizeof report->text, "the world crashed (status %x)", (unsigned)status);
    }
    return false;
}

/* ---- shrinking: steps are left out as long as the same thing happens ----------------------------------- */

static uint64_t count(const uint8_t *keep, uint64_t steps)
{
    uint64_t n = 0;
    for (uint64_t i = 1; i <= steps; i++)
        n += keep[i];
    return n;
}

static void shrink(uint64_t seed, uint64_t all_steps, const char *kind, unsigned seconds)
{
    const time_t end = time(NULL) + (time_t)seconds;
    size_t steps = (size_t)all_steps; /* a byte each: what does not fit into memory is not shrunk */
    uint8_t *keep = malloc(steps + 1), *without = malloc(steps + 1);
    if (!keep || !without)
        abort();
    memset(keep, 1, steps + 1);
    for (size_t piece = (steps + 1) / 2; piece; piece /= 2) {
        for (size_t from = 1; from <= steps && time(NULL) < end; from += piece) {
            memcpy(without, keep, steps + 1);
            const size_t to = from + piece < steps + 1 ? from + piece : steps + 1;
            if (!memchr(keep + from, 1, to - from))
                continue;
            memset(without + from, 0, to - from);
            if (run(seed, steps, without, false) || report->kind != kind)
                continue;
            memcpy(keep, without, steps + 1);
            if (report->step < steps)
                steps = (size_t)report->step;
        }
    }
    printf("shrunk to %llu steps:\n", (unsigned long long)count(keep, steps));
    (void)run(seed, steps, keep, true);
    free(keep);
    free(without);
}

/* ---- options ------------------------------------------------------------------------------------------- */

struct options {
    uint64_t from, to, steps;
    bool verbose, no_shrink;
    unsigned shrink_s;
};

static void usage(void)
{
    (void)fputs(
        "sim [--seed N | --seeds A..B] [--steps M] [--verbose] [--no-shrink] | --soak days=D clients=N\n",
        stderr);
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    struct options o = { .from = 1, .to = 20, .steps = 20000, .shrink_s = 30 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--seed") == 0) {
            o.from = o.to = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            char *dots;
            o.from = strtoull(value, &dots, 0);
            o.to = strncmp(dots, "..", 2) == 0 ? strtoull(dots + 2, NULL, 0) : o.from;
        } else if (strcmp(argv[i], "--steps") == 0) {
            o.steps = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--shrink") == 0) {
            o.shrink_s = (unsigned)strtoul(value, NULL, 0);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            o.verbose = true;
            continue;
        } else if (strcmp(argv[i], "--no-shrink") == 0) {
            o.no_shrink = true;
            continue;
        } else {
            usage();
        }
        i++;
    }
    return o;
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 2;
    if (argc > 1 && strcmp(argv[1], "--soak") == 0)
        return soak(argc - 2, argv + 2);
    const struct options o = parse(argc, argv);
    unsigned long long steps = 0, clients = 0, faults = 0, published = 0, delivered = 0, passed = 0,
                       failed = 0, kills = 0;
    const double start = seconds();
    for (uint64_t seed = o.from; seed <= o.to; seed++) {
        const bool ok = run(seed, o.steps, NULL, o.verbose);
        const struct report r = *report;
        steps += r.step - r.idle;
        kills += r.kills + r.restarts;
        clients += r.clients;
        faults += r.faults;
        published += r.published;
        delivered += r.delivered;
        passed += ok;
        failed += !ok;
        if (ok)
            continue;
        printf("seed %llu diverges at step %llu: %s\n", (unsigned long long)seed, (unsigned long long)r.step,
               r.text);
        if (!o.no_shrink)
            shrink(seed, r.step < o.steps ? r.step : o.steps, r.kind, o.shrink_s);
    }
    const double took = seconds() - start;
    printf("%llu messages published, %llu delivered, %llu brokers killed or restarted; %.0f steps a second\n",
           published, delivered, kills, (double)steps / (took > 0 ? took : 1));
    printf("%llu steps, %llu clients, %llu faults, %llu divergences\n", steps, clients, faults, failed);
    printf("%llu passed, %llu failed\n", passed, failed);
    return failed != 0;
}
