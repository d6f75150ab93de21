/* writer.h - writes MQTT data types into a window of the output.
 *
 * A packet is a function of its fields, so a packet that did not fit is simply written again with `skip` set to what
 * has gone out already: each call writes only the part that overlaps [skip, skip + room). With room 0 it measures.
 */
#ifndef MIDGE_BASE_WRITER_H
#define MIDGE_BASE_WRITER_H

#include "midge/midge_types.h"

struct midge_wr {
    uint8_t *out;   /* where the next byte of the window goes; may be NULL when room is 0 */
    uint32_t room;  /* window bytes left */
    uint32_t skip;  /* bytes to pass over before the window begins */
    uint32_t total; /* bytes written so far, seen or not */
};

void midge_wr_init(struct midge_wr *w, void *out, uint32_t room, uint32_t skip);
void midge_wr_u8(struct midge_wr *w, uint8_t v);
void midge_wr_u16(struct midge_wr *w, uint16_t v);
void midge_wr_u32(struct midge_wr *w, uint32_t v);
void midge_wr_varint(struct midge_wr *w, uint32_t v);              /* shortest form [MQTT-1.5.5-1] */
void midge_wr_bytes(struct midge_wr *w, struct midge_slice s);     /* as they are */
void midge_wr_string(struct midge_wr *w, struct midge_slice s);    /* with a two-byte length; len <= 65535 */

uint32_t midge_varint_size(uint32_t v);

#endif
