/* doors.c - opens, changes and closes listeners as the configuration says: all of it, or nothing. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "doors.h"

#include "plug/acl_file.h"
#if MIDGE_HAS_OPENSSL
#include "plug/login_worker.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- rules --------------------------------------------------------------------------------------------- */

static void free_rules(struct rules *r)
{
#if MIDGE_HAS_OPENSSL
    midge_login_file_drop(r->logins);
#endif
    midge_acl_file_drop(r->acl);
    free(r->prefix);
    *r = (struct rules){ .logins = NULL };
}

/* "FILE:LINE: KEY: " in front of what the reader of the file said. */
static bool blame(const struct conf_text *t, const char *key, char *why, size_t why_size)
{
    char *what = strdup(why);
    snprintf(why, why_size, "%s:%u: %s: %s", t->file, t->line, key, what ? what : "");
    free(what);
    return false;
}

static bool read_files(const struct conf_auth *a, struct rules *r, char *why, size_t why_size)
{
#if MIDGE_HAS_OPENSSL
    if (a->password_file.text && !(r->logins = midge_login_file_read(a->password_file.text, why, why_size)))
        return blame(&a->password_file, "password_file", why, why_size);
#endif
    if (a->acl_file.text && !(r->acl = midge_acl_file_read(a->acl_file.text, why, why_size)))
        return blame(&a->acl_file, "acl_file", why, why_size);
    return true;
}

static uint16_t or_else(int64_t given, uint16_t otherwise)
{
    return given == CONF_UNSET ? otherwise : (uint16_t)given;
}

static void set_own_limits(const struct conf_listener *l, struct midge_limits *limits)
{
    limits->max_qos = (uint8_t)or_else(l->max_qos, limits->max_qos);
    limits->alias_in = or_else(l->max_topic_alias, limits->alias_in);
    limits->alias_out = or_else(l->max_topic_alias_broker, limits->alias_out);
}

static bool make_rules(const struct conf *c, const struct conf_listener *l, const struct midge_limits *limits,
                       struct rules *r, char *why, size_t why_size)
{
    const struct conf_auth *a = conf_auth_of(c, l);
    const char *prefix = l->auth.auto_id_prefix.text ? l->auth.auto_id_prefix.text : a->auto_id_prefix.text;
    *r = (struct rules){ .anonymous = conf_anonymous(c, l),
                         .zero_length_id = a->allow_zero_length_clientid,
                         .username_is_id = l->use_username_as_clientid,
                         .identity_is_username = l->use_identity_as_username || l->use_subject_as_username,
                         .versions = l->versions,
                         .prefix = prefix ? strdup(prefix) : NULL,
                         .limits = *limits };
    set_own_limits(l, &r->limits);
    if (read_files(a, r, why, why_size))
        return true;
    free_rules(r);
    return false;
}

/* ---- a change -------------------------------------------------------------------------------------------- */

/* A change that is on its way: rules for each listener of `c`, in order, and those of who came through a door that is
 * closed. */
struct change {
    struct doors *d;
    const struct conf *c;
    const struct midge_limits *limits;
    struct rules *rules;
    size_t count;
    char *why;
    size_t why_size;
};

/* ---- opening ------------------------------------------------------------------------------------------- */

static uint8_t transport_of(const struct conf_listener *l, const struct midge_tls_options *tls)
{
    bool secured = tls->certificate_file || tls->psk_file;
    if (l->protocol == CONF_ANY)
        return MIDGE_TRANSPORT_ANY;
    if (l->protocol == CONF_WEBSOCKETS)
        return secured ? MIDGE_TRANSPORT_WSS : MIDGE_TRANSPORT_WS;
    return secured ? MIDGE_TRANSPORT_TLS : MIDGE_TRANSPORT_TCP;
}

/* Pre-shared keys are good where the listener has a hint for them, as with Mosquitto. */
static void describe_tls(const struct conf *c, const struct conf_listener *l, struct midge_tls_options *out)
{
    *out =
        (struct midge_tls_options){ .certificate_file = l->certfile.text,
                                    .key_file = l->keyfile.text,
                                    .ca_file = l->cafile.text,
                                    .ca_path = l->capath.text,
                                    .crl_file = l->crlfile.text,
                                    .require_certificate = l->require_certificate,
                                    .version_min =
                                        l->tls_version == CONF_TLS_1_3 ? MIDGE_TLS_1_3 : MIDGE_TLS_1_2,
                                    .ciphers = l->ciphers.text,
                                    .ciphers_1_3 = l->ciphers_13.text,
                                    .psk_file = l->psk_hint.text ? conf_auth_of(c, l)->psk_file.text : NULL,
                                    .psk_hint = l->psk_hint.text };
}

static void describe(const struct conf *c, const struct conf_listener *l, struct door *door,
                     struct midge_listen *out)
{
    static const int families[] = { [CONF_BOTH] = 0, [CONF_IPV4] = AF_INET, [CONF_IPV6] = AF_INET6 };
    *out = (struct midge_listen){ .identity = l->use_subject_as_username    ? MIDGE_IDENTITY_SUBJECT
                                              : l->use_identity_as_username ? MIDGE_IDENTITY_CN
                                                                            : MIDGE_IDENTITY_NONE,
                                  .port = l->port,
                                  .host = l->host,
                                  .unix_path = l->unix_path,
                                  .interface = l->bind_interface.text,
                                  .family = families[l->socket_domain],
                                  .connections = l->max_connections > 0 ? (uint32_t)l->max_connections : 0,
                                  .proxy = l->proxy != CONF_UNSET,
                                  .ws_origins = l->origins.items,
                                  .ws_origin_count = l->origins.count,
                                  .user = door };
    describe_tls(c, l, &out->tls);
    out->transport = transport_of(l, &out->tls);
}

static struct door *new_door(struct doors *d, const struct conf_listener *l)
{
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return NULL;
    door->conf = l;
    struct door **at = &d->all;
    while (*at)
        at = &(*at)->next;
    return *at = door;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len))
        return 0;
    return a.ss_family == AF_INET    ? ntohs(((const struct sockaddr_in *)(const void *)&a)->sin_port)
           : a.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)(const void *)&a)->sin6_port)
                                     : 0;
}

/* A socket that was handed over for this port; -1: none is left. */
static int handed_over(struct doors *d, uint16_t port)
{
    for (int i = 0; port && i < d->socket_count; i++)
        if (port_of(d->sockets + i) == port) {
            int fd = fcntl(d->sockets + i, F_DUPFD_CLOEXEC, 0);
            close(d->sockets + i); /* its port is not asked for again */
            return fd;
        }
    return -1;
}

/* Puts where it stands in front of what the loop said about a listener: the key whose file is named, or `listener`. */
static bool blame_listener(struct change *ch, const struct conf_listener *l)
{
    const struct conf_text *psk_file = &conf_auth_of(ch->c, l)->psk_file, at = { NULL, l->file, l->line };
    const struct {
        const char *key;
        const struct conf_text *value;
    } rows[] = { { "certfile", &l->certfile }, { "keyfile", &l->keyfile },
                 { "cafile", &l->cafile },     { "capath", &l->capath },
                 { "crlfile", &l->crlfile },   { "ciphers", &l->ciphers },
                 { "psk_file", psk_file },     { "ciphers_tls1.3", &l->ciphers_13 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value->text && strstr(ch->why, rows[i].value->text))
            return blame(rows[i].value, rows[i].key, ch->why, ch->why_size);
    return l->file ? blame(&at, "listener", ch->why, ch->why_size) : false;
}

/* `host` NULL: as the listener says. `fd` < 0: no socket was handed over. */
static bool open_one(struct change *ch, const struct conf_listener *l, const char *host, uint16_t port,
                     int fd)
{
    struct midge_listen what;
    struct door *door = new_door(ch->d, l);
    snprintf(ch->why, ch->why_size, "no memory");
    if (!door)
        return false;
    describe(ch->c, l, door, &what);
    what.host = host ? host : what.host;
    what.port = port;
    what.socket_fd = fd > 0 ? fd : 0;
    return !midge_loop_open(ch->d->loop, &what, &door->listener, ch->why, ch->why_size) ||
           blame_listener(ch, l);
}

static bool no_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in6 loopback = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    bool missing = fd < 0 || bind(fd, (const struct sockaddr *)&loopback, sizeof loopback);
    if (fd >= 0)
        close(fd);
    return missing;
}

/* A machine without IPv6 has the first only. */
static bool open_loopback(struct change *ch, const struct conf_listener *l)
{
    unsigned before = 0;
    while (midge_loop_address(ch->d->loop, before, NULL, 0))
        before++;
    if (!open_one(ch, l, "127.0.0.1", l->port, -1))
        return false;
    uint16_t port = midge_loop_address(ch->d->loop, before, NULL, 0);
    return open_one(ch, l, "::1", port, -1) || no_ipv6();
}

static bool open_listener(struct change *ch, const struct conf_listener *l)
{
    int fd = handed_over(ch->d, l->port);
    if (fd < 0 && l->loopback)
        return open_loopback(ch, l);
    if (fd < 0)
        return open_one(ch, l, NULL, l->port, -1);
    for (; fd >= 0; fd = handed_over(ch->d, l->port))
        if (!open_one(ch, l, NULL, l->port, fd))
            return false;
    return true;
}

/* ---- changing ------------------------------------------------------------------------------------------ */

static struct midge_login_file *hold_logins(struct midge_login_file *f)
{
#if MIDGE_HAS_OPENSSL
    return midge_login_file_hold(f);
#else
    return f;
#endif
}

/* In place of the door's old ones, for whoever is inside too. */
static void give_rules(struct door *door, const struct rules *r)
{
    free_rules(&door->rules);
    door->rules = *r;
    door->rules.prefix = r->prefix ? strdup(r->prefix) : NULL;
    hold_logins(r->logins);
    midge_acl_file_hold(r->acl);
}

static const struct conf_listener *find_place(const struct conf *c, const struct conf_listener *old)
{
    const struct conf_listener *l = c->listeners;
    while (l && !conf_same_place(l, old))
        l = l->next;
    return l;
}

static bool is_open(const struct doors *d, const struct conf_listener *l)
{
    for (const struct door *door = d->all; door; door = door->next)
        if (door->listener && (door->conf == l || conf_same_place(door->conf, l)))
            return true;
    return false;
}

static bool prepare(struct change *ch)
{
    size_t listeners = 0;
    for (const struct conf_listener *l = ch->c->listeners; l; l = l->next)
        listeners++;
    ch->rules = calloc(listeners + 1, sizeof *ch->rules);
    if (!ch->rules)
        return false;
    for (const struct conf_listener *l = ch->c->listeners; l; l = l->next, ch->count++)
        if (!make_rules(ch->c, l, ch->limits, &ch->rules[ch->count], ch->why, ch->why_size))
            return false;
    return true;
}

static bool open_new(struct change *ch)
{
    for (const struct conf_listener *l = ch->c->listeners; l; l = l->next)
        if (!is_open(ch->d, l) && !open_listener(ch, l))
            return false;
    return true;
}

static bool renew(struct change *ch, const struct conf *c)
{
    for (struct door *door = ch->d->all; door; door = door->next) {
        const struct conf_listener *l = door->listener ? find_place(c, door->conf) : NULL;
        struct midge_listen what;
        if (!l || door->conf == l)
            continue;
        describe(c, l, door, &what);
        if (midge_listener_renew(door->listener, &what, ch->why, ch->why_size))
            return blame_listener(ch, l);
    }
    return true;
}

static void close_door(struct door *door)
{
    if (door->listener)
        midge_listener_close(door->listener);
    door->listener = NULL;
    door->conf = NULL;
}

/* What was opened for `c` is closed again. */
static void undo(struct change *ch)
{
    char why[256];
    for (struct door *door = ch->d->all; door; door = door->next)
        for (const struct conf_listener *l = ch->c->listeners; l; l = l->next)
            if (door->conf == l)
                close_door(door);
    struct change back = { .d = ch->d, .why = why, .why_size = sizeof why };
    if (ch->d->conf)
        renew(&back, ch->d->conf);
}

static const struct rules *rules_of(const struct change *ch, const struct conf_listener *wanted)
{
    const struct rules *r = ch->rules;
    for (const struct conf_listener *l = ch->c->listeners; l && l != wanted; l = l->next)
        r++;
    return r;
}

/* The door's rules from now on; NULL: they stay, as nobody comes through it and its listener has none any more. */
static const struct rules *next_rules(const struct change *ch, const struct door *door)
{
    const struct conf_listener *l = door->listener ? find_place(ch->c, door->conf) : NULL;
    if (l)
        return rules_of(ch, l);
    return ch->c->per_listener_settings || !ch->count ? NULL : ch->rules;
}

/* ---- who is inside and would not be let in any more ------------------------------------------------------ */

#if MIDGE_HAS_OPENSSL
static bool same_account(const struct rules *old, const struct rules *now, struct midge_slice username)
{
    const char *a = midge_login_file_find(old->logins, username),
               *b = midge_login_file_find(now->logins, username);
    return a && b && strcmp(a, b) == 0;
}
#endif

static bool still_welcome(const struct rules *old, const struct rules *now, const struct midge_who *who)
{
    if (now->identity_is_username)
        return old->identity_is_username;
#if MIDGE_HAS_OPENSSL
    if (who->username.data && now->logins)
        return old->logins && same_account(old, now, who->username);
#else
    (void)who;
#endif
    return now->anonymous;
}

/* Client ids, each behind its length. */
struct leavers {
    const struct change *ch;
    uint8_t *bytes;
    size_t len, size;
};

static void note_leaver(void *user, const struct midge_client_info *client)
{
    struct leavers *out = user;
    const struct door *door = midge_peer_listener_user(client->who.peer);
    const struct rules *now = door ? next_rules(out->ch, door) : NULL;
    const struct midge_slice id = client->who.client_id;
    size_t wanted = out->len + sizeof id.len + id.len;
    if (!now || still_welcome(&door->rules, now, &client->who))
        return;
    if (wanted > out->size) {
        uint8_t *more = realloc(out->bytes, 2 * wanted);
        if (!more)
            return; /* rights hold for it all the same, and it does not come in again */
        out->bytes = more;
        out->size = 2 * wanted;
    }
    memcpy(out->bytes + out->len, &id.len, sizeof id.len);
    memcpy(out->bytes + out->len + sizeof id.len, id.data, id.len);
    out->len = wanted;
}

static void send_away(struct doors *d, const struct leavers *l)
{
    for (size_t at = 0; at < l->len;) {
        struct midge_slice id = { .data = l->bytes + at + sizeof id.len };
        memcpy(&id.len, l->bytes + at, sizeof id.len);
        at += sizeof id.len + id.len;
        enum midge_err err = midge_kick(midge_loop_broker(d->loop), id, MIDGE_RC_NOT_AUTHORIZED, false,
                                        midge_loop_now(d->loop));
        (void)err; /* it has left by itself */
    }
}

static void commit(struct change *ch)
{
    struct leavers leavers = { .ch = ch };
    midge_each_client(midge_loop_broker(ch->d->loop), note_leaver, &leavers);
    for (struct door *door = ch->d->all; door; door = door->next) {
        const struct conf_listener *l = door->listener ? find_place(ch->c, door->conf) : NULL;
        const struct rules *rules = next_rules(ch, door);
        if (rules)
            give_rules(door, rules);
        if (l)
            door->conf = l;
        else
            close_door(door);
    }
    ch->d->conf = ch->c;
    send_away(ch->d, &leavers);
    free(leavers.bytes);
}

bool doors_set(struct doors *d, const struct conf *c, const struct midge_limits *limits, char *why,
               size_t why_size)
{
    struct change ch = { .d = d, .c = c, .limits = limits, .why = why, .why_size = why_size };
    snprintf(why, why_size, "no memory");
    bool ok = prepare(&ch);
    bool done = ok && open_new(&ch) && renew(&ch, c);
    if (done)
        commit(&ch);
    else if (ok)
        undo(&ch);
    for (size_t i = 0; i < ch.count; i++)
        free_rules(&ch.rules[i]);
    free(ch.rules);
    return done;
}

bool doors_check(struct midge_loop *loop, const struct conf *c, char *why, size_t why_size)
{
    struct change ch = { .c = c, .why = why, .why_size = why_size };
    for (const struct conf_listener *l = c->listeners; l; l = l->next) {
        struct midge_listen what;
        struct rules r;
        if (!make_rules(c, l, &midge_limits_gateway, &r, why, why_size))
            return false;
        free_rules(&r);
        describe(c, l, NULL, &what);
        if (midge_loop_check(loop, &what, why, why_size))
            return blame_listener(&ch, l);
    }
    return true;
}

bool doors_restrict(const struct doors *d)
{
    const struct door *door = d->all;
    while (door && !door->rules.acl)
        door = door->next;
    return door;
}

bool doors_differ(const struct doors *d, const struct midge_limits *limits)
{
    for (const struct door *door = d->all; door; door = door->next) {
        const struct midge_limits *l = &door->rules.limits;
        if (l->max_qos != limits->max_qos || l->alias_in != limits->alias_in ||
            l->alias_out != limits->alias_out)
            return true;
    }
    return false;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

void doors_end(struct doors *d)
{
    (void)d;
#if MIDGE_HAS_OPENSSL
    midge_login_worker_free(d->worker);
    d->worker = NULL;
#endif
}

void doors_free(struct doors *d)
{
    while (d->all) {
        struct door *door = d->all;
        d->all = door->next;
        free_rules(&door->rules);
        free(door);
    }
}
