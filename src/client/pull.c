/* pull.c - bytes out: the host pulls, and only then is the next packet chosen and written. */
#include "client/internal.h"

#define DUES_ROOM 8 /* at first */

/* ---- our acknowledgements ----------------------------------------------------------------------------- */

bool midge_dues_has_room(struct midge_client *c)
{
    struct dues *d = &c->dues;
    if (d->count < d->room)
        return true;
    uint32_t room = d->room ? 2 * d->room : DUES_ROOM;
    struct due *ring = midge_mem_alloc(&c->mem, room * sizeof *ring, MIDGE_TAG_CONTROL);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < d->count; i++)
        ring[i] = d->ring[(d->first + i) & (d->room - 1)];
    midge_mem_free(&c->mem, d->ring, d->room * sizeof *ring, MIDGE_TAG_CONTROL);
    *d = (struct dues){ .ring = ring, .room = room, .count = d->count };
    return true;
}

void midge_dues_put(struct midge_client *c, enum midge_packet type, uint16_t pid, uint8_t reason)
{
    struct dues *d = &c->dues;
    d->ring[(d->first + d->count++) & (d->room - 1)] =
        (struct due){ .pid = pid, .type = (uint8_t)type, .reason = reason };
}

void midge_pull_reset(struct midge_client *c)
{
    midge_mem_free(&c->mem, c->dues.ring, c->dues.room * sizeof *c->dues.ring, MIDGE_TAG_CONTROL);
    c->dues = (struct dues){ 0 };
    midge_aliases_free(c, &c->aliases_out, c->alias_out);
}

/* ---- aliases ------------------------------------------------------------------------------------------ */

/* The alias to send instead of the topic, or with it where it is new; the one used longest ago gives way.
 * 0: none. */
static uint16_t use_alias(struct midge_client *c, struct midge_slice topic, bool *is_new)
{
    if (c->alias_out == 0)
        return 0;
    if (!c->aliases_out)
        c->aliases_out = midge_mem_zalloc(&c->mem, c->alias_out * sizeof *c->aliases_out, MIDGE_TAG_CONN);
    if (!c->aliases_out)
        return 0;
    struct alias *oldest = c->aliases_out;
    for (uint16_t i = 0; i < c->alias_out; i++) {
        struct alias *a = &c->aliases_out[i];
        if (a->topic.data && midge_slice_equal(a->topic, topic)) {
            a->used = ++c->alias_uses;
            return (uint16_t)(i + 1);
        }
        if (a->used < oldest->used)
            oldest = a;
    }
    if (!midge_client_slice_set(c, &oldest->topic, topic))
        return 0;
    oldest->used = ++c->alias_uses;
    *is_new = true;
    return (uint16_t)(oldest - c->aliases_out + 1); /* [MQTT-3.2.2-17] [MQTT-3.3.2-9] */
}

/* ---- one packet at a time ---------------------------------------------------------------------------- */

static bool is_idle(const struct midge_client *c)
{
    return c->small_len == 0 && !c->request && !c->publishing;
}

/* Writes one of the short packets, at once: they are sent out of c->small. */
static bool begin_small(struct midge_client *c, const struct midge_wr *w)
{
    c->small_len = (uint8_t)w->total;
    return true;
}

static struct midge_wr small_writer(struct midge_client *c)
{
    struct midge_wr w;
    midge_wr_init(&w, c->small, sizeof c->small, 0);
    return w;
}

static bool begin_goodbye(struct midge_client *c)
{
    if (!c->bye)
        return false;
    c->bye = false;
    struct midge_control_out p = {
        .reason = c->end_reason,
        .has_session_expiry = c->bye_has_expiry,
        .session_expiry_s = c->bye_expiry_s,
    };
    struct midge_wr w = small_writer(c);
    midge_encode_control(&w, PK_DISCONNECT, c->version, &p);
    return begin_small(c, &w);
}

static bool begin_ack(struct midge_client *c)
{
    struct dues *d = &c->dues;
    if (d->count == 0)
        return false;
    struct due due = d->ring[d->first];
    d->first = (d->first + 1) & (d->room - 1);
    d->count--;
    bool last = due.type == PK_PUBACK || due.reason >= MIDGE_RC_UNSPECIFIED || due.type == PK_PUBCOMP;
    if (last && due.reason != MIDGE_RC_PACKET_ID_NOT_FOUND && c->unacked > 0)
        c->unacked--;
    struct midge_wr w = small_writer(c);
    midge_encode_ack(&w, c->version,
                     &(struct midge_ack_out){
                         .type = (enum midge_packet)due.type, .pid = due.pid, .reason = due.reason });
    return begin_small(c, &w);
}

static bool begin_ping(struct midge_client *c)
{
    if (!c->ping_due)
        return false;
    c->ping_due = false;
    struct midge_wr w = small_writer(c);
    midge_encode_ping(&w, PK_PINGREQ);
    return begin_small(c, &w);
}

static bool begin_release(struct midge_client *c)
{
    if (!c->release.head)
        return false;
    struct outgoing *o = OUTGOING(c->release.head);
    midge_fifo_remove(&c->release, &o->link);
    midge_fifo_push(&c->flying, &o->link);
    struct midge_wr w = small_writer(c);
    midge_encode_ack(&w, c->version, &(struct midge_ack_out){ .type = PK_PUBREL, .pid = o->pid });
    return begin_small(c, &w);
}

static bool begin_request(struct midge_client *c)
{
    if (!c->control.head)
        return false;
    c->request = REQUEST(c->control.head);
    c->greeted = true; /* the first one is CONNECT [MQTT-3.1.0-1] */
    return true;
}

/* What may be sent next of the publications, and where it is. QoS 0 does not wait for the window
 * [MQTT-3.3.4-8]. */
static struct midge_fifo *next_list(struct midge_client *c)
{
    struct midge_link *todo = c->quota > 0 ? c->todo.head : NULL; /* [MQTT-3.3.4-7] [MQTT-4.9.0-2] */
    struct midge_link *plain = c->plain.head;
    if (todo && plain)
        return (int32_t)(OUTGOING(todo)->order - OUTGOING(plain)->order) < 0 ? &c->todo : &c->plain;
    return todo ? &c->todo : plain ? &c->plain : NULL;
}

static void fill_form(struct midge_client *c, const struct outgoing *o)
{
    struct midge_slice topic = midge_slice_of(o->bytes, o->topic_len);
    struct midge_slice props = midge_slice_of(o->bytes + o->topic_len, o->props_len);
    bool expires = o->expires != MIDGE_NEVER;
    c->form = (struct midge_publish_out){
        .version = c->version,
        .dup = o->again, /* [MQTT-3.3.1-1] [MQTT-3.3.1-2] [MQTT-4.3.2-2] [MQTT-4.3.3-2] */
        .retain = o->retain,
        .qos = o->qos,
        .pid = o->pid,
        .has_expiry = expires,
        .expiry_s = expires && o->expires > c->now ? (uint32_t)((o->expires - c->now + 999) / 1000) : 0,
        .topic = topic,
        .props = props,
        .payload = midge_slice_of(props.data + props.len, o->payload_len),
    };
}

/* 0, or why the server would not take it. */
static uint8_t obstacle(const struct midge_client *c, const struct outgoing *o)
{
    if (o->qos > c->maximum_qos)
        return MIDGE_RC_QOS_NOT_SUPPORTED; /* [MQTT-3.2.2-11] */
    if (o->retain && c->no_retain)
        return MIDGE_RC_RETAIN_NOT_SUPPORTED; /* [MQTT-3.2.2-14] */
    if (c->maximum_packet_size && midge_publish_size(&c->form) > c->maximum_packet_size)
        return MIDGE_RC_PACKET_TOO_LARGE; /* [MQTT-3.2.2-15] */
    if (o->expires <= c->now && !o->again && !o->relayed)
        return MIDGE_RC_IMPLEMENTATION_SPECIFIC;
    return 0;
}

#define ALIAS_BYTES 3

static void apply_alias(struct midge_client *c)
{
    uint32_t size = midge_publish_size(&c->form) + ALIAS_BYTES;
    if (c->maximum_packet_size && size > c->maximum_packet_size)
        return;
    bool is_new = false;
    c->form.topic_alias = use_alias(c, c->form.topic, &is_new);
    if (c->form.topic_alias && !is_new)
        c->form.topic.len = 0;
}

static bool begin_publication(struct midge_client *c)
{
    for (struct midge_fifo *list; (list = next_list(c));) {
        struct outgoing *o = OUTGOING(list->head);
        fill_form(c, o);
        uint8_t why = obstacle(c, o);
        if (why) {
            midge_outgoing_finish(c, list, o, MIDGE_CLIENT_DROPPED, why);
            if (c->state != STATE_UP)
                return false;
            continue;
        }
        if (o->qos > 0 && o->pid == 0)
            o->pid = midge_client_new_pid(c);
        if (o->qos > 0 && o->pid == 0)
            return false;
        c->form.pid = o->pid;
        apply_alias(c);
        c->publishing = o;
        o->counted = o->qos > 0 && !o->relayed;
        c->quota = (uint16_t)(c->quota - o->counted); /* [MQTT-4.9.0-2] */
        return true;
    }
    return false;
}

/* The next packet, if there is one that may be sent. */
static bool begin(struct midge_client *c)
{
    c->sent = 0;
    if (c->state == STATE_HELLO)
        return begin_request(c); /* CONNECT, AUTH, nothing else [MQTT-3.1.2-30] */
    if (c->state == STATE_UP &&
        (begin_ack(c) || begin_ping(c) || begin_release(c) || begin_request(c) || begin_publication(c)))
        return true;
    /* A callback may just have ended it. Nothing follows [MQTT-3.14.4-1] [MQTT311-3.14.4-2]. */
    return c->state == STATE_ENDING && begin_goodbye(c);
}

static void end_request(struct midge_client *c)
{
    struct request *r = c->request;
    c->request = NULL;
    midge_fifo_remove(&c->control, &r->link);
    if (r->pid)
        midge_fifo_push(&c->asked, &r->link);
    else
        midge_request_free(c, r);
}

static void end_publication(struct midge_client *c)
{
    struct outgoing *o = c->publishing;
    c->publishing = NULL;
    if (o->qos == 0 || o->relayed) {
        midge_outgoing_finish(c, &c->plain, o, MIDGE_CLIENT_PUBLISHED, MIDGE_RC_SUCCESS);
    } else if (o->done) {
        midge_outgoing_acknowledged(c, &c->todo, o, o->result);
    } else {
        midge_fifo_remove(&c->todo, &o->link);
        midge_fifo_push(o->released ? &c->release : &c->flying, &o->link);
    }
}

/* Writes on at the packet that was begun. */
static uint32_t go_on(struct midge_client *c, uint8_t *out, uint32_t room)
{
    struct midge_wr w;
    midge_wr_init(&w, out, room, c->sent);
    if (c->small_len)
        midge_wr_bytes(&w, midge_slice_of(c->small, c->small_len));
    else if (c->request)
        midge_wr_bytes(&w, midge_slice_of(c->request->bytes, c->request->len));
    else
        midge_encode_publish(&w, &c->form);

    uint32_t n = room - w.room;
    c->sent += n;
    if (c->sent < w.total)
        return n;
    if (c->small_len)
        c->small_len = 0;
    else if (c->request)
        end_request(c);
    else
        end_publication(c);
    return n;
}

size_t midge_client_pull(struct midge_client *c, void *out, size_t room, midge_ms now)
{
    midge_client_touch(c, now);
    size_t done = 0;
    while (done < room && !c->cut && (!is_idle(c) || begin(c))) {
        size_t part = room - done < UINT32_MAX ? room - done : UINT32_MAX;
        done += go_on(c, (uint8_t *)out + done, (uint32_t)part);
    }
    if (done > 0)
        c->sent_at = c->now;
    return done;
}

static bool has_work(const struct midge_client *c)
{
    if (c->cut || c->state == STATE_OFF)
        return false;
    if (!is_idle(c))
        return true;
    if (c->state == STATE_ENDING)
        return c->bye;
    if (c->control.head)
        return true;
    return c->state == STATE_UP && (c->dues.count > 0 || c->ping_due || c->release.head || c->plain.head ||
                                    (c->quota > 0 && c->todo.head));
}

#define PAUSE_AT 256 /* acknowledgements waiting */

unsigned midge_client_status(const struct midge_client *c)
{
    if (has_work(c))
        return MIDGE_STATUS_PULL | (c->dues.count >= PAUSE_AT ? MIDGE_STATUS_PAUSED : 0);
    return c->state == STATE_ENDING ? MIDGE_STATUS_CLOSE : 0;
}
