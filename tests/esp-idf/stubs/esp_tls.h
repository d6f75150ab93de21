/* esp_tls.h - ESP-TLS's configuration of a server. */
#ifndef STUB_ESP_TLS_H
#define STUB_ESP_TLS_H

#include "esp_err.h"
#include "midge_esp_tls.h" /* esp_tls_cfg_server_t */

#endif
