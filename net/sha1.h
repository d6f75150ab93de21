/* sha1.h - SHA-1, for the one thing that still needs it: the answer to a WebSocket upgrade. */
#ifndef MIDGE_NET_SHA1_H
#define MIDGE_NET_SHA1_H

#include <stddef.h>
#include <stdint.h>

/* Of a short message: n < 120. */
void midge_sha1_short(const void *message, size_t n, uint8_t digest[20]);

#endif
