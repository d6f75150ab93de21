/* outbox.c - what the client holds: publications until they are acknowledged, requests until they are
 * answered. */
#include "client/internal.h"

#define REMAINING_MAX 268435455u

/* ---- lists -------------------------------------------------------------------------------------------- */

static struct midge_link *pop(struct midge_fifo *f)
{
    struct midge_link *l = f->head;
    midge_fifo_remove(f, l);
    return l;
}

static void move(struct midge_fifo *from, struct midge_fifo *to, struct midge_link *l)
{
    midge_fifo_remove(from, l);
    midge_fifo_push(to, l);
}

/* All of `from`, which is no list any more then, in front of `to`, in order. */
static void prepend(struct midge_fifo *to, struct midge_fifo *from)
{
    if (!from->head)
        return;
    *from->tail = to->head;
    if (to->head)
        to->head->pprev = from->tail;
    else
        to->tail = from->tail;
    to->head = from->head;
    to->head->pprev = &to->head;
}

/* ---- publications ------------------------------------------------------------------------------------- */

static uint32_t content_bytes(const struct outgoing *o)
{
    return o->topic_len + o->props_len + o->payload_len;
}

static void outgoing_free(struct midge_client *c, struct outgoing *o)
{
    c->held--;
    c->held_bytes -= content_bytes(o);
    midge_mem_free(&c->mem, o, sizeof *o + content_bytes(o), MIDGE_TAG_MSG);
}

void midge_outgoing_queue(struct midge_client *c, struct midge_fifo *list, struct outgoing *o)
{
    o->order = c->order++;
    midge_fifo_push(list, &o->link);
    c->held++;
    c->held_bytes += content_bytes(o);
}

/* Takes it out of its list, and tells its end. */
void midge_outgoing_finish(struct midge_client *c, struct midge_fifo *list, struct outgoing *o,
                           enum midge_client_event_kind kind, uint8_t reason)
{
    struct midge_client_event event = { .kind = kind, .reason = reason, .token = o->token };
    midge_fifo_remove(list, &o->link);
    outgoing_free(c, o);
    midge_client_tell(c, &event);
}

void midge_publication_props(struct midge_wr *w, const struct midge_publication *p)
{
    if (p->has_payload_format)
        midge_prop_number(w, PROP_PAYLOAD_FORMAT, p->payload_format);
    midge_prop_string(w, PROP_CONTENT_TYPE, p->content_type);
    midge_prop_string(w, PROP_RESPONSE_TOPIC, p->response_topic);
    midge_prop_string(w, PROP_CORRELATION_DATA, p->correlation_data);
    for (size_t i = 0; i < p->user_property_count; i++)
        midge_prop_pair(w, PROP_USER, p->user_properties[i].name, p->user_properties[i].value);
}

static bool user_properties_ok(const struct midge_publication *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->user_property_count; i++) {
        const struct midge_user_property *u = &p->user_properties[i];
        bytes += 5 + (uint64_t)u->name.len + u->value.len;
        if (!midge_text_ok(u->name) || !midge_text_ok(u->value) || bytes > REMAINING_MAX)
            return false;
    }
    return true;
}

bool midge_publication_ok(const struct midge_publication *p)
{
    if (!midge_text_ok(p->topic) || !midge_topic_name_ok(p->topic) || p->qos > 2 || p->payload_format > 1)
        return false; /* [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-3.3.1-4] */
    if (p->response_topic.data &&
        !(midge_text_ok(p->response_topic) && midge_topic_name_ok(p->response_topic)))
        return false; /* [MQTT-3.3.2-14] */
    if (!midge_text_ok(p->content_type) || p->correlation_data.len > MIDGE_TEXT_MAX || !user_properties_ok(p))
        return false;
    return p->payload.len <= REMAINING_MAX / 2;
}

static uint32_t props_bytes(const struct midge_publication *p)
{
    struct midge_wr measure;
    midge_wr_init(&measure, NULL, 0, 0);
    if (MIDGE_V5)
        midge_publication_props(&measure, p);
    return measure.total;
}

static void append(uint8_t **at, struct midge_slice s)
{
    if (s.len > 0)
        memcpy(*at, s.data, s.len);
    *at += s.len;
}

enum midge_err midge_client_publish(struct midge_client *c, const struct midge_publication *p, void *token,
                                    midge_ms now)
{
    if (!midge_publication_ok(p))
        return MIDGE_ERR_INVALID;
    uint32_t props_len = props_bytes(p);
    uint32_t bytes = p->topic.len + props_len + p->payload.len;
    if (c->held >= c->config->queue_msgs || bytes > c->config->queue_bytes - c->held_bytes)
        return MIDGE_ERR_FULL;
    struct outgoing *o = midge_mem_alloc(&c->mem, sizeof *o + bytes, MIDGE_TAG_MSG);
    if (!o)
        return MIDGE_ERR_NO_MEMORY;

    *o = (struct outgoing){
        .token = token,
        .expires = p->has_expiry ? now + (midge_ms)p->expiry_s * 1000 : MIDGE_NEVER,
        .props_len = props_len,
        .payload_len = p->payload.len,
        .topic_len = (uint16_t)p->topic.len,
        .qos = p->qos,
        .retain = p->retain,
    };
    uint8_t *at = o->bytes;
    append(&at, p->topic);
    struct midge_wr w;
    midge_wr_init(&w, at, props_len, 0);
    if (MIDGE_V5)
        midge_publication_props(&w, p);
    at += props_len;
    append(&at, p->payload);
    midge_outgoing_queue(c, o->qos == 0 ? &c->plain : &c->todo, o);
    return MIDGE_OK;
}

/* ---- packet identifiers ------------------------------------------------------------------------------- */

static struct outgoing *find_in(const struct midge_fifo *f, uint16_t pid)
{
    for (struct midge_link *l = f->head; l && OUTGOING(l)->pid != 0; l = l->next) {
        if (OUTGOING(l)->pid == pid)
            return OUTGOING(l);
    }
    return NULL;
}

/* The publication that was sent with this id, and the list that it is in. */
static struct outgoing *find(struct midge_client *c, uint16_t pid, struct midge_fifo **list)
{
    struct midge_fifo *const lists[] = { &c->flying, &c->release, &c->todo };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct outgoing *o = find_in(lists[i], pid);
        *list = lists[i];
        if (o)
            return o;
    }
    return NULL;
}

static struct request *find_request(const struct midge_fifo *f, uint16_t pid)
{
    for (struct midge_link *l = f->head; l; l = l->next) {
        if (REQUEST(l)->pid == pid)
            return REQUEST(l);
    }
    return NULL;
}

/* 0: all are in use. [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT311-2.3.1-1] [MQTT311-2.3.1-2] */
uint16_t midge_client_new_pid(struct midge_client *c)
{
    for (uint32_t tries = 0; tries < UINT16_MAX; tries++) {
        c->last_pid = c->last_pid == UINT16_MAX ? 1 : (uint16_t)(c->last_pid + 1);
        struct midge_fifo *list;
        if (!find(c, c->last_pid, &list) && !find_request(&c->asked, c->last_pid) &&
            !find_request(&c->control, c->last_pid))
            return c->last_pid;
    }
    return 0;
}

/* ---- requests ----------------------------------------------------------------------------------------- */

struct request *midge_request_new(struct midge_client *c, enum midge_packet type, uint32_t len, void *token)
{
    struct request *r = midge_mem_alloc(&c->mem, sizeof *r + len, MIDGE_TAG_CONTROL);
    if (r)
        *r = (struct request){ .token = token, .len = len, .type = (uint8_t)type };
    return r;
}

void midge_request_queue(struct midge_client *c, struct request *r)
{
    midge_fifo_push(&c->control, &r->link);
}

void midge_request_free(struct midge_client *c, struct request *r)
{
    midge_mem_free(&c->mem, r, sizeof *r + r->len, MIDGE_TAG_CONTROL);
}

static bool filters_ok(const struct midge_filter_request *f, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++) {
        if (f[i].filter.len == 0 || !midge_text_ok(f[i].filter) || f[i].qos > 2 || f[i].retain_handling > 2)
            return false;
    }
    return count > 0; /* [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT311-3.8.3-3] [MQTT311-3.10.3-2] */
}

static enum midge_err ask(struct midge_client *c, enum midge_packet type,
                          const struct midge_filter_request *filters, uint16_t count,
                          uint32_t subscription_id, void *token)
{
    if (c->state != STATE_UP || !filters_ok(filters, count) || subscription_id > REMAINING_MAX)
        return MIDGE_ERR_INVALID;
    uint16_t pid = midge_client_new_pid(c);
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    midge_encode_subscribe(&w, type, c->version, pid, filters, count, subscription_id);
    if (pid == 0 || (c->maximum_packet_size && w.total > c->maximum_packet_size))
        return MIDGE_ERR_INVALID; /* [MQTT-3.2.2-15] */
    struct request *r = midge_request_new(c, type, w.total, token);
    if (!r)
        return MIDGE_ERR_NO_MEMORY;
    r->pid = pid;
    r->count = count;
    midge_wr_init(&w, r->bytes, r->len, 0);
    midge_encode_subscribe(&w, type, c->version, pid, filters, count, subscription_id);
    midge_request_queue(c, r);
    return MIDGE_OK;
}

enum midge_err midge_client_subscribe(struct midge_client *c, const struct midge_filter_request *filters,
                                      uint16_t count, uint32_t subscription_id, void *token)
{
    return ask(c, PK_SUBSCRIBE, filters, count, subscription_id, token);
}

enum midge_err midge_client_unsubscribe(struct midge_client *c, const struct midge_filter_request *filters,
                                        uint16_t count, void *token)
{
    return ask(c, PK_UNSUBSCRIBE, filters, count, 0, token);
}

enum midge_reason midge_outbox_answered(struct midge_client *c, enum midge_packet type,
                                        const struct midge_suback *answer)
{
    struct request *r = find_request(&c->asked, answer->pid);
    bool none = type == PK_UNSUBACK && !midge_client_is_v5(c);
    if (!r || r->type != type - 1 || answer->codes.len != (none ? 0u : r->count))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-3.8.4-6] [MQTT311-3.8.4-5] */
    struct midge_client_event event = {
        .kind = type == PK_SUBACK ? MIDGE_CLIENT_SUBSCRIBED : MIDGE_CLIENT_UNSUBSCRIBED,
        .token = r->token,
        .codes = answer->codes,
        .reason_string = midge_props_text(&answer->props, PROP_REASON_STRING),
    };
    midge_fifo_remove(&c->asked, &r->link);
    midge_request_free(c, r);
    midge_client_tell(c, &event);
    return MIDGE_RC_SUCCESS;
}

/* ---- the server's acknowledgements -------------------------------------------------------------------- */

/* One that is still being sent stays until its last byte: the packet has to be finished. */
void midge_outgoing_acknowledged(struct midge_client *c, struct midge_fifo *list, struct outgoing *o,
                                 uint8_t reason)
{
    o->result = reason;
    o->done = true;
    if (o == c->publishing)
        return;
    c->quota = (uint16_t)(c->quota + o->counted); /* never above the initial value [U5-4.9-quota] */
    midge_outgoing_finish(c, list, o, MIDGE_CLIENT_PUBLISHED, reason);
}

static void received(struct midge_client *c, struct midge_fifo *list, struct outgoing *o)
{
    o->released = true;
    if (o == c->publishing)
        return;
    move(list, &c->release, &o->link); /* PUBRELs in the order of PUBRECs [MQTT-4.6.0-4] */
}

enum midge_reason midge_outbox_acked(struct midge_client *c, enum midge_packet type,
                                     const struct midge_ack *ack)
{
    struct midge_fifo *list;
    struct outgoing *o = find(c, ack->pid, &list);
    if (!o) {
        if (type != PK_PUBREC)
            return MIDGE_RC_SUCCESS; /* of a session that we have lost */
        if (!midge_dues_has_room(c))
            return MIDGE_RC_QUOTA_EXCEEDED;
        midge_dues_put(c, PK_PUBREL, ack->pid, MIDGE_RC_PACKET_ID_NOT_FOUND); /* [U5-3.6-0x92] */
        return MIDGE_RC_SUCCESS;
    }
    if (o->qos != (type == PK_PUBACK ? 1 : 2) || (type == PK_PUBCOMP && !o->released))
        return MIDGE_RC_PROTOCOL_ERROR; /* [U5-2.4-ack] */
    if (type == PK_PUBREC && ack->reason < MIDGE_RC_UNSPECIFIED)
        received(c, list, o); /* [MQTT-4.3.3-4] */
    else
        midge_outgoing_acknowledged(c, list, o, ack->reason); /* [MQTT-4.4.0-2] */
    return MIDGE_RC_SUCCESS;
}

/* ---- from connection to connection -------------------------------------------------------------------- */

void midge_outbox_init(struct midge_client *c)
{
    midge_fifo_init(&c->plain);
    midge_fifo_init(&c->todo);
    midge_fifo_init(&c->flying);
    midge_fifo_init(&c->release);
    midge_fifo_init(&c->control);
    midge_fifo_init(&c->asked);
}

static void drop_requests(struct midge_client *c, struct midge_fifo *f)
{
    while (f->head) {
        struct request *r = REQUEST(pop(f));
        struct midge_client_event event = {
            .kind = MIDGE_CLIENT_DROPPED,
            .reason = MIDGE_RC_UNSPECIFIED,
            .token = r->token,
        };
        bool tell = r->pid != 0;
        midge_request_free(c, r);
        if (tell)
            midge_client_tell(c, &event);
    }
}

/* The packet that is half sent is lost with its connection: of QoS 0 for good. */
static void drop_half_sent(struct midge_client *c)
{
    struct outgoing *o = c->publishing;
    c->publishing = NULL;
    c->request = NULL;
    c->small_len = 0;
    if (!o)
        return;
    o->again = true;
    o->counted = false;
    if (o->qos == 0 || o->relayed)
        midge_outgoing_finish(c, &c->plain, o, MIDGE_CLIENT_DROPPED, MIDGE_RC_UNSPECIFIED);
    else if (o->done)
        midge_outgoing_finish(c, &c->todo, o, MIDGE_CLIENT_PUBLISHED, o->result);
    else if (o->released)
        move(&c->todo, &c->release, &o->link);
}

void midge_outbox_lost(struct midge_client *c)
{
    drop_half_sent(c);
    while (midge_client_relays(c) && c->plain.head) /* packets of this connection; what they said is the host's */
        outgoing_free(c, OUTGOING(pop(&c->plain)));
    struct midge_fifo again, released;
    midge_fifo_init(&again);
    midge_fifo_init(&released);
    while (c->flying.head) {
        struct outgoing *o = OUTGOING(pop(&c->flying));
        o->again = true;
        o->counted = false;
        midge_fifo_push(o->released ? &released : &again, &o->link);
    }
    prepend(&c->release, &released); /* [MQTT-4.6.0-4] */
    prepend(&c->todo, &again);       /* in the order of the first time [MQTT-4.6.0-1] [MQTT311-4.6.0-1] */
    midge_pull_reset(c);
    drop_requests(c, &c->control);
    drop_requests(c, &c->asked);
}

void midge_outbox_forget(struct midge_client *c)
{
    while (c->release.head)
        midge_outgoing_finish(c, &c->release, OUTGOING(c->release.head), MIDGE_CLIENT_DROPPED,
                              MIDGE_RC_UNSPECIFIED);
    while (c->todo.head && OUTGOING(c->todo.head)->again)
        midge_outgoing_finish(c, &c->todo, OUTGOING(c->todo.head), MIDGE_CLIENT_DROPPED,
                              MIDGE_RC_UNSPECIFIED);
}

void midge_outbox_free(struct midge_client *c)
{
    struct midge_fifo *const publications[] = { &c->plain, &c->todo, &c->flying, &c->release };
    for (size_t i = 0; i < sizeof publications / sizeof publications[0]; i++) {
        while (publications[i]->head)
            outgoing_free(c, OUTGOING(pop(publications[i])));
    }
    struct midge_fifo *const requests[] = { &c->control, &c->asked };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        while (requests[i]->head)
            midge_request_free(c, REQUEST(pop(requests[i])));
    }
}
