/* esp_heap_caps.h - ESP-IDF's heap, onto the C library's. */
#ifndef STUB_ESP_HEAP_CAPS_H
#define STUB_ESP_HEAP_CAPS_H

#include <stdint.h>
#include <stdlib.h>

#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)
#define MALLOC_CAP_INTERNAL (1 << 11)
#define MALLOC_CAP_DEFAULT (1 << 12)

static inline void *heap_caps_malloc(size_t n, uint32_t caps)
{
    (void)caps;
    return malloc(n);
}

static inline void *heap_caps_realloc(void *p, size_t n, uint32_t caps)
{
    (void)caps;
    return realloc(p, n);
}

static inline void heap_caps_free(void *p)
{
    free(p);
}

#endif
