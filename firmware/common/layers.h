/* layers.h - listeners for TLS (8883) and WebSocket (8080), in builds that have them (make LAYERS=1). */
#ifndef FIRMWARE_LAYERS_H
#define FIRMWARE_LAYERS_H

#include "midge_lwip.h"

#define TLS_PORT 8883
#define WS_PORT 8080

/* After midge_lwip_start. What layers need is drawn from `memory`. False: it is not enough. */
bool layers_start(struct midge_lwip *port, const struct midge_memory *memory);

/* After midge_lwip_end: gives back what the listeners had. */
void layers_end(void);

/* Connections with layers now; bytes that TLS holds, now and at most. */
struct layers_stats {
    uint32_t open, tls_bytes, tls_bytes_peak;
};
extern struct layers_stats layers_stats;

#endif
