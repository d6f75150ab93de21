/* conf_value.c - what stands behind a key: flags, numbers, words, texts, files. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX_BYTES 65535u /* of a string in MQTT */

/* ---- words --------------------------------------------------------------------------------------------- */

char *conf_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    if (!*word || *word == '#')
        return NULL;
    *at = word + strcspn(word, " \t");
    if (**at)
        *(*at)++ = '\0';
    return word;
}

bool conf_end(struct conf_reader *r, char **at)
{
    const char *more = conf_word(at);
    return !more || conf_fail(r, "'%.64s' is too much: %s %s", more, r->key->name, r->key->words);
}

/* The only word of the value; NULL, and said: there is none, or more. */
static const char *only_word(struct conf_reader *r, char *value)
{
    const char *word = conf_word(&value);
    if (!word)
        conf_fail(r, "a value is missing: %s %s", r->key->name, r->key->words);
    return word && conf_end(r, &value) ? word : NULL;
}

/* ---- numbers and flags --------------------------------------------------------------------------------- */

bool conf_number(struct conf_reader *r, const char *word, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    errno = 0;
    long long n = strtoll(word, &end, 10);
    if (end == word || *end)
        return conf_fail(r, "'%.64s' is not a number; give a whole number from %lld to %lld", word,
                         (long long)min, (long long)max);
    if (errno || n < min || n > max)
        return conf_fail(r, "%.64s is out of range; give a whole number from %lld to %lld", word,
                         (long long)min, (long long)max);
    *out = n;
    return true;
}

static bool set_flag(struct conf_reader *r, char *value, bool *out)
{
    const char *word = only_word(r, value);
    if (!word)
        return false;
    bool yes = strcmp(word, "true") == 0 || strcmp(word, "1") == 0;
    if (!yes && strcmp(word, "false") != 0 && strcmp(word, "0") != 0)
        return conf_fail(r, "'%.64s' is neither true nor false", word);
    if (yes ? r->key->max == 0 : r->key->min == 1) /* only the other one is served */
        return conf_fail(r, "cannot be %s: %s", yes ? "true" : "false", r->key->help);
    *out = yes;
    return true;
}

static bool set_number(struct conf_reader *r, char *value, int64_t *out)
{
    const char *word = only_word(r, value);
    return word && conf_number(r, word, r->key->min, r->key->max, out);
}

/* 12h, 14d, 2w, 3m, 1y; months and years as Mosquitto counts them. */
static bool set_span(struct conf_reader *r, char *value, int64_t *out)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = { { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 }, { 'm', 2592000 }, { 'y', 31536000 } };
    const char *word = only_word(r, value);
    if (!word)
        return false;
    char *end;
    errno = 0;
    long long n = strtoll(word, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!errno && end != word && end[0] == units[i].unit && !end[1] && n > 0 &&
            n <= INT32_MAX / units[i].s * 2) {
            *out = n * units[i].s;
            return true;
        }
    return conf_fail(
        r, "'%.64s' is not a time; give a number up to 136 years with h, d, w, m or y, such as 14d", word);
}

/* The place of `word` among the words of a list; -1: it is none of them. */
static int place_of(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0;; i++) {
        size_t len = strcspn(words, " ");
        if (len == n && memcmp(words, word, n) == 0)
            return i;
        if (!words[len])
            return -1;
        words += len + 1;
    }
}

static bool set_word(struct conf_reader *r, char *value, uint8_t *out)
{
    const char *word = only_word(r, value);
    if (!word)
        return false;
    int place = place_of(r->key->words, word);
    if (place < 0)
        return conf_fail(r, "'%.64s' is none of: %s", word, r->key->words);
    *out = (uint8_t)place;
    return true;
}

/* ---- texts --------------------------------------------------------------------------------------------- */

/* Bytes that follow a lead byte in UTF-8; -1: it leads nothing. Overlong forms and surrogates pass: they are looked
 * at where the text goes into a packet. */
static int followers(uint8_t lead)
{
    return lead < 0x80 ? 0 : lead < 0xc2 ? -1 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : -1;
}

static bool is_utf8(const char *text)
{
    for (const uint8_t *p = (const uint8_t *)text; *p;) {
        int n = followers(*p++);
        if (n < 0)
            return false;
        for (; n > 0; n--)
            if ((*p++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static bool check_text(struct conf_reader *r, const char *value)
{
    if (strlen(value) > TEXT_MAX_BYTES)
        return conf_fail(r, "is longer than %u bytes", TEXT_MAX_BYTES);
    return is_utf8(value) || conf_fail(r, "is not UTF-8; save the file as UTF-8");
}

bool conf_text_set(struct conf_reader *r, struct conf_text *t, const char *value)
{
    if (t->text)
        return conf_fail(r, "is given twice, first in %s line %u; leave one of them out", t->file, t->line);
    if (!check_text(r, value))
        return false;
    *t = (struct conf_text){ conf_copy(r->conf, value), r->file, r->line };
    return t->text || conf_fail(r, "no memory");
}

bool conf_list_add(struct conf_reader *r, struct conf_list *list, const char *value)
{
    if (!check_text(r, value))
        return false;
    const char **items = conf_alloc(r->conf, (list->count + 1) * sizeof *items);
    char *copy = conf_copy(r->conf, value);
    if (!items || !copy)
        return conf_fail(r, "no memory");
    if (list->count)
        memcpy(items, list->items, list->count * sizeof *items);
    items[list->count++] = copy;
    list->items = items;
    return true;
}

/* What is wrong with a file's name, beyond what errno says. */
static const char *mend(const char *path)
{
    if (*path == '"' || *path == '\'')
        return "; quotes are part of the value, leave them out";
    return strstr(path, " #") ? "; a comment needs a line of its own" : "";
}

static bool set_file(struct conf_reader *r, const char *value, struct conf_text *out, bool folder)
{
    struct stat st;
    int fd = open(value, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return conf_fail(r, "%s: %s%s", value, strerror(errno), mend(value));
    bool ok = !fstat(fd, &st) && (S_ISDIR(st.st_mode) != 0) == folder;
    close(fd);
    if (!ok)
        return conf_fail(r, "%s: %s", value, folder ? "is not a folder" : "is a folder; name a file");
    return conf_text_set(r, out, value);
}

/* ---- a value by its type ------------------------------------------------------------------------------- */

static void *place(struct conf_reader *r)
{
    const struct conf_key *k = r->key;
    struct conf_auth *auth = r->conf->per_listener_settings ? &r->listener->auth : &r->conf->auth;
    char *base = k->scope == CONF_LISTENER ? (char *)r->listener
                 : k->scope == CONF_AUTH   ? (char *)auth
                 : k->scope == CONF_BRIDGE ? (char *)r->bridge
                                           : (char *)r->conf;
    return base + k->at;
}

bool conf_set(struct conf_reader *r, char *value)
{
    void *out = place(r);
    switch (r->key->type) {
    case CONF_FLAG:
        return set_flag(r, value, out);
    case CONF_NUMBER:
        return set_number(r, value, out);
    case CONF_WORD:
        return set_word(r, value, out);
    case CONF_SPAN:
        return set_span(r, value, out);
    case CONF_TEXT:
    case CONF_PATH:
        return conf_text_set(r, out, value);
    case CONF_TEXTS:
        return conf_list_add(r, out, value);
    case CONF_FILE:
    case CONF_FOLDER:
        return set_file(r, value, out, r->key->type == CONF_FOLDER);
    default:
        return r->key->set(r, value);
    }
}
