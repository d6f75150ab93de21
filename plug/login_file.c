/* login_file.c - Mosquitto's password file, read into a table. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "login_file.h"

#include "lines.h"
#include "password.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u
#define DECOY                                                                                                \
    "$7$101$AAAAAAAAAAAAAAAA$"                                                                               \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

struct account {
    struct account *next;
    unsigned line;
    const char *hash;
    uint32_t len;
    char name[]; /* then the hash */
};

struct midge_login_file {
    atomic_uint holders;
    const char *decoy; /* a hash of the kind that the first account has */
    struct account *accounts[BUCKETS];
};

static struct account **bucket_of(struct midge_login_file *f, struct midge_slice name)
{
    uint32_t h = 2166136261u; /* FNV-1a: names come from a file that we trust */
    for (uint32_t i = 0; i < name.len; i++)
        h = (h ^ name.data[i]) * 16777619u;
    return &f->accounts[h % BUCKETS];
}

static struct account *find(struct midge_login_file *f, struct midge_slice name)
{
    struct account *a = *bucket_of(f, name);
    while (a && (a->len != name.len || memcmp(a->name, name.data, name.len) != 0))
        a = a->next;
    return a;
}

const char *midge_login_file_find(const struct midge_login_file *f, struct midge_slice username)
{
    const struct account *a = username.len ? find((struct midge_login_file *)(uintptr_t)f, username) : NULL;
    return a ? a->hash : NULL;
}

const char *midge_login_file_decoy(const struct midge_login_file *f)
{
    return f->decoy;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static bool add(struct midge_lines *l, struct midge_login_file *f, struct midge_slice name, const char *hash)
{
    size_t hash_size = strlen(hash) + 1;
    struct account *a = malloc(sizeof *a + name.len + hash_size);
    if (!a)
        return midge_lines_fail(l, "no memory");
    struct account **at = bucket_of(f, name);
    *a = (struct account){ .next = *at, .line = l->line, .hash = a->name + name.len, .len = name.len };
    memcpy(a->name, name.data, name.len);
    memcpy(a->name + name.len, hash, hash_size);
    *at = a;
    if (strcmp(f->decoy, DECOY) == 0)
        f->decoy = a->hash;
    return true;
}

static bool take_line(struct midge_lines *l, char *line, void *user)
{
    const char *colon = strchr(line, ':');
    if (!colon)
        return midge_lines_fail(l, "there is no colon between a name and a hash");
    if (colon == line || colon - line > 65535)
        return midge_lines_fail(l, "a user name has 1 to 65535 bytes");
    const char *wrong = midge_password_check(colon + 1);
    if (wrong)
        return midge_lines_fail(l, "%s", wrong);
    const struct midge_slice name = { (const uint8_t *)line, (uint32_t)(colon - line) };
    const struct account *old = find(user, name);
    if (old)
        return midge_lines_fail(l, "the user stands in line %u already", old->line);
    return add(l, user, name, colon + 1);
}

struct midge_login_file *midge_login_file_read(const char *path, char *why, size_t why_size)
{
    struct midge_login_file *f = calloc(1, sizeof *f);
    if (!f) {
        snprintf(why, why_size, "no memory");
        return NULL;
    }
    atomic_init(&f->holders, 1);
    f->decoy = DECOY;
    if (midge_lines_read(path, take_line, f, why, why_size))
        return f;
    midge_login_file_drop(f);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

struct midge_login_file *midge_login_file_hold(struct midge_login_file *f)
{
    if (f)
        atomic_fetch_add(&f->holders, 1);
    return f;
}

void midge_login_file_drop(struct midge_login_file *f)
{
    if (!f || atomic_fetch_sub(&f->holders, 1) != 1)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (f->accounts[i]) {
            struct account *a = f->accounts[i];
            f->accounts[i] = a->next;
            free(a);
        }
    }
    free(f);
}
