/* tls_layer.h - what is the same for every TLS library: bytes fed to it, bytes it writes, handshake, goodbye. */
#ifndef MIDGE_NET_TLS_LAYER_H
#define MIDGE_NET_TLS_LAYER_H

#include "net/tls.h"

struct midge_tls_layer;

enum midge_tls_result {
    MIDGE_TLS_DONE,
    MIDGE_TLS_NEEDS_MORE, /* of the peer's bytes */
    MIDGE_TLS_ENDED,      /* the peer said goodbye */
    MIDGE_TLS_FAILED
};

/* What a library does for a connection. It reads and writes by midge_tls_take and midge_tls_put alone. */
struct midge_tls_library {
    enum midge_tls_result (*shake)(struct midge_tls_layer *t); /* goes on with the handshake */
    enum midge_tls_result (*read)(struct midge_tls_layer *t, uint8_t *out, size_t room, size_t *n);
    enum midge_tls_result (*write)(struct midge_tls_layer *t, const uint8_t *bytes, size_t n); /* all of them */
    void (*shut)(struct midge_tls_layer *t);                   /* says goodbye */
    const char *(*why)(struct midge_tls_layer *t);             /* it failed; static text */
    void (*free)(struct midge_tls_layer *t);
};

/* The first member of a library's own. */
struct midge_tls_layer {
    struct midge_layer layer;
    const struct midge_tls_library *calls;
    const struct midge_memory *memory; /* borrows */
    uint8_t *in;                       /* what is being fed */
    size_t in_len;
    uint8_t *out;                      /* where it is being pulled to */
    size_t out_len, out_room;
    uint8_t *spill;                    /* owns: what had no room there; NULL = nothing */
    uint32_t spill_at, spill_len, spill_size;
    bool is_over;                      /* an alert was its last word */
};

void midge_tls_layer_init(struct midge_tls_layer *t, const struct midge_tls_library *library,
                          const struct midge_memory *memory);
void midge_tls_layer_close(struct midge_tls_layer *t);

/* Bytes from the peer, up to n; 0 = none are left. */
size_t midge_tls_take(struct midge_tls_layer *t, void *to, size_t n);

/* Bytes to the peer. False: no memory to keep them until they are pulled, or too many that nobody pulls. */
bool midge_tls_put(struct midge_tls_layer *t, const void *from, size_t n);

#endif
