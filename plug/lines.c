/* lines.c - a text file of lines, and what is wrong with one of them. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool midge_lines_fail(struct midge_lines *l, const char *format, ...)
{
    int n = snprintf(l->why, l->why_size, "%s:%u: ", l->path, l->line);
    if (n < 0 || (size_t)n >= l->why_size)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(l->why + n, l->why_size - (size_t)n, format, args);
    va_end(args);
    return false;
}

static char *trim(char *line)
{
    size_t n = strlen(line);
    while (n && strchr(" \t\r\n", line[n - 1]))
        n--;
    line[n] = '\0';
    return line + strspn(line, " \t");
}

static bool take_all(struct midge_lines *l, FILE *in, bool (*take)(struct midge_lines *, char *, void *),
                     void *user)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    bool ok = true;
    while (ok && (n = getline(&line, &size, in)) >= 0) {
        l->line++;
        bool whole = !memchr(line, '\0', (size_t)n);
        char *text = trim(line);
        ok = whole ? !*text || *text == '#' || take(l, text, user)
                   : midge_lines_fail(l, "a byte of zero: this is not text");
    }
    if (ok && ferror(in))
        ok = midge_lines_fail(l, "%s", strerror(errno));
    if (line)
        explicit_bzero(line, size); /* secrets may have stood there */
    free(line);
    return ok;
}

bool midge_lines_read(const char *path, bool (*take)(struct midge_lines *l, char *line, void *user),
                      void *user, char *why, size_t why_size)
{
    struct midge_lines l = { .path = path, .why = why, .why_size = why_size };
    FILE *in = fopen(path, "re");
    if (!in) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool ok = take_all(&l, in, take, user);
    fclose(in);
    return ok;
}
