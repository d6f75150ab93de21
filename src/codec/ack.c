/* ack.c - PUBACK, PUBREC, PUBREL, PUBCOMP: four packets, one form, which SUBACK and UNSUBACK nearly have. */
#include "codec/packet.h"

enum midge_reason midge_decode_ack(enum midge_packet type, struct midge_slice body, uint8_t version,
                                   struct midge_ack *out)
{
    struct midge_rd r;
    midge_rd_init(&r, body);
    *out = (struct midge_ack){ .pid = midge_rd_u16(&r) };
    if (MIDGE_V5 && version == MIDGE_V50) { /* short forms [U5-3.4.2.1-short] */
        if (midge_rd_left(&r) > 0)
            out->reason = midge_rd_u8(&r);
        if (midge_rd_left(&r) > 0) {
            struct midge_props props;
            enum midge_reason rc = midge_props_read(&r, version, MIDGE_IN(type), &props);
            if (rc != MIDGE_RC_SUCCESS)
                return rc;
            out->reason_string = midge_props_text(&props, PROP_REASON_STRING);
        }
    }
    if (!midge_rd_done(&r))
        return MIDGE_RC_MALFORMED;
    if (out->pid == 0 || !midge_reason_lawful(out->reason, MIDGE_IN(type)))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] */
    return MIDGE_RC_SUCCESS;
}

void midge_encode_ack(struct midge_wr *w, uint8_t version, const struct midge_ack_out *p)
{
    bool v5 = MIDGE_V5 && version == MIDGE_V50;
    bool of_list = p->type == PK_SUBACK || p->type == PK_UNSUBACK; /* a code for each filter, and a section always */
    uint32_t text = v5 && p->reason_string.len > 0 ? 3 + p->reason_string.len : 0;
    bool reason = v5 && !of_list && (p->reason != MIDGE_RC_SUCCESS || text > 0);
    bool section = v5 && (of_list || text > 0);

    /* [MQTT-3.6.1-1] [MQTT311-3.6.1-1] */
    midge_wr_u8(w, (uint8_t)(p->type << 4 | (p->type == PK_PUBREL ? 2 : 0)));
    midge_wr_varint(w, 2u + reason + (section ? midge_varint_size(text) + text : 0) + p->codes);
    midge_wr_u16(w, p->pid); /* [MQTT-2.2.1-5] [MQTT-2.2.1-6] [MQTT311-2.3.1-6] [MQTT311-2.3.1-7] */
    if (reason)
        midge_wr_u8(w, p->reason);
    if (section)
        midge_wr_varint(w, text);
    if (text > 0)
        midge_prop_string(w, PROP_REASON_STRING, p->reason_string);
    for (uint32_t i = 0; i < p->codes; i++)
        midge_wr_u8(w, 0);
}
