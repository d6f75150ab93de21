/* main.c - the program: what the command line asks for. */
#include "conf.h"
#include "midge/midge.h"
#include "options.h"
#include "serve.h"

#include <stdio.h>

static int fail(const char *why)
{
    fprintf(stderr, "midge: %s\n", why);
    return EXIT_BAD_OPTION;
}

static int show_help(void)
{
    char text[4096];
    options_help(text, sizeof text);
    return fputs(text, stdout) < 0 ? EXIT_CANNOT_SERVE : 0;
}

static int show_keys(void)
{
    conf_keys_print(stdout);
    return fflush(stdout) ? EXIT_CANNOT_SERVE : 0;
}

int main(int argc, char *argv[])
{
    char why[512];
    struct options o;
    if (!options_parse(&o, argc, argv, why, sizeof why))
        return fail(why);
    switch (o.then) {
    case OPTIONS_HELP:
        return show_help();
    case OPTIONS_KEYS:
        return show_keys();
    case OPTIONS_VERSION:
        return puts("midge " MIDGE_VERSION) < 0 ? EXIT_CANNOT_SERVE : 0;
    case OPTIONS_CHECK:
        return serve_check(&o);
    default:
        return serve(&o);
    }
}
