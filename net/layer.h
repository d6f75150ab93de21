/* layer.h - a layer makes one stream of bytes out of another: TLS, WebSocket, PROXY. It knows no socket.
 *
 *       the port's socket              feed ──► bytes that came, upwards
 *     ───────────────────
 *       proxy, tls, ws       a chain of 0 to 3 layers, the bottom one next to the socket
 *     ───────────────────
 *       the top: the broker            pull ◄── bytes to send, downwards
 *
 * Chain: tcp 0, tls 1, ws 1, wss 2, each with PROXY one more. A port feeds what it read and pulls while its socket has
 * room. All that is fed is consumed; what is pulled counts as sent. A layer owns no buffer while nothing is half
 * done. In and out do not nest: a feed sends nothing, it only makes that there is something to pull.
 */
#ifndef MIDGE_NET_LAYER_H
#define MIDGE_NET_LAYER_H

#include "midge/midge.h"

struct midge_chain;
struct midge_layer;

/* ---- what a layer is ----------------------------------------------------------------------------------- */

struct midge_layer_kind {
    /* Bytes from below, which the layer may overwrite; what they say is handed to midge_layer_up. */
    void (*feed)(struct midge_layer *l, uint8_t *bytes, size_t n);
    /* Bytes for below, up to `room`; 0 = none now. Content comes from midge_layer_pull_above. Where nothing more
     * comes from above (midge_layer_above_is_done) the layer says goodbye in its own way, then sets `done`. */
    size_t (*pull)(struct midge_layer *l, uint8_t *out, size_t room);
    void (*free)(struct midge_layer *l);
};

/* The first member of every layer. */
struct midge_layer {
    const struct midge_layer_kind *kind;
    struct midge_chain *chain;
    struct midge_layer *above; /* NULL: the top */
    bool greeted;              /* its handshake is over */
    bool done;                 /* and it has nothing more to send, ever */
};

/* For layers. Up and pull_above: to the next one. */
void midge_layer_up(struct midge_layer *l, uint8_t *bytes, size_t n);
size_t midge_layer_pull_above(struct midge_layer *l, uint8_t *out, size_t room);
bool midge_layer_above_is_done(const struct midge_layer *l);
/* The peer has ended the stream, or broken its rules: `why`, static text; NULL = it ended in order. The rest of what
 * was fed is dropped; the layers' goodbyes are still to be pulled. */
void midge_layer_end(struct midge_layer *l, const char *why);

/* ---- what a port does ---------------------------------------------------------------------------------- */

struct midge_chain_top {
    /* Bytes of the innermost stream. May push a layer, to which the same bytes are fed then. */
    void (*feed)(void *user, uint8_t *bytes, size_t n);
    size_t (*pull)(void *user, uint8_t *out, size_t room);
};

struct midge_chain {
    struct midge_layer *bottom;
    const struct midge_chain_top *top;
    void *user;
    const char *why; /* it ended: static text; NULL = in order */
    bool ended;      /* by the peer or a layer */
    bool closing;    /* by the top */
};

/* `l` NULL (no memory to make one): false. Takes l, which sees what comes through the present top. */
bool midge_chain_push(struct midge_chain *c, struct midge_layer *l);

/* Not after the chain has ended: then what is fed is dropped. */
void midge_chain_feed(struct midge_chain *c, uint8_t *bytes, size_t n);
size_t midge_chain_pull(struct midge_chain *c, uint8_t *out, size_t room);

/* The top has nothing more to say. What is still pulled are goodbyes. */
void midge_chain_close(struct midge_chain *c);

/* All layers have shaken hands. */
bool midge_chain_has_greeted(const struct midge_chain *c);

void midge_chain_free(struct midge_chain *c);

#endif
