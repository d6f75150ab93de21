/* control.c - what the control socket answers: a command a line, words divided by tabs, bytes of others as %XX.
 *
 * An answer is lines, then one with a dot alone; "error: ..." is the only line of a command that failed. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "inside.h"

#include "desk.h"
#include "words.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define WORDS 64u

struct command {
    const struct inside *in;
    char *words[WORDS];
    size_t count;
    FILE *out;
};

/* ---- clients ------------------------------------------------------------------------------------------- */

static void put_farewell(const struct inside *in, struct midge_slice client_id, FILE *out)
{
    const struct farewell *f = inside_farewell(in, client_id);
    time_t at = f ? (time_t)f->at : 0;
    struct tm utc;
    char when[32] = "";
    if (f)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ ", gmtime_r(&at, &utc));
    const char *why = !f                                                   ? "-"
                      : f->reason == MIDGE_RC_UNSPECIFIED && !f->by_client ? "connection lost"
                      : f->reason == MIDGE_RC_SUCCESS                      ? "disconnected"
                                                                           : midge_reason_text(f->reason);
    fprintf(out, "%s%s", when, why);
}

static void put_client(void *user, const struct midge_client_info *c)
{
    const struct command *cmd = user;
    char peer[MIDGE_PEER_TEXT] = "-";
    if (c->connected)
        midge_peer_text(c->who.peer, peer, sizeof peer);
    words_put(cmd->out, c->who.client_id);
    fputc('\t', cmd->out);
    if (c->who.username.data)
        words_put(cmd->out, c->who.username);
    else
        fputc('-', cmd->out);
    fprintf(cmd->out, "\t%s\t%s\t%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%u\t",
            c->connected ? "connected" : "away", peer,
            c->who.version == 5   ? "5.0"
            : c->who.version == 4 ? "3.1.1"
            : c->who.version == 3 ? "3.1"
                                  : "-",
            c->subscriptions, c->queued, c->queued_bytes, c->inflight);
    put_farewell(cmd->in, c->who.client_id, cmd->out);
    fputc('\n', cmd->out);
}

static void do_clients(struct command *cmd)
{
    fputs("CLIENT\tUSER\tSTATE\tADDRESS\tVERSION\tSUBSCRIPTIONS\tQUEUED\tBYTES\tINFLIGHT\tLAST LEFT\n",
          cmd->out);
    midge_each_client(midge_loop_broker(cmd->in->loop), put_client, cmd);
}

static void do_kick(struct command *cmd)
{
    bool end_session = cmd->count > 2 && strcmp(cmd->words[2], "session") == 0;
    struct midge_slice id = words_get(cmd->words[1]);
    enum midge_err err = midge_kick(midge_loop_broker(cmd->in->loop), id, MIDGE_RC_ADMINISTRATIVE_ACTION,
                                    end_session, midge_loop_now(cmd->in->loop));
    if (err)
        fputs(err == MIDGE_ERR_NOT_FOUND ? "error: there is no such client\n"
                                         : "error: it is one of the broker's own\n",
              cmd->out);
}

/* ---- limits, numbers ----------------------------------------------------------------------------------- */

static void do_limits(struct command *cmd)
{
    const struct midge_limits *l = cmd->in->limits;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        { "memory_bytes", l->memory_bytes },
        { "connections", l->connections },
        { "connections_per_address", l->connections_per_address },
        { "keepalive_s", l->keepalive_s },
        { "packet_bytes", l->packet_bytes },
        { "payload_bytes", l->payload_bytes },
        { "sessions", l->sessions },
        { "session_expiry_s", l->session_expiry_s },
        { "subscriptions", l->subscriptions },
        { "queue_msgs", l->queue_msgs },
        { "queue_bytes", l->queue_bytes },
        { "queue_policy", l->queue_policy },
        { "inflight", l->inflight },
        { "inflight_bytes", l->inflight_bytes },
        { "retained_msgs", l->retained_msgs },
        { "retained_bytes", l->retained_bytes },
        { "max_qos", l->max_qos },
        { "retain", l->retain },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        fprintf(cmd->out, "%s\t%" PRIu64 "\n", rows[i].name, rows[i].value);
}

static void do_numbers(struct command *cmd)
{
    struct number all[NUMBERS_MAX];
    size_t count = inside_numbers(cmd->in, all);
    for (size_t i = 0; i < count; i++)
        fprintf(cmd->out, "%s%s%s\t%" PRIu64 "\n", all[i].name, all[i].label ? " " : "",
                all[i].label ? all[i].value_of_label : "", all[i].value);
}

/* ---- retained messages ---------------------------------------------------------------------------------- */

static void put_named(FILE *out, const char *name, struct midge_slice value)
{
    fprintf(out, "\t%s=", name);
    words_put(out, value);
}

static void put_property(FILE *out, const struct midge_property *p)
{
    switch (p->id) {
    case 0x01:
        fprintf(out, "\tformat=%" PRIu32, p->number);
        return;
    case 0x03:
        put_named(out, "type", p->value);
        return;
    case 0x08:
        put_named(out, "response", p->value);
        return;
    case 0x09:
        put_named(out, "correlation", p->value);
        return;
    case 0x26:
        put_named(out, "user", p->name);
        fputc('=', out);
        words_put(out, p->value);
        return;
    default:
        return;
    }
}

static void put_retained(void *user, const struct midge_message *m)
{
    const struct command *cmd = user;
    struct midge_property p;
    uint32_t at = 0;
    fputs("retain\t", cmd->out);
    words_put(cmd->out, m->topic);
    fprintf(cmd->out, "\t%u\t", m->qos);
    words_put(cmd->out, m->payload);
    if (m->has_expiry)
        fprintf(cmd->out, "\texpiry=%" PRIu32, m->expiry_s);
    while (midge_message_property(m, &at, &p))
        put_property(cmd->out, &p);
    fputc('\n', cmd->out);
}

static void do_dump(struct command *cmd)
{
    midge_each_retained(midge_loop_broker(cmd->in->loop), put_retained, cmd);
}

static bool take_number(const char *text, uint32_t *out)
{
    uint64_t n = 0;
    for (const char *p = text; *p >= '0' && *p <= '9' && n <= UINT32_MAX; p++)
        n = 10 * n + (uint64_t)(*p - '0');
    *out = (uint32_t)n;
    return *text && !text[strspn(text, "0123456789")] && n <= UINT32_MAX;
}

/* "name=value" into the publication. False: there is no such property. */
static bool take_property(char *word, struct midge_publication *p, struct midge_user_property *users)
{
    char *value = strchr(word, '=');
    if (!value)
        return false;
    *value++ = '\0';
    uint32_t number;
    char *second = strchr(value, '=');
    if (strcmp(word, "expiry") == 0)
        return p->has_expiry = take_number(value, &p->expiry_s);
    if (strcmp(word, "format") == 0) {
        p->has_payload_format = take_number(value, &number) && number <= 1;
        p->payload_format = (uint8_t)number;
        return p->has_payload_format;
    }
    if (strcmp(word, "user") == 0 && second) {
        *second++ = '\0';
        users[p->user_property_count++] =
            (struct midge_user_property){ .name = words_get(value), .value = words_get(second) };
        p->user_properties = users;
        return true;
    }
    struct midge_slice *to = strcmp(word, "type") == 0          ? &p->content_type
                             : strcmp(word, "response") == 0    ? &p->response_topic
                             : strcmp(word, "correlation") == 0 ? &p->correlation_data
                                                                : NULL;
    if (to)
        *to = words_get(value);
    return to;
}

static void do_retain(struct command *cmd)
{
    struct midge_user_property users[WORDS];
    uint32_t qos;
    bool ok = take_number(cmd->words[2], &qos) && qos <= 2;
    struct midge_publication p = { .topic = words_get(cmd->words[1]),
                                   .qos = (uint8_t)qos,
                                   .retain = true,
                                   .payload = words_get(cmd->words[3]) };
    for (size_t i = 4; i < cmd->count && ok; i++)
        ok = take_property(cmd->words[i], &p, users);
    enum midge_err err =
        ok ? midge_publish(midge_loop_broker(cmd->in->loop), NULL, &p, midge_loop_now(cmd->in->loop))
           : MIDGE_ERR_INVALID;
    if (err)
        fputs(err == MIDGE_ERR_INVALID ? "error: that is no message\n" : "error: there is no room for it\n",
              cmd->out);
}

/* ---- commands ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t least, most; /* words, the name included */
    void (*run)(struct command *cmd);
} rows[] = {
    { "clients", 1, 1, do_clients }, { "kick", 2, 3, do_kick }, { "limits", 1, 1, do_limits },
    { "numbers", 1, 1, do_numbers }, { "dump", 1, 1, do_dump }, { "retain", 4, WORDS, do_retain },
};

static void run(struct command *cmd)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(cmd->words[0], rows[i].name) == 0 && cmd->count >= rows[i].least &&
            cmd->count <= rows[i].most) {
            rows[i].run(cmd);
            return;
        }
    fputs("error: there is no such command, or it has more or fewer words\n", cmd->out);
}

bool control_answer(void *in, struct desk_talk *talk, char *line, FILE *out)
{
    (void)talk;
    struct command cmd = { .in = in, .out = out };
    char *at = line;
    do {
        cmd.words[cmd.count++] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    } while (at && cmd.count < WORDS);
    run(&cmd);
    fputs(".\n", out);
    return true;
}
