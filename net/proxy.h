/* proxy.h - the PROXY protocol, versions 1 and 2, as a layer: who a load balancer speaks for. */
#ifndef MIDGE_NET_PROXY_H
#define MIDGE_NET_PROXY_H

#include "net/layer.h"

struct midge_proxy_source {
    uint8_t family; /* 4, 6; 0: the header names nobody, it is the proxy itself */
    uint16_t port;
    uint8_t ip[16]; /* in network order, as many as the family has */
};

/* NULL: no memory. `memory` is borrowed for the layer's life. */
struct midge_layer *midge_proxy_new(const struct midge_memory *memory);

/* Once the layer has greeted. */
const struct midge_proxy_source *midge_proxy_source(const struct midge_layer *l);

#endif
