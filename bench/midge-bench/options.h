/* options.h - what the command line asks for. */
#ifndef MIDGE_BENCH_OPTIONS_H
#define MIDGE_BENCH_OPTIONS_H

#include "workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum options_then { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_LIST, OPTIONS_VERSION };

struct options {
    const char *host;
    const char *port;
    const char *to_port;   /* of the subscribers' broker; NULL = the same */
    const char *prefix;
    const char *user_name; /* NULL = none */
    const char *password;  /* NULL = none */
    const char *ca_file;   /* NULL = whoever answers is believed */
    const char *json;      /* file to write, "-" = standard output; NULL = none */
    uint32_t version;      /* 4 or 5, as in CONNECT */
    uint32_t seed;
    uint32_t pid; /* of the broker; 0 = its costs are not measured */
    uint32_t patience_s;
    uint32_t warmup_ms;
    bool spin;
    bool quiet;
    enum options_then then;
    const struct workload *workload;
    struct parameters parameters;
};

/* False: `why` is one line that names what is wrong and how to mend it. */
bool options_parse(struct options *out, int argc, char *const argv[], char *why, size_t why_size);
void options_help(void);
void options_list(void);

#endif
