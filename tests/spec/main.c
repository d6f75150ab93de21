/* main.c - runs the specification tests.
 *
 *     spec [--list] [--filter TEXT] [--but TEXT]... [--feed N] [--pull N] [--cut] [--refuse] [--durable] [--trace]
 *
 * --filter   only tests with this in their name or file
 * --but      without tests with this in their name
 * --feed N   midge_recv gets at most N bytes at once
 * --pull N   midge_pull gets room for N bytes
 * --cut      each test that sends fewer than 300 bytes is run again for each place where they can be cut
 * --refuse   each test is run again for each block of memory that it asks for, which is refused, once and then with
 *            all that follow: the test may miss something then, but no rule may be broken (see run_refused)
 * --durable  every broker has a store, and answers nobody before it is synced
 * --trace    prints all bytes
 */
#include "run.h"

#include <stdlib.h>

#define CUT_BELOW 300

static struct {
    const char *filter;
    const char *but[32];
    size_t buts;
    bool list, cut, refuse;
} options;

static int usage(const char *wrong)
{
    fprintf(
        stderr,
        "spec: %s\nusage: spec [--list] [--filter TEXT] [--but TEXT]... [--feed N] [--pull N] [--cut] [--refuse] [--durable] [--trace]\n",
        wrong);
    return 2;
}

static int read_options(char **arg)
{
    for (; *arg; arg++) {
        const bool takes =
            strcmp(*arg, "--filter") == 0 || strcmp(*arg, "--but") == 0 || strcmp(*arg, "--feed") == 0 || strcmp(*arg, "--pull") == 0;
        if (takes && !arg[1])
            return usage(*arg);
        if (strcmp(*arg, "--list") == 0)
            options.list = true;
        else if (strcmp(*arg, "--cut") == 0)
            options.cut = true;
        else if (strcmp(*arg, "--refuse") == 0)
            options.refuse = true;
        else if (strcmp(*arg, "--durable") == 0)
            run_mode.durable = true;
        else if (strcmp(*arg, "--trace") == 0)
            run_mode.trace = true;
        else if (strcmp(*arg, "--filter") == 0)
            options.filter = *++arg;
        else if (strcmp(*arg, "--but") == 0 && options.buts < sizeof options.but / sizeof options.but[0])
            options.but[options.buts++] = *++arg;
        else if (strcmp(*arg, "--feed") == 0)
            run_mode.feed = (size_t)atol(*++arg);
        else if (strcmp(*arg, "--pull") == 0)
            run_mode.pull = (size_t)atol(*++arg);
        else
            return usage(*arg);
    }
    return 0;
}

static bool is_chosen(const struct test *t)
{
    if (options.filter && !strstr(t->name, options.filter) && !strstr(t->file, options.filter))
        return false;
    for (size_t i = 0; i < options.buts; i++) {
        if (strstr(t->name, options.but[i]))
            return false;
    }
    return true;
}

static bool run_cut(const struct test *t)
{
    const size_t n = run_input_bytes();
    for (run_mode.cut = 1; n < CUT_BELOW && run_mode.cut < n; run_mode.cut++) {
        if (!run_test(t)) {
            fprintf(stderr, "    cut behind byte %zu of %zu\n", run_mode.cut, n);
            run_mode.cut = 0;
            return false;
        }
    }
    run_mode.cut = 0;
    return true;
}

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    (void)argc;
    if (read_options(argv + 1) != 0)
        return 2;
    for (const struct test *t = tests; t; t = t->next) {
        if (!is_chosen(t))
            continue;
        if (options.list) {
            printf("%s\n", t->name);
            continue;
        }
        if (run_test(t) && (!options.cut || run_cut(t)) && (!options.refuse || run_refused(t, 1)))
            passed++;
        else
            failed++;
    }
    if (!options.list)
        printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
