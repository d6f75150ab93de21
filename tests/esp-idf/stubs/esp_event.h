/* esp_event.h - events of the default loop: printed. */
#ifndef STUB_ESP_EVENT_H
#define STUB_ESP_EVENT_H

#include "esp_err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef const char *esp_event_base_t;

esp_err_t esp_event_loop_create_default(void);

static inline esp_err_t esp_event_post(esp_event_base_t base, int32_t id, const void *data, size_t size,
                                       uint32_t ticks)
{
    (void)data;
    (void)size;
    (void)ticks;
    fprintf(stderr, "event %s %d\n", base, (int)id);
    return ESP_OK;
}

#endif
