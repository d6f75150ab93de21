/* session.c - sessions and what hangs on them. */
#include "state/session.h"

#include "base/slice.h"

void midge_sessions_init(struct midge_sessions *s, struct midge_mem *mem, const uint32_t seed[2])
{
    s->mem = mem;
    midge_map_init(&s->by_id, mem, MIDGE_TAG_SESSION, seed);
    midge_fifo_init(&s->away);
}

void midge_sessions_clear(struct midge_sessions *s)
{
    midge_map_clear(&s->by_id);
}

static size_t session_size(size_t client_id_len)
{
    return offsetof(struct midge_session, client_id) + client_id_len; /* the id begins within the last word */
}

static size_t outbox_size(void)
{
    return sizeof(struct midge_outbox) + (MIDGE_BOOKS ? 3 * sizeof(struct midge_books) : 0);
}

static bool has_id(const struct midge_map_node *node, uintptr_t number, struct midge_slice key)
{
    (void)number;
    return midge_slice_equal(midge_session_id(MIDGE_CONTAINER(struct midge_session, by_id, node)), key);
}

struct midge_session *midge_session_find(const struct midge_sessions *all, struct midge_slice client_id)
{
    uint32_t hash = midge_map_hash_key(&all->by_id, client_id);
    struct midge_map_node *node = midge_map_find(&all->by_id, hash, 0, client_id, has_id);
    return node ? MIDGE_CONTAINER(struct midge_session, by_id, node) : NULL;
}

struct midge_session *midge_session_new(struct midge_sessions *all, struct midge_slice client_id)
{
    struct midge_session *s = midge_mem_zalloc(all->mem, session_size(client_id.len), MIDGE_TAG_SESSION);
    if (!s)
        return NULL;
    s->client_id_len = (uint16_t)client_id.len;
    if (client_id.len > 0)
        memcpy(s->client_id, client_id.data, client_id.len);
    if (midge_map_insert(&all->by_id, &s->by_id, midge_map_hash_key(&all->by_id, client_id)))
        return s;
    midge_mem_free(all->mem, s, session_size(client_id.len), MIDGE_TAG_SESSION);
    return NULL;
}

enum midge_err midge_session_keep(struct midge_sessions *all, struct midge_session *s)
{
    if (s->rest)
        return MIDGE_OK;
    s->rest = midge_mem_zalloc(all->mem, sizeof *s->rest, MIDGE_TAG_SESSION);
    if (!s->rest)
        return MIDGE_ERR_NO_MEMORY;
    s->rest->session = s;
    return MIDGE_OK;
}

struct midge_outbox *midge_session_outbox(struct midge_sessions *all, struct midge_session *s)
{
    if (!s->outbox)
        s->outbox = midge_mem_zalloc(all->mem, outbox_size(), MIDGE_TAG_QUEUE);
    return s->outbox;
}

static void free_outbox(struct midge_sessions *all, struct midge_session *s)
{
    midge_mem_free(all->mem, s->outbox, outbox_size(), MIDGE_TAG_QUEUE);
    s->outbox = NULL;
}

static bool is_idle(const struct midge_outbox *o)
{
    return o->msgs == 0 && !o->pending && !o->replays;
}

void midge_session_tidy(struct midge_sessions *all, struct midge_session *s)
{
    if (!MIDGE_BOOKS && s->outbox && is_idle(s->outbox))
        free_outbox(all, s);
}

static void empty(struct midge_mem *mem, struct midge_queue *q)
{
    for (struct midge_entry *e; (e = midge_queue_pop(q));)
        midge_entry_free(mem, e);
}

static void empty_outbox(struct midge_mem *mem, struct midge_outbox *o)
{
    empty(mem, &o->unacked);
    empty(mem, &o->waiting);
    empty(mem, &o->waiting0);
    if (o->pending)
        midge_entry_free(mem, o->pending);
}

static void free_rest(struct midge_sessions *all, struct midge_session *s)
{
    midge_fifo_remove(&all->away, &s->rest->away);
    midge_mem_free(all->mem, s->rest, sizeof *s->rest, MIDGE_TAG_SESSION);
}

void midge_session_free(struct midge_sessions *all, struct midge_session *s)
{
    if (s->outbox) {
        empty_outbox(all->mem, s->outbox);
        free_outbox(all, s);
    }
    midge_ids_clear(all->mem, &s->received);
    midge_will_free(all->mem, s->will);
    if (s->rest)
        free_rest(all, s);
    midge_map_remove(&all->by_id, &s->by_id);
    midge_mem_free(all->mem, s, session_size(s->client_id_len), MIDGE_TAG_SESSION);
}
