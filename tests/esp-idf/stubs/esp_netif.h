/* esp_netif.h - for compiling examples. */
#ifndef STUB_ESP_NETIF_H
#define STUB_ESP_NETIF_H

#include "esp_err.h"

#define ESP_ERROR_CHECK(call) ((void)(call))

esp_err_t esp_netif_init(void);

#endif
