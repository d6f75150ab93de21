/* tls.h - TLS as a layer: what a TLS library has to offer to a port. */
#ifndef MIDGE_NET_TLS_H
#define MIDGE_NET_TLS_H

#include "midge/midge_tls.h"
#include "net/layer.h"

/* Certificates, keys and rules of a listener, as the library keeps them. */
struct midge_tls;

struct midge_tls_provider {
    /* NULL: `why` says in one line what is wrong. */
    struct midge_tls *(*open)(const struct midge_tls_options *options, char *why, size_t why_size);
    /* Its layers live on. */
    void (*close)(struct midge_tls *t);
    /* The server's side of a connection; NULL: no memory. */
    struct midge_layer *(*layer)(struct midge_tls *t);
    /* The client's side of a connection to `host`, a name or an address. NULL for a library that is no client. */
    struct midge_layer *(*client)(struct midge_tls *t, const char *host);
    /* Common name or whole subject of the certificate that the peer proved to have, or its PSK identity; valid for
     * the layer's life. data NULL: it has none. */
    struct midge_slice (*identity)(struct midge_layer *l, bool whole_subject);
};

#endif
