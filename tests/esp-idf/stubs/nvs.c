/* nvs.c - NVS's blobs as a list; with STUB_NVS in the environment every change is appended to that file at once, so
 * that it outlives a process that is killed, as flash does. */
#include "nvs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLES 8

struct blob {
    struct blob *next;
    char space[16], key[16];
    size_t len;
    uint8_t bytes[];
};

struct nvs_opaque_iterator_t {
    const struct blob *at;
    char space[16];
};

uint64_t stub_nvs_written;
uint32_t stub_nvs_cut_after = UINT32_MAX;
size_t stub_nvs_full = SIZE_MAX;

static struct blob *blobs;
static char open_spaces[HANDLES][16];
static FILE *file;

static const char *space_of(nvs_handle_t h)
{
    return open_spaces[h - 1];
}

static size_t entries(size_t len)
{
    return 2 + (len + 31) / 32;
}

static struct blob **find(const char *space, const char *key)
{
    struct blob **at = &blobs;
    while (*at && (strcmp((*at)->space, space) != 0 || strcmp((*at)->key, key) != 0))
        at = &(*at)->next;
    return at;
}

static bool drop(const char *space, const char *key)
{
    struct blob **at = find(space, key), *b = *at;
    if (!b)
        return false;
    *at = b->next;
    free(b);
    return true;
}

static void keep(const char *space, const char *key, const void *value, size_t len)
{
    struct blob *b = calloc(1, sizeof *b + len);
    if (!b)
        abort();
    drop(space, key);
    snprintf(b->space, sizeof b->space, "%s", space);
    snprintf(b->key, sizeof b->key, "%s", key);
    b->len = len;
    memcpy(b->bytes, value, len);
    b->next = blobs;
    blobs = b;
}

/* ---- the file: records of space, key, length and bytes; length SIZE_MAX: erased ----------------------------- */

static void read_file(void)
{
    char names[2][16];
    size_t len;
    while (fread(names, sizeof names, 1, file) == 1 && fread(&len, sizeof len, 1, file) == 1) {
        uint8_t *bytes = len == SIZE_MAX ? NULL : malloc(len + 1);
        if (bytes && fread(bytes, 1, len, file) == len)
            keep(names[0], names[1], bytes, len);
        else
            drop(names[0], names[1]);
        free(bytes);
    }
}

static void open_file(void)
{
    const char *path = getenv("STUB_NVS");
    if (file || !path)
        return;
    file = fopen(path, "a+b");
    if (!file)
        abort();
    rewind(file);
    read_file();
}

static void write_file(const char *space, const char *key, const void *value, size_t len)
{
    char names[2][16] = { { 0 } };
    if (!file)
        return;
    snprintf(names[0], 16, "%s", space);
    snprintf(names[1], 16, "%s", key);
    fwrite(names, sizeof names, 1, file);
    fwrite(&len, sizeof len, 1, file);
    if (len != SIZE_MAX)
        fwrite(value, 1, len, file);
    fflush(file);
}

/* ---- NVS ------------------------------------------------------------------------------------------------ */

esp_err_t nvs_open_from_partition(const char *partition, const char *space, nvs_open_mode_t mode, nvs_handle_t *out)
{
    (void)mode;
    if (strcmp(partition, NVS_DEFAULT_PART_NAME) != 0)
        return ESP_ERR_NVS_NOT_FOUND;
    if (strlen(space) > 15)
        return ESP_ERR_NVS_INVALID_NAME;
    open_file();
    for (uint32_t h = 0; h < HANDLES; h++) {
        if (open_spaces[h][0])
            continue;
        snprintf(open_spaces[h], sizeof open_spaces[h], "%s", space);
        *out = h + 1;
        return ESP_OK;
    }
    return ESP_ERR_NO_MEM;
}

void nvs_close(nvs_handle_t h)
{
    open_spaces[h - 1][0] = '\0';
}

static bool cut(void)
{
    if (stub_nvs_cut_after == UINT32_MAX)
        return false;
    return !stub_nvs_cut_after || !stub_nvs_cut_after--;
}

static size_t used_of(const char *space)
{
    size_t used = 0;
    for (const struct blob *b = blobs; b; b = b->next)
        if (!space || strcmp(b->space, space) == 0)
            used += entries(b->len);
    return used;
}

esp_err_t nvs_set_blob(nvs_handle_t h, const char *key, const void *value, size_t len)
{
    if (strlen(key) > 15)
        return ESP_ERR_NVS_KEY_TOO_LONG;
    if (used_of(NULL) + entries(len) > stub_nvs_full)
        return ESP_ERR_NVS_NOT_ENOUGH_SPACE;
    const struct blob *old = *find(space_of(h), key);
    if (cut() || (old && old->len == len && memcmp(old->bytes, value, len) == 0))
        return ESP_OK;
    stub_nvs_written += entries(len);
    keep(space_of(h), key, value, len);
    write_file(space_of(h), key, value, len);
    return ESP_OK;
}

esp_err_t nvs_get_blob(nvs_handle_t h, const char *key, void *out, size_t *len)
{
    const struct blob *b = *find(space_of(h), key);
    if (!b)
        return ESP_ERR_NVS_NOT_FOUND;
    if (out && *len < b->len)
        return ESP_ERR_NVS_INVALID_LENGTH;
    if (out)
        memcpy(out, b->bytes, b->len);
    *len = b->len;
    return ESP_OK;
}

esp_err_t nvs_erase_key(nvs_handle_t h, const char *key)
{
    if (!*find(space_of(h), key))
        return ESP_ERR_NVS_NOT_FOUND;
    if (cut())
        return ESP_OK;
    drop(space_of(h), key);
    write_file(space_of(h), key, NULL, SIZE_MAX);
    return ESP_OK;
}

esp_err_t nvs_erase_all(nvs_handle_t h)
{
    for (const struct blob *b = blobs, *next; b; b = next) {
        next = b->next;
        if (strcmp(b->space, space_of(h)) == 0)
            nvs_erase_key(h, b->key);
    }
    return ESP_OK;
}

esp_err_t nvs_commit(nvs_handle_t h)
{
    (void)h;
    return ESP_OK;
}

esp_err_t nvs_get_used_entry_count(nvs_handle_t h, size_t *used)
{
    *used = used_of(space_of(h));
    return ESP_OK;
}

/* ---- iterators ------------------------------------------------------------------------------------------ */

static esp_err_t settle(nvs_iterator_t *it)
{
    while ((*it)->at && strcmp((*it)->at->space, (*it)->space) != 0)
        (*it)->at = (*it)->at->next;
    if ((*it)->at)
        return ESP_OK;
    nvs_release_iterator(*it);
    *it = NULL;
    return ESP_ERR_NVS_NOT_FOUND;
}

esp_err_t nvs_entry_find(const char *partition, const char *space, nvs_type_t type, nvs_iterator_t *it)
{
    (void)partition;
    (void)type;
    *it = calloc(1, sizeof **it);
    if (!*it)
        abort();
    snprintf((*it)->space, sizeof (*it)->space, "%s", space);
    (*it)->at = blobs;
    return settle(it);
}

esp_err_t nvs_entry_next(nvs_iterator_t *it)
{
    (*it)->at = (*it)->at->next;
    return settle(it);
}

esp_err_t nvs_entry_info(nvs_iterator_t it, nvs_entry_info_t *out)
{
    *out = (nvs_entry_info_t){ .type = NVS_TYPE_BLOB };
    memcpy(out->namespace_name, it->at->space, sizeof out->namespace_name);
    memcpy(out->key, it->at->key, sizeof out->key);
    return ESP_OK;
}

void nvs_release_iterator(nvs_iterator_t it)
{
    free(it);
}

void stub_nvs_wipe(void)
{
    while (blobs) {
        struct blob *b = blobs;
        blobs = b->next;
        free(b);
    }
}
