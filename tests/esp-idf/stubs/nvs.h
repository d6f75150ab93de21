/* nvs.h - ESP-IDF's NVS, as far as the port calls it, in a file: see nvs.c. */
#ifndef STUB_NVS_H
#define STUB_NVS_H

#include "esp_err.h"

#include <stddef.h>
#include <stdint.h>

#define ESP_ERR_NVS_NOT_FOUND 0x1102
#define ESP_ERR_NVS_NOT_ENOUGH_SPACE 0x1105
#define ESP_ERR_NVS_INVALID_NAME 0x1106
#define ESP_ERR_NVS_KEY_TOO_LONG 0x1109
#define ESP_ERR_NVS_INVALID_LENGTH 0x110c
#define ESP_ERR_NVS_VALUE_TOO_LONG 0x110e
#define ESP_ERR_NO_MEM 0x101

#define NVS_DEFAULT_PART_NAME "nvs"
#define NVS_KEY_NAME_MAX_SIZE 16
#define NVS_NS_NAME_MAX_SIZE 16

typedef uint32_t nvs_handle_t;
typedef enum { NVS_READONLY, NVS_READWRITE } nvs_open_mode_t;
typedef enum { NVS_TYPE_BLOB = 0x42, NVS_TYPE_ANY = 0xff } nvs_type_t;

typedef struct {
    char namespace_name[NVS_NS_NAME_MAX_SIZE];
    char key[NVS_KEY_NAME_MAX_SIZE];
    nvs_type_t type;
} nvs_entry_info_t;

typedef struct nvs_opaque_iterator_t *nvs_iterator_t;

esp_err_t nvs_open_from_partition(const char *partition, const char *space, nvs_open_mode_t mode, nvs_handle_t *out);
void nvs_close(nvs_handle_t h);
esp_err_t nvs_set_blob(nvs_handle_t h, const char *key, const void *value, size_t len);
esp_err_t nvs_get_blob(nvs_handle_t h, const char *key, void *out, size_t *len);
esp_err_t nvs_erase_key(nvs_handle_t h, const char *key);
esp_err_t nvs_erase_all(nvs_handle_t h);
esp_err_t nvs_commit(nvs_handle_t h);
esp_err_t nvs_get_used_entry_count(nvs_handle_t h, size_t *used);
esp_err_t nvs_entry_find(const char *partition, const char *space, nvs_type_t type, nvs_iterator_t *it);
esp_err_t nvs_entry_next(nvs_iterator_t *it);
esp_err_t nvs_entry_info(nvs_iterator_t it, nvs_entry_info_t *out);
void nvs_release_iterator(nvs_iterator_t it);

/* For tests. */
extern uint64_t stub_nvs_written;   /* entries of 32 bytes, ever */
extern uint32_t stub_nvs_cut_after; /* so many changes more reach the flash, the rest do not; UINT32_MAX = all */
extern size_t stub_nvs_full;        /* entries that fit; SIZE_MAX = any number */
void stub_nvs_wipe(void);

#endif
