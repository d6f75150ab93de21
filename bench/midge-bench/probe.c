/* probe.c - the clock of a process and its smaps_rollup. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* utime + stime of /proc/PID/stat, to the nanosecond. */
bool probe_cpu(int pid, uint64_t *cpu_ns)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
        return false;
    *cpu_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    return true;
}

/* "Name:   123 kB" as bytes; 0 = another line. */
static uint64_t field_bytes(const char *line, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(line, name, n) == 0 ? strtoull(line + n, NULL, 10) * 1024 : 0;
}

bool probe_read(int pid, struct probe *out)
{
    char text[256];
    *out = (struct probe){ .cpu_ns = 0 };
    snprintf(text, sizeof text, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(text, "re");
    if (!f)
        return false;
    while (fgets(text, sizeof text, f)) {
        out->rss_bytes += field_bytes(text, "Rss:");
        out->uss_bytes += field_bytes(text, "Private_Clean:") + field_bytes(text, "Private_Dirty:");
    }
    fclose(f);
    return probe_cpu(pid, &out->cpu_ns);
}
