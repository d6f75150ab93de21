/* main.c - midge-bench: options, one run, what it found, and a status that says whether anything was lost. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "bench.h"

#include "midge/midge.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define EXIT_NOT_ALL_CAME 1
#define EXIT_BAD_OPTION 2
#define EXIT_NO_RUN 3

static struct bench bench;

static int fail(int status, const char *why)
{
    fprintf(stderr, "midge-bench: %s\n", why);
    return status;
}

static void take_all_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int tell(const struct bench *b)
{
    if (*b->hub.failure)
        fail(EXIT_NO_RUN, b->hub.failure);
    else if (!b->options.quiet)
        report_table(b);
    if (b->options.json && !report_json(b, b->options.json)) {
        fprintf(stderr, "midge-bench: cannot write '%s': %s\n", b->options.json, strerror(errno));
        return EXIT_NO_RUN;
    }
    if (*b->hub.failure)
        return EXIT_NO_RUN;
    return b->lost || b->ledger.duplicated || b->ledger.reordered || b->ledger.wrong || b->stalled
               ? EXIT_NOT_ALL_CAME
               : 0;
}

static int run(struct bench *b, const struct addrinfo *address, const struct addrinfo *far)
{
    uint64_t cpu_ns;
    if (b->options.pid && !probe_cpu((int)b->options.pid, &cpu_ns))
        return fail(EXIT_NO_RUN, "there is no process with the number of --pid");
    b->hub = (struct hub){ .version = (uint8_t)b->options.version,
                           .spin = b->options.spin,
                           .address = address,
                           .transport = { .host = b->options.host,
                                          .tls = b->options.parameters.tls,
                                          .ws = b->options.parameters.ws },
                           .far = far,
                           .near = b->options.parameters.publishers,
                           .prefix = b->options.prefix,
                           .user_name = b->options.user_name,
                           .password = b->options.password };
    b->random = b->options.seed;
    b->now_doing = "starting";
    if (!hub_init(&b->hub))
        return fail(EXIT_NO_RUN, "no descriptor for epoll");
    payloads_init(&b->payloads, b->options.parameters.payload_bytes, b->options.seed);
    b->options.workload->run(b);
    const int status = tell(b);
    ledger_free(&b->ledger);
    payloads_free(&b->payloads);
    hub_free(&b->hub);
    return status;
}

int main(int argc, char *argv[])
{
    char why[256];
    struct addrinfo *address, *far = NULL;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    if (!options_parse(&bench.options, argc, argv, why, sizeof why))
        return fail(EXIT_BAD_OPTION, why);
    switch (bench.options.then) {
    case OPTIONS_HELP:
        options_help();
        return 0;
    case OPTIONS_LIST:
        options_list();
        return 0;
    case OPTIONS_VERSION:
        puts("midge-bench " MIDGE_VERSION);
        return 0;
    default:
        break;
    }
    if (bench.options.parameters.tls && !tls_init(bench.options.ca_file, why, sizeof why))
        return fail(EXIT_BAD_OPTION, why);
    take_all_descriptors();
    const int err = getaddrinfo(bench.options.host, bench.options.port, &hints, &address);
    if (err)
        return fail(EXIT_NO_RUN, gai_strerror(err));
    if (bench.options.to_port && getaddrinfo(bench.options.host, bench.options.to_port, &hints, &far))
        return fail(EXIT_NO_RUN, "--to-port: there is no such port");
    const int status = run(&bench, address, far);
    freeaddrinfo(address);
    if (far)
        freeaddrinfo(far);
    tls_end();
    return status;
}
