/* client.c - a conversation with a server, from CONNECT to DISCONNECT, as its client. */
#include "client/internal.h"

#include "base/utf8.h"

#define LINGER_MS 5000u              /* for the last bytes */
#define FRAME_ROOM 256u              /* at first, for a packet in pieces */
#define RESERVE(bytes) ((bytes) / 8) /* which publications may not use */

void midge_client_tell(const struct midge_client *c, const struct midge_client_event *event)
{
    const struct midge_client_hooks *hooks = c->config->hooks;
    if (hooks && hooks->event)
        hooks->event(hooks->user, event);
}

void midge_client_touch(struct midge_client *c, midge_ms now)
{
    if (now > c->now) /* a step back is no time */
        c->now = now;
}

bool midge_text_ok(struct midge_slice s)
{
    return s.len <= MIDGE_TEXT_MAX && midge_utf8_valid(s);
}

/* ---- one client --------------------------------------------------------------------------------------- */

struct midge_client *midge_client_new(const struct midge_client_config *config, midge_ms now)
{
    size_t limit = config->memory_bytes ? config->memory_bytes : SIZE_MAX;
    struct midge_mem mem;
    midge_mem_init(&mem, config->memory, limit, config->memory_bytes ? RESERVE(limit) : 0);
    struct midge_client *c = midge_mem_zalloc(&mem, sizeof *c, MIDGE_TAG_BROKER);
    if (!c)
        return NULL;
    c->mem = mem;
    c->config = config;
    c->now = now;
    midge_outbox_init(c);
    return c;
}

static void frame_free(struct midge_client *c)
{
    midge_mem_free(&c->mem, c->frame, c->frame_room, MIDGE_TAG_FRAME);
    c->frame = NULL;
    c->frame_len = c->frame_room = 0;
    c->head = (struct midge_head){ 0 };
}

void midge_client_slice_free(struct midge_client *c, struct midge_slice *s)
{
    if (s->data)
        midge_mem_free(&c->mem, (void *)(uintptr_t)s->data, s->len ? s->len : 1, MIDGE_TAG_CONN);
    *s = (struct midge_slice){ 0 };
}

/* A copy of its own, also of nothing. False: no memory, *to is as before. */
bool midge_client_slice_set(struct midge_client *c, struct midge_slice *to, struct midge_slice from)
{
    uint8_t *copy = midge_mem_alloc(&c->mem, from.len ? from.len : 1, MIDGE_TAG_CONN);
    if (!copy)
        return false;
    if (from.len > 0)
        memcpy(copy, from.data, from.len);
    midge_client_slice_free(c, to);
    *to = midge_slice_of(copy, from.len);
    return true;
}

void midge_aliases_free(struct midge_client *c, struct alias **aliases, uint16_t count)
{
    if (!*aliases)
        return;
    for (uint16_t i = 0; i < count; i++)
        midge_client_slice_free(c, &(*aliases)[i].topic);
    midge_mem_free(&c->mem, *aliases, count * sizeof **aliases, MIDGE_TAG_CONN);
    *aliases = NULL;
}

void midge_client_free(struct midge_client *c)
{
    if (!c)
        return;
    midge_outbox_free(c);
    midge_pull_reset(c);
    frame_free(c);
    midge_client_slice_free(c, &c->auth_method);
    midge_aliases_free(c, &c->aliases_in, c->config->alias_in);
    midge_mem_free(&c->mem, c->qos2_ids, c->qos2_room * sizeof *c->qos2_ids, MIDGE_TAG_SESSION);
    struct midge_mem mem = c->mem;
    midge_mem_free(&mem, c, sizeof *c, MIDGE_TAG_BROKER);
}

bool midge_client_is_connected(const struct midge_client *c)
{
    return c->state == STATE_UP;
}

uint32_t midge_client_held(const struct midge_client *c)
{
    return c->held;
}

size_t midge_client_memory_used(const struct midge_client *c)
{
    return c->mem.used;
}

/* ---- the end ------------------------------------------------------------------------------------------ */

/* On 3.x DISCONNECT means that all is well: a failure just closes. */
static bool may_say(const struct midge_client *c, uint8_t reason)
{
    if (!c->greeted)
        return false;
    if (!midge_client_is_v5(c))
        return reason == MIDGE_RC_SUCCESS;
    return midge_reason_lawful(reason, MIDGE_IN(PK_DISCONNECT));
}

void midge_client_end(struct midge_client *c, uint8_t reason, bool by_server)
{
    if (c->state == STATE_OFF || c->state == STATE_ENDING)
        return;
    c->state = STATE_ENDING;
    c->end_reason = reason;
    c->by_server = by_server;
    c->bye = !by_server && may_say(c, reason); /* [MQTT-4.13.2-1] */
    c->cut = !c->bye;
    c->due = c->now + LINGER_MS;
}

enum midge_err midge_client_disconnect(struct midge_client *c, uint8_t reason,
                                       const uint32_t *session_expiry_s, midge_ms now)
{
    midge_client_touch(c, now);
    if (c->state == STATE_OFF || c->state == STATE_ENDING)
        return MIDGE_OK;
    if (!midge_reason_lawful(reason, MIDGE_IN(PK_DISCONNECT)))
        return MIDGE_ERR_INVALID; /* [MQTT-3.14.2-1] */
    if (session_expiry_s && (!midge_client_is_v5(c) || (c->asked_expiry_s == 0 && *session_expiry_s != 0)))
        return MIDGE_ERR_INVALID; /* [U5-3.14.2.2.2] */
    if (session_expiry_s) {
        c->bye_has_expiry = true;
        c->bye_expiry_s = *session_expiry_s;
        c->session_expiry_s = *session_expiry_s;
    }
    midge_client_end(c, reason, false);
    return MIDGE_OK;
}

static void tell_end(struct midge_client *c, struct midge_slice text, struct midge_slice server)
{
    if (c->told)
        return;
    c->told = true;
    struct midge_client_event event = {
        .kind = MIDGE_CLIENT_DISCONNECTED,
        .reason = c->end_reason,
        .by_server = c->by_server,
        .reason_string = text,
        .server_reference = server,
    };
    midge_client_tell(c, &event);
}

/* All that belongs to one connection. */
static void reset(struct midge_client *c)
{
    midge_aliases_free(c, &c->aliases_in, c->config->alias_in); /* [MQTT-3.3.2-7] */
    midge_client_slice_free(c, &c->auth_method);
    frame_free(c);
    c->unacked = 0;
    c->greeted = c->bye = c->cut = c->told = c->bye_has_expiry = false;
    c->ping_due = c->ping_open = c->auth_asked = c->reauth = false;
    c->by_server = false;
}

void midge_client_lost(struct midge_client *c, midge_ms now)
{
    midge_client_touch(c, now);
    if (c->state == STATE_OFF)
        return;
    if (c->state != STATE_ENDING)
        c->end_reason = MIDGE_RC_UNSPECIFIED;
    if (c->session_expiry_s == 0)
        c->has_session = false;
    c->state = STATE_OFF;
    midge_outbox_lost(c);
    tell_end(c, (struct midge_slice){ 0 }, (struct midge_slice){ 0 });
    reset(c);
}

/* ---- PUBLISH ------------------------------------------------------------------------------------------ */

static enum midge_reason resolve_alias(struct midge_client *c, struct midge_publish *p)
{
    uint16_t alias = (uint16_t)midge_props_number(&p->props, PROP_TOPIC_ALIAS);
    if (alias == 0)
        return MIDGE_RC_SUCCESS;
    if (alias > c->config->alias_in)
        return MIDGE_RC_TOPIC_ALIAS_INVALID; /* [MQTT-3.3.2-10] */
    if (!c->aliases_in)
        c->aliases_in =
            midge_mem_zalloc(&c->mem, c->config->alias_in * sizeof *c->aliases_in, MIDGE_TAG_CONN);
    if (!c->aliases_in)
        return MIDGE_RC_QUOTA_EXCEEDED;
    struct alias *a = &c->aliases_in[alias - 1];
    if (p->topic.len > 0)
        return midge_client_slice_set(c, &a->topic, p->topic) ? MIDGE_RC_SUCCESS : MIDGE_RC_QUOTA_EXCEEDED;
    p->topic = a->topic;
    return a->topic.data ? MIDGE_RC_SUCCESS : MIDGE_RC_PROTOCOL_ERROR; /* [U5-3.3.2.3.4-unknown] */
}

static uint32_t find_qos2(const struct midge_client *c, uint16_t pid)
{
    uint32_t i = 0;
    while (i < c->qos2_count && c->qos2_ids[i] != pid)
        i++;
    return i;
}

/* Those of a connection before may still be open when new ones come. */
static uint32_t qos2_limit(const struct midge_client *c)
{
    return 2u * midge_client_receive_maximum(c->config);
}

static bool has_qos2_room(struct midge_client *c)
{
    if (c->qos2_count < c->qos2_room)
        return true;
    if (c->qos2_count >= qos2_limit(c))
        return false;
    uint32_t room = c->qos2_room ? 2 * c->qos2_room : 8;
    uint16_t *ids = midge_mem_resize(&c->mem, c->qos2_ids, c->qos2_room * sizeof *ids, room * sizeof *ids,
                                     MIDGE_TAG_SESSION);
    if (!ids)
        return false;
    c->qos2_ids = ids;
    c->qos2_room = room;
    return true;
}

static uint8_t hand_over(struct midge_client *c, const struct midge_publish *p)
{
    const struct midge_client_hooks *hooks = c->config->hooks;
    if (!hooks || !hooks->message)
        return MIDGE_RC_SUCCESS;
    struct midge_message m = {
        .topic = p->topic,
        .payload = p->payload,
        .qos = p->qos,
        .retain = p->retain,
        .dup = p->dup,
        .has_expiry = midge_props_has(&p->props, PROP_MESSAGE_EXPIRY),
        .expiry_s = midge_props_number(&p->props, PROP_MESSAGE_EXPIRY),
        .props = p->props.section,
    };
    uint8_t reason = hooks->message(hooks->user, &m);
    bool known = reason < MIDGE_RC_UNSPECIFIED || midge_reason_lawful(reason, MIDGE_IN(PK_PUBACK));
    return known ? reason : MIDGE_RC_UNSPECIFIED;
}

/* QoS 1 and 2: what is needed to answer, before the host is shown the message. */
static enum midge_reason prepare(struct midge_client *c, const struct midge_publish *p)
{
    if (midge_client_is_v5(c) && c->unacked >= midge_client_receive_maximum(c->config))
        return MIDGE_RC_RECEIVE_MAXIMUM_EXCEEDED; /* [MQTT-3.3.4-9] */
    if (p->qos == 2 && !has_qos2_room(c))
        return c->qos2_count >= qos2_limit(c) ? MIDGE_RC_RECEIVE_MAXIMUM_EXCEEDED : MIDGE_RC_QUOTA_EXCEEDED;
    return MIDGE_RC_SUCCESS;
}

static enum midge_reason on_publish(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    struct midge_publish p;
    enum midge_reason rc = midge_decode_publish(first, body, c->version, &p);
    if (rc == MIDGE_RC_SUCCESS)
        rc = resolve_alias(c, &p);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (midge_client_relays(c)) {
        midge_relay_publish(c, &p);
        return MIDGE_RC_SUCCESS;
    }
    if (p.qos == 0) {
        hand_over(c, &p);
        return MIDGE_RC_SUCCESS;
    }
    if (!midge_dues_has_room(c))
        return MIDGE_RC_QUOTA_EXCEEDED;
    if (p.qos == 2 && find_qos2(c, p.pid) < c->qos2_count) {
        midge_dues_put(c, PK_PUBREC, p.pid, MIDGE_RC_SUCCESS); /* once is enough [MQTT-4.3.3-10] */
        return MIDGE_RC_SUCCESS;
    }
    rc = prepare(c, &p);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;

    uint8_t reason = hand_over(c, &p);
    bool refused = reason >= MIDGE_RC_UNSPECIFIED;
    if (refused && !midge_client_is_v5(c))
        return (enum midge_reason)reason;
    c->unacked++;
    if (p.qos == 2 && !refused)
        c->qos2_ids[c->qos2_count++] = p.pid;
    /* in the order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.5.0-2] */
    midge_dues_put(c, p.qos == 1 ? PK_PUBACK : PK_PUBREC, p.pid, reason);
    return MIDGE_RC_SUCCESS;
}

static enum midge_reason on_pubrel(struct midge_client *c, uint16_t pid)
{
    if (!midge_dues_has_room(c))
        return MIDGE_RC_QUOTA_EXCEEDED;
    uint32_t i = find_qos2(c, pid);
    bool known = i < c->qos2_count;
    if (known)
        c->qos2_ids[i] = c->qos2_ids[--c->qos2_count];
    uint8_t reason = known ? MIDGE_RC_SUCCESS : MIDGE_RC_PACKET_ID_NOT_FOUND;
    midge_dues_put(c, PK_PUBCOMP, pid, reason); /* [MQTT-4.3.3-11] */
    return MIDGE_RC_SUCCESS;
}

/* ---- the other packets -------------------------------------------------------------------------------- */

static enum midge_reason on_ack(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    enum midge_packet type = (enum midge_packet)(first >> 4);
    struct midge_ack p;
    enum midge_reason rc = midge_decode_ack(type, body, c->version, &p);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (midge_client_relays(c)) {
        midge_relay_ack(c, type, &p);
        return MIDGE_RC_SUCCESS;
    }
    return type == PK_PUBREL ? on_pubrel(c, p.pid) : midge_outbox_acked(c, type, &p);
}

static enum midge_reason on_suback(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    enum midge_packet type = (enum midge_packet)(first >> 4);
    struct midge_suback p;
    enum midge_reason rc = midge_decode_suback(type, body, c->version, &p);
    return rc != MIDGE_RC_SUCCESS ? rc : midge_outbox_answered(c, type, &p);
}

static enum midge_reason on_pingresp(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    (void)c; /* that bytes came is noted */
    (void)first;
    return body.len == 0 ? MIDGE_RC_SUCCESS : MIDGE_RC_MALFORMED;
}

static enum midge_reason on_disconnect(struct midge_client *c, uint8_t first, struct midge_slice body)
{
    (void)first;
    struct midge_control p;
    if (!midge_client_is_v5(c))
        return MIDGE_RC_PROTOCOL_ERROR;
    enum midge_reason rc = midge_decode_control(PK_DISCONNECT, body, c->version, false, &p);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    midge_client_end(c, p.reason, true);
    tell_end(c, midge_props_text(&p.props, PROP_REASON_STRING),
             midge_props_text(&p.props, PROP_SERVER_REFERENCE));
    return MIDGE_RC_SUCCESS;
}

/* ---- bytes in ----------------------------------------------------------------------------------------- */

#define IN_HELLO (1u << STATE_HELLO)
#define IN_UP (1u << STATE_UP)

struct row {
    enum midge_reason (*handle)(struct midge_client *c, uint8_t first, struct midge_slice body);
    uint8_t flags;  /* the lawful ones [MQTT-2.1.3-1] [MQTT311-2.2.2-2] */
    uint8_t states; /* in which it may come */
};

/* What a server may send; the others are its client's [U5-wrongdir]. */
static const struct row rows[16] = {
    [PK_CONNACK] = { midge_client_on_connack, 0, IN_HELLO }, /* [MQTT-3.2.0-1] [MQTT-3.2.0-2] */
    [PK_PUBLISH] = { on_publish, 0, IN_UP },
    [PK_PUBACK] = { on_ack, 0, IN_UP },
    [PK_PUBREC] = { on_ack, 0, IN_UP },
    [PK_PUBREL] = { on_ack, 2, IN_UP },
    [PK_PUBCOMP] = { on_ack, 0, IN_UP },
    [PK_SUBACK] = { on_suback, 0, IN_UP },
    [PK_UNSUBACK] = { on_suback, 0, IN_UP },
    [PK_PINGRESP] = { on_pingresp, 0, IN_UP },
    [PK_DISCONNECT] = { on_disconnect, 0, IN_UP }, /* [MQTT-3.14.0-1] */
    [PK_AUTH] = { MIDGE_AUTH ? midge_client_on_auth : NULL, 0, IN_HELLO | IN_UP },
};

#define FLAG_DUP 0x08 /* which 3.1 may set on PUBREL [V31-dup] */

static bool flags_ok(const struct midge_client *c, uint8_t first)
{
    unsigned type = first >> 4;
    unsigned flags = first & 0x0Fu;
    if (type == PK_PUBREL && c->version == MIDGE_V31)
        flags &= ~(unsigned)FLAG_DUP;
    return type == PK_PUBLISH || flags == rows[type].flags;
}

static void handle(struct midge_client *c, struct midge_slice body)
{
    uint8_t first = c->head.first;
    const struct row *row = &rows[first >> 4];
    enum midge_reason rc;
    if (!row->handle || !(row->states >> c->state & 1u) || !c->greeted)
        rc = first < 0x10 ? MIDGE_RC_MALFORMED : MIDGE_RC_PROTOCOL_ERROR; /* [U5-2.1.2-0] */
    else
        rc = flags_ok(c, first) ? row->handle(c, first, body) : MIDGE_RC_MALFORMED;
    if (rc != MIDGE_RC_SUCCESS)
        midge_client_end(c, (uint8_t)rc, false); /* [MQTT-4.13.1-1] [MQTT311-4.8.0-1] */
}

/* Room for a packet in pieces grows with what has come of it, not with what was announced. */
static bool frame_grow(struct midge_client *c, uint32_t need)
{
    if (need <= c->frame_room)
        return true;
    uint32_t room = c->frame_room ? c->frame_room : FRAME_ROOM;
    while (room < need)
        room *= 2;
    if (room > c->head.remaining)
        room = c->head.remaining;
    uint8_t *frame = midge_mem_resize(&c->mem, c->frame, c->frame_room, room, MIDGE_TAG_FRAME);
    if (!frame)
        return false;
    c->frame = frame;
    c->frame_room = room;
    return true;
}

/* Takes what belongs to the packet's body; handles it when it is whole. */
static uint32_t take_body(struct midge_client *c, struct midge_slice in)
{
    uint32_t missing = c->head.remaining - c->frame_len;
    uint32_t n = in.len < missing ? in.len : missing;
    if (n == missing && c->frame_len == 0) {
        handle(c, midge_slice_of(in.data, n));
        c->head = (struct midge_head){ 0 };
        return n;
    }
    if (n == 0)
        return 0;
    if (!frame_grow(c, c->frame_len + n)) {
        midge_client_end(c, MIDGE_RC_QUOTA_EXCEEDED, false);
        return n;
    }
    memcpy(c->frame + c->frame_len, in.data, n);
    c->frame_len += n;
    if (n == missing) {
        handle(c, midge_slice_of(c->frame, c->frame_len));
        frame_free(c);
    }
    return n;
}

static uint32_t take(struct midge_client *c, struct midge_slice in)
{
    enum midge_reason rc = MIDGE_RC_SUCCESS;
    uint32_t n = midge_head_feed(&c->head, in, &rc);
    uint32_t limit = c->config->packet_bytes;
    if (rc == MIDGE_RC_SUCCESS && c->head.complete && limit && midge_head_packet_bytes(&c->head) > limit)
        rc = MIDGE_RC_PACKET_TOO_LARGE; /* [MQTT-3.1.2-24] */
    if (rc != MIDGE_RC_SUCCESS)
        midge_client_end(c, (uint8_t)rc, false);
    else if (c->head.complete)
        n += take_body(c, midge_slice_of(in.data + n, in.len - n));
    return n;
}

void midge_client_recv(struct midge_client *c, const void *bytes, size_t n, midge_ms now)
{
    midge_client_touch(c, now);
    const uint8_t *at = bytes;
    if (n > 0) {
        c->received_at = c->now;
        c->ping_open = false;
    }
    while (n > 0 && (c->state == STATE_HELLO || c->state == STATE_UP)) {
        uint32_t taken = take(c, midge_slice_of(at, n < INT32_MAX ? n : INT32_MAX));
        at += taken;
        n -= taken;
    }
}

/* ---- time --------------------------------------------------------------------------------------------- */

/* PINGREQ when for three quarters of the keep alive nothing went out [MQTT-3.1.2-20] [MQTT311-3.1.2-23] or
 * nothing came in; given up when for one and a half nothing came in. */
static midge_ms ping_at(const struct midge_client *c)
{
    midge_ms since = c->sent_at < c->received_at ? c->sent_at : c->received_at;
    return since + (midge_ms)c->keepalive_s * 750;
}

static midge_ms dead_at(const struct midge_client *c)
{
    return c->received_at + (midge_ms)c->keepalive_s * 1500;
}

void midge_client_tick(struct midge_client *c, midge_ms now)
{
    midge_client_touch(c, now);
    if (c->state == STATE_HELLO && c->now >= c->due) {
        midge_client_end(c, MIDGE_RC_SERVER_UNAVAILABLE, false);
    } else if (c->state == STATE_ENDING && c->now >= c->due) {
        c->cut = true;
    } else if (c->state == STATE_UP && c->keepalive_s > 0) {
        if (c->now >= dead_at(c)) {
            midge_client_end(c, MIDGE_RC_KEEP_ALIVE_TIMEOUT, false);
        } else if (!c->ping_open && c->now >= ping_at(c)) {
            c->ping_open = c->ping_due = true;
        }
    }
}

midge_ms midge_client_deadline(const struct midge_client *c)
{
    if (c->state == STATE_OFF || c->cut)
        return MIDGE_NEVER;
    if (c->state != STATE_UP)
        return c->due;
    if (c->keepalive_s == 0)
        return MIDGE_NEVER;
    return c->ping_open || dead_at(c) < ping_at(c) ? dead_at(c) : ping_at(c);
}
