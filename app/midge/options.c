/* options.c - the command line: one row an option, from which parsing, --help and messages are made. */
#include "options.h"

#include "near.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 32

/* ---- what each option does ----------------------------------------------------------------------------- */

/* Each takes a value; false: it will not do, and *mend says what would. */

static bool add_address(struct options *o, const char *value, const char **mend)
{
    *mend = !*value ? "give an address, a host name, or * for every address" : "16 addresses are the most";
    if (!*value || o->address_count == OPTIONS_ADDRESSES_MAX)
        return false;
    o->addresses[o->address_count++] = value;
    return true;
}

/* A whole number up to `most`. */
static bool read_number(const char *value, unsigned long most, unsigned long *out)
{
    char *end;
    if (*value < '0' || *value > '9')
        return false;
    errno = 0;
    *out = strtoul(value, &end, 10);
    return !*end && !errno && *out <= most;
}

static bool set_config(struct options *o, const char *value, const char **mend)
{
    *mend = o->config ? "one file is enough; include_dir in it reads more" : "give a file";
    if (o->config || !*value)
        return false;
    o->config = value;
    return true;
}

static bool set_port(struct options *o, const char *value, const char **mend)
{
    unsigned long port = 0;
    *mend = "a port is a number from 0 (any free one) to 65535";
    bool ok = read_number(value, UINT16_MAX, &port);
    o->port = (uint16_t)port;
    o->port_given = true;
    return ok;
}

static bool set_sys_interval(struct options *o, const char *value, const char **mend)
{
    unsigned long seconds = 0;
    *mend = "a number of seconds up to 86400, 0 for no $SYS topics";
    bool ok = read_number(value, 86400, &seconds);
    o->sys_interval_s = (uint32_t)seconds;
    o->sys_interval_given = true;
    return ok;
}

static bool set_verbose(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->verbose = true;
    return true;
}

static bool set_daemonise(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->daemonise = true;
    return true;
}

static bool ask_check(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->then = OPTIONS_CHECK;
    return true;
}

static bool ask_keys(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->then = OPTIONS_KEYS;
    return true;
}

static bool ask_help(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->then = OPTIONS_HELP;
    return true;
}

static bool ask_version(struct options *o, const char *value, const char **mend)
{
    (void)value;
    (void)mend;
    o->then = OPTIONS_VERSION;
    return true;
}

static const struct row {
    const char *name;
    const char *letter;   /* "" = none */
    const char *argument; /* "" = takes none */
    bool (*set)(struct options *o, const char *value, const char **mend);
    const char *help;
} rows[] = {
    { "config", "c", "FILE", set_config, "read this configuration, in mosquitto.conf's format" },
    { "check", "", "", ask_check, "read the configuration, say what is wrong with it, and exit" },
    { "port", "p", "PORT", set_port, "listen on this port too, unless FILE does (1883)" },
    { "address", "a", "ADDRESS", add_address,
      "listen on this address or host name, * = all; may be repeated (127.0.0.1 and ::1)" },
    { "sys-interval", "", "SECONDS", set_sys_interval, "renew the $SYS topics this often, 0 = none (10)" },
    { "verbose", "v", "", set_verbose, "log subscriptions and messages too" },
    { "daemon", "d", "", set_daemonise, "go to the background once the port is open" },
    { "keys", "", "", ask_keys, "list the keys of the configuration and exit" },
    { "help", "h", "", ask_help, "show this and exit" },
    { "version", "", "", ask_version, "show the version and exit" },
};
#define ROWS (sizeof rows / sizeof *rows)

/* ---- finding ------------------------------------------------------------------------------------------- */

static const struct row *find_name(const char *name, size_t len)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

static const struct row *find_letter(char letter)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].letter[0] == letter)
            return &rows[i];
    return NULL;
}

/* The option that was probably meant; NULL: nothing comes close. */
static const struct row *nearest(const char *name, size_t len)
{
    const struct row *best = NULL;
    size_t best_distance = NEAR_LIMIT;
    for (size_t i = 0; i < ROWS; i++) {
        size_t d = near_distance(name, len, rows[i].name);
        if (d < best_distance) {
            best = &rows[i];
            best_distance = d;
        }
    }
    return best;
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

struct cursor {
    int argc;
    char *const *argv;
    int at; /* the next argument */
    char *why;
    size_t why_size;
};

static bool unknown_name(const struct cursor *c, const char *name, size_t len)
{
    const struct row *meant = nearest(name, len);
    if (meant)
        snprintf(c->why, c->why_size, "unknown option '--%.*s'; did you mean '--%s'?", (int)len, name,
                 meant->name);
    else
        snprintf(c->why, c->why_size, "unknown option '--%.*s'; 'midge --help' lists all", (int)len, name);
    return false;
}

/* `value`: what stood in the same argument; NULL = nothing did. */
static bool apply(struct cursor *c, struct options *o, const struct row *r, const char *value)
{
    if (!*r->argument && value) {
        snprintf(c->why, c->why_size, "option '--%s' takes no value, '%s' is too much", r->name, value);
        return false;
    }
    if (*r->argument && !value && c->at < c->argc)
        value = c->argv[c->at++];
    if (*r->argument && !value) {
        snprintf(c->why, c->why_size, "option '--%s' needs a value: --%s %s", r->name, r->name, r->argument);
        return false;
    }
    const char *mend = "";
    if (r->set(o, value, &mend))
        return true;
    snprintf(c->why, c->why_size, "option '--%s' cannot be '%s': %s", r->name, value, mend);
    return false;
}

static bool parse_name(struct cursor *c, struct options *o, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct row *r = find_name(text, len);
    return r ? apply(c, o, r, equals ? equals + 1 : NULL) : unknown_name(c, text, len);
}

/* "vd", "p1883", "vp", whose value is the next argument */
static bool parse_letters(struct cursor *c, struct options *o, const char *text)
{
    for (; *text; text++) {
        const struct row *r = find_letter(*text);
        if (!r) {
            snprintf(c->why, c->why_size, "unknown option '-%c'; 'midge --help' lists all", *text);
            return false;
        }
        if (*r->argument)
            return apply(c, o, r, text[1] ? text + 1 : NULL);
        if (!apply(c, o, r, NULL))
            return false;
    }
    return true;
}

bool options_parse(struct options *out, int argc, char *const argv[], char *why, size_t why_size)
{
    struct cursor c = { .argc = argc, .argv = argv, .at = 1, .why = why, .why_size = why_size };
    *out = (struct options){ .port = 1883, .sys_interval_s = 10 };
    while (c.at < argc && out->then <= OPTIONS_CHECK) {
        const char *arg = argv[c.at++];
        if (arg[0] != '-' || !arg[1]) {
            snprintf(why, why_size, "'%s' is not an option; 'midge --help' lists all", arg);
            return false;
        }
        if (!(arg[1] == '-' ? parse_name(&c, out, arg + 2) : parse_letters(&c, out, arg + 1)))
            return false;
    }
    return true;
}

void options_help(char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size,
                                "midge - an MQTT broker (3.1, 3.1.1, 5.0)\n\n"
                                "Usage: midge [OPTION]...\n"
                                "       midge passwd [OPTION]... FILE [USER]\n"
                                "       midge ctl [-s SOCKET] COMMAND\n\n");
    for (size_t i = 0; i < ROWS && n < size; i++) {
        const struct row *r = &rows[i];
        char left[NAME_MAX_BYTES + 16];
        snprintf(left, sizeof left, "%s%s%s--%s %s", *r->letter ? "-" : "  ", *r->letter ? r->letter : "",
                 *r->letter ? ", " : "  ", r->name, r->argument);
        n += (size_t)snprintf(out + n, size - n, "  %-28s %s\n", left, r->help);
    }
    if (n < size)
        snprintf(out + n, size - n,
                 "\nWithout FILE everybody who reaches it is let in, so it listens on loopback unless -a "
                 "says otherwise.\n"
                 "SIGHUP reads FILE again; SIGTERM and SIGINT end it in order.\n");
}
