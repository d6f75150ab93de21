/* reader.h - a cursor over MQTT data types [MQTT 5.0 section 1.5] that remembers the first failure.
 *
 * Decoders read down the specification's table and ask once at the end. After a failure every read yields zero or an
 * empty slice and the cursor stays put, so no read needs a check of its own.
 */
#ifndef MIDGE_BASE_READER_H
#define MIDGE_BASE_READER_H

#include "midge/midge_types.h"

struct midge_rd {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

void midge_rd_start(struct midge_rd *r, const uint8_t *bytes, uint32_t len);

static inline void midge_rd_init(struct midge_rd *r, struct midge_slice bytes)
{
    midge_rd_start(r, bytes.data, bytes.len);
}

uint8_t midge_rd_u8(struct midge_rd *r);
uint16_t midge_rd_u16(struct midge_rd *r);
uint32_t midge_rd_u32(struct midge_rd *r);

/* Variable Byte Integer, 0..268435455; a longer form than needed, or a fifth byte, fails [MQTT-1.5.5-1]. */
uint32_t midge_rd_varint(struct midge_rd *r);

/* Two-byte length and that many bytes, borrowed from the input: data is never NULL on success. */
void midge_rd_binary(struct midge_rd *r, struct midge_slice *out);

/* The same and well-formed UTF-8 without U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT311-1.5.3-1]. */
void midge_rd_string(struct midge_rd *r, struct midge_slice *out);

/* n bytes, borrowed. */
void midge_rd_bytes(struct midge_rd *r, uint32_t n, struct midge_slice *out);

/* What is left, and the cursor at the end. */
void midge_rd_rest(struct midge_rd *r, struct midge_slice *out);

/* Bytes left; 0 after a failure. */
uint32_t midge_rd_left(const struct midge_rd *r);

static inline bool midge_rd_ok(const struct midge_rd *r)
{
    return !r->failed;
}

/* True when nothing failed and nothing is left. */
static inline bool midge_rd_done(const struct midge_rd *r)
{
    return !r->failed && r->at == r->end;
}

#endif
