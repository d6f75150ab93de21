/* serve.c - the broker as a service: start, signals, a new configuration, the end. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "serve.h"

#include "bridges.h"
#include "conf.h"
#include "doors.h"
#include "inside.h"
#include "logs.h"
#include "midge/midge_posix.h"
#include "notify.h"
#include "plug/store_sqlite.h"
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define WHY_SIZE 1024

struct app {
    const struct options *options;
    struct conf *conf; /* in force */
    struct midge_limits limits[2];
    unsigned limits_at; /* which are in force: those may not change while they are */
    uint32_t descriptors;
    struct process_user user;
    char *pid_file; /* written by us; owns */
    struct logs logs;
    struct midge_sqlite *store;
    struct midge_loop *loop;
    struct doors doors;
    struct bridges bridges;
    struct inside inside;
    char why[WHY_SIZE];
};

static int fail(const char *why)
{
    fprintf(stderr, "midge: %s\n", why);
    return EXIT_CANNOT_SERVE;
}

/* ---- configuration ------------------------------------------------------------------------------------- */

static bool add_addresses(const struct options *o, struct conf *c)
{
    conf_drop_fallback(c);
    for (unsigned i = 0; i < o->address_count; i++)
        if (!conf_add_listener(c, o->addresses[i], o->port))
            return false;
    return true;
}

/* What the command line says beside the file. */
static bool add_options(const struct options *o, struct conf *c)
{
    if (o->sys_interval_given)
        c->sys_interval = o->sys_interval_s;
    if (o->address_count)
        return add_addresses(o, c);
    if (!o->port_given)
        return true;
    if (!c->loopback_only)
        return conf_add_listener(c, NULL, o->port);
    c->fallback.port = o->port;
    return true;
}

/* NULL: why is one line. */
static struct conf *read_conf(const struct options *o, char *why, size_t why_size)
{
    struct conf *c = conf_read(o->config, why, why_size);
    if (c && add_options(o, c))
        return c;
    if (c)
        snprintf(why, why_size, "no memory");
    conf_free(c);
    return NULL;
}

/* What is wrong beyond single lines: files that others read, certificates. */
static bool check(const struct conf *c, char *why, size_t why_size)
{
    const struct midge_loop_config config = { .tls = &midge_tls_openssl };
    struct process_user user;
    struct midge_loop *loop = midge_loop_new(&config);
    snprintf(why, why_size, "no memory");
    bool ok = loop && doors_check(loop, c, why, why_size) && process_find_user(c, &user, why, why_size);
    midge_loop_free(loop);
    return ok;
}

int serve_check(const struct options *o)
{
    char why[WHY_SIZE];
    struct conf *c = read_conf(o, why, sizeof why);
    bool ok = c && check(c, why, sizeof why);
    if (ok)
        printf("midge: %s is in order\n", o->config ? o->config : "the command line");
    else
        fail(why);
    conf_free(c);
    return ok ? 0 : EXIT_BAD_OPTION;
}

/* ---- the broker's questions ----------------------------------------------------------------------------- */

static void on_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    struct app *app = user;
    doors_login(&app->doors, in, out);
}

static bool on_allow(void *user, const struct midge_who *who, enum midge_access what,
                     struct midge_slice topic)
{
    (void)user;
    return doors_allow(who, what, topic);
}

static void on_event(void *user, const struct midge_event *event)
{
    struct app *app = user;
    logs_event(&app->logs, event);
    inside_event(&app->inside, event);
}

static void on_lost(void *user, struct midge_conn *conn)
{
    struct app *app = user;
    doors_lost(&app->doors, conn);
}

static const struct midge_limits *on_limits(void *user, void *peer)
{
    (void)user;
    return doors_peer_limits(peer);
}

/* Without rights and limits of listeners nobody is asked for them, and of messages is told only who logs them: each
 * one would be. */
static void ask_what_matters(struct app *app)
{
    struct midge_hooks *hooks = midge_loop_hooks(app->loop);
    hooks->allow = doors_restrict(&app->doors) ? on_allow : NULL;
    hooks->no_messages = !(app->logs.kinds & 1u << MIDGE_LOG_DEBUG);
    hooks->limits = doors_differ(&app->doors, app->inside.limits) ? on_limits : NULL;
}

/* ---- what is said -------------------------------------------------------------------------------------- */

static void say_places(struct app *app)
{
    char all[512], one[MIDGE_PEER_TEXT];
    size_t n = 0;
    all[0] = '\0';
    for (unsigned i = 0; midge_loop_address(app->loop, i, one, sizeof one) && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", one);
    for (const struct conf_listener *l = app->conf->listeners; l && n < sizeof all; l = l->next)
        if (l->unix_path)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", l->unix_path);
    const char *who = !app->conf->loopback_only     ? ""
                      : app->options->address_count ? "; everybody is let in"
                                                    : "; loopback only, -a ADDRESS opens it to a network";
    logs_say(&app->logs, MIDGE_LOG_NOTICE, "midge " MIDGE_VERSION " listens on %s%s", all, who);
}

/* The commonest surprise: a listener that lets nobody in. */
static void say_closed(struct app *app)
{
    for (const struct conf_listener *l = app->conf->listeners; l; l = l->next) {
        bool identities = l->use_identity_as_username || l->use_subject_as_username;
        if (!conf_anonymous(app->conf, l) && !conf_auth_of(app->conf, l)->password_file.text && !identities)
            logs_say(&app->logs, MIDGE_LOG_WARNING,
                     "%s:%u: nobody is let in here: give password_file, or allow_anonymous true",
                     l->file           ? l->file
                     : app->conf->file ? app->conf->file
                                       : "command line",
                     l->line);
    }
}

/* ---- SIGHUP -------------------------------------------------------------------------------------------- */

static void say_waits(void *user, const char *key)
{
    struct app *app = user;
    logs_say(&app->logs, MIDGE_LOG_WARNING, "SIGHUP: %s changes with the next start only", key);
}

static void use_limits(struct app *app, const struct midge_limits *limits)
{
    app->limits_at ^= 1;
    app->limits[app->limits_at] = *limits;
    app->inside.limits = &app->limits[app->limits_at];
    midge_set_limits(midge_loop_broker(app->loop), app->inside.limits);
}

/* All of the new configuration, or nothing of it. */
static bool change(struct app *app, struct conf *c)
{
    struct midge_limits limits;
    doors_limits(c, app->descriptors, &limits);
    if (!doors_set(&app->doors, c, &limits, app->why, WHY_SIZE))
        return false;
    use_limits(app, &limits);
    ask_what_matters(app);
    if (!logs_set(&app->logs, c, app->options->verbose, app->why, WHY_SIZE))
        logs_say(&app->logs, MIDGE_LOG_ERROR, "SIGHUP: %s; the log stays as it is", app->why);
    if (!bridges_set(&app->bridges, c, app->why, WHY_SIZE))
        logs_say(&app->logs, MIDGE_LOG_ERROR, "SIGHUP: %s; this bridge is not there", app->why);
    conf_say_unchanged(app->conf, c, say_waits, app);
    conf_free(app->conf);
    app->conf = c;
    return true;
}

static void reload(struct app *app)
{
    if (!app->options->config) {
        logs_say(&app->logs, MIDGE_LOG_NOTICE, "SIGHUP: there is no configuration file to read again");
        return;
    }
    notify_reloading();
    struct conf *c = read_conf(app->options, app->why, WHY_SIZE);
    if (c && change(app, c)) {
        logs_say(&app->logs, MIDGE_LOG_NOTICE, "SIGHUP: %s was read again", app->options->config);
        say_places(app);
        say_closed(app);
        notify_send("READY=1\nSTATUS=Serving");
        return;
    }
    conf_free(c);
    logs_say(&app->logs, MIDGE_LOG_ERROR, "SIGHUP: %s; everything stays as it was", app->why);
    notify_send("READY=1\nSTATUS=Serving, by the old configuration: the new one is wrong");
}

/* ---- signals, watchdog --------------------------------------------------------------------------------- */

static void on_signal(void *user, int fd)
{
    struct app *app = user;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(app);
            continue;
        }
        logs_say(&app->logs, MIDGE_LOG_NOTICE, "%s: ending", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM");
        notify_send("STOPPING=1\nSTATUS=Ending");
        midge_loop_stop(app->loop);
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
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN); /* Mosquitto takes them; scripts that send them mean no harm */
    signal(SIGUSR2, SIG_IGN);
}

/* After process_background: a signalfd tells the process that made it. */
static bool watch_signals(struct app *app)
{
    const sigset_t set = our_signals();
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd >= 0 && midge_loop_watch(app->loop, fd, false, on_signal, app);
}

static void on_watchdog(void *user, int fd)
{
    (void)user;
    uint64_t times;
    if (read(fd, &times, sizeof times) == sizeof times)
        notify_send("WATCHDOG=1");
}

/* A sign of life comes out of the loop itself: one that hangs gives none. */
static bool watch_watchdog(struct app *app)
{
    uint64_t us = notify_watchdog_us();
    if (!us)
        return true;
    const struct timespec every = { .tv_sec = (time_t)(us / 1000000),
                                    .tv_nsec = (long)(us % 1000000) * 1000 };
    const struct itimerspec timer = { .it_interval = every, .it_value = every };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd >= 0 && !timerfd_settime(fd, 0, &timer, NULL) &&
           midge_loop_watch(app->loop, fd, false, on_watchdog, app);
}

/* ---- start --------------------------------------------------------------------------------------------- */

/* How much a crash may lose. */
static uint32_t relaxed_ms(const struct conf *c)
{
    int64_t s = c->autosave_s > 0 ? c->autosave_s : 1;
    return c->durability == 0 ? 0 : s < UINT32_MAX / 1000 ? (uint32_t)s * 1000 : UINT32_MAX;
}

static bool open_store(struct app *app)
{
    const struct conf *c = app->conf;
    char path[4096];
    const char *folder = c->persistence_location.text ? c->persistence_location.text : ".";
    const char *file = c->persistence_file.text ? c->persistence_file.text : "midge.db";
    if (!c->persistence)
        return true;
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    if ((size_t)snprintf(path, sizeof path, "%s%s%s", folder, slash, file) < sizeof path)
        app->store = midge_sqlite_open(path, relaxed_ms(c), app->why, WHY_SIZE);
    else
        snprintf(app->why, WHY_SIZE, "persistence_location: the path is too long");
    return app->store != NULL;
}

static bool restore(struct app *app)
{
    struct midge *m = midge_loop_broker(app->loop);
    return !app->store || midge_sqlite_restore(app->store, m, midge_loop_now(app->loop), app->why, WHY_SIZE);
}

static uint32_t sys_interval_s(const struct conf *c)
{
    return c->sys_interval == CONF_UNSET ? 10 : (uint32_t)c->sys_interval;
}

static bool make_loop(struct app *app)
{
    const struct midge_hooks hooks = { .user = app, .login = on_login, .event = on_event, .lost = on_lost };
    const struct midge_loop_config config = {
        .limits = &app->limits[0],
        .hooks = &hooks,
        .store = app->store ? midge_sqlite_store(app->store) : NULL,
        .sys_interval_s = sys_interval_s(app->conf),
        .tls = &midge_tls_openssl,
        .say = logs_line,
        .say_user = &app->logs,
    };
    app->inside.doors = &app->doors;
    app->inside.limits = &app->limits[0];
    app->inside.loop = app->doors.loop = app->bridges.loop = app->loop = midge_loop_new(&config);
    app->doors.socket_count = (int)notify_sockets(&app->doors.sockets);
    snprintf(app->why, WHY_SIZE, "no memory or descriptors for a broker");
    return app->loop != NULL;
}

static bool open_files(struct app *app)
{
    process_try_user(&app->user);
    bool ok = logs_set(&app->logs, app->conf, app->options->verbose, app->why, WHY_SIZE) && open_store(app);
    process_leave_user(&app->user);
    return ok;
}

static bool leave_root(struct app *app)
{
    const struct conf_text *pid_file = &app->conf->pid_file;
    if (pid_file->text && !process_write_pid(pid_file, app->why, WHY_SIZE))
        return false;
    if (pid_file->text)
        app->pid_file = strdup(pid_file->text);
    return process_become(&app->user, app->why, WHY_SIZE);
}

/* The standard streams may be others once it is in the background. */
static bool go_on(struct app *app)
{
    process_ready();
    if (app->options->daemonise &&
        !logs_set(&app->logs, app->conf, app->options->verbose, app->why, WHY_SIZE))
        return false;
    logs_attach(&app->logs, app->loop);
    snprintf(app->why, WHY_SIZE, "%s", strerror(errno));
    return watch_signals(app) && watch_watchdog(app);
}

static bool begin(struct app *app)
{
    process_keep_memory();
    app->descriptors = process_descriptors();
    doors_limits(app->conf, app->descriptors, &app->limits[0]);
    if (!process_find_user(app->conf, &app->user, app->why, WHY_SIZE) || !open_files(app) ||
        !make_loop(app) || !restore(app) ||
        !doors_set(&app->doors, app->conf, &app->limits[0], app->why, WHY_SIZE) ||
        !bridges_set(&app->bridges, app->conf, app->why, WHY_SIZE))
        return false;
    ask_what_matters(app);
    if (!leave_root(app) ||
        !inside_open(&app->inside, app->conf, sys_interval_s(app->conf), app->why, WHY_SIZE))
        return false;
    say_places(app);
    say_closed(app);
    return go_on(app);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void end(struct app *app)
{
    logs_attach(&app->logs, NULL);
    doors_end(&app->doors);
    inside_close(&app->inside);
    midge_loop_free(app->loop);
    bridges_end(&app->bridges);
    if (app->store)
        midge_sqlite_close(app->store);
    doors_free(&app->doors);
    if (app->pid_file)
        unlink(app->pid_file);
    free(app->pid_file);
    logs_free(&app->logs);
    conf_free(app->conf);
}

static int run(struct app *app)
{
    notify_send("READY=1\nSTATUS=Serving");
    int err = midge_loop_run(app->loop);
    logs_say(&app->logs, MIDGE_LOG_NOTICE, "midge " MIDGE_VERSION " ended%s%s", err ? ": " : "",
             err ? strerror(err) : "");
    return err ? EXIT_CANNOT_SERVE : 0;
}

int serve(const struct options *o)
{
    static struct app app; /* a process is one broker */
    app.options = o;
    process_fill_streams();
    app.conf = read_conf(o, app.why, WHY_SIZE);
    if (!app.conf || !check(app.conf, app.why, WHY_SIZE)) {
        conf_free(app.conf);
        fail(app.why);
        return EXIT_BAD_OPTION;
    }
    block_signals();
    if (o->daemonise && !process_background())
        return fail(strerror(errno));
    int status = begin(&app) ? run(&app) : fail(app.why);
    end(&app);
    return status;
}
