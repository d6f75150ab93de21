/* desk.c - a place where somebody asks for lines and gets answers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "desk.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TALKS 16u
#define READ_BYTES 65536u

struct talk {
    struct desk *desk;
    int fd; /* -1: the place is free */
    bool ends;
    uint64_t last; /* when it said something, counted in lines of all */
    char *in;
    size_t in_len, in_size;
    char *out;
    size_t out_len, out_at;
    struct desk_talk state;
};

struct desk {
    struct midge_loop *loop;
    int fd;
    char *path; /* of a Unix socket, to be removed */
    size_t longest;
    desk_answer answer;
    void *user;
    uint64_t lines;
    struct talk talks[TALKS];
};

/* ---- a talk -------------------------------------------------------------------------------------------- */

static void end_talk(struct talk *t)
{
    midge_loop_watch(t->desk->loop, t->fd, false, NULL, NULL);
    close(t->fd);
    free(t->in);
    free(t->out);
    *t = (struct talk){ .desk = t->desk, .fd = -1 };
}

/* Everything that is asked for at once is answered into one buffer. */
static bool answer_line(struct talk *t, char *line, FILE *out)
{
    t->last = ++t->desk->lines;
    line[strcspn(line, "\r")] = '\0';
    t->state.lines++;
    return t->desk->answer(t->desk->user, &t->state, line, out);
}

static bool answer_lines(struct talk *t)
{
    FILE *out = open_memstream(&t->out, &t->out_len);
    if (!out)
        return false;
    char *line = t->in, *end = t->in + t->in_len, *stop;
    while (!t->ends && (stop = memchr(line, '\n', (size_t)(end - line)))) {
        *stop = '\0';
        t->ends = !answer_line(t, line, out);
        line = stop + 1;
    }
    t->in_len = (size_t)(end - line);
    memmove(t->in, line, t->in_len);
    return !fclose(out);
}

static void on_talk(void *user, int fd);

/* False: it is over. */
static bool send_some(struct talk *t)
{
    while (t->out_at < t->out_len) {
        ssize_t n = send(t->fd, t->out + t->out_at, t->out_len - t->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return midge_loop_watch(t->desk->loop, t->fd, true, on_talk, t);
        if (n < 0)
            return false;
        t->out_at += (size_t)n;
    }
    free(t->out);
    t->out = NULL;
    t->out_at = t->out_len = 0;
    return !t->ends && midge_loop_watch(t->desk->loop, t->fd, false, on_talk, t);
}

static bool make_room(struct talk *t)
{
    if (t->in_size - t->in_len >= READ_BYTES)
        return true;
    size_t size = 2 * t->in_size + READ_BYTES;
    char *more = t->in_len <= t->desk->longest ? realloc(t->in, size) : NULL;
    if (!more)
        return false;
    t->in = more;
    t->in_size = size;
    return true;
}

static bool read_some(struct talk *t)
{
    if (!make_room(t))
        return false;
    ssize_t n = recv(t->fd, t->in + t->in_len, READ_BYTES, 0);
    if (n < 0)
        return errno == EAGAIN;
    t->in_len += (size_t)n;
    return n > 0 && (!memchr(t->in, '\n', t->in_len) || (answer_lines(t) && send_some(t)));
}

static void on_talk(void *user, int fd)
{
    (void)fd;
    struct talk *t = user;
    if (!(t->out ? send_some(t) : read_some(t)))
        end_talk(t);
}

/* ---- the desk ------------------------------------------------------------------------------------------ */

static struct talk *find_place(struct desk *d)
{
    struct talk *best = &d->talks[0];
    for (unsigned i = 0; i < TALKS; i++) {
        if (d->talks[i].fd < 0)
            return &d->talks[i];
        if (d->talks[i].last < best->last)
            best = &d->talks[i];
    }
    end_talk(best);
    return best;
}

static void on_knock(void *user, int fd)
{
    struct desk *d = user;
    int new = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (new < 0)
        return;
    struct talk *t = find_place(d);
    *t = (struct talk){ .desk = d, .fd = new, .last = ++d->lines };
    if (!midge_loop_watch(d->loop, new, false, on_talk, t))
        end_talk(t);
}

static struct desk *new_desk(struct midge_loop *loop, int fd, size_t longest, desk_answer answer, void *user)
{
    struct desk *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct desk){ .loop = loop, .fd = fd, .longest = longest, .answer = answer, .user = user };
    for (unsigned i = 0; i < TALKS; i++)
        d->talks[i].fd = -1;
    if (midge_loop_watch(loop, fd, false, on_knock, d))
        return d;
    free(d);
    return NULL;
}

static int close_and_say(int fd, const char *name, char *why, size_t why_size)
{
    snprintf(why, why_size, "cannot listen on '%s': %s", name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int bind_unix(const char *path, char *why, size_t why_size)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(why, why_size, "'%s' is longer than a Unix socket's path may be", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool in_use = fd >= 0 && !connect(fd, (const struct sockaddr *)&address, sizeof address);
    if (in_use) {
        errno = EADDRINUSE;
        return close_and_say(fd, path, why, why_size);
    }
    struct stat st;
    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path); /* of a broker that was killed */
    mode_t mask = umask(0177);
    bool bound = fd >= 0 && !bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    return bound && !listen(fd, SOMAXCONN) ? fd : close_and_say(fd, path, why, why_size);
}

struct desk *desk_open_unix(struct midge_loop *loop, const char *path, size_t longest, desk_answer answer,
                            void *user, char *why, size_t why_size)
{
    int fd = bind_unix(path, why, why_size);
    struct desk *d = fd >= 0 ? new_desk(loop, fd, longest, answer, user) : NULL;
    if (fd >= 0 && !d)
        close_and_say(fd, path, why, why_size);
    if (d)
        d->path = strdup(path);
    return d;
}

static int bind_tcp(const struct addrinfo *a)
{
    int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && !bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, SOMAXCONN))
        return fd;
    int err = errno;
    if (fd >= 0)
        close(fd);
    errno = err;
    return -1;
}

struct desk *desk_open_tcp(struct midge_loop *loop, const char *address, uint16_t port, size_t longest,
                           desk_answer answer, void *user, char *why, size_t why_size)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *list;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int err = getaddrinfo(strcmp(address, "*") == 0 ? NULL : address, service, &hints, &list);
    if (err) {
        snprintf(why, why_size, "cannot listen on '%s': %s", address, gai_strerror(err));
        return NULL;
    }
    int fd = bind_tcp(list);
    freeaddrinfo(list);
    struct desk *d = fd >= 0 ? new_desk(loop, fd, longest, answer, user) : NULL;
    if (!d)
        close_and_say(fd, address, why, why_size);
    return d;
}

uint16_t desk_port(const struct desk *d)
{
    struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof a;
    getsockname(d->fd, (struct sockaddr *)&a, &len);
    return a.ss_family == AF_INET    ? ntohs(((const struct sockaddr_in *)(const void *)&a)->sin_port)
           : a.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)(const void *)&a)->sin6_port)
                                     : 0;
}

void desk_close(struct desk *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < TALKS; i++)
        if (d->talks[i].fd >= 0)
            end_talk(&d->talks[i]);
    midge_loop_watch(d->loop, d->fd, false, NULL, NULL);
    close(d->fd);
    if (d->path)
        unlink(d->path);
    free(d->path);
    free(d);
}
