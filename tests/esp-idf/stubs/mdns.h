/* mdns.h - for compiling midge_esp_mdns.h. */
#ifndef STUB_MDNS_H
#define STUB_MDNS_H

#include "esp_err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *key, *value;
} mdns_txt_item_t;

esp_err_t mdns_service_add(const char *instance, const char *service, const char *proto, uint16_t port,
                           mdns_txt_item_t *txt, size_t num_items);
esp_err_t mdns_service_remove(const char *service, const char *proto);

#endif
