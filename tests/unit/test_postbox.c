/* test_postbox.c - calls from other threads: copied, in order, bounded, answered. */
#include "peer.h"

#include <sched.h>

struct seen {
    char topics[4096]; /* one letter a message */
    unsigned count;
    unsigned results[5]; /* how often each result was told, by -err */
    struct runner *runner;
};

static void on_message(void *user, const struct midge_message *message)
{
    struct seen *seen = user;
    seen->topics[seen->count++ % sizeof seen->topics] = (char)message->payload.data[0];
}

static void on_posted(void *user, enum midge_err result)
{
    struct seen *seen = user;
    seen->results[-result]++;
}

static void subscribe(struct runner *r, struct seen *seen, const char *filter)
{
    const struct midge_subscription s = {
        .filter = text(filter), .qos = 2, .on_message = on_message, .user = seen
    };
    assert_int_equal(midge_post_subscribe(r->loop, NULL, &s, on_posted, seen), MIDGE_OK);
}

/* What is posted is a copy: the caller's bytes may change as soon as the call is back. */
static void what_was_posted_may_change_after_the_call(void **state)
{
    (void)state;
    struct runner r;
    struct seen seen = { .count = 0 };
    char topic[] = "t", payload[] = "a", name[] = "k", value[] = "v";
    runner_open(&r, NULL);
    subscribe(&r, &seen, "t");
    const struct midge_user_property property = { .name = text(name), .value = text(value) };
    const struct midge_publication p = { .topic = text(topic),
                                         .payload = text(payload),
                                         .qos = 1,
                                         .content_type = text(value),
                                         .response_topic = text(topic),
                                         .correlation_data = text(payload),
                                         .user_properties = &property,
                                         .user_property_count = 1 };
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_OK);
    topic[0] = '#';
    payload[0] = 'z';
    name[0] = value[0] = '\xff';
    assert_int_equal(pthread_create(&r.thread, NULL, runner_main, &r), 0);
    runner_call(&r, NULL, NULL);
    runner_call(&r, NULL, NULL); /* callbacks come from the tick that follows */
    runner_stop(&r);
    assert_int_equal(seen.results[0], 2);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.topics[0], 'a');
    midge_loop_free(r.loop);
}

static void what_is_wrong_is_told_by_done(void **state)
{
    (void)state;
    struct runner r;
    struct seen seen = { .count = 0 };
    runner_start(&r, NULL);
    const struct midge_publication p = { .topic = text("a/#") };
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_OK);
    assert_int_equal(midge_post_unsubscribe(r.loop, NULL, text("never"), on_posted, &seen), MIDGE_OK);
    runner_call(&r, NULL, NULL);
    assert_int_equal(seen.results[-MIDGE_ERR_INVALID], 1);
    assert_int_equal(seen.results[-MIDGE_ERR_NOT_FOUND], 1);
    runner_stop(&r);
    midge_loop_free(r.loop);
}

static void unsubscribed_is_not_called(void **state)
{
    (void)state;
    struct runner r;
    struct seen seen = { .count = 0 };
    const struct midge_publication p = { .topic = text("t"), .payload = text("x"), .qos = 1 };
    runner_start(&r, NULL);
    subscribe(&r, &seen, "t");
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, NULL, NULL), MIDGE_OK);
    runner_call(&r, NULL, NULL);
    runner_call(&r, NULL, NULL);
    assert_int_equal(midge_post_unsubscribe(r.loop, NULL, text("t"), on_posted, &seen), MIDGE_OK);
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, NULL, NULL), MIDGE_OK);
    runner_call(&r, NULL, NULL);
    runner_call(&r, NULL, NULL);
    runner_stop(&r);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.results[0], 2);
    midge_loop_free(r.loop);
}

static void a_full_box_says_so_at_once(void **state)
{
    (void)state;
    struct midge_loop_config config = { .posts = 2, .post_bytes = 4096 };
    struct runner r;
    struct seen seen = { .count = 0 };
    static char big[8192];
    runner_open(&r, &config);
    struct midge_publication p = { .topic = text("t"), .payload = { (uint8_t *)big, sizeof big } };
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_ERR_FULL);
    p.payload.len = 3000;
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_OK);
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_ERR_FULL); /* by bytes */
    p.payload.len = 0;
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_OK);
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_ERR_FULL); /* by count */
    midge_loop_free(r.loop);
    assert_int_equal(seen.results[-MIDGE_ERR_NOT_FOUND], 2); /* it never ran: those who wait are told */
    assert_int_equal(seen.results[0], 0);
}

static void posted_before_a_stop_is_done_and_after_it_is_refused(void **state)
{
    (void)state;
    struct runner r;
    struct seen seen = { .count = 0 };
    const struct midge_publication p = { .topic = text("t") };
    runner_open(&r, NULL);
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_OK);
    midge_loop_stop(r.loop);
    assert_int_equal(midge_loop_run(r.loop), 0);
    assert_int_equal(seen.results[0], 1);
    assert_int_equal(midge_post_publish(r.loop, NULL, &p, on_posted, &seen), MIDGE_ERR_NOT_FOUND);
    midge_loop_free(r.loop);
}

/* From inside a callback, too: it is done in the next pass. */
static void post_again(void *user, struct midge *m, midge_ms now)
{
    (void)m;
    (void)now;
    struct seen *seen = user;
    if (++seen->count < 10)
        assert_int_equal(midge_post_call(seen->runner->loop, post_again, seen), MIDGE_OK);
    else
        midge_loop_stop(seen->runner->loop);
}

static void a_post_may_post(void **state)
{
    (void)state;
    struct runner r;
    struct seen seen = { .runner = &r };
    runner_open(&r, NULL);
    assert_int_equal(midge_post_call(r.loop, post_again, &seen), MIDGE_OK);
    assert_int_equal(midge_loop_run(r.loop), 0);
    assert_int_equal(seen.count, 10);
    midge_loop_free(r.loop);
}

/* ---- many threads -------------------------------------------------------------------------------------- */

enum { THREADS = 4, POSTS = 500 };

struct poster {
    struct runner *runner;
    pthread_t thread;
    char letter;
};

static void *post_many(void *user)
{
    struct poster *poster = user;
    for (int i = 0; i < POSTS; i++) {
        char payload[2] = { poster->letter };
        const struct midge_publication p = { .topic = text("t"), .payload = text(payload), .qos = 1 };
        while (midge_post_publish(poster->runner->loop, NULL, &p, NULL, NULL) == MIDGE_ERR_FULL)
            sched_yield(); /* until the loop has emptied the box */
    }
    return NULL;
}

static void many_threads_lose_nothing(void **state)
{
    (void)state;
    struct midge_loop_config config = { .posts = 64 };
    struct runner r;
    struct seen seen = { .count = 0 };
    struct poster posters[THREADS];
    runner_start(&r, &config);
    subscribe(&r, &seen, "t");
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){ .runner = &r, .letter = (char)('a' + i) };
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(posters[i].thread, NULL);
    runner_call(&r, NULL, NULL);
    runner_call(&r, NULL, NULL);
    runner_stop(&r);
    assert_int_equal(seen.count, THREADS * POSTS);
    for (int i = 0; i < THREADS; i++) {
        int n = 0;
        for (unsigned j = 0; j < seen.count; j++)
            n += seen.topics[j] == 'a' + i;
        assert_int_equal(n, POSTS);
    }
    midge_loop_free(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_posted_may_change_after_the_call),
        cmocka_unit_test(what_is_wrong_is_told_by_done),
        cmocka_unit_test(unsubscribed_is_not_called),
        cmocka_unit_test(a_full_box_says_so_at_once),
        cmocka_unit_test(posted_before_a_stop_is_done_and_after_it_is_refused),
        cmocka_unit_test(a_post_may_post),
        cmocka_unit_test(many_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
