/* midge_esp_nvs.h - what outlives a restart: retained messages and sessions, kept in NVS.
 *
 *     const struct midge_esp_nvs_config nvs = { .relaxed_ms = 10000 };
 *     const struct midge_esp_config config = { .nvs = &nvs };          after nvs_flash_init
 *
 * Clients are answered before flash is written. A power cut loses
 *
 *     - what happened in the last relaxed_ms, and up to a second more for the writing;
 *     - while there are more changes than the wear budget pays for: what has waited since it was used up;
 *     - while that does not fit into pending_bytes, or the state not into `entries`: what found no room. It is
 *       counted (`lost`) and logged once; a later change of the same thing is kept again.
 *
 * An orderly stop loses nothing of the first two. A cut in the middle of the writing leaves the older or the newer of
 * each thing (perhaps neither if the flash is full), never a half. What is written and deleted again within relaxed_ms
 * never reaches the flash, so messages to clients that are there wear nothing out.
 */
#ifndef MIDGE_ESP_NVS_H
#define MIDGE_ESP_NVS_H

#include "midge/midge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise, set what is wanted. Borrowed until midge_esp_free. */
struct midge_esp_nvs_config {
    const char *partition;     /* initialised by the application; NULL = "nvs" */
    const char *space;         /* NVS namespace, one a broker, up to 15 characters; NULL = "midge" */
    uint32_t relaxed_ms;       /* 0 = 10,000 */
    /* The wear budget, in NVS's entries of 32 bytes: a record takes 2 and one for each 32 bytes. What one hour leaves
     * unused may be used in the next, no longer. 0 = 600: with 5 free pages of 126 entries and 100,000 erasures a
     * page that is 12 years of being used up each hour, and 6 when half of the partition is in use. */
    uint32_t entries_per_hour;
    uint32_t entries;          /* that the state may take of the partition; 0 = 300 */
    uint32_t pending_bytes;    /* of the broker's memory, for what waits to be written; 0 = 8,192 */
};

struct midge_esp_nvs_stats {
    uint32_t written; /* entries, since the start */
    uint32_t pending; /* changes that wait */
    uint32_t lost;    /* changes that found no room, see above */
    uint32_t dropped; /* records that the start found damaged, cut off or too many */
};

#ifdef __cplusplus
}
#endif
#endif
