/* options.h - what the command line asks for. */
#ifndef MIDGE_APP_OPTIONS_H
#define MIDGE_APP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_ADDRESSES_MAX 16

enum options_then { OPTIONS_SERVE, OPTIONS_CHECK, OPTIONS_HELP, OPTIONS_KEYS, OPTIONS_VERSION };

struct options {
    const char *config; /* NULL = no file */
    uint16_t port;
    bool port_given, sys_interval_given;
    const char *addresses[OPTIONS_ADDRESSES_MAX]; /* borrows argv */
    unsigned address_count;                       /* 0 = loopback */
    uint32_t sys_interval_s;
    bool verbose;
    bool daemonise;
    enum options_then then;
};

/* False: `why` is one line that names what is wrong and how to mend it. */
bool options_parse(struct options *out, int argc, char *const argv[], char *why, size_t why_size);

/* The text of --help: a line an option. */
void options_help(char *out, size_t size);

#endif
