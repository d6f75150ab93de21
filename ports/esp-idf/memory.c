/* memory.c - ESP-IDF's heap as a broker's memory, of the kind that Kconfig names. */
#include "esp_config.h"
#include "midge_esp.h"

#include "esp_heap_caps.h"

static void *take(void *user, size_t n)
{
    (void)user;
    return heap_caps_malloc(n, MIDGE_ESP_MEMORY_CAPS);
}

static void give(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    heap_caps_free(p);
}

static void *resize(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    (void)old;
    return heap_caps_realloc(p, n, MIDGE_ESP_MEMORY_CAPS);
}

/* TLSF: a word in front, a grain of 4 bytes, 12 bytes at least. */
static size_t cost(size_t n)
{
    return n < 12 ? 16 : ((n + 3) & ~(size_t)3) + 4;
}

const struct midge_memory midge_esp_memory = { .alloc = take, .free = give, .resize = resize, .cost = cost };
