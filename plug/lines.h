/* lines.h - a text file of lines, for those that are wrong as a whole when one line is. */
#ifndef MIDGE_PLUG_LINES_H
#define MIDGE_PLUG_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct midge_lines {
    const char *path;
    unsigned line;
    char *why;
    size_t why_size;
};

/* Hands each line that is neither empty nor a comment (#) to `take`, without its end and the blanks around it. False:
 * `take` said so, or the file cannot be read; `why` is one line. */
bool midge_lines_read(const char *path, bool (*take)(struct midge_lines *l, char *line, void *user),
                      void *user, char *why, size_t why_size);

/* "PATH:LINE: what is wrong". Always false. */
__attribute__((format(printf, 2, 3))) bool midge_lines_fail(struct midge_lines *l, const char *format, ...);

#endif
