/* postbox.c - calls from other tasks: copied, bounded, carried out in order on the broker's task.
 *
 * A list that any task pushes to and the broker's takes whole: no lock, so no task waits for another's priority.
 */
#include "esp.h"

#include <stdlib.h>
#include <string.h>

struct publish_post {
    struct midge_post post;
    struct midge_local *local;
    struct midge_publication publication;
    struct midge_user_property properties[]; /* then the bytes that slices point to */
};

struct subscribe_post {
    struct midge_post post;
    struct midge_local *local;
    struct midge_subscription subscription; /* unsubscribe: its filter */
    uint8_t bytes[];
};

struct call_post {
    struct midge_post post;
    void (*call)(void *user, struct midge *m, midge_ms now);
};

/* ---- putting in ---------------------------------------------------------------------------------------- */

static void *new_post(const struct midge_esp *e, size_t size, midge_posted done, void *user, enum midge_err *err)
{
    *err = size > e->config.post_bytes ? MIDGE_ERR_FULL : MIDGE_ERR_NO_MEMORY;
    struct midge_post *post = size > e->config.post_bytes ? NULL : malloc(size);
    if (post)
        *post = (struct midge_post){ .done = done, .user = user, .size = (uint32_t)size };
    return post;
}

/* Takes `post`. Only the first in an empty box has to wake the broker. */
static enum midge_err put(struct midge_esp *e, struct midge_post *post)
{
    enum midge_err err = atomic_load(&e->stop) ? MIDGE_ERR_NOT_FOUND : MIDGE_OK;
    if (err == MIDGE_OK && atomic_fetch_add(&e->post_bytes, post->size) + post->size > e->config.post_bytes) {
        atomic_fetch_sub(&e->post_bytes, post->size);
        err = MIDGE_ERR_FULL;
    }
    if (err != MIDGE_OK) {
        free(post);
        return err;
    }
    struct midge_post *newest = atomic_load(&e->posts);
    do
        post->next = newest; /* ours until the exchange succeeds */
    while (!atomic_compare_exchange_weak(&e->posts, &newest, post));
    if (!newest)
        midge_wake(e->wake_fd);
    return MIDGE_OK;
}

/* Copies what *s points to to *at, moves *at on and *s to the copy. */
static void take(struct midge_slice *s, uint8_t **at)
{
    if (!s->data)
        return;
    memcpy(*at, s->data, s->len);
    s->data = *at;
    *at += s->len;
}

/* ---- publish ------------------------------------------------------------------------------------------- */

static enum midge_err do_publish(struct midge_esp *e, struct midge_post *post)
{
    const struct publish_post *own = (const struct publish_post *)post;
    return midge_publish(e->broker, own->local, &own->publication, e->now);
}

static size_t add_up(size_t n, struct midge_slice s)
{
    return s.data ? n + s.len : n;
}

static size_t publication_bytes(const struct midge_publication *p)
{
    size_t n = p->user_property_count * sizeof *p->user_properties;
    n = add_up(add_up(n, p->topic), p->payload);
    n = add_up(add_up(add_up(n, p->content_type), p->response_topic), p->correlation_data);
    for (size_t i = 0; i < p->user_property_count; i++)
        n = add_up(add_up(n, p->user_properties[i].name), p->user_properties[i].value);
    return n;
}

static void take_publication(struct publish_post *own, const struct midge_publication *p)
{
    uint8_t *at = (uint8_t *)&own->properties[p->user_property_count];
    own->publication = *p;
    own->publication.user_properties = own->properties;
    take(&own->publication.topic, &at);
    take(&own->publication.payload, &at);
    take(&own->publication.content_type, &at);
    take(&own->publication.response_topic, &at);
    take(&own->publication.correlation_data, &at);
    for (size_t i = 0; i < p->user_property_count; i++) {
        own->properties[i] = p->user_properties[i];
        take(&own->properties[i].name, &at);
        take(&own->properties[i].value, &at);
    }
}

enum midge_err midge_esp_publish(struct midge_esp *e, struct midge_local *l, const struct midge_publication *p,
                                 midge_posted done, void *user)
{
    enum midge_err err;
    if (p->user_property_count > e->config.post_bytes)
        return MIDGE_ERR_FULL; /* before a product could overflow */
    struct publish_post *own = new_post(e, sizeof *own + publication_bytes(p), done, user, &err);
    if (!own)
        return err;
    own->post.carry_out = do_publish;
    own->local = l;
    take_publication(own, p);
    return put(e, &own->post);
}

/* ---- subscribe ----------------------------------------------------------------------------------------- */

/* The client a subscription was posted for; NULL and *err: there is none. */
static struct midge_local *client_of(struct midge_esp *e, struct midge_local *l, enum midge_err *err)
{
    const struct midge_local_config config = { .tag = NULL };
    if (l)
        return l;
    if (!e->local)
        e->local = midge_local_open(e->broker, &config, e->now, err);
    return e->local;
}

static enum midge_err do_subscribe(struct midge_esp *e, struct midge_post *post)
{
    const struct subscribe_post *own = (const struct subscribe_post *)post;
    enum midge_err err = MIDGE_OK;
    struct midge_local *l = client_of(e, own->local, &err);
    return l ? midge_local_subscribe(l, &own->subscription, e->now) : err;
}

static enum midge_err do_unsubscribe(struct midge_esp *e, struct midge_post *post)
{
    const struct subscribe_post *own = (const struct subscribe_post *)post;
    enum midge_err err = MIDGE_OK;
    struct midge_local *l = client_of(e, own->local, &err);
    return l ? midge_local_unsubscribe(l, own->subscription.filter, e->now) : err;
}

static enum midge_err post_subscription(struct midge_esp *e, struct midge_local *l,
                                        const struct midge_subscription *s, midge_posted done, void *user,
                                        enum midge_err (*carry_out)(struct midge_esp *e, struct midge_post *post))
{
    enum midge_err err;
    struct subscribe_post *own = new_post(e, sizeof *own + s->filter.len, done, user, &err);
    if (!own)
        return err;
    uint8_t *at = own->bytes;
    own->post.carry_out = carry_out;
    own->local = l;
    own->subscription = *s;
    take(&own->subscription.filter, &at);
    return put(e, &own->post);
}

enum midge_err midge_esp_subscribe(struct midge_esp *e, struct midge_local *l, const struct midge_subscription *s,
                                   midge_posted done, void *user)
{
    return post_subscription(e, l, s, done, user, do_subscribe);
}

enum midge_err midge_esp_unsubscribe(struct midge_esp *e, struct midge_local *l, struct midge_slice filter,
                                     midge_posted done, void *user)
{
    const struct midge_subscription s = { .filter = filter };
    return post_subscription(e, l, &s, done, user, do_unsubscribe);
}

/* ---- call ---------------------------------------------------------------------------------------------- */

static enum midge_err do_call(struct midge_esp *e, struct midge_post *post)
{
    ((struct call_post *)post)->call(post->user, e->broker, e->now);
    return MIDGE_OK;
}

enum midge_err midge_esp_call(struct midge_esp *e, void (*call)(void *user, struct midge *m, midge_ms now),
                              void *user)
{
    enum midge_err err;
    struct call_post *own = new_post(e, sizeof *own, NULL, user, &err);
    if (!own)
        return err;
    own->post.carry_out = do_call;
    own->call = call;
    return put(e, &own->post);
}

/* ---- taking out ---------------------------------------------------------------------------------------- */

static struct midge_post *oldest_first(struct midge_post *newest)
{
    struct midge_post *oldest = NULL;
    while (newest) {
        struct midge_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* What is posted meanwhile waits for the next pass, so that a post that posts again cannot hold the loop. */
void midge_posts_empty(struct midge_esp *e, bool refuse)
{
    struct midge_post *post = oldest_first(atomic_exchange(&e->posts, NULL));
    while (post) {
        struct midge_post *next = post->next;
        enum midge_err result = refuse ? MIDGE_ERR_NOT_FOUND : post->carry_out(e, post);
        if (post->done)
            post->done(post->user, result);
        atomic_fetch_sub(&e->post_bytes, post->size);
        free(post);
        post = next;
    }
}
