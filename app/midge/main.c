/* main.c - the program: what the command line asks for. */
#include "conf.h"
#include "control.h"
#include "midge/midge.h"
#include "options.h"
#include "serve.h"

#if MIDGE_HAS_OPENSSL
#include "passwd.h"
#endif

#include <stdio.h>
#include <string.h>

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

static int run_passwd(int argc, char *argv[])
{
#if MIDGE_HAS_OPENSSL
    return passwd(argc, argv);
#else
    (void)argc, (void)argv;
    return fail("this build has no OpenSSL, and so no passwords");
#endif
}

int main(int argc, char *argv[])
{
    char why[512];
    struct options o;
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "passwd") == 0)
        return run_passwd(argc - 1, argv + 1);
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
