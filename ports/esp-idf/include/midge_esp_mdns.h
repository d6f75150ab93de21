/* midge_esp_mdns.h - announces a broker as _mqtt._tcp, so that clients find it by name.
 *
 * Optional: the application's component requires espressif/mdns, and has called mdns_init and mdns_hostname_set.
 */
#ifndef MIDGE_ESP_MDNS_H
#define MIDGE_ESP_MDNS_H

#include "mdns.h"

#include <stdbool.h>
#include <stdint.h>

/* tls: as _secure-mqtt._tcp. instance NULL = the host's name. */
static inline esp_err_t midge_esp_announce(const char *instance, uint16_t port, bool tls)
{
    return mdns_service_add(instance, tls ? "_secure-mqtt" : "_mqtt", "_tcp", port, NULL, 0);
}

static inline esp_err_t midge_esp_announce_end(bool tls)
{
    return mdns_service_remove(tls ? "_secure-mqtt" : "_mqtt", "_tcp");
}

#endif
