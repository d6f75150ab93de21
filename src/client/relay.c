/* relay.c - a client whose host keeps the state of QoS 1 and 2: packets are shown, and sent, as they are. */
#include "client/internal.h"

/* ---- in ----------------------------------------------------------------------------------------------- */

static void show(const struct midge_client *c, const struct midge_client_packet *packet)
{
    c->config->hooks->packet(c->config->hooks->user, packet);
}

void midge_relay_publish(struct midge_client *c, const struct midge_publish *p)
{
    const struct midge_message message = {
        .topic = p->topic,
        .payload = p->payload,
        .qos = p->qos,
        .retain = p->retain,
        .dup = p->dup,
        .has_expiry = midge_props_has(&p->props, PROP_MESSAGE_EXPIRY),
        .expiry_s = midge_props_number(&p->props, PROP_MESSAGE_EXPIRY),
        .props = p->props.section,
    };
    show(c, &(struct midge_client_packet){ .type = PK_PUBLISH, .pid = p->pid, .message = &message });
}

void midge_relay_ack(struct midge_client *c, enum midge_packet type, const struct midge_ack *p)
{
    show(c, &(struct midge_client_packet){ .type = (uint8_t)type, .pid = p->pid, .reason = p->reason });
}

/* ---- out ---------------------------------------------------------------------------------------------- */

static void write_props(struct midge_wr *w, const struct midge_client_packet *p)
{
    midge_props_forward(p->message->props, w);
    for (size_t i = 0; i < p->more_count; i++)
        midge_prop_pair(w, PROP_USER, p->more[i].name, p->more[i].value);
}

static uint32_t props_bytes(const struct midge_client *c, const struct midge_client_packet *p)
{
    struct midge_wr measure;
    midge_wr_init(&measure, NULL, 0, 0);
    if (midge_client_is_v5(c))
        write_props(&measure, p);
    return measure.total;
}

static uint8_t *append(uint8_t *at, struct midge_slice s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

static enum midge_err send_publish(struct midge_client *c, const struct midge_client_packet *p)
{
    const struct midge_message *m = p->message;
    if (!midge_text_ok(m->topic) || !midge_topic_name_ok(m->topic) || m->qos > 2 || (m->qos > 0) != (p->pid > 0))
        return MIDGE_ERR_INVALID;
    uint32_t props_len = props_bytes(c, p);
    uint32_t bytes = m->topic.len + props_len + m->payload.len;
    struct outgoing *o = midge_mem_alloc(&c->mem, sizeof *o + bytes, MIDGE_TAG_MSG);
    if (!o)
        return MIDGE_ERR_NO_MEMORY;
    *o = (struct outgoing){
        .token = MIDGE_CLIENT_TOKEN(m->qos, p->pid),
        .expires = m->has_expiry ? c->now + (midge_ms)m->expiry_s * 1000 : MIDGE_NEVER,
        .props_len = props_len,
        .payload_len = m->payload.len,
        .topic_len = (uint16_t)m->topic.len,
        .pid = p->pid,
        .qos = m->qos,
        .retain = m->retain,
        .again = m->dup && m->qos,
        .relayed = true,
    };
    struct midge_wr w;
    midge_wr_init(&w, append(o->bytes, m->topic), props_len, 0);
    if (props_len)
        write_props(&w, p);
    append(o->bytes + m->topic.len + props_len, m->payload);
    midge_outgoing_queue(c, &c->plain, o);
    return MIDGE_OK;
}

enum midge_err midge_client_send(struct midge_client *c, const struct midge_client_packet *p)
{
    if (c->state != STATE_UP || !midge_client_relays(c))
        return MIDGE_ERR_INVALID;
    if (p->type == PK_PUBLISH)
        return send_publish(c, p);
    if (p->type < PK_PUBACK || p->type > PK_PUBCOMP || !p->pid)
        return MIDGE_ERR_INVALID;
    if (!midge_dues_has_room(c))
        return MIDGE_ERR_NO_MEMORY;
    midge_dues_put(c, (enum midge_packet)p->type, p->pid, p->reason);
    return MIDGE_OK;
}
