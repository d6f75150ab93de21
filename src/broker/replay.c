/* replay.c - retained messages to a new subscription, one at a time as the client takes them.
 *
 * A replay holds nothing but the last message it gave: the rest is in the retained store until its turn comes. Live
 * messages wait behind it, so no topic goes back in time.
 */
#include "broker/internal.h"

/* A message that was retained, and delivered as it came, in the millisecond in which the replay began. */
struct seen {
    struct seen *next;
    struct midge_msg *msg; /* holds: no other message can have its address */
};

struct midge_replay {
    struct midge_replay *next;
    struct seen *seen;
    struct midge_msg *last;     /* holds; NULL = at the start */
    midge_ms since;             /* what is retained after this went to the subscription as it came */
    uint32_t id;
    uint16_t filter_len;
    uint8_t qos : 2;
    uint8_t no_local : 1;
    uint8_t filter[];
};

static size_t replay_size(uint16_t filter_len)
{
    return sizeof(struct midge_replay) + filter_len;
}

static struct midge_slice filter_of(const struct midge_replay *r)
{
    return midge_slice_of(r->filter, r->filter_len);
}

static bool parse(const struct midge_replay *r, struct midge_filter *f)
{
    return midge_filter_parse(filter_of(r), UINT16_MAX, f) == MIDGE_RC_SUCCESS;
}

static void free_seen(struct midge *m, struct midge_replay *r)
{
    while (r->seen) {
        struct seen *s = r->seen;
        r->seen = s->next;
        midge_msg_drop(&m->mem, s->msg);
        midge_mem_free(&m->mem, s, sizeof *s, MIDGE_TAG_RETAIN);
    }
}

bool midge_replay_seen(struct midge *m, struct midge_session *s, struct midge_msg *msg)
{
    for (struct midge_replay *r = s->outbox ? s->outbox->replays : NULL; r; r = r->next) {
        if (r->since != m->age)
            continue; /* the time alone tells */
        struct seen *seen = midge_mem_alloc(&m->mem, sizeof *seen, MIDGE_TAG_RETAIN);
        if (!seen)
            return false;
        *seen = (struct seen){ .next = r->seen, .msg = midge_msg_hold(msg) };
        r->seen = seen;
    }
    return true;
}

static bool was_seen(const struct midge_replay *r, const struct midge_msg *msg)
{
    const struct seen *s = r->seen;
    while (s && s->msg != msg)
        s = s->next;
    return s != NULL;
}

static void remove_at(struct midge *m, struct midge_replay **at)
{
    struct midge_replay *r = *at;
    *at = r->next;
    free_seen(m, r);
    midge_msg_drop(&m->mem, r->last);
    midge_mem_free(&m->mem, r, replay_size(r->filter_len), MIDGE_TAG_RETAIN);
}

void midge_replay_stop(struct midge *m, struct midge_session *s, struct midge_slice filter)
{
    if (!MIDGE_RETAIN || !s->outbox)
        return;
    struct midge_replay **at = &s->outbox->replays;
    while (*at) {
        if (!filter.data || midge_slice_equal(filter, filter_of(*at)))
            remove_at(m, at);
        else
            at = &(*at)->next;
    }
}

enum midge_err midge_replay_start(struct midge *m, struct midge_sub *sub, struct midge_slice filter)
{
    struct midge_session *s = sub->session;
    struct midge_filter f;
    if (midge_filter_parse(filter, UINT16_MAX, &f) != MIDGE_RC_SUCCESS ||
        !midge_retain_next(&m->retain, &f, NULL)) {
        midge_replay_stop(m, s, filter); /* what an earlier one still had is no longer retained */
        return MIDGE_OK;
    }
    struct midge_outbox *ob = midge_session_outbox(&m->sessions, s);
    struct midge_replay *r =
        ob ? midge_mem_zalloc(&m->mem, replay_size((uint16_t)filter.len), MIDGE_TAG_RETAIN) : NULL;
    if (!r)
        return MIDGE_ERR_NO_MEMORY;
    r->since = m->age;
    r->id = sub->id;
    r->qos = sub->qos;
    r->no_local = sub->no_local;
    r->filter_len = (uint16_t)filter.len;
    memcpy(r->filter, filter.data, filter.len);
    midge_replay_stop(m, s, filter); /* subscribed again: it starts anew, now that it can */
    struct midge_replay **at = &ob->replays;
    while (*at)
        at = &(*at)->next;
    *at = r;
    return MIDGE_OK;
}

/* Not what has expired, nor what came after the subscription (it was delivered then), nor the client's own. */
static bool wanted(const struct midge *m, const struct midge_session *s, const struct midge_replay *r,
                   const struct midge_msg *msg)
{
    uint32_t left_s;
    return midge_msg_left(msg, m->age, &left_s) && midge_msg_arrival(msg) <= r->since && !was_seen(r, msg) &&
           !(r->no_local && midge_msg_origin(msg) == midge_origin(m, s)) &&
           !(msg->bridged && midge_inside_of(s) && midge_inside_of(s)->no_bridged);
}

static struct midge_msg *find(const struct midge *m, const struct midge_session *s, const struct midge_replay *r)
{
    struct midge_filter f;
    struct midge_msg *msg = r->last;
    if (!parse(r, &f))
        return NULL;
    do
        msg = midge_retain_next(&m->retain, &f, msg);
    while (msg && !wanted(m, s, r, msg));
    return msg;
}

static struct midge_entry *make_entry(struct midge *m, struct midge_session *s, struct midge_replay *r,
                                      struct midge_msg *msg)
{
    struct midge_entry *e = midge_entry_new(&m->mem, s, msg, &r->id, r->id ? 1 : 0);
    if (e)
        e->qos = r->qos < msg->qos ? r->qos : msg->qos;
    if (e && MIDGE_DURABLE && !midge_durable_expect(m, e)) {
        midge_entry_free(&m->mem, e);
        e = NULL;
    }
    if (!e) {
        midge_quota_starved(m);
        return NULL;
    }
    e->retain = true; /* [MQTT311-3.3.1-8] */
    midge_msg_drop(&m->mem, r->last);
    r->last = midge_msg_hold(msg);
    midge_book(m, s, e->qos, BOOK_ENQUEUED, 1);
    return e;
}

struct midge_entry *midge_replay_next(struct midge *m, struct midge_session *s, bool window_open)
{
    struct midge_replay *r;
    while ((r = s->outbox->replays)) {
        struct midge_msg *msg = find(m, s, r);
        if (!msg) {
            remove_at(m, &s->outbox->replays);
            continue;
        }
        if (r->qos && msg->qos && !window_open)
            return NULL;
        return make_entry(m, s, r, msg);
    }
    return NULL;
}
