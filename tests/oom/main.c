/* main.c - every request for memory fails: each specification test and each scenario here is run again for each
 * request that it makes, with that one refused, and with that one and all that follow.
 *
 *     oom [--filter TEXT] [--every N] [--sites]
 *
 * It fails if a rule is broken, memory is lost, a client is not answered when there is memory again, or a place in
 * src/ that asks for memory was never refused. --sites lists the places. --every N: a sample,
 * each Nth request only.
 */
#include "sites.h"
#include "spec/run.h"

#include <stdlib.h>

struct oom_site *oom_site;
extern struct oom_site *const __start_oom_sites[], *const __stop_oom_sites[]; /* by the linker */

static unsigned long runs;
static size_t every = 1;

static void count(bool refused)
{
    oom_site->asked++;
    oom_site->refused += refused;
}

static bool run_all(const char *filter)
{
    unsigned scenarios = 0, quiet = 0, long_ones = 0, failed = 0;
    for (const struct test *t = tests; t; t = t->next) {
        if (filter && !strstr(t->name, filter) && !strstr(t->file, filter))
            continue;
        bool passed = run_test(t);
        const size_t n = run_blocks();
        passed = passed && run_refused(t, every);
        if (n == 0)
            quiet++;
        else if (n >= REFUSE_BELOW)
            long_ones++;
        else
            scenarios++, runs += 2 * ((n + every - 1) / every);
        failed += !passed;
    }
    printf("%u scenarios, %lu runs with memory refused, %u failed; %u that ask for none and %u that ask more than "
           "%d times left out\n",
           scenarios, runs, failed, quiet, long_ones, REFUSE_BELOW);
    return failed == 0;
}

static bool report_sites(bool list)
{
    unsigned sites = 0, refused = 0;
    for (struct oom_site *const *at = __start_oom_sites; at < __stop_oom_sites; at++) {
        const struct oom_site *s = *at;
        const bool gives_back = s->passed && !s->asked;
        sites += !gives_back;
        refused += s->refused > 0;
        if (list || (!s->refused && !gives_back))
            printf("%s:%d: asked %u times, refused %u\n", strstr(s->file, "src/"), s->line, s->asked, s->refused);
    }
    printf("%u of %u places that ask for memory were refused it\n", refused, sites);
    return refused == sites;
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--sites") == 0) {
            list = true;
        } else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            filter = argv[++i];
        } else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0) {
            every = (size_t)atoi(argv[++i]);
        } else {
            fprintf(stderr, "oom: %s\nusage: oom [--filter TEXT] [--every N] [--sites]\n", argv[i]);
            return 2;
        }
    }
    run_mode.on_request = count;
    const bool passed = run_all(filter);
    const bool covered = report_sites(list);
    return passed && (covered || filter || every > 1) ? 0 : 1;
}
