/* file.h - the input as a file that has a path, for readers of files. */
#ifndef MIDGE_FUZZ_FILE_H
#define MIDGE_FUZZ_FILE_H

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static inline const char *fuzz_file(const uint8_t *bytes, size_t n)
{
    static int file = -1;
    static char path[64];
    if (file < 0)
        file = memfd_create("fuzz", 0);
    MUST(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, bytes, n, 0) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

/* What went wrong is one line. */
static inline void must_be_a_line(const char *why)
{
    MUST(why[0] && !strchr(why, '\n'));
}

#endif
