/* esp_vfs_eventfd.h - Linux has eventfds without being asked. */
#ifndef STUB_ESP_VFS_EVENTFD_H
#define STUB_ESP_VFS_EVENTFD_H

#include "esp_err.h"

#include <stddef.h>
#include <sys/eventfd.h>

typedef struct {
    size_t max_fds;
} esp_vfs_eventfd_config_t;

static inline esp_err_t esp_vfs_eventfd_register(const esp_vfs_eventfd_config_t *config)
{
    (void)config;
    return ESP_OK;
}

#endif
