/* test_session.c - sessions by client id, and what goes with them. */
#include "support.h"

#include "state/session.h"

_Static_assert(sizeof(void *) != 4 || offsetof(struct midge_session, client_id) == 49, "header's promise");

struct world {
    struct heap heap;
    struct midge_sessions all;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    heap_open(&w->heap);
    static const uint32_t seed[] = { 3, 4 };
    midge_sessions_init(&w->all, &w->heap.mem, seed);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->all.by_id.count, 0);
    assert_null(w->all.away.head);
    midge_sessions_clear(&w->all);
    heap_close(&w->heap);
    free(w);
    return 0;
}

static struct midge_session *find(struct world *w, const char *id)
{
    return midge_session_find(&w->all, midge_slice_str(id));
}

static struct midge_session *make(struct world *w, const char *id)
{
    return midge_session_new(&w->all, midge_slice_str(id));
}

static struct midge_msg *message(struct world *w)
{
    struct midge_msg_parts p = { .topic = midge_slice_str("t"), .payload = midge_slice_str("x") };
    return midge_msg_new(&w->heap.mem, &p);
}

/* An entry that is the only holder of a message. */
static struct midge_entry *entry(struct world *w, struct midge_session *s)
{
    struct midge_msg *m = message(w);
    struct midge_entry *e = midge_entry_new(&w->heap.mem, s, m, NULL, 0);
    midge_msg_drop(&w->heap.mem, m);
    return e;
}

/* [MQTT-3.1.3-2] */
static void a_session_is_found_by_its_client_id(void **state)
{
    struct world *w = *state;
    assert_null(find(w, "a"));
    struct midge_session *a = make(w, "a");
    struct midge_session *ab = make(w, "ab");
    struct midge_session *none = make(w, "");
    assert_ptr_equal(find(w, "a"), a);
    assert_ptr_equal(find(w, "ab"), ab);
    assert_ptr_equal(find(w, ""), none);
    assert_null(find(w, "b"));
    assert_null(find(w, "A"));
    assert_slice(midge_session_id(ab), "ab");
    midge_session_free(&w->all, a);
    assert_null(find(w, "a"));
    assert_ptr_equal(find(w, "ab"), ab);
    midge_session_free(&w->all, ab);
    midge_session_free(&w->all, none);
}

static void a_new_session_is_empty(void **state)
{
    struct world *w = *state;
    struct midge_session *s = make(w, "a");
    assert_null(s->conn);
    assert_null(s->subs);
    assert_null(s->outbox);
    assert_null(s->received);
    assert_null(s->will);
    assert_null(s->rest);
    assert_int_equal(s->expiry_s, 0);
    assert_int_equal(s->last_pid, 0);
    midge_session_free(&w->all, s);
}

static void the_outbox_and_the_rest_are_made_once(void **state)
{
    struct world *w = *state;
    struct midge_session *s = make(w, "a");
    w->heap.countdown = 0;
    assert_null(midge_session_outbox(&w->all, s));
    assert_int_equal(midge_session_keep(&w->all, s), MIDGE_ERR_NO_MEMORY);
    w->heap.countdown = -1;
    struct midge_outbox *o = midge_session_outbox(&w->all, s);
    assert_non_null(o);
    assert_ptr_equal(midge_session_outbox(&w->all, s), o);
    assert_int_equal(midge_session_keep(&w->all, s), MIDGE_OK);
    struct midge_rest *rest = s->rest;
    assert_ptr_equal(rest->session, s);
    assert_int_equal(midge_session_keep(&w->all, s), MIDGE_OK);
    assert_ptr_equal(s->rest, rest);
    midge_session_free(&w->all, s);
}

static void an_empty_outbox_goes_unless_it_keeps_books(void **state)
{
    struct world *w = *state;
    struct midge_session *s = make(w, "a");
    midge_session_tidy(&w->all, s);
    struct midge_outbox *o = midge_session_outbox(&w->all, s);
    o->msgs = 1;
    midge_session_tidy(&w->all, s);
    assert_ptr_equal(s->outbox, o);
    o->msgs = 0;
    midge_session_tidy(&w->all, s);
    assert_int_equal(s->outbox != NULL, MIDGE_BOOKS);
    midge_session_free(&w->all, s);
}

static void everything_goes_with_the_session(void **state)
{
    struct world *w = *state;
    struct midge_session *s = make(w, "a");
    struct midge_session *t = make(w, "b");
    struct midge_outbox *o = midge_session_outbox(&w->all, s);
    midge_queue_push(&o->unacked, entry(w, s));
    midge_queue_push(&o->waiting, entry(w, s));
    midge_queue_push(&o->waiting, entry(w, s));
    midge_queue_push(&o->waiting0, entry(w, s));
    o->pending = entry(w, s);
    assert_int_equal(midge_ids_add(&w->heap.mem, &s->received, 9), MIDGE_OK);
    s->will = midge_will_new(&w->heap.mem, message(w), 0);
    assert_int_equal(midge_session_keep(&w->all, s), MIDGE_OK);
    assert_int_equal(midge_session_keep(&w->all, t), MIDGE_OK);
    midge_fifo_push(&w->all.away, &s->rest->away);
    midge_fifo_push(&w->all.away, &t->rest->away);
    midge_session_free(&w->all, s);
    assert_ptr_equal(w->all.away.head, &t->rest->away);
    midge_session_free(&w->all, t);
}

static void without_memory_there_is_no_session(void **state)
{
    struct world *w = *state;
    for (int n = 0; n < 2; n++) {
        w->heap.countdown = n; /* the session, the map's table */
        assert_null(make(w, "a"));
        assert_null(find(w, "a"));
        assert_int_equal(w->heap.blocks, 0);
    }
    w->heap.countdown = -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_found_by_its_client_id),
        TEST(a_new_session_is_empty),
        TEST(the_outbox_and_the_rest_are_made_once),
        TEST(an_empty_outbox_goes_unless_it_keeps_books),
        TEST(everything_goes_with_the_session),
        TEST(without_memory_there_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
