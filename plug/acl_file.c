/* acl_file.c - Mosquitto's ACL file: read line by line into rules, asked topic by topic. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "acl_file.h"

#include "lines.h"
#include "topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ 1u
#define WRITE 2u
#define DENY 4u

struct rule {
    struct rule *next;
    uint8_t access; /* READ, WRITE, both; or DENY */
    uint16_t fills; /* how many %c and %u it has, of a pattern */
    uint32_t len;
    uint8_t filter[];
};

struct user {
    struct user *next;
    struct rule *rules;
    uint32_t len;
    uint8_t name[];
};

#define BUCKETS 1024u

struct midge_acl_file {
    unsigned holders;
    struct user *users[BUCKETS];
    struct user *anonymous;
    struct rule *patterns;
};

/* ---- users --------------------------------------------------------------------------------------------- */

static uint32_t bucket_of(struct midge_slice name)
{
    uint32_t h = 2166136261u; /* FNV-1a: names come from a file that we trust */
    for (uint32_t i = 0; i < name.len; i++)
        h = (h ^ name.data[i]) * 16777619u;
    return h % BUCKETS;
}

static struct user *find(const struct midge_acl_file *acl, struct midge_slice name)
{
    if (!name.data)
        return acl->anonymous;
    struct user *u = acl->users[bucket_of(name)];
    while (u && (u->len != name.len || memcmp(u->name, name.data, name.len) != 0))
        u = u->next;
    return u;
}

static struct user *find_or_add(struct midge_acl_file *acl, struct midge_slice name)
{
    struct user *u = find(acl, name);
    if (u)
        return u;
    u = calloc(1, sizeof *u + name.len);
    if (!u)
        return NULL;
    struct user **at = name.data ? &acl->users[bucket_of(name)] : &acl->anonymous;
    u->len = name.len;
    if (name.data)
        memcpy(u->name, name.data, name.len);
    u->next = *at;
    *at = u;
    return u;
}

static void free_rules(struct rule *r)
{
    while (r) {
        struct rule *next = r->next;
        free(r);
        r = next;
    }
}

static void free_users(struct user *u)
{
    while (u) {
        struct user *next = u->next;
        free_rules(u->rules);
        free(u);
        u = next;
    }
}

struct midge_acl_file *midge_acl_file_hold(struct midge_acl_file *acl)
{
    if (acl)
        acl->holders++;
    return acl;
}

void midge_acl_file_drop(struct midge_acl_file *acl)
{
    if (!acl || --acl->holders)
        return;
    for (uint32_t i = 0; i < BUCKETS; i++)
        free_users(acl->users[i]);
    free_users(acl->anonymous);
    free_rules(acl->patterns);
    free(acl);
}

/* ---- lines --------------------------------------------------------------------------------------------- */

struct reading {
    struct midge_acl_file *acl;
    struct midge_slice user; /* whose topics follow; data NULL: of clients without a name */
    char name[65536];
};

/* Takes an access word off the front of *rest; without one, or where it is the whole of it, both are meant. */
static uint8_t access_of(char **rest)
{
    static const struct {
        const char *word;
        uint8_t access;
    } rows[] = { { "read", READ }, { "write", WRITE }, { "readwrite", READ | WRITE }, { "deny", DENY } };
    size_t n = strcspn(*rest, " \t");
    for (size_t i = 0; (*rest)[n] && i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].word) == n && memcmp(rows[i].word, *rest, n) == 0) {
            *rest += n + strspn(*rest + n, " \t");
            return rows[i].access;
        }
    return READ | WRITE;
}

static bool is_fill(const char *p)
{
    return p[0] == '%' && (p[1] == 'c' || p[1] == 'u');
}

static uint16_t count_fills(const char *filter)
{
    uint16_t n = 0;
    for (; *filter; filter++)
        n = (uint16_t)(n + is_fill(filter));
    return n;
}

static bool add_rule(struct midge_lines *l, struct rule **list, char *rest, bool pattern)
{
    uint8_t access = access_of(&rest);
    size_t n = strlen(rest);
    if (n == 0)
        return midge_lines_fail(l, "a topic is missing");
    if (n > 65535 || !midge_topics_filter_valid((const uint8_t *)rest, (uint32_t)n))
        return midge_lines_fail(
            l, "'%.100s' is no topic filter: + and # stand alone in their level, # in the last", rest);
    struct rule *r = malloc(sizeof *r + n);
    if (!r)
        return midge_lines_fail(l, "no memory");
    *r = (struct rule){
        .next = *list, .access = access, .fills = pattern ? count_fills(rest) : 0, .len = (uint32_t)n
    };
    memcpy(r->filter, rest, n);
    *list = r;
    return true;
}

static bool add_topic(struct midge_lines *l, struct reading *in, char *rest)
{
    struct user *u = find_or_add(in->acl, in->user);
    return u ? add_rule(l, &u->rules, rest, false) : midge_lines_fail(l, "no memory");
}

static bool begin_user(struct midge_lines *l, struct reading *in, const char *name)
{
    size_t n = strlen(name);
    if (n == 0)
        return midge_lines_fail(l, "a user name is missing");
    if (n >= sizeof in->name)
        return midge_lines_fail(l, "the user name is longer than 65535 bytes");
    memcpy(in->name, name, n + 1);
    in->user = (struct midge_slice){ (const uint8_t *)in->name, (uint32_t)n };
    return find_or_add(in->acl, in->user) || midge_lines_fail(l, "no memory");
}

static bool take_line(struct midge_lines *l, char *line, void *user)
{
    struct reading *in = user;
    size_t n = strcspn(line, " \t");
    char *rest = line + n + strspn(line + n, " \t");
    line[n] = '\0';
    if (strcmp(line, "topic") == 0)
        return add_topic(l, in, rest);
    if (strcmp(line, "user") == 0)
        return begin_user(l, in, rest);
    if (strcmp(line, "pattern") == 0)
        return add_rule(l, &in->acl->patterns, rest, true);
    return midge_lines_fail(l, "'%.64s' is none of: topic user pattern", line);
}

struct midge_acl_file *midge_acl_file_read(const char *path, char *why, size_t why_size)
{
    struct reading *in = calloc(1, sizeof *in);
    struct midge_acl_file *acl = calloc(1, sizeof *acl);
    bool ok = in && acl;
    snprintf(why, why_size, "no memory");
    if (acl)
        acl->holders = 1;
    if (ok)
        in->acl = acl;
    ok = ok && midge_lines_read(path, take_line, in, why, why_size);
    free(in);
    if (ok)
        return acl;
    midge_acl_file_drop(acl);
    return NULL;
}

/* ---- one rule ------------------------------------------------------------------------------------------ */

struct question {
    struct midge_slice client_id, username, topic;
    enum midge_access what;
};

/* What %c or %u stands for, or nothing that a grant may be made from. */
static struct midge_slice value_of(const struct question *q, uint8_t letter, bool grants)
{
    struct midge_slice v = letter == 'c' ? q->client_id : q->username;
    const struct midge_slice none = { 0 };
    if (!v.data || !v.len)
        return none;
    for (uint32_t i = 0; i < v.len && grants; i++)
        if (v.data[i] == '+' || v.data[i] == '#' || v.data[i] == '/')
            return none;
    return v;
}

/* The rule's filter with the names filled in, in a block of the caller's to free; data NULL: it does not apply. */
static struct midge_slice fill_in(const struct rule *r, const struct question *q)
{
    uint32_t longest = q->client_id.len > q->username.len ? q->client_id.len : q->username.len;
    uint8_t *out = malloc((size_t)r->len + (size_t)r->fills * longest);
    uint32_t n = 0;
    for (uint32_t i = 0; out && i < r->len; i++) {
        if (i + 1 == r->len || !is_fill((const char *)r->filter + i)) {
            out[n++] = r->filter[i];
            continue;
        }
        struct midge_slice v = value_of(q, r->filter[++i], r->access != DENY);
        if (!v.data) {
            free(out);
            return (struct midge_slice){ 0 };
        }
        memcpy(out + n, v.data, v.len);
        n += v.len;
    }
    return (struct midge_slice){ out, n };
}

static bool covers(const struct question *q, struct midge_slice filter, uint8_t access)
{
    if (q->what != MIDGE_ACCESS_SUBSCRIBE)
        return midge_topics_match(filter, q->topic);
    return access == DENY ? midge_topics_covers(filter, q->topic) : midge_topics_overlap(filter, q->topic);
}

static bool applies(const struct rule *r, const struct question *q)
{
    const struct midge_slice plain = { r->filter, r->len };
    if (!r->fills)
        return covers(q, plain, r->access);
    struct midge_slice filled = fill_in(r, q);
    bool yes = filled.data && covers(q, filled, r->access);
    free((void *)(uintptr_t)filled.data);
    return yes;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static bool any(const struct rule *r, const struct question *q, uint8_t access)
{
    for (; r; r = r->next)
        if ((r->access & access) && applies(r, q))
            return true;
    return false;
}

bool midge_acl_file_allows(const struct midge_acl_file *acl, struct midge_slice client_id,
                           struct midge_slice username, enum midge_access what, struct midge_slice topic)
{
    const struct question q = { client_id, username, topic, what };
    uint8_t access = what == MIDGE_ACCESS_PUBLISH ? WRITE : READ;
    const struct user *u = find(acl, username);
    const struct rule *lists[] = { u ? u->rules : NULL, acl->patterns };
    for (size_t i = 0; i < 2; i++) {
        if (any(lists[i], &q, DENY))
            return false;
        if (any(lists[i], &q, access))
            return true;
    }
    return false;
}
