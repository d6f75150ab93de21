/* on_ack.c - PUBACK, PUBREC, PUBREL, PUBCOMP: both ends of QoS 1 and 2. */
#include "broker/internal.h"

/* ---- towards the client ------------------------------------------------------------------------------- */

struct found {
    struct midge_entry *entry; /* NULL = no such id is in use */
    struct midge_entry *before;
    struct midge_ack ack;
};

/* The entry that is acknowledged. It was sent, and all of it; it is of the QoS that this packet belongs to
 * [U5-2.4-ack]. */
static enum midge_reason find(struct midge_conn *c, enum midge_packet type, struct midge_slice body, uint8_t qos,
                              struct found *f)
{
    *f = (struct found){ 0 };
    enum midge_reason rc = midge_decode_ack(type, body, c->version, &f->ack);
    if (rc != MIDGE_RC_SUCCESS || !c->session->outbox)
        return rc;
    f->entry = midge_inflight_find(&c->session->outbox->unacked, f->ack.pid, &f->before);
    if (MIDGE_DURABLE && f->entry && !f->entry->sent)
        f->entry = NULL; /* it has its id, and is still to be sent */
    if (f->entry && (f->entry == c->sending || f->entry->qos != qos))
        return MIDGE_RC_PROTOCOL_ERROR;
    return MIDGE_RC_SUCCESS;
}

static void done(struct midge_conn *c, struct found *f)
{
    midge_outbox_done(c->m, c->session, f->before, f->entry); /* the window opens [U5-4.9-quota] */
    midge_session_mark_ready(c->m, c->session);
}

enum midge_reason midge_on_puback(struct midge_conn *c, struct midge_slice body)
{
    struct found f;
    enum midge_reason rc = find(c, PK_PUBACK, body, 1, &f);
    if (rc == MIDGE_RC_SUCCESS && f.entry)
        done(c, &f); /* a reason >= 0x80 ends it as well [MQTT-4.4.0-2] */
    return rc;
}

enum midge_reason midge_on_pubrec(struct midge_conn *c, struct midge_slice body)
{
    struct found f;
    enum midge_reason rc = find(c, PK_PUBREC, body, 2, &f);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (f.entry && f.ack.reason >= MIDGE_RC_UNSPECIFIED) {
        done(c, &f); /* [MQTT-4.3.3-4] */
        return MIDGE_RC_SUCCESS;
    }
    if (f.entry && !f.entry->released && MIDGE_DURABLE) {
        f.entry->released = true;
        midge_durable_entry(c->m, f.entry, true);
    }
    if (f.entry)
        f.entry->released = true; /* from here on only PUBREL is sent again [MQTT-4.3.3-6] */
    if (f.ack.reason < MIDGE_RC_UNSPECIFIED)
        midge_send_ack(c, PK_PUBREL, f.ack.pid, f.entry ? MIDGE_RC_SUCCESS : MIDGE_RC_PACKET_ID_NOT_FOUND);
    return MIDGE_RC_SUCCESS; /* in the order of the PUBRECs [MQTT311-4.6.0-4]; unknown id: [U5-3.6-0x92] */
}

enum midge_reason midge_on_pubcomp(struct midge_conn *c, struct midge_slice body)
{
    struct found f;
    enum midge_reason rc = find(c, PK_PUBCOMP, body, 2, &f);
    if (rc == MIDGE_RC_SUCCESS && f.entry && !f.entry->released)
        return MIDGE_RC_PROTOCOL_ERROR;
    if (rc == MIDGE_RC_SUCCESS && f.entry)
        done(c, &f);
    return rc;
}

/* ---- from the client ---------------------------------------------------------------------------------- */

enum midge_reason midge_on_pubrel(struct midge_conn *c, struct midge_slice body)
{
    struct midge_ack ack;
    enum midge_reason rc = midge_decode_ack(PK_PUBREL, body, c->version, &ack);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    /* the id is new again [MQTT-4.3.3-12] */
    bool known = midge_ids_remove(&c->m->mem, &c->session->received, ack.pid);
    if (MIDGE_DURABLE && known)
        midge_durable_received(c->m, c->session, ack.pid, false);
    /* [MQTT-4.3.3-11] */
    midge_send_ack(c, PK_PUBCOMP, ack.pid, known ? MIDGE_RC_SUCCESS : MIDGE_RC_PACKET_ID_NOT_FOUND);
    return MIDGE_RC_SUCCESS;
}
