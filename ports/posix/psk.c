/* psk.c - a file of pre-shared keys: identity:hex-key, a line each. */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 256u
#define IDENTITY_MAX 256u

struct psk {
    struct psk *next;
    uint32_t len;
    uint8_t key[KEY_MAX];
    char identity[IDENTITY_MAX + 1];
};

/* Looked through from the first to the last: next to a handshake that is nothing, also for thousands. */
struct midge_psk_table {
    struct psk *first;
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
    if (n == 0 || n % 2 || n / 2 > KEY_MAX)
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

/* False: it is no identity:key. */
static bool read_row(struct psk *out, const char *line)
{
    const char *colon = strchr(line, ':');
    size_t n = colon ? (size_t)(colon - line) : 0;
    if (n == 0 || n > IDENTITY_MAX || !read_key(out, colon + 1))
        return false;
    memcpy(out->identity, line, n);
    out->identity[n] = '\0';
    return true;
}

static void free_row(struct psk *row)
{
    explicit_bzero(row, sizeof *row);
    free(row);
}

static bool add_line(struct midge_psk_table *t, char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (!*line || *line == '#')
        return true;
    struct psk *row = malloc(sizeof *row);
    if (!row)
        return false;
    if (!read_row(row, line)) {
        free_row(row);
        return false;
    }
    row->next = t->first;
    t->first = row;
    return true;
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
    return t;
}

uint32_t midge_psk_find(void *table, const char *identity, uint8_t *key, uint32_t size)
{
    const struct psk *row = ((const struct midge_psk_table *)table)->first;
    while (row && strcmp(identity, row->identity) != 0)
        row = row->next;
    if (!row || row->len > size)
        return 0;
    memcpy(key, row->key, row->len);
    return row->len;
}

void midge_psk_free(struct midge_psk_table *t)
{
    while (t && t->first) {
        struct psk *row = t->first;
        t->first = row->next;
        free_row(row);
    }
    free(t);
}
