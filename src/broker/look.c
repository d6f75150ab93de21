/* look.c - every client and every retained message, shown to a host that asks. */
#include "broker/internal.h"

static void show_client(const struct midge_session *s, struct midge_client_info *out)
{
    const struct midge_outbox *ob = s->outbox;
    *out = (struct midge_client_info){ .connected = s->conn || (MIDGE_LOCAL && s->local),
                                       .inflight = ob ? ob->inflight : 0,
                                       .subscriptions = s->sub_count,
                                       .queued = ob ? ob->msgs : 0,
                                       .queued_bytes = ob ? ob->bytes : 0,
                                       .expiry_s = s->expiry_s };
    midge_session_who(s, &out->who);
}

void midge_each_client(const struct midge *m, void (*each)(void *user, const struct midge_client_info *client),
                       void *user)
{
    const struct midge_map *all = &m->sessions.by_id;
    struct midge_client_info info;
    for (uint32_t i = 0; MIDGE_STATS && all->table && i <= all->mask; i++)
        for (const struct midge_map_node *n = all->table[i]; n; n = n->next) {
            show_client(MIDGE_CONTAINER(const struct midge_session, by_id, n), &info);
            each(user, &info);
        }
}

void midge_each_retained(const struct midge *m, void (*each)(void *user, const struct midge_message *message),
                         void *user)
{
    const struct midge_filter all = { .multi = true, .wildcard = true };
    const struct midge_msg *msg = NULL;
    struct midge_message shown;
    uint32_t left_s;
    while (MIDGE_STATS && MIDGE_RETAIN && (msg = midge_retain_next(&m->retain, &all, msg)))
        if (midge_msg_left(msg, m->age, &left_s)) {
            midge_show(m, msg, &shown);
            each(user, &shown);
        }
}
