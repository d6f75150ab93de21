/* notify.c - a service manager's protocol: datagrams out, sockets in. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_SOCKET 3 /* SD_LISTEN_FDS_START */
#define SOCKETS_MAX 64ul

/* A path, or @ and a name in the abstract. 0: it is neither. */
static socklen_t address_of(const char *name, struct sockaddr_un *out)
{
    size_t n = strlen(name);
    if ((*name != '/' && *name != '@') || n < 2 || n >= sizeof out->sun_path)
        return 0;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, name, n);
    if (*name == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*name == '/'));
}

void notify_send(const char *state)
{
    struct sockaddr_un address;
    const char *name = getenv("NOTIFY_SOCKET");
    socklen_t len = name ? address_of(name, &address) : 0;
    int fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    ssize_t n =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address, len);
    (void)n; /* a manager that is not there does not matter */
    close(fd);
}

void notify_reloading(void)
{
    char state[96];
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reading the configuration again",
             (unsigned long long)t.tv_sec * 1000000u + (unsigned long long)t.tv_nsec / 1000);
    notify_send(state);
}

/* A number of the environment; `none` if there is none. */
static unsigned long long number(const char *name, unsigned long long none)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return none;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    return errno || *end ? none : n;
}

static bool is_for_us(const char *name)
{
    unsigned long long us = (unsigned long long)getpid();
    return number(name, us) == us;
}

uint64_t notify_watchdog_us(void)
{
    return is_for_us("WATCHDOG_PID") ? number("WATCHDOG_USEC", 0) / 2 : 0;
}

unsigned notify_sockets(int *first)
{
    unsigned long long n = getenv("LISTEN_PID") && is_for_us("LISTEN_PID") ? number("LISTEN_FDS", 0) : 0;
    n = n < SOCKETS_MAX ? n : SOCKETS_MAX;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (int fd = FIRST_SOCKET; fd < FIRST_SOCKET + (int)n; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    *first = FIRST_SOCKET;
    return (unsigned)n;
}
