/* options.c - the command line: a row an option. Numbers are stored where the row says. */
#include "options.h"

#include "payload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION(member) offsetof(struct options, member)
#define PARAMETER(member) offsetof(struct options, parameters.member)

enum takes { TAKES_NOTHING, TAKES_TEXT, TAKES_NUMBER, TAKES_PROTOCOL, TAKES_THEN };

static const struct row {
    const char *name;
    const char *letter; /* "" = none */
    const char *argument;
    enum takes takes;
    size_t at; /* TAKES_THEN: what then */
    uint32_t least, most;
    const char *help;
} rows[] = {
    { "host", "H", "HOST", TAKES_TEXT, OPTION(host), 0, 0, "where the broker is (127.0.0.1)" },
    { "port", "p", "PORT", TAKES_TEXT, OPTION(port), 0, 0, "its port (1883)" },
    { "to-port", "", "PORT", TAKES_TEXT, OPTION(to_port), 0, 0, "subscribers are at another broker: through a bridge" },
    { "protocol", "", "VERSION", TAKES_PROTOCOL, OPTION(version), 0, 0, "3.1.1 or 5 (3.1.1)" },
    { "user", "u", "NAME", TAKES_TEXT, OPTION(user_name), 0, 0, "user name" },
    { "password", "P", "PASSWORD", TAKES_TEXT, OPTION(password), 0, 0, "password" },
    { "tls", "", "", TAKES_NOTHING, PARAMETER(tls), 0, 0, "through TLS" },
    { "cafile", "", "FILE", TAKES_TEXT, OPTION(ca_file), 0, 0,
      "with certificates that are believed; without it all are" },
    { "ws", "", "", TAKES_NOTHING, PARAMETER(ws), 0, 0, "through WebSocket" },
    { "prefix", "", "TEXT", TAKES_TEXT, OPTION(prefix), 0, 0, "begins client ids and topics (bench)" },
    { "pid", "", "PID", TAKES_NUMBER, OPTION(pid), 1, 1u << 30,
      "the broker's process on this machine: measures its processor time and memory" },
    { "seconds", "s", "N", TAKES_NUMBER, PARAMETER(seconds), 1, 86400, "publish for so long (3)" },
    { "messages", "n", "N", TAKES_NUMBER, PARAMETER(messages), 1, 1u << 31, "publish so many instead" },
    { "warmup", "", "MS", TAKES_NUMBER, OPTION(warmup_ms), 0, 60000, "of that, before it is measured (200)" },
    { "rate", "r", "N", TAKES_NUMBER, PARAMETER(rate), 1, 10000000,
      "messages a second in all; latency counts from when each was due" },
    { "qos", "q", "QOS", TAKES_NUMBER, PARAMETER(qos), 0, 2, "of messages and subscriptions" },
    { "payload", "b", "BYTES", TAKES_NUMBER, PARAMETER(payload_bytes), PAYLOAD_BYTES_MIN, 1u << 27,
      "of each message (64)" },
    { "window", "w", "N", TAKES_NUMBER, PARAMETER(window), 1, 65536,
      "messages of one publisher in flight: sent, not yet delivered and acknowledged" },
    { "publishers", "", "N", TAKES_NUMBER, PARAMETER(publishers), 1, 100000, "" },
    { "subscribers", "", "N", TAKES_NUMBER, PARAMETER(subscribers), 1, 100000, "" },
    { "subscriptions", "", "N", TAKES_NUMBER, PARAMETER(subscriptions), 1, 10000000, "of all (W6)" },
    { "bystanders", "", "N", TAKES_NUMBER, PARAMETER(bystanders), 0, 100000,
      "idle clients with a subscription each" },
    { "connections", "", "N", TAKES_NUMBER, PARAMETER(connections), 1, 1000000, "(W7)" },
    { "retained", "", "N", TAKES_NUMBER, PARAMETER(retained), 1, 10000000, "messages (W10)" },
    { "queued", "", "N", TAKES_NUMBER, PARAMETER(queued), 1, 60000, "messages a session (W12)" },
    { "levels", "", "N", TAKES_NUMBER, PARAMETER(levels), 2, 1000, "of the topics (3)" },
    { "persistent", "", "0|1", TAKES_NUMBER, PARAMETER(persistent), 0, 1, "sessions outlive connections" },
    { "patience", "", "SECONDS", TAKES_NUMBER, OPTION(patience_s), 1, 3600,
      "when nothing comes for so long, the rest is lost (10)" },
    { "seed", "", "N", TAKES_NUMBER, OPTION(seed), 0, UINT32_MAX, "of everything random (1)" },
    { "spin", "", "", TAKES_NOTHING, OPTION(spin), 0, 0,
      "never sleep: answers sooner, takes a whole processor" },
    { "json", "j", "FILE", TAKES_TEXT, OPTION(json), 0, 0,
      "write the result there too, - = standard output" },
    { "quiet", "", "", TAKES_NOTHING, OPTION(quiet), 0, 0, "no progress line, no table" },
    { "list", "l", "", TAKES_THEN, OPTIONS_LIST, 0, 0, "list the workloads and exit" },
    { "help", "h", "", TAKES_THEN, OPTIONS_HELP, 0, 0, "show this and exit" },
    { "version", "", "", TAKES_THEN, OPTIONS_VERSION, 0, 0, "show the version and exit" },
};
#define ROWS (sizeof rows / sizeof *rows)

/* ---- values -------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    char *end;
    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return *text >= '0' && *text <= '9' && !*end && !errno && value >= least && value <= most;
}

static bool read_protocol(const char *text, uint32_t *out)
{
    *out = *text == '5' ? 5 : 4;
    return strcmp(text, "3.1.1") == 0 || strcmp(text, "5") == 0 || strcmp(text, "5.0") == 0;
}

/* A workload's own numbers give way to those of the command line, wherever its name stood. */
struct parse {
    struct options *out;
    struct options given; /* what options said */
    bool is_given[ROWS];
    char *why;
    size_t why_size;
};

static bool set(struct parse *p, const struct row *r, const char *value)
{
    char *at = (char *)&p->given + r->at;
    uint32_t number = 0;
    bool fits = true;
    p->is_given[r - rows] = true;
    switch (r->takes) {
    case TAKES_NOTHING:
        *(bool *)at = true;
        break;
    case TAKES_THEN:
        p->out->then = (enum options_then)r->at;
        break;
    case TAKES_TEXT:
        *(const char **)(void *)at = value;
        break;
    case TAKES_NUMBER:
        fits = read_number(value, r->least, r->most, &number);
        break;
    case TAKES_PROTOCOL:
        fits = read_protocol(value, &number);
        break;
    }
    if (r->takes == TAKES_NUMBER || r->takes == TAKES_PROTOCOL)
        *(uint32_t *)(void *)at = number;
    if (!fits && r->takes == TAKES_PROTOCOL)
        snprintf(p->why, p->why_size, "option '--protocol' cannot be '%s': it is 3.1.1 or 5", value);
    else if (!fits)
        snprintf(p->why, p->why_size, "option '--%s' cannot be '%s': it is a number from %u to %u", r->name,
                 value, r->least, r->most);
    return fits;
}

static void copy(struct parse *p, const struct row *r)
{
    static const size_t bytes[] = { sizeof(bool), sizeof(char *), sizeof(uint32_t), sizeof(uint32_t), 0 };
    memcpy((char *)p->out + r->at, (const char *)&p->given + r->at, bytes[r->takes]);
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

/* "--name", "--name=value", "-l", "-lvalue": its row, and the value that stood with it, or NULL. */
static const struct row *find(const char *argument, const char **value)
{
    const bool is_name = argument[1] == '-';
    const char *text = argument + (is_name ? 2 : 1);
    const size_t n = is_name ? strcspn(text, "=") : 1;
    *value = text[n] ? text + n + (is_name ? 1 : 0) : NULL;
    for (size_t i = 0; i < ROWS; i++) {
        const char *known = is_name ? rows[i].name : rows[i].letter;
        if (strlen(known) == n && memcmp(known, text, n) == 0)
            return &rows[i];
    }
    return NULL;
}

static bool take_workload(struct parse *p, const char *name)
{
    if (p->out->workload) {
        snprintf(p->why, p->why_size, "'%s': one workload at a time", name);
        return false;
    }
    p->out->workload = workload_find(name);
    if (!p->out->workload)
        snprintf(p->why, p->why_size, "there is no workload '%s'; 'midge-bench --list' lists them", name);
    return p->out->workload != NULL;
}

/* *at is the next argument. */
static bool take(struct parse *p, int argc, char *const argv[], int *at)
{
    const char *argument = argv[(*at)++], *value;
    if (argument[0] != '-' || !argument[1])
        return take_workload(p, argument);
    const struct row *r = find(argument, &value);
    if (!r) {
        snprintf(p->why, p->why_size, "unknown option '%s'; 'midge-bench --help' lists all", argument);
        return false;
    }
    if (*r->argument && !value && *at < argc)
        value = argv[(*at)++];
    if (!*r->argument != !value) {
        snprintf(p->why, p->why_size, "option '--%s' %s", r->name,
                 value ? "takes no value" : "needs a value");
        return false;
    }
    return set(p, r, value ? value : "");
}

static void fill_in(struct parameters *p)
{
    if (!p->payload_bytes)
        p->payload_bytes = 64;
    if (!p->levels)
        p->levels = 3;
    if (!p->seconds)
        p->seconds = 3;
}

bool options_parse(struct options *out, int argc, char *const argv[], char *why, size_t why_size)
{
    struct parse p = { .out = out, .why = why, .why_size = why_size };
    *out = (struct options){ .host = "127.0.0.1",
                             .port = "1883",
                             .prefix = "bench",
                             .version = 4,
                             .seed = 1,
                             .patience_s = 10,
                             .warmup_ms = 200 };
    for (int at = 1; at < argc && out->then == OPTIONS_RUN;)
        if (!take(&p, argc, argv, &at))
            return false;
    if (out->then != OPTIONS_RUN)
        return true;
    if (!out->workload) {
        snprintf(why, why_size, "name a workload; 'midge-bench --list' lists them");
        return false;
    }
    out->parameters = out->workload->parameters;
    fill_in(&out->parameters);
    for (size_t i = 0; i < ROWS; i++)
        if (p.is_given[i])
            copy(&p, &rows[i]);
    return true;
}

/* ---- telling ------------------------------------------------------------------------------------------- */

void options_list(void)
{
    for (unsigned i = 0; i < workload_count; i++)
        printf("  %-5s %s\n", workloads[i].name, workloads[i].what);
}

void options_help(void)
{
    printf("midge-bench - measures an MQTT broker, and counts what it loses\n\n"
           "Usage: midge-bench [OPTION]... WORKLOAD\n\n"
           "Workloads, whose numbers the options change:\n");
    options_list();
    printf("\nOptions:\n");
    for (size_t i = 0; i < ROWS; i++) {
        char left[40];
        snprintf(left, sizeof left, "%s%s%s--%s %s", *rows[i].letter ? "-" : "  ",
                 *rows[i].letter ? rows[i].letter : "", *rows[i].letter ? ", " : "  ", rows[i].name,
                 rows[i].argument);
        printf("  %-26s%s\n", left, rows[i].help);
    }
    printf("\nExit status: 0 every message came once, in order, as it was sent; 1 some did not;\n"
           "2 a wrong option; 3 the run could not be made.\n");
}
