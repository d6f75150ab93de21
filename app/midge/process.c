/* process.c - the program as a process: background, user, files of its own. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS_KEPT 48u /* for everything that is not a connection */

void process_fill_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* The core lets a sixteenth more knock than may come in. */
uint32_t process_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return UINT32_MAX;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t room = files.rlim_cur > DESCRIPTORS_KEPT ? files.rlim_cur - DESCRIPTORS_KEPT : 2;
    room -= room / 16 + 1;
    return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

void process_keep_memory(void)
{
#ifdef M_TRIM_THRESHOLD /* glibc's */
    mallopt(M_MMAP_THRESHOLD, 8 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TOP_PAD, 1024 * 1024);
#endif
}

/* ---- background ---------------------------------------------------------------------------------------- */

static int ready_fd = -1; /* to the parent that waits; the process has one parent */

static _Noreturn void wait_for(pid_t child, int fd)
{
    char byte;
    int status = 0;
    ssize_t n = read(fd, &byte, 1);
    if (n == 1)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

bool process_background(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC))
        return false;
    pid_t pid = fork();
    close(fds[pid > 0 ? 1 : 0]);
    if (pid > 0)
        wait_for(pid, fds[0]);
    ready_fd = fds[1];
    return pid == 0 && setsid() >= 0;
}

void process_ready(void)
{
    if (ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (isatty(STDERR_FILENO))
        dup2(null, STDERR_FILENO);
    if (null >= 0)
        close(null);
    ssize_t n = write(ready_fd, "", 1);
    (void)n; /* a parent that was killed does not wait */
    close(ready_fd);
    ready_fd = -1;
}

/* ---- user ---------------------------------------------------------------------------------------------- */

static bool take(struct process_user *out, const char *name)
{
    const struct passwd *found = getpwnam(name);
    if (!found)
        return false;
    *out = (struct process_user){ .uid = found->pw_uid, .gid = found->pw_gid };
    snprintf(out->name, sizeof out->name, "%s", name);
    return true;
}

bool process_find_user(const struct conf *c, struct process_user *out, char *why, size_t why_size)
{
    *out = (struct process_user){ .uid = 0 };
    if (geteuid() != 0 || (!c->file && !c->user.text))
        return true;
    if (c->user.text && take(out, c->user.text))
        return true;
    if (c->user.text) {
        snprintf(why, why_size, "%s:%u: user: there is no user '%.64s'", c->user.file, c->user.line,
                 c->user.text);
        return false;
    }
    return take(out, "midge") || take(out, "mosquitto") || take(out, "nobody") || true;
}

void process_try_user(const struct process_user *u)
{
    if (u->uid && (setegid(u->gid) || seteuid(u->uid)))
        return; /* then it stays root, and process_become says why not */
}

void process_leave_user(const struct process_user *u)
{
    if (u->uid && (seteuid(0) || setegid(0)))
        return;
}

bool process_become(const struct process_user *u, char *why, size_t why_size)
{
    if (!u->uid || (!initgroups(u->name, u->gid) && !setgid(u->gid) && !setuid(u->uid)))
        return true;
    snprintf(why, why_size, "cannot go on as user '%s': %s", u->name, strerror(errno));
    return false;
}

/* ---- pid file ------------------------------------------------------------------------------------------ */

bool process_write_pid(const struct conf_text *file, char *why, size_t why_size)
{
    FILE *out = fopen(file->text, "we");
    bool ok = out && fprintf(out, "%ld\n", (long)getpid()) > 0;
    if (out && fclose(out))
        ok = false;
    if (!ok)
        snprintf(why, why_size, "%s:%u: pid_file: %s: %s", file->file, file->line, file->text,
                 strerror(errno));
    return ok;
}
