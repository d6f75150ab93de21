/* inside.c - the broker's end of a bridge: a session with limits of its own, and what its messages are told. */
#include "broker/internal.h"

/* Whom it speaks for gives ids anew that we hold for its old messages: theirs are not to be taken for those. */
static void forget_received(struct midge *m, struct midge_session *s)
{
    for (uint32_t pid = 1; pid <= UINT16_MAX && midge_ids_count(s->received); pid++) {
        bool was = midge_ids_remove(&m->mem, &s->received, (uint16_t)pid);
        if (MIDGE_DURABLE && was)
            midge_durable_received(m, s, (uint16_t)pid, false);
    }
}

void midge_inside_take(struct midge_conn *c, struct midge_session *s)
{
    c->m->any_inside = true;
    if (s->rest)
        s->rest->inside = c->user;
    if (c->forgets)
        forget_received(c->m, s);
}

void midge_inside_forget(struct midge *m, struct midge_slice client_id)
{
    struct midge_session *s = MIDGE_BRIDGE ? midge_session_find(&m->sessions, client_id) : NULL;
    if (s && s->rest)
        s->rest->inside = NULL;
}

enum midge_queue_policy midge_queue_policy_of(const struct midge *m, const struct midge_entry *e)
{
    const struct midge_inside *inside = midge_inside_of(e->session);
    if (!inside)
        return (enum midge_queue_policy)m->limits->queue_policy;
    uint32_t id = e->id_count > e->shared ? e->ids[e->shared] : 0;
    return id && id <= inside->policy_count ? (enum midge_queue_policy)inside->policies[id - 1] : MIDGE_QUEUE_DROP_NEW;
}

static struct midge_entry *same_topic(struct midge *m, const struct midge_entry *e, struct midge_queue *q)
{
    struct midge_entry *before = NULL;
    for (struct midge_entry *old = q->head; old; old = old->next) {
        if (midge_slice_equal(midge_msg_topic(old->msg), midge_msg_topic(e->msg)) &&
            midge_queue_policy_of(m, old) == MIDGE_QUEUE_LAST_VALUE) {
            midge_queue_take(q, before, old);
            return old;
        }
        before = old;
    }
    return NULL;
}

struct midge_entry *midge_inside_replaced(struct midge *m, const struct midge_entry *e)
{
    return same_topic(m, e, e->qos ? &e->session->outbox->waiting : &e->session->outbox->waiting0);
}

/* ---- age ---------------------------------------------------------------------------------------------- */

static struct midge_slice decimal(uint32_t v, uint8_t out[10])
{
    uint32_t at = 10;
    do {
        out[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v);
    return midge_slice_of(out + at, 10 - at);
}

struct midge_slice midge_inside_age(const struct midge_conn *c, uint8_t out[MIDGE_AGE_PROP])
{
    const struct midge_inside *inside = c->user;
    struct midge_wr w;
    uint8_t digits[10];
    if (!inside->tells_age || !inside->frozen_age_s)
        return (struct midge_slice){ 0 };
    midge_wr_init(&w, out, MIDGE_AGE_PROP, 0);
    midge_prop_pair(&w, PROP_USER, midge_slice_str(MIDGE_AGE), decimal(inside->frozen_age_s, digits));
    return midge_slice_of(out, w.total);
}
