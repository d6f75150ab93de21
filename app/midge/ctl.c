/* ctl.c - `midge ctl`: a command to the control socket of a running broker, and its answer. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "control.h"

#include "words.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXIT_CANNOT 1
#define EXIT_BAD_USE 2

static const char usage[] =
    "midge ctl - asks and orders a running broker\n\n"
    "Usage: midge ctl [-s SOCKET] COMMAND\n\n"
    "  clients               who is known: queues, and why each left last\n"
    "  kick CLIENT [session] end a client's connection, and its session\n"
    "  limits                the limits in force\n"
    "  numbers               everything that is counted\n"
    "  dump                  all retained messages, for import\n"
    "  import [FILE]         publish what dump wrote\n\n"
    "The socket is that of control_socket in the configuration; " CONTROL_SOCKET ".\n";

struct talk {
    FILE *to, *from;
    char *line;
    size_t size;
};

static int fail(int status, const char *what, const char *why)
{
    fprintf(stderr, "midge ctl: %s%s%s\n", what, *why ? ": " : "", why);
    return status;
}

static bool open_talk(struct talk *t, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address))
        return false;
    t->to = fdopen(fd, "w");
    t->from = fdopen(dup(fd), "r");
    return t->to && t->from;
}

static void close_talk(struct talk *t)
{
    free(t->line);
    if (t->to)
        fclose(t->to);
    if (t->from)
        fclose(t->from);
}

/* Prints the answer up to its dot. 0, or the exit status. */
static int hear(struct talk *t)
{
    int status = 0;
    ssize_t n;
    while ((n = getline(&t->line, &t->size, t->from)) > 0) {
        if (strcmp(t->line, ".\n") == 0)
            return status;
        bool wrong = strncmp(t->line, "error: ", 7) == 0;
        if (wrong)
            status = EXIT_CANNOT;
        fputs(wrong ? "midge ctl: " : "", wrong ? stderr : stdout);
        fwrite(t->line + (wrong ? 7 : 0), 1, (size_t)n - (wrong ? 7 : 0), wrong ? stderr : stdout);
    }
    return fail(EXIT_CANNOT, "the broker ended the conversation", "");
}

/* Each line of the dump is a command. */
static int import(struct talk *t, const char *path)
{
    char *line = NULL;
    size_t size = 0;
    int status = 0;
    FILE *in = path ? fopen(path, "re") : stdin;
    if (!in)
        return fail(EXIT_CANNOT, path, strerror(errno));
    while (status == 0 && getline(&line, &size, in) > 0) {
        if (strncmp(line, "retain\t", 7) != 0 || !strchr(line, '\n'))
            status = fail(EXIT_CANNOT, path ? path : "standard input", "a line is not from 'midge ctl dump'");
        else if (fputs(line, t->to) < 0 || fflush(t->to))
            status = fail(EXIT_CANNOT, "the broker", strerror(errno));
        else
            status = hear(t);
    }
    free(line);
    if (path)
        fclose(in);
    return status;
}

static int order(struct talk *t, int count, char *words[])
{
    for (int i = 0; i < count; i++) {
        fputs(i ? "\t" : "", t->to);
        words_put(t->to, (struct midge_slice){ (const uint8_t *)words[i], (uint32_t)strlen(words[i]) });
    }
    return fputs("\n", t->to) < 0 || fflush(t->to) ? fail(EXIT_CANNOT, "the broker", strerror(errno))
                                                   : hear(t);
}

static bool is_order(int count, char *words[])
{
    static const struct {
        const char *name;
        int least, most;
    } rows[] = { { "clients", 1, 1 }, { "kick", 2, 3 }, { "limits", 1, 1 },
                 { "numbers", 1, 1 }, { "dump", 1, 1 }, { "import", 1, 2 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (count >= rows[i].least && count <= rows[i].most && strcmp(words[0], rows[i].name) == 0)
            return true;
    return false;
}

int ctl(int argc, char *argv[])
{
    static const struct option long_options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
    const char *path = CONTROL_SOCKET;
    struct talk t = { .line = NULL };
    int letter;
    opterr = 0;
    while ((letter = getopt_long(argc, argv, "s:h", long_options, NULL)) != -1) {
        if (letter == 'h')
            return fputs(usage, stdout) < 0 ? EXIT_CANNOT : 0;
        if (letter != 's')
            return fail(EXIT_BAD_USE, "there is no such option", "'midge ctl -h' lists them all");
        path = optarg;
    }
    if (!is_order(argc - optind, argv + optind))
        return fail(EXIT_BAD_USE, "a command is missing, or has more or fewer words",
                    "'midge ctl -h' lists them all");
    char **words = argv + optind;
    int status = !open_talk(&t, path)              ? fail(EXIT_CANNOT, path, strerror(errno))
                 : strcmp(words[0], "import") == 0 ? import(&t, words[1])
                                                   : order(&t, argc - optind, words);
    close_talk(&t);
    return fflush(stdout) ? EXIT_CANNOT : status;
}
