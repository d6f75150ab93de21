/* local.c - clients without a socket: the application's own sessions, and what it asks for from inside hooks. */
#include "base/utf8.h"
#include "broker/internal.h"

/* Subscriptions carry the handler's number as their identifier: that is how a message finds its callback. */
struct midge_handler {
    struct midge_handler *next;
    uint32_t id;
    midge_on_message on_message;
    void *user;
    uint16_t filter_len;
    uint8_t filter[];
};

struct midge_local {
    struct midge_link all; /* in midge.locals */
    struct midge *m;
    struct midge_session *session;
    struct midge_handler *handlers;
    void *tag;
    uint32_t last_id;
    bool closing; /* closed from inside a hook or callback: gone when that is over */
};

/* ---- open, close -------------------------------------------------------------------------------------- */

void *midge_local_tag(const struct midge_local *l)
{
    return l->tag;
}

/* Whoever has the id now makes room, as at a takeover. */
static void clear_id(struct midge *m, struct midge_slice id)
{
    struct midge_session *s = midge_session_find(&m->sessions, id);
    if (s && s->conn) {
        midge_conn_end(s->conn, MIDGE_RC_SESSION_TAKEN_OVER);
        s = midge_session_find(&m->sessions, id);
    }
    if (s)
        midge_session_end(m, s, MIDGE_RC_SUCCESS);
}

static struct midge_local *open_local(struct midge *m, const struct midge_local_config *config, enum midge_err *err)
{
    uint8_t buffer[MIDGE_AUTO_ID_MAX];
    struct midge_slice id = config->client_id;
    if (!id.len)
        id = midge_assign_id(m, "local-", buffer);
    clear_id(m, id);
    *err = MIDGE_ERR_FULL;
    if (!midge_quota_session(m))
        return NULL;
    *err = MIDGE_ERR_NO_MEMORY;
    struct midge_local *l = midge_mem_zalloc(&m->mem, sizeof *l, MIDGE_TAG_CONN);
    struct midge_session *s = l ? midge_session_new(&m->sessions, id) : NULL;
    if (!s) {
        if (l)
            midge_mem_free(&m->mem, l, sizeof *l, MIDGE_TAG_CONN);
        return NULL;
    }
    *l = (struct midge_local){ .m = m, .session = s, .tag = config->tag };
    s->local = l;
    midge_link_insert(&m->locals, &l->all);
    *err = MIDGE_OK;
    return l;
}

struct midge_local *midge_local_open(struct midge *m, const struct midge_local_config *config, midge_ms now,
                                     enum midge_err *err)
{
    *err = MIDGE_ERR_INVALID;
    if (!MIDGE_LOCAL || m->busy || m->shutting_down || config->client_id.len > m->limits->client_id_bytes ||
        !midge_utf8_valid(config->client_id))
        return NULL;
    midge_enter(m, now);
    struct midge_local *l = open_local(m, config, err);
    midge_leave(m);
    return l;
}

static void free_handler(struct midge *m, struct midge_handler *h)
{
    midge_mem_free(&m->mem, h, sizeof *h + h->filter_len, MIDGE_TAG_CONN);
}

static void free_local(struct midge *m, struct midge_local *l)
{
    while (l->handlers) {
        struct midge_handler *h = l->handlers;
        l->handlers = h->next;
        free_handler(m, h);
    }
    midge_link_remove(&l->all);
    midge_mem_free(&m->mem, l, sizeof *l, MIDGE_TAG_CONN);
}

/* Its session is being ended: by midge_local_close, or with the broker. */
void midge_local_lost(struct midge *m, struct midge_session *s)
{
    struct midge_local *l = s->local;
    s->local = NULL;
    free_local(m, l);
}

/* ---- calls from inside hooks and callbacks: kept, and done when the present call is over -------------- */

enum op_kind { OP_PUBLISH, OP_SUBSCRIBE, OP_UNSUBSCRIBE };

struct midge_op {
    struct midge_op *next;
    enum op_kind kind;
    struct midge_local *local;
    struct midge_msg *msg;         /* holds; OP_PUBLISH */
    struct midge_subscription sub; /* its filter lies in text */
    uint32_t text_len;
    uint8_t text[];
};

static size_t op_size(uint32_t text_len)
{
    return sizeof(struct midge_op) + text_len;
}

static struct midge_op *new_op(struct midge *m, enum op_kind kind, struct midge_local *l, struct midge_slice text)
{
    struct midge_op *op = midge_mem_zalloc(&m->mem, op_size(text.len), MIDGE_TAG_QUEUE);
    if (!op)
        return NULL;
    op->kind = kind;
    op->local = l;
    op->text_len = text.len;
    if (text.len)
        memcpy(op->text, text.data, text.len);
    *m->ops_tail = op;
    m->ops_tail = &op->next;
    return op;
}

static struct midge_op *take_op(struct midge *m)
{
    struct midge_op *op = m->ops;
    m->ops = op->next;
    if (!m->ops)
        m->ops_tail = &m->ops;
    return op;
}

static void free_op(struct midge *m, struct midge_op *op)
{
    midge_msg_drop(&m->mem, op->msg);
    midge_mem_free(&m->mem, op, op_size(op->text_len), MIDGE_TAG_QUEUE);
}

/* ---- publish ------------------------------------------------------------------------------------------ */

static void put_props(struct midge_wr *w, const struct midge_publication *p)
{
    if (p->has_payload_format)
        midge_prop_number(w, PROP_PAYLOAD_FORMAT, p->payload_format);
    midge_prop_string(w, PROP_CONTENT_TYPE, p->content_type);
    midge_prop_string(w, PROP_RESPONSE_TOPIC, p->response_topic);
    midge_prop_string(w, PROP_CORRELATION_DATA, p->correlation_data);
    for (size_t i = 0; i < p->user_property_count; i++)
        midge_prop_pair(w, PROP_USER, p->user_properties[i].name, p->user_properties[i].value);
}

static struct midge_msg *make_msg(struct midge *m, const struct midge_local *l, const struct midge_publication *p)
{
    struct midge_wr w;
    midge_wr_init(&w, NULL, 0, 0);
    put_props(&w, p);
    struct midge_msg_parts parts = { .topic = p->topic,
                                     .props = midge_slice_of(NULL, w.total),
                                     .payload = p->payload,
                                     .qos = p->qos,
                                     .retain = p->retain,
                                     .has_expiry = p->has_expiry,
                                     .expiry_s = p->expiry_s,
                                     .origin = midge_origin(m, l ? l->session : NULL),
                                     .age_base = m->age };
    struct midge_msg *msg = midge_msg_new(&m->mem, &parts);
    if (!msg)
        return NULL;
    midge_wr_init(&w, midge_msg_props_space(msg), parts.props.len, 0);
    put_props(&w, p);
    return msg;
}

static bool text_valid(struct midge_slice s)
{
    return s.len <= UINT16_MAX && midge_utf8_valid(s);
}

static bool publication_valid(const struct midge *m, const struct midge_publication *p)
{
    if (p->qos > midge_max_qos(m->limits) || p->payload_format > 1)
        return false;
    if (p->retain && !(MIDGE_RETAIN && m->limits->retain))
        return false;
    if (!text_valid(p->topic) || !midge_topic_name_ok(p->topic) ||
        midge_topic_levels(p->topic) > m->limits->topic_levels)
        return false;
    if (!text_valid(p->content_type) || p->correlation_data.len > UINT16_MAX)
        return false;
    if (p->response_topic.data && !(text_valid(p->response_topic) && midge_topic_name_ok(p->response_topic)))
        return false;
    for (size_t i = 0; i < p->user_property_count; i++)
        if (!text_valid(p->user_properties[i].name) || !text_valid(p->user_properties[i].value))
            return false;
    return true;
}

static enum midge_err route(struct midge *m, struct midge_local *l, struct midge_msg *msg)
{
    enum midge_reason rc = midge_route(m, msg, l ? l->session : NULL);
    return rc < MIDGE_RC_UNSPECIFIED ? MIDGE_OK : MIDGE_ERR_FULL;
}

static enum midge_err publish(struct midge *m, struct midge_local *l, struct midge_msg *msg)
{
    if (m->busy == 1)
        return route(m, l, msg);
    struct midge_op *op = new_op(m, OP_PUBLISH, l, (struct midge_slice){ 0 });
    if (!op)
        return MIDGE_ERR_NO_MEMORY;
    op->msg = midge_msg_hold(msg);
    return MIDGE_OK;
}

enum midge_err midge_publish(struct midge *m, struct midge_local *l, const struct midge_publication *p, midge_ms now)
{
    if (!MIDGE_LOCAL || !publication_valid(m, p))
        return MIDGE_ERR_INVALID;
    midge_enter(m, now);
    struct midge_msg *msg = make_msg(m, l, p);
    enum midge_err err = msg ? publish(m, l, msg) : MIDGE_ERR_NO_MEMORY;
    if (!msg)
        midge_quota_refused(m);
    midge_msg_drop(&m->mem, msg);
    midge_leave(m);
    return err;
}

/* ---- subscribe, unsubscribe --------------------------------------------------------------------------- */

static void remove_handler(struct midge_local *l, struct midge_slice filter)
{
    for (struct midge_handler **at = &l->handlers; *at; at = &(*at)->next) {
        struct midge_handler *h = *at;
        if (!midge_slice_equal(filter, midge_slice_of(h->filter, h->filter_len)))
            continue;
        *at = h->next;
        free_handler(l->m, h);
        return;
    }
}

static struct midge_handler *new_handler(struct midge_local *l, const struct midge_subscription *s)
{
    struct midge_handler *h = midge_mem_alloc(&l->m->mem, sizeof *h + s->filter.len, MIDGE_TAG_CONN);
    if (!h)
        return NULL;
    *h = (struct midge_handler){ .id = ++l->last_id,
                                 .on_message = s->on_message,
                                 .user = s->user,
                                 .filter_len = (uint16_t)s->filter.len };
    memcpy(h->filter, s->filter.data, s->filter.len);
    return h;
}

static enum midge_err err_of(enum midge_reason rc)
{
    if (rc < MIDGE_RC_UNSPECIFIED)
        return MIDGE_OK;
    return rc == MIDGE_RC_QUOTA_EXCEEDED ? MIDGE_ERR_FULL : MIDGE_ERR_INVALID;
}

static enum midge_err subscribe(struct midge_local *l, const struct midge_subscription *s)
{
    struct midge_filter_request want = { .filter = s->filter,
                                         .qos = s->qos,
                                         .no_local = s->no_local,
                                         .retain_as_published = s->retain_as_published,
                                         .retain_handling = s->retain_handling };
    struct midge_handler *h = new_handler(l, s);
    if (!h)
        return MIDGE_ERR_NO_MEMORY;
    enum midge_err err = err_of(midge_subscribe(l->m, l->session, &want, h->id));
    if (err != MIDGE_OK) {
        free_handler(l->m, h);
        return err;
    }
    remove_handler(l, s->filter); /* the same filter again: replaced */
    h->next = l->handlers;
    l->handlers = h;
    midge_session_mark_ready(l->m, l->session);
    return MIDGE_OK;
}

static enum midge_err unsubscribe(struct midge_local *l, struct midge_slice filter)
{
    enum midge_reason rc = midge_unsubscribe(l->m, l->session, filter);
    if (rc == MIDGE_RC_NO_SUBSCRIPTION_EXISTED)
        return MIDGE_ERR_NOT_FOUND;
    remove_handler(l, filter);
    return err_of(rc);
}

static enum midge_err later(struct midge_local *l, enum op_kind kind, const struct midge_subscription *s)
{
    struct midge_op *op = new_op(l->m, kind, l, s->filter);
    if (!op)
        return MIDGE_ERR_NO_MEMORY;
    op->sub = *s;
    op->sub.filter = midge_slice_of(op->text, op->text_len);
    return MIDGE_OK;
}

enum midge_err midge_local_subscribe(struct midge_local *l, const struct midge_subscription *s, midge_ms now)
{
    struct midge_filter f;
    struct midge *m = l->m;
    if (!MIDGE_LOCAL || !s->on_message || s->qos > 2 || s->retain_handling > 2 || !text_valid(s->filter))
        return MIDGE_ERR_INVALID;
    enum midge_reason rc = midge_filter_parse(s->filter, m->limits->topic_levels, &f);
    if (rc != MIDGE_RC_SUCCESS)
        return err_of(rc);
    if (f.group.data && s->no_local)
        return MIDGE_ERR_INVALID; /* [MQTT-3.8.3-4] */
    midge_enter(m, now);
    enum midge_err err = m->busy == 1 ? subscribe(l, s) : later(l, OP_SUBSCRIBE, s);
    midge_leave(m);
    return err;
}

enum midge_err midge_local_unsubscribe(struct midge_local *l, struct midge_slice filter, midge_ms now)
{
    struct midge *m = l->m;
    if (!MIDGE_LOCAL)
        return MIDGE_ERR_INVALID;
    midge_enter(m, now);
    enum midge_err err = m->busy == 1
        ? unsubscribe(l, filter)
        : later(l, OP_UNSUBSCRIBE, &(struct midge_subscription){ .filter = filter });
    midge_leave(m);
    return err;
}

void midge_local_close(struct midge_local *l, midge_ms now)
{
    struct midge *m = l->m;
    if (!MIDGE_LOCAL)
        return;
    midge_enter(m, now);
    if (m->busy == 1)
        midge_session_end(m, l->session, MIDGE_RC_SUCCESS);
    else
        l->closing = m->any_closing = true;
    midge_leave(m);
}

/* ---- after the call ----------------------------------------------------------------------------------- */

static void run_op(struct midge *m, struct midge_op *op)
{
    struct midge_local *l = op->local; /* NULL: the host publishes */
    if (l && l->closing)
        return;
    if (op->kind == OP_PUBLISH)
        (void)route(m, l, op->msg); /* refused: counted in publish_refused */
    else if (l && op->kind == OP_SUBSCRIBE)
        (void)subscribe(l, &op->sub);
    else if (l)
        (void)unsubscribe(l, op->sub.filter);
}

/* Those that were asked for up to now; what they ask for in turn waits for the next call or tick. */
void midge_run_ops(struct midge *m)
{
    uint32_t n = 0;
    for (const struct midge_op *op = m->ops; op; op = op->next)
        n++;
    while (n--) {
        struct midge_op *op = take_op(m);
        run_op(m, op);
        free_op(m, op);
    }
}

void midge_drop_ops(struct midge *m)
{
    while (m->ops)
        free_op(m, take_op(m));
}

/* ---- deliveries --------------------------------------------------------------------------------------- */

static void call(const struct midge_local *l, const struct midge_entry *e, const struct midge_message *message)
{
    for (uint8_t i = e->shared ? 1 : 0; i < e->id_count; i++)
        for (const struct midge_handler *h = l->handlers; h; h = h->next)
            if (h->id == e->ids[i])
                h->on_message(h->user, message);
}

static void deliver_entry(struct midge *m, struct midge_local *l, struct midge_entry *e)
{
    struct midge_message message;
    midge_show(m, e->msg, &message);
    message.qos = e->qos;
    message.retain = e->retain;
    call(l, e, &message);
}

static void deliver_all(struct midge *m, struct midge_local *l)
{
    struct midge_session *s = l->session;
    bool owned;
    struct midge_entry *e;
    while ((e = midge_outbox_next(m, s, UINT16_MAX, &owned))) {
        deliver_entry(m, l, e);
        if (!owned) {
            midge_outbox_done(m, s, NULL, e); /* alone in flight: nothing is before it */
            continue;
        }
        midge_book(m, s, 0, BOOK_ACKNOWLEDGED, 1);
        midge_entry_free(&m->mem, e);
    }
}

static struct midge_local *find_closing(const struct midge *m)
{
    for (struct midge_link *k = m->locals; k; k = k->next) {
        struct midge_local *l = MIDGE_CONTAINER(struct midge_local, all, k);
        if (l->closing)
            return l;
    }
    return NULL;
}

void midge_local_deliver(struct midge *m)
{
    m->local_due = false;
    for (struct midge_link *k = m->locals; k; k = k->next) /* none goes away meanwhile: closing waits */
        deliver_all(m, MIDGE_CONTAINER(struct midge_local, all, k));
}

void midge_local_sweep(struct midge *m)
{
    struct midge_local *l;
    while ((l = find_closing(m)))
        midge_session_end(m, l->session, MIDGE_RC_SUCCESS);
    m->any_closing = false;
}
