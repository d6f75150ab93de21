/* postbox.c - calls from other threads: copied, bounded, carried out in order on the loop's thread. */
#include "posix.h"

#include <stdlib.h>
#include <string.h>

enum kind { POST_PUBLISH, POST_SUBSCRIBE, POST_UNSUBSCRIBE, POST_CALL };

/* One block: the post, its user properties, then the bytes that its slices point to. */
struct midge_post {
    struct midge_post *next;
    size_t size;
    enum kind kind;
    struct midge_local *local;
    union {
        struct midge_publication publication;
        struct midge_subscription subscription; /* unsubscribe: its filter */
        void (*call)(void *user, struct midge *m, midge_ms now);
    } u;
    midge_posted done;
    void *user;
    struct midge_user_property properties[];
};

/* ---- copying ------------------------------------------------------------------------------------------- */

/* Copies what *s points to to *at, moves *at on and *s to the copy. */
static void take(struct midge_slice *s, uint8_t **at)
{
    if (!s->data)
        return;
    if (s->len)
        memcpy(*at, s->data, s->len);
    s->data = *at;
    *at += s->len;
}

static size_t publication_bytes(const struct midge_publication *p)
{
    size_t n = (size_t)p->topic.len + p->payload.len;
    n += p->content_type.data ? p->content_type.len : 0;
    n += p->response_topic.data ? p->response_topic.len : 0;
    n += p->correlation_data.data ? p->correlation_data.len : 0;
    for (size_t i = 0; i < p->user_property_count; i++)
        n += (size_t)p->user_properties[i].name.len + p->user_properties[i].value.len;
    return n;
}

static void take_publication(struct midge_post *post, const struct midge_publication *p)
{
    struct midge_publication *own = &post->u.publication;
    uint8_t *at = (uint8_t *)&post->properties[p->user_property_count];
    *own = *p;
    take(&own->topic, &at);
    take(&own->payload, &at);
    take(&own->content_type, &at);
    take(&own->response_topic, &at);
    take(&own->correlation_data, &at);
    for (size_t i = 0; i < p->user_property_count; i++) {
        post->properties[i] = p->user_properties[i];
        take(&post->properties[i].name, &at);
        take(&post->properties[i].value, &at);
    }
    own->user_properties = post->properties;
}

static void take_subscription(struct midge_post *post, const struct midge_subscription *s)
{
    uint8_t *at = (uint8_t *)post->properties;
    post->u.subscription = *s;
    take(&post->u.subscription.filter, &at);
}

/* ---- putting in ---------------------------------------------------------------------------------------- */

/* A post with room for `bytes` behind it; NULL: no memory. */
static struct midge_post *new_post(enum kind kind, struct midge_local *l, size_t bytes, midge_posted done,
                                   void *user)
{
    struct midge_post *post = malloc(sizeof *post + bytes);
    if (!post)
        return NULL;
    post->next = NULL;
    post->size = sizeof *post + bytes;
    post->kind = kind;
    post->local = l;
    post->done = done;
    post->user = user;
    return post;
}

static enum midge_err put(struct midge_postbox *b, struct midge_post *post, bool *first)
{
    if (b->closed)
        return MIDGE_ERR_NOT_FOUND;
    if (b->count == b->count_max || post->size > b->bytes_max - b->bytes)
        return MIDGE_ERR_FULL;
    *first = !b->head;
    *b->tail = post;
    b->tail = &post->next;
    b->count++;
    b->bytes += post->size;
    return MIDGE_OK;
}

/* Takes `post`. Only the first in an empty box has to wake the loop. */
static enum midge_err post_it(struct midge_loop *loop, struct midge_post *post)
{
    bool first = false;
    pthread_mutex_lock(&loop->postbox.lock);
    enum midge_err err = put(&loop->postbox, post, &first);
    if (first)
        midge_loop_wake(loop); /* under the lock: a loop that closes the box is still there */
    pthread_mutex_unlock(&loop->postbox.lock);
    if (err != MIDGE_OK)
        free(post);
    return err;
}

/* A post larger than the box may ever hold is not even copied. */
static bool too_large(const struct midge_loop *loop, size_t bytes)
{
    return bytes > loop->postbox.bytes_max;
}

enum midge_err midge_post_publish(struct midge_loop *loop, struct midge_local *l,
                                  const struct midge_publication *p, midge_posted done, void *user)
{
    if (too_large(loop, p->user_property_count))
        return MIDGE_ERR_FULL; /* before the product below could overflow */
    size_t bytes = p->user_property_count * sizeof(struct midge_user_property) + publication_bytes(p);
    if (too_large(loop, bytes))
        return MIDGE_ERR_FULL;
    struct midge_post *post = new_post(POST_PUBLISH, l, bytes, done, user);
    if (!post)
        return MIDGE_ERR_NO_MEMORY;
    take_publication(post, p);
    return post_it(loop, post);
}

enum midge_err midge_post_subscribe(struct midge_loop *loop, struct midge_local *l,
                                    const struct midge_subscription *s, midge_posted done, void *user)
{
    if (too_large(loop, s->filter.len))
        return MIDGE_ERR_FULL;
    struct midge_post *post = new_post(POST_SUBSCRIBE, l, s->filter.len, done, user);
    if (!post)
        return MIDGE_ERR_NO_MEMORY;
    take_subscription(post, s);
    return post_it(loop, post);
}

enum midge_err midge_post_unsubscribe(struct midge_loop *loop, struct midge_local *l,
                                      struct midge_slice filter, midge_posted done, void *user)
{
    if (too_large(loop, filter.len))
        return MIDGE_ERR_FULL;
    struct midge_post *post = new_post(POST_UNSUBSCRIBE, l, filter.len, done, user);
    if (!post)
        return MIDGE_ERR_NO_MEMORY;
    const struct midge_subscription s = { .filter = filter };
    take_subscription(post, &s);
    return post_it(loop, post);
}

enum midge_err midge_post_call(struct midge_loop *loop,
                               void (*call)(void *user, struct midge *m, midge_ms now), void *user)
{
    struct midge_post *post = new_post(POST_CALL, NULL, 0, NULL, user);
    if (!post)
        return MIDGE_ERR_NO_MEMORY;
    post->u.call = call;
    return post_it(loop, post);
}

/* ---- carrying out -------------------------------------------------------------------------------------- */

/* The client a subscription was posted for; NULL and *err: there is none. */
static struct midge_local *client_of(struct midge_loop *loop, struct midge_local *l, enum midge_err *err)
{
    if (l)
        return l;
    const struct midge_local_config config = { .tag = NULL };
    if (!loop->local)
        loop->local = midge_local_open(loop->broker, &config, loop->now, err);
    return loop->local;
}

static enum midge_err subscribe(struct midge_loop *loop, const struct midge_post *post)
{
    enum midge_err err = MIDGE_OK;
    struct midge_local *l = client_of(loop, post->local, &err);
    if (!l)
        return err;
    if (post->kind == POST_SUBSCRIBE)
        return midge_local_subscribe(l, &post->u.subscription, loop->now);
    return midge_local_unsubscribe(l, post->u.subscription.filter, loop->now);
}

static enum midge_err carry_out(struct midge_loop *loop, const struct midge_post *post)
{
    if (post->kind == POST_PUBLISH)
        return midge_publish(loop->broker, post->local, &post->u.publication, loop->now);
    if (post->kind != POST_CALL)
        return subscribe(loop, post);
    post->u.call(post->user, loop->broker, loop->now);
    return MIDGE_OK;
}

static struct midge_post *take_all(struct midge_postbox *b)
{
    pthread_mutex_lock(&b->lock);
    struct midge_post *head = b->head;
    b->head = NULL;
    b->tail = &b->head;
    b->count = 0;
    b->bytes = 0;
    pthread_mutex_unlock(&b->lock);
    return head;
}

/* What is posted meanwhile waits for the next pass, so that a post that posts again cannot hold the loop. */
void midge_postbox_empty(struct midge_loop *loop)
{
    struct midge_post *post = take_all(&loop->postbox);
    while (post) {
        struct midge_post *next = post->next;
        enum midge_err result = carry_out(loop, post);
        if (midge_deadline(loop->broker) <= loop->now)
            midge_tick(loop->broker, loop->now); /* in-process clients get theirs before their queues fill up */
        if (post->done)
            post->done(post->user, result);
        free(post);
        post = next;
    }
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void midge_postbox_init(struct midge_postbox *b, uint32_t count_max, size_t bytes_max)
{
    pthread_mutex_init(&b->lock, NULL);
    b->tail = &b->head;
    b->count_max = count_max;
    b->bytes_max = bytes_max;
}

void midge_postbox_close(struct midge_loop *loop)
{
    pthread_mutex_lock(&loop->postbox.lock);
    loop->postbox.closed = true;
    pthread_mutex_unlock(&loop->postbox.lock);
}

void midge_postbox_free(struct midge_postbox *b)
{
    struct midge_post *post = take_all(b);
    while (post) {
        struct midge_post *next = post->next;
        if (post->done)
            post->done(post->user, MIDGE_ERR_NOT_FOUND);
        free(post);
        post = next;
    }
    pthread_mutex_destroy(&b->lock);
}
