/* nvs_store.h - the store in NVS as the loop uses it. */
#ifndef MIDGE_ESP_NVS_STORE_H
#define MIDGE_ESP_NVS_STORE_H

#include "midge_esp_nvs.h"

struct midge_nvs;

#define MIDGE_NVS_NAME 16 /* NVS: 15 characters and a NUL */

/* A blob's name for a key of 1 byte or more, in two pieces. Names sort as keys do that are numbers; of keys of over 11
 * bytes that are none, a hash is what they have of the rest. */
void midge_nvs_name(char name[MIDGE_NVS_NAME], const struct midge_slice key[2]);

/* NULL: no memory, or NVS says no (logged). memory: borrowed until midge_nvs_close. */
struct midge_nvs *midge_nvs_open(const struct midge_esp_nvs_config *config, const struct midge_memory *memory,
                                 midge_ms now);

/* For midge_config.store. */
const struct midge_store *midge_nvs_store(struct midge_nvs *n);

/* Hands the broker what was kept. What it does not take is erased and counted. */
void midge_nvs_restore(struct midge_nvs *n, struct midge *m, midge_ms now);

/* Writes what is due, a little a call; when to call again. MIDGE_NEVER: not before the broker has said more. */
midge_ms midge_nvs_tick(struct midge_nvs *n, midge_ms now);

void midge_nvs_get_stats(const struct midge_nvs *n, struct midge_esp_nvs_stats *out);

/* Once the broker is freed: writes everything, whatever the budget says. NULL is allowed. */
void midge_nvs_close(struct midge_nvs *n);

#endif
