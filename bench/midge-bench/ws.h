/* ws.h - WebSocket below the packets: the upgrade, masked frames out, plain frames in. */
#ifndef MIDGE_BENCH_WS_H
#define MIDGE_BENCH_WS_H

#include "buffer.h"

#include <stdbool.h>

/* What comes in. All zero: nothing has. */
struct ws {
    bool greeted;     /* the answer to the upgrade has come */
    uint8_t seen;     /* bytes of the answer's end, "\r\n\r\n", that came last */
    uint8_t head[10]; /* of the frame that begins */
    uint8_t head_len;
    uint64_t left; /* bytes of its payload that are still to come */
};

void ws_add_upgrade(struct buffer *out, const char *host);
/* All bytes as one binary frame. */
void ws_add_frame(struct buffer *out, const uint8_t *bytes, size_t n);

/* Leaves of the *n bytes those that are payload. False: nothing that a broker may send, or its goodbye. */
bool ws_strip(struct ws *w, uint8_t *bytes, size_t *n);

#endif
