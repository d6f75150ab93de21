/* esp_wifi.h - for compiling examples. */
#ifndef STUB_ESP_WIFI_H
#define STUB_ESP_WIFI_H

#include "esp_err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int unused;
} wifi_init_config_t;

typedef union {
    struct {
        uint8_t ssid[32];
        uint8_t password[64];
        uint8_t max_connection;
        int authmode;
    } ap;
} wifi_config_t;

#define WIFI_INIT_CONFIG_DEFAULT() { 0 }
enum { WIFI_AUTH_WPA2_PSK, WIFI_MODE_AP, WIFI_IF_AP };

void *esp_netif_create_default_wifi_ap(void);
esp_err_t esp_wifi_init(const wifi_init_config_t *config);
esp_err_t esp_wifi_set_mode(int mode);
esp_err_t esp_wifi_set_config(int interface, wifi_config_t *config);
esp_err_t esp_wifi_start(void);
size_t strlcpy(char *to, const char *from, size_t size);

#endif
