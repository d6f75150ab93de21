/* ws.h - MQTT over WebSocket (RFC 6455) as a layer, either side. */
#ifndef MIDGE_NET_WS_H
#define MIDGE_NET_WS_H

#include "net/layer.h"

/* Borrowed until the layer has greeted. */
struct midge_ws_options {
    const char *path;           /* of the request, what follows a '?' not counted; NULL = any */
    const char *const *origins; /* Origin headers let in; NULL = all. A request without one is no web page's */
    size_t origin_count;
    uint32_t header_bytes;      /* longest request; 0 = 4096 */
};

/* Largest frame that is taken. It is passed on as it arrives, so it costs nothing; MQTT's own packet limit is above. */
#define MIDGE_WS_FRAME_MAX 0x7FFFFFFFu

/* NULL: no memory. `memory` is borrowed for the layer's life. */
struct midge_layer *midge_ws_new(const struct midge_ws_options *options, const struct midge_memory *memory);

/* The client's side: what it asks for. Used during the call; host and path together have less than 200 bytes. */
struct midge_ws_request {
    const char *host;   /* with its port, if that is not the usual one */
    const char *path;
    uint8_t random[20]; /* nobody's guess: the key, and what masks frames */
};
struct midge_layer *midge_ws_client(const struct midge_ws_request *request, const struct midge_memory *memory);

#endif
