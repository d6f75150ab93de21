/* psk.c - a file of pre-shared keys: identity:hex-key, a line each. */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 256u
#define IDENTITY_MAX 256u

struct psk {
    char *identity;
    uint8_t *key;
    uint32_t len;
};

struct midge_psk_table {
    struct psk *rows; /* by identity */
    size_t count;
};

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* False: no even number of hexadecimal digits, or too many. */
static bool read_key(struct psk *out, const char *hex)
{
    size_t n = strlen(hex);
    if (n == 0 || n % 2 || n / 2 > KEY_MAX || !(out->key = malloc(n / 2)))
        return false;
    out->len = (uint32_t)(n / 2);
    for (size_t i = 0; i < n / 2; i++) {
        int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* False: it is no identity:key. The row is freed with the table either way. */
static bool read_row(struct psk *out, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon || colon == line || (size_t)(colon - line) > IDENTITY_MAX)
        return false;
    *colon = '\0';
    out->identity = strdup(line);
    return out->identity && read_key(out, colon + 1);
}

static bool add_line(struct midge_psk_table *t, char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line || *line == '#')
        return true;
    struct psk *rows = realloc(t->rows, (t->count + 1) * sizeof *rows);
    if (!rows)
        return false;
    t->rows = rows;
    rows[t->count] = (struct psk){ .identity = NULL };
    return read_row(&rows[t->count++], line);
}

static int by_identity(const void *a, const void *b)
{
    return strcmp(((const struct psk *)a)->identity, ((const struct psk *)b)->identity);
}

/* The number of the line that is wrong; 0 = none. */
static unsigned read_lines(struct midge_psk_table *t, FILE *file)
{
    char line[IDENTITY_MAX + 2 * KEY_MAX + 4];
    unsigned wrong = 0;
    for (unsigned number = 1; !wrong && fgets(line, sizeof line, file); number++)
        if ((!strchr(line, '\n') && !feof(file)) || !add_line(t, line))
            wrong = number;
    explicit_bzero(line, sizeof line);
    return wrong;
}

struct midge_psk_table *midge_psk_read(const char *path, char *why, size_t why_size)
{
    FILE *file = fopen(path, "re");
    struct midge_psk_table *t = file ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        int err = errno;
        snprintf(why, why_size, "cannot read PSK file '%s': %s", path, strerror(err));
        if (file)
            fclose(file);
        errno = err;
        return NULL;
    }
    unsigned wrong = read_lines(t, file);
    fclose(file);
    if (wrong) {
        snprintf(why, why_size, "PSK file '%s', line %u: it is not identity:hexadecimal-key", path, wrong);
        midge_psk_free(t);
        errno = EPROTO;
        return NULL;
    }
    if (t->count)
        qsort(t->rows, t->count, sizeof *t->rows, by_identity);
    return t;
}

uint32_t midge_psk_find(void *table, const char *identity, uint8_t *key, uint32_t size)
{
    const struct midge_psk_table *t = table;
    size_t from = 0, to = t->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct psk *row = &t->rows[middle];
        int order = strcmp(identity, row->identity);
        if (order == 0 && row->len <= size) {
            memcpy(key, row->key, row->len);
            return row->len;
        }
        if (order <= 0)
            to = middle;
        else
            from = middle + 1;
    }
    return 0;
}

void midge_psk_free(struct midge_psk_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        if (t->rows[i].key)
            explicit_bzero(t->rows[i].key, t->rows[i].len);
        free(t->rows[i].key);
        free(t->rows[i].identity);
    }
    free(t->rows);
    free(t);
}
