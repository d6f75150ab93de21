/* main.c - the program: options, limits, listeners, signals, and the loop. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../../ports/posix/log.h"
#include "midge/midge_posix.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EXIT_CANNOT_SERVE 1
#define EXIT_BAD_OPTION 2
#define DESCRIPTORS_KEPT 32u /* for everything that is not a connection */

/* The program is one broker, so what it needs stands here. */
static struct app {
    struct options options;
    struct midge_limits limits;
    struct midge_loop *loop;
    struct midge_log log;
} app;

__attribute__((format(printf, 2, 3))) static void say(enum midge_log_level level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    midge_log_line(&app.log, level, text);
}

static void on_event(void *user, const struct midge_event *event)
{
    midge_log_event(user, event);
}

static void open_log(void)
{
    midge_log_free(&app.log);
    midge_log_init(&app.log, STDERR_FILENO, app.options.verbose ? MIDGE_LOG_DEBUG : MIDGE_LOG_NOTICE);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

/* As many descriptors as the system gives, and not more connections than they are good for: the core lets a
 * sixteenth more knock than may come in. */
static void set_limits(void)
{
    struct rlimit files;
    app.limits = midge_limits_gateway;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    rlim_t room = files.rlim_cur > DESCRIPTORS_KEPT ? files.rlim_cur - DESCRIPTORS_KEPT : 2;
    room -= room / 16 + 1;
    if (room < app.limits.connections)
        app.limits.connections = (uint32_t)room;
}

/* ---- listening ----------------------------------------------------------------------------------------- */

/* What is listened on without -a: a machine without IPv6 has only the first. */
static bool listen_on_loopback(char *why, size_t size)
{
    if (midge_loop_listen(app.loop, "127.0.0.1", app.options.port, why, size))
        return false;
    uint16_t port = midge_loop_address(app.loop, 0, NULL, 0);
    int err = midge_loop_listen(app.loop, "::1", port, why, size);
    return !err || err == EAFNOSUPPORT || err == EADDRNOTAVAIL;
}

static bool listen_on_all(char *why, size_t size)
{
    if (!app.options.address_count)
        return listen_on_loopback(why, size);
    for (unsigned i = 0; i < app.options.address_count; i++)
        if (midge_loop_listen(app.loop, app.options.addresses[i], app.options.port, why, size))
            return false;
    return true;
}

static void say_addresses(void)
{
    char all[384], one[MIDGE_PEER_TEXT];
    size_t n = 0;
    all[0] = '\0';
    for (unsigned i = 0; midge_loop_address(app.loop, i, one, sizeof one) && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", one);
    say(MIDGE_LOG_NOTICE, "midge " MIDGE_VERSION " listens on %s%s", all,
        app.options.address_count ? "; everybody is let in"
                                  : "; loopback only, -a ADDRESS opens it to a network");
}

/* ---- signals ------------------------------------------------------------------------------------------- */

static void on_signal(void *user, int fd)
{
    (void)user;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            say(MIDGE_LOG_NOTICE, "SIGHUP: there is no configuration file to read again");
            continue;
        }
        say(MIDGE_LOG_NOTICE, "%s: ending", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        midge_loop_stop(app.loop);
    }
}

static sigset_t our_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

/* Before anybody is told that we are here: a signal that comes early waits until it is watched for. */
static void block_signals(void)
{
    const sigset_t set = our_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* After daemonise(): a signalfd tells the process that made it. False: no descriptor. */
static bool watch_signals(void)
{
    const sigset_t set = our_signals();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd >= 0 && midge_loop_watch(app.loop, fd, false, on_signal, NULL);
}

/* The parent leaves when the port is open, so that what starts midge -d may connect at once. Standard error
 * stays if it is not a terminal: it is where somebody wants the log. False: no process. */
static bool daemonise(void)
{
    pid_t pid = fork();
    if (pid < 0)
        return false;
    if (pid > 0)
        _exit(0);
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || chdir("/"))
        return false;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (isatty(STDERR_FILENO))
        dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    return true;
}

/* No socket is to get the number of a standard stream that was closed: what is written there is not for it. */
static void fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* ---- the program --------------------------------------------------------------------------------------- */

static int fail(int status, const char *why)
{
    fprintf(stderr, "midge: %s\n", why);
    return status;
}

static int serve(void)
{
    char why[256];
    const struct midge_hooks hooks = { .user = &app.log, .event = on_event };
    const struct midge_loop_config config = {
        .limits = &app.limits,
        .hooks = &hooks,
        .sys_interval_s = app.options.sys_interval_s,
        .tls = &midge_tls_openssl,
        .say = midge_log_line,
        .say_user = &app.log,
    };
    app.loop = midge_loop_new(&config);
    if (!app.loop)
        return fail(EXIT_CANNOT_SERVE, "no memory or descriptors for a broker");
    if (!listen_on_all(why, sizeof why))
        return fail(EXIT_CANNOT_SERVE, why);
    say_addresses();
    if (app.options.daemonise && !daemonise())
        return fail(EXIT_CANNOT_SERVE, strerror(errno));
    if (app.options.daemonise)
        open_log(); /* standard error may be another one now */
    if (!watch_signals())
        return fail(EXIT_CANNOT_SERVE, strerror(errno));
    midge_log_attach(&app.log, app.loop);
    int err = midge_loop_run(app.loop);
    say(MIDGE_LOG_NOTICE, "midge " MIDGE_VERSION " ended%s%s", err ? ": " : "", err ? strerror(err) : "");
    return err ? EXIT_CANNOT_SERVE : 0;
}

int main(int argc, char *argv[])
{
    char text[2048];
    if (!options_parse(&app.options, argc, argv, text, sizeof text))
        return fail(EXIT_BAD_OPTION, text);
    if (app.options.then == OPTIONS_HELP) {
        options_help(text, sizeof text);
        return fputs(text, stdout) < 0 ? EXIT_CANNOT_SERVE : 0;
    }
    if (app.options.then == OPTIONS_VERSION)
        return puts("midge " MIDGE_VERSION) < 0 ? EXIT_CANNOT_SERVE : 0;

    fill_standard_streams();
    signal(SIGPIPE, SIG_IGN);
    block_signals();
    set_limits();
    open_log();
    int status = serve();
    midge_log_attach(&app.log, NULL);
    midge_loop_free(app.loop);
    midge_log_free(&app.log);
    return status;
}
