/* embed.c - a broker inside a program: publish and subscribe without a socket, a memory limit, other threads.
 *
 *     cc embed.c $(pkg-config --cflags --libs midge) -o embed && ./embed
 *
 * Each function shows one thing, prints a line and says whether it went as it should.
 */
#include <midge/midge_posix.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

static bool report(const char *what, bool ok)
{
    printf("%-7s %s\n", ok ? "ok" : "FAILED", what);
    return ok;
}

/* ---- a broker in a block of memory, driven by hand ----------------------------------------------------- */

/* A broker in its own block, and one in-process client. Nothing else is needed: no socket, no thread, no
 * heap. */
struct small {
    _Alignas(max_align_t) unsigned char block[32 * 1024];
    struct midge_memory memory;
    struct midge_limits limits;
    struct midge *broker;
    struct midge_local *client;
    midge_ms now; /* the broker has no clock: it is handed one */
    unsigned answers;
};

static bool small_open(struct small *s)
{
    enum midge_err err;
    const struct midge_local_config client = { .client_id = text("inside") };
    const struct midge_config config = { .memory = &s->memory, .limits = &s->limits };
    s->limits = midge_limits_chip;
    s->limits.retained_bytes = UINT32_MAX; /* here, memory alone is to decide */
    s->now = 0;
    s->answers = 0;
    if (!midge_arena_memory(s->block, sizeof s->block, &s->memory))
        return false;
    s->broker = midge_new(&config, s->now);
    s->client = s->broker ? midge_local_open(s->broker, &client, s->now, &err) : NULL;
    return s->client != NULL;
}

/* Messages reach in-process subscribers from midge_tick, so a callback is never called from inside
 * midge_publish. */
static void small_run(struct small *s)
{
    while (midge_deadline(s->broker) <= s->now)
        midge_tick(s->broker, s->now);
}

static enum midge_err small_publish(struct small *s, const char *topic, struct midge_slice payload,
                                    bool retain)
{
    const struct midge_publication p = {
        .topic = text(topic), .payload = payload, .qos = 1, .retain = retain
    };
    return midge_publish(s->broker, s->client, &p, s->now);
}

static enum midge_err small_subscribe(struct small *s, const char *filter, midge_on_message on_message)
{
    const struct midge_subscription sub = {
        .filter = text(filter), .qos = 1, .on_message = on_message, .user = s
    };
    return midge_local_subscribe(s->client, &sub, s->now);
}

/* A callback may publish: it is queued, and done when the callback is back. */
static void answer(void *user, const struct midge_message *message)
{
    struct small *s = user;
    (void)small_publish(s, "answer", message->payload, false);
}

static void count_answer(void *user, const struct midge_message *message)
{
    struct small *s = user;
    s->answers += message->payload.len == 5 && memcmp(message->payload.data, "hello", 5) == 0;
}

static bool publish_from_a_callback(void)
{
    static struct small s;
    if (!small_open(&s) || small_subscribe(&s, "question", answer) ||
        small_subscribe(&s, "answer", count_answer))
        return report("in-process client", false);
    bool sent = small_publish(&s, "question", text("hello"), false) == MIDGE_OK;
    small_run(&s);
    midge_free(s.broker);
    return report("publish and subscribe in process, also from inside a callback", sent && s.answers == 1);
}

static bool two_brokers(void)
{
    static struct small a, b;
    bool ok = small_open(&a) && small_open(&b) && !small_subscribe(&a, "t", count_answer) &&
              !small_subscribe(&b, "t", count_answer) && !small_publish(&a, "t", text("hello"), false);
    small_run(&a);
    small_run(&b);
    ok = ok && a.answers == 1 && b.answers == 0; /* they know nothing of each other */
    midge_free(a.broker);
    midge_free(b.broker);
    return report("two brokers in one process", ok);
}

/* At the limit a publisher is refused, nothing is half done, and everything else goes on. */
static bool memory_limit(void)
{
    static struct small s;
    static const uint8_t payload[1000];
    char topic[16];
    unsigned stored = 0;
    enum midge_err err = MIDGE_OK;
    if (!small_open(&s))
        return report("memory limit", false);
    for (; err == MIDGE_OK && stored < 1000; stored += err == MIDGE_OK) {
        snprintf(topic, sizeof topic, "t/%u", stored);
        err = small_publish(&s, topic, (struct midge_slice){ payload, sizeof payload }, true);
    }
    bool refused = err == MIDGE_ERR_FULL || err == MIDGE_ERR_NO_MEMORY;
    printf("        %u retained messages of 1000 bytes fit into 32 kB, the next was refused\n", stored);
    bool freed =
        small_publish(&s, "t/0", (struct midge_slice){ NULL, 0 }, true) == MIDGE_OK; /* clears that one */
    bool again = small_publish(&s, topic, (struct midge_slice){ payload, sizeof payload }, true) == MIDGE_OK;
    midge_free(s.broker);
    return report("a memory limit reached: refused, and accepted again when there is room",
                  refused && freed && again);
}

static bool many_lives(void)
{
    static struct small s;
    bool ok = true;
    for (int i = 0; i < 1000 && ok; i++) {
        ok = small_open(&s) && !small_subscribe(&s, "#", count_answer) &&
             !small_publish(&s, "t", text("hello"), true);
        small_run(&s);
        ok = ok && s.answers == 1;
        midge_free(s.broker);
    }
    return report("1000 starts and stops in the same block", ok);
}

/* ---- a broker with sockets, on a thread of its own ------------------------------------------------------ */

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    unsigned count;
};

/* Called on the loop's thread. */
static void put_in(void *user, const struct midge_message *message)
{
    struct mailbox *box = user;
    (void)message;
    pthread_mutex_lock(&box->lock);
    box->count++;
    pthread_cond_signal(&box->arrived);
    pthread_mutex_unlock(&box->lock);
}

static void wait_for(struct mailbox *box, unsigned count)
{
    pthread_mutex_lock(&box->lock);
    while (box->count < count)
        pthread_cond_wait(&box->arrived, &box->lock);
    pthread_mutex_unlock(&box->lock);
}

static void *run_loop(void *loop)
{
    return midge_loop_run(loop) ? loop : NULL;
}

static bool other_threads(void)
{
    char why[128], address[64];
    pthread_t thread;
    struct mailbox box = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    struct midge_loop *loop = midge_loop_new(NULL);
    if (!loop || midge_loop_listen(loop, "127.0.0.1", 0, why, sizeof why) ||
        pthread_create(&thread, NULL, run_loop, loop)) {
        midge_loop_free(loop);
        return report("a loop on a thread", false);
    }
    midge_loop_address(loop, 0, address, sizeof address);
    printf("        MQTT clients could connect to %s meanwhile\n", address);

    const struct midge_subscription sub = {
        .filter = text("from/#"), .qos = 1, .on_message = put_in, .user = &box
    };
    const struct midge_publication p = { .topic = text("from/main"), .payload = text("hello"), .qos = 1 };
    bool ok = midge_post_subscribe(loop, NULL, &sub, NULL, NULL) == MIDGE_OK &&
              midge_post_publish(loop, NULL, &p, NULL, NULL) == MIDGE_OK;
    if (ok)
        wait_for(&box, 1);
    midge_loop_stop(loop);
    void *failed;
    pthread_join(thread, &failed);
    midge_loop_free(loop);
    return report("publish and subscribe from another thread", ok && !failed);
}

int main(void)
{
    bool ok = publish_from_a_callback();
    ok &= two_brokers();
    ok &= memory_limit();
    ok &= many_lives();
    ok &= other_threads();
    return ok ? 0 : 1;
}
