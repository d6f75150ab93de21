/* conf.c - reads a configuration: files, lines, blocks; what a line's value means is in conf_value.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "conf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* ---- saying what is wrong ------------------------------------------------------------------------------ */

bool conf_fail(struct conf_reader *r, const char *format, ...)
{
    int n = snprintf(r->why, r->why_size, "%s:%u: ", r->file, r->line);
    if (r->key && n >= 0 && (size_t)n < r->why_size)
        n += snprintf(r->why + n, r->why_size - (size_t)n, "%s: ", r->key->name);
    if (n < 0 || (size_t)n >= r->why_size)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(r->why + n, r->why_size - (size_t)n, format, args);
    va_end(args);
    return false;
}

/* About a key that stood somewhere else. */
bool conf_fail_at(struct conf_reader *r, const struct conf_text *t, const char *key, const char *what)
{
    snprintf(r->why, r->why_size, "%s:%u: %s: %s", t->file, t->line, key, what);
    return false;
}

/* ---- a line -------------------------------------------------------------------------------------------- */

static char *skip_blanks(char *p)
{
    return p + strspn(p, " \t");
}

static void cut_end(char *line, size_t n)
{
    while (n && strchr(" \t\r\n", line[n - 1]))
        n--;
    line[n] = '\0';
}

static bool unknown(struct conf_reader *r, const char *name)
{
    const struct conf_key *meant = conf_key_nearest(name);
    if (meant)
        return conf_fail(r, "%.64s: there is no such key; did you mean '%s'?", name, meant->name);
    return conf_fail(r, "%.64s: there is no such key; 'midge --keys' lists all", name);
}

/* Notes that a key of accounts or listeners has been seen: per_listener_settings comes before them. */
static void note_first(struct conf_reader *r)
{
    struct conf *c = r->conf;
    if (!c->auth_by.text && (r->key->scope == CONF_AUTH || r->key->scope == CONF_LISTENER))
        c->auth_by = (struct conf_text){ r->key->name, r->file, r->line };
    bool own = r->key->scope == CONF_LISTENER || (r->key->scope == CONF_AUTH && c->per_listener_settings);
    if (own && r->listener == &c->fallback && !c->fallback.touched) {
        c->fallback.touched = true;
        c->fallback.touched_by = (struct conf_text){ r->key->name, r->file, r->line };
    }
}

/* "persistence false" is obeyed by a build that cannot. */
static bool says_no(const struct conf_key *k, const char *value)
{
    value += strspn(value, " \t");
    return k->type == CONF_FLAG && (strcmp(value, "false") == 0 || strcmp(value, "0") == 0);
}

static bool read_line(struct conf_reader *r, char *line)
{
    char *name = skip_blanks(line);
    if (!*name || *name == '#')
        return true;
    char *value = name + strcspn(name, " \t");
    if (*value)
        *value++ = '\0';
    r->key = conf_key_find(name);
    if (!r->key)
        return unknown(r, name);
    if (r->key->standing == CONF_REFUSED)
        return conf_fail(r, "%s", r->key->help);
    if (!conf_has(r->key->part) && !says_no(r->key, value))
        return conf_fail(r, "this build has no %s; leave the key out", conf_part_name(r->key->part));
    value = skip_blanks(value);
    if (!*value)
        return conf_fail(r, "a value is missing: %s %s", r->key->name, r->key->words);
    if (r->key->scope == CONF_BRIDGE && !conf_bridge_note(r, value))
        return false;
    note_first(r);
    return conf_set(r, value);
}

/* ---- a file -------------------------------------------------------------------------------------------- */

static bool read_lines(struct conf_reader *r, FILE *in)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    bool ok = true;
    while (ok && (n = getline(&line, &size, in)) >= 0) {
        r->line++;
        r->key = NULL;
        bool marked =
            r->line == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0; /* by a Windows editor */
        char *start = line + (marked ? 3 : 0);
        if (memchr(line, '\0', (size_t)n)) {
            ok = conf_fail(r, "a byte of zero: this is not a text file in UTF-8");
        } else {
            cut_end(start, strlen(start));
            ok = read_line(r, start);
        }
    }
    if (ok && ferror(in))
        ok = conf_fail(r, "cannot be read: %s", strerror(errno));
    free(line);
    return ok;
}

/* NULL, and said: it cannot be opened, or is a folder. */
static FILE *open_file(struct conf_reader *r, const char *file)
{
    struct stat st;
    FILE *in = fopen(file, "re");
    if (in && !fstat(fileno(in), &st) && !S_ISDIR(st.st_mode))
        return in;
    const char *what = in ? "is a folder; name a file" : strerror(errno);
    if (r->key)
        conf_fail(r, "%s: %s", file, what);
    else
        snprintf(r->why, r->why_size, "%s: %s", file, what);
    if (in)
        fclose(in);
    return NULL;
}

/* Each file begins outside of every listener's block. */
bool conf_read_file(struct conf_reader *r, const char *file)
{
    FILE *in = open_file(r, file);
    if (!in)
        return false;
    struct conf_reader inner = *r;
    inner.file = conf_copy(r->conf, file);
    inner.line = 0;
    inner.listener = &r->conf->fallback;
    inner.bridge = NULL;
    bool ok = inner.file ? read_lines(&inner, in) : conf_fail(r, "no memory");
    fclose(in);
    return ok;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

/* Numbers that nobody gives are told from those that somebody does. */
void conf_unset_numbers(void *base, enum conf_scope scope)
{
    const struct conf_key *k;
    for (size_t i = 0; (k = conf_key_at(i)); i++) {
        bool number =
            (k->type == CONF_NUMBER || k->type == CONF_SPAN) && k->standing != CONF_REFUSED && k->at;
        if (number && k->scope == scope) {
            int64_t *n = (void *)((char *)base + k->at);
            *n = CONF_UNSET;
        }
    }
}

static void init_auth(struct conf_auth *a)
{
    *a = (struct conf_auth){ .allow_anonymous = CONF_NOT_SAID, .allow_zero_length_clientid = true };
}

static void init_listener(struct conf_listener *l)
{
    conf_unset_numbers(l, CONF_LISTENER);
    init_auth(&l->auth);
}

static struct conf_listener *new_listener(struct conf *c)
{
    struct conf_listener *l = conf_alloc(c, sizeof *l);
    if (!l)
        return NULL;
    init_listener(l);
    struct conf_listener **at = &c->listeners;
    while (*at)
        at = &(*at)->next;
    return *at = l;
}

static struct conf *new_conf(void)
{
    struct conf *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    conf_unset_numbers(c, CONF_GLOBAL);
    init_listener(&c->fallback);
    init_auth(&c->auth);
    c->memory_limit = CONF_UNSET;
    c->admin_port = CONF_UNSET;
    c->retain_available = true;
    c->set_tcp_nodelay = true;
    c->connection_messages = true;
    c->log_timestamp = true;
    return c;
}

/* The default listener joins the others, or must not have been spoken of. */
static bool settle_fallback(struct conf_reader *r)
{
    struct conf *c = r->conf;
    bool wanted = c->port != CONF_UNSET || c->bind_address.text || !c->listeners;
    if (!wanted && c->fallback.touched)
        return conf_fail_at(
            r, &c->fallback.touched_by, c->fallback.touched_by.text,
            "stands before the first 'listener' line and so belongs to no listener; put it below one");
    c->loopback_only = !c->listeners && c->port == CONF_UNSET && !c->bind_address.text;
    if (!wanted)
        return true;
    struct conf_listener *l = &c->fallback;
    l->port = c->port == CONF_UNSET ? 1883 : (uint16_t)c->port;
    l->host = c->bind_address.text;
    l->loopback = c->loopback_only;
    l->next = c->listeners;
    c->listeners = l;
    return true;
}

bool conf_same_place(const struct conf_listener *a, const struct conf_listener *b)
{
    if (a->unix_path || b->unix_path)
        return a->unix_path && b->unix_path && strcmp(a->unix_path, b->unix_path) == 0;
    if (a->port != b->port || a->loopback != b->loopback ||
        (a->socket_domain | b->socket_domain) == (CONF_IPV4 | CONF_IPV6))
        return false;
    return strcmp(a->host ? a->host : "*", b->host ? b->host : "*") == 0 &&
           strcmp(a->bind_interface.text ? a->bind_interface.text : "",
                  b->bind_interface.text ? b->bind_interface.text : "") == 0;
}

static bool check_places(struct conf_reader *r)
{
    for (const struct conf_listener *a = r->conf->listeners; a; a = a->next)
        for (const struct conf_listener *b = a->next; b; b = b->next)
            if ((a->port || a->unix_path) && conf_same_place(a, b)) {
                const struct conf_text at = { NULL, b->file, b->line };
                return conf_fail_at(r, &at, "listener",
                                    "the same address has a listener already; leave one of them out");
            }
    return true;
}

static bool check_listener(struct conf_reader *r, const struct conf_listener *l)
{
    const char *pair = "certfile and keyfile go together: give both, or neither";
    if (l->certfile.text && !l->keyfile.text)
        return conf_fail_at(r, &l->certfile, "certfile", pair);
    if (l->keyfile.text && !l->certfile.text)
        return conf_fail_at(r, &l->keyfile, "keyfile", pair);
    if (l->cafile.text && !l->certfile.text)
        return conf_fail_at(r, &l->cafile, "cafile", "needs certfile and keyfile for this listener");
    if (l->crlfile.text && !l->cafile.text && !l->capath.text)
        return conf_fail_at(r, &l->crlfile, "crlfile", "needs cafile or capath for this listener");
    const struct conf_text at = { NULL, l->file ? l->file : r->file, l->line };
    bool has_ca = l->cafile.text || l->capath.text;
    if (l->require_certificate && !has_ca)
        return conf_fail_at(r, &at, "require_certificate",
                            "needs cafile or capath, to know whose certificates are good");
    if ((l->use_identity_as_username || l->use_subject_as_username) && !has_ca && !l->psk_hint.text)
        return conf_fail_at(
            r, &at, l->use_identity_as_username ? "use_identity_as_username" : "use_subject_as_username",
            "needs cafile or capath and the clients' certificates, or psk_hint");
    if (l->psk_hint.text && !conf_auth_of(r->conf, l)->psk_file.text)
        return conf_fail_at(r, &l->psk_hint, "psk_hint", "needs psk_file");
    return true;
}

/* What can only be said when all is read. */
static bool check(struct conf_reader *r)
{
    if (!settle_fallback(r) || !check_places(r))
        return false;
    for (const struct conf_listener *l = r->conf->listeners; l; l = l->next)
        if (!check_listener(r, l))
            return false;
    return conf_bridges_check(r);
}

struct conf *conf_read(const char *file, char *why, size_t why_size)
{
    struct conf *c = new_conf();
    struct conf_reader r = { .conf = c,
                             .listener = c ? &c->fallback : NULL,
                             .file = file ? file : "",
                             .why = why,
                             .why_size = why_size };
    snprintf(why, why_size, "no memory");
    if (!c)
        return NULL;
    if ((!file || ((c->file = conf_copy(c, file)) && conf_read_file(&r, file))) && check(&r))
        return c;
    conf_free(c);
    return NULL;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

const struct conf_auth *conf_auth_of(const struct conf *c, const struct conf_listener *l)
{
    return c->per_listener_settings ? &l->auth : &c->auth;
}

/* As Mosquitto 2: yes where the file says so; unless it says anything, only on loopback without a listener, and
 * not to those who have made accounts. */
bool conf_anonymous(const struct conf *c, const struct conf_listener *l)
{
    uint8_t own = l->auth.allow_anonymous; /* listener_allow_anonymous */
    uint8_t said = own != CONF_NOT_SAID ? own : conf_auth_of(c, l)->allow_anonymous;
    bool open = c->loopback_only && !conf_auth_of(c, l)->password_file.text;
    return said == CONF_NOT_SAID ? open : said == CONF_YES;
}

static bool has_port(const struct conf *c, uint16_t port)
{
    for (const struct conf_listener *l = c->listeners; l; l = l->next)
        if (l->port == port && !l->unix_path)
            return true;
    return false;
}

bool conf_add_listener(struct conf *c, const char *host, uint16_t port)
{
    if (!host && has_port(c, port))
        return true;
    struct conf_listener *l = new_listener(c);
    if (!l)
        return false;
    l->loopback = !host;
    l->host = host && strcmp(host, "*") != 0 ? host : NULL;
    l->port = port;
    return true;
}

void conf_drop_fallback(struct conf *c)
{
    if (c->loopback_only && c->listeners == &c->fallback)
        c->listeners = c->fallback.next;
    c->loopback_only &=
        !c->file; /* -a alone lets everybody in, and says so; -a with a file goes by the file */
}

/* ---- what SIGHUP leaves as it is ------------------------------------------------------------------------- */

static bool same_text(const struct conf_text *a, const struct conf_text *b)
{
    return a->text && b->text ? strcmp(a->text, b->text) == 0 : a->text == b->text;
}

/* `a`, `b`: of struct conf, or of struct conf_listener. */
static bool same_value(const struct conf_key *k, const void *a, const void *b)
{
    a = (const char *)a + k->at;
    b = (const char *)b + k->at;
    switch (k->type) {
    case CONF_FLAG:
    case CONF_WORD:
        return memcmp(a, b, 1) == 0;
    case CONF_NUMBER:
    case CONF_SPAN:
        return memcmp(a, b, sizeof(int64_t)) == 0;
    default:
        return same_text(a, b);
    }
}

static void compare(enum conf_scope scope, const void *old, const void *now,
                    void (*say)(void *user, const char *key), void *user)
{
    for (size_t i = 0; i < conf_key_count; i++) {
        const struct conf_key *k = &conf_keys[i];
        bool looked_at =
            k->scope == scope && !k->reload && k->standing == CONF_SERVED && k->type != CONF_SPECIAL;
        if (looked_at && !same_value(k, old, now))
            say(user, k->name);
    }
}

void conf_say_unchanged(const struct conf *old, const struct conf *now,
                        void (*say)(void *user, const char *key), void *user)
{
    compare(CONF_GLOBAL, old, now, say, user);
    for (const struct conf_listener *a = old->listeners; a; a = a->next)
        for (const struct conf_listener *b = now->listeners; b; b = b->next) {
            if (!conf_same_place(a, b))
                continue;
            compare(CONF_LISTENER, a, b, say, user);
            if (!a->certfile.text !=
                !b->certfile.text) /* new certificates are taken, but not the first one */
                say(user, "certfile");
        }
}

/* ---- include_dir, listener ------------------------------------------------------------------------------ */

static int is_conf(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".conf") == 0;
}

/* 00.conf, A.conf, a.conf, B.conf */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    int rough = strcasecmp((*a)->d_name, (*b)->d_name);
    return rough ? rough : strcmp((*a)->d_name, (*b)->d_name);
}

static bool read_named(struct conf_reader *r, const char *folder, const char *name)
{
    char path[4096];
    size_t n = strlen(folder);
    const char *slash = n && folder[n - 1] == '/' ? "" : "/";
    if ((size_t)snprintf(path, sizeof path, "%s%s%s", folder, slash, name) >= sizeof path)
        return conf_fail(r, "the path is too long");
    return conf_read_file(r, path);
}

bool conf_set_include_dir(struct conf_reader *r, char *value)
{
    struct dirent **names;
    if (r->included)
        return conf_fail(r, "works in the main file only; move the line there");
    int count = scandir(value, &names, is_conf, by_name);
    if (count < 0)
        return conf_fail(r, "%s: %s", value, strerror(errno));
    bool ok = true;
    r->included = true;
    for (int i = 0; i < count; i++) {
        ok = ok && read_named(r, value, names[i]->d_name);
        free(names[i]);
    }
    r->included = false;
    free(names);
    return ok;
}

bool conf_set_listener(struct conf_reader *r, char *value)
{
    char *at = value, *word = conf_word(&at);
    int64_t port;
    if (!word || !conf_number(r, word, 0, UINT16_MAX, &port))
        return word ? false : conf_fail(r, "a port is missing: listener PORT [ADDRESS]");
    char *place = conf_word(&at);
    if (!conf_end(r, &at))
        return false;
    if (port == 0 && !place)
        return conf_fail(r,
                         "port 0 needs the path of a Unix socket, or an address where any free port will do");
    if (port && *(place ? place : "") == '/')
        return conf_fail(r, "a Unix socket has port 0: listener 0 %s", place);
    struct conf_listener *l = new_listener(r->conf);
    char *copy = place ? conf_copy(r->conf, place) : NULL;
    if (!l || (place && !copy))
        return conf_fail(r, "no memory");
    l->file = r->file;
    l->line = r->line;
    l->port = (uint16_t)port;
    *(place && *place == '/' ? &l->unix_path : &l->host) = copy;
    r->listener = l;
    return true;
}
