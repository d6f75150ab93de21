/* test_client.c - scenarios of midge_client: it and the broker run out of memory, and come back. */
#include "midge/midge_client.h"
#include "spec/more.h"
#include "spec/peer.h"

#include <stdlib.h>

/* ---- a client on a wire to the broker, with memory of its own that is refused like the broker's -------- */

struct rig {
    struct midge_client *c;
    struct peer *wire;
    size_t used;
    unsigned connected, messages, done; /* as told */
};
static struct rig rig;

static void *client_take(void *user, size_t n)
{
    struct rig *r = user;
    void *p = memory_refused() ? NULL : malloc(n);
    if (p)
        r->used += n;
    return p;
}

static void client_give(void *user, void *p, size_t n)
{
    ((struct rig *)user)->used -= n;
    free(p);
}

static void *client_change(void *user, void *p, size_t old, size_t n)
{
    struct rig *r = user;
    if (n > old && memory_refused())
        return NULL;
    void *moved = malloc(n);
    if (!moved)
        abort();
    memcpy(moved, p, old < n ? old : n);
    client_give(r, p, old);
    r->used += n;
    return moved;
}

static void on_event(void *user, const struct midge_client_event *e)
{
    struct rig *r = user;
    r->connected += e->kind == MIDGE_CLIENT_CONNECTED;
    r->done += e->kind == MIDGE_CLIENT_PUBLISHED;
}

static uint8_t on_message(void *user, const struct midge_message *message)
{
    (void)message;
    ((struct rig *)user)->messages++;
    return 0;
}

/* Between two ends until neither has anything to say. */
static void pump(struct rig *r)
{
    enum { PIECE = 500 };
    uint8_t out[4096];
    size_t n;
    while (r->wire && conn_of(r->wire)) {
        n = midge_client_pull(r->c, out, sizeof out, now);
        if (n)
            send_bytes(r->wire, out, n);
        const size_t back = unread(r->wire);
        for (size_t at = 0; at < back; at += PIECE) {
            const size_t piece = back - at < PIECE ? back - at : PIECE;
            midge_client_recv(r->c, r->wire->in.at + r->wire->read + at, piece, now);
        }
        read_all(r->wire);
        if (midge_client_status(r->c) & MIDGE_STATUS_CLOSE || (!n && !back))
            break;
    }
}

static void hang_up(struct rig *r)
{
    if (!r->wire)
        return;
    r->wire->close_expected = true;
    drop(r->wire);
    midge_client_lost(r->c, now);
    r->wire = NULL;
}

static bool dial_in(struct rig *r, const struct midge_client_options *o)
{
    hang_up(r);
    r->wire = try_dial(0);
    if (!r->wire)
        return false;
    if (midge_client_connect(r->c, o, now) != MIDGE_OK) {
        drop(r->wire);
        r->wire = NULL;
        return false;
    }
    pump(r);
    return midge_client_is_connected(r->c);
}

static const struct midge_memory client_memory = {
    .user = &rig, .alloc = client_take, .free = client_give, .resize = client_change
};
static const struct midge_client_hooks client_hooks = { .user = &rig, .event = on_event, .message = on_message };
static const struct midge_client_config client_config = {
    .memory = &client_memory, .hooks = &client_hooks, .queue_msgs = 100, .queue_bytes = 100000, .alias_in = 4,
    .alias_out = 4,
};

static void make(struct rig *r, const struct midge_client_config *of)
{
    *r = (struct rig){ 0 };
    r->c = midge_client_new(of, now);
}

/* Nothing may be left, however the scenario went; nothing but broken() may end a test before this. */
static void unmake(struct rig *r)
{
    hang_up(r);
    midge_client_free(r->c);
    if (r->used)
        broken("the client has not given back %zu bytes", r->used);
}

/* What was asked for must have happened, unless memory was refused. */
static void must(bool happened, const char *what)
{
    if (!happened && !run_mode.refuse)
        broken("%s", what);
}

/* ---- what it does -------------------------------------------------------------------------------------- */

static void publish_each_qos(struct rig *r, const char *payload)
{
    const struct midge_user_property property = { slice("name"), slice("value") };
    for (uint8_t qos = 0; qos < 3; qos++) {
        const struct midge_publication p = {
            .topic = slice("some/topic"), .payload = slice(payload), .qos = qos, .has_expiry = true,
            .expiry_s = 100, .content_type = slice("text"), .user_properties = &property,
            .user_property_count = 1,
        };
        (void)!midge_client_publish(r->c, &p, NULL, now);
    }
}

static void converse(struct rig *r, uint8_t version)
{
    const struct midge_publication will = { .topic = slice("will"), .payload = slice("gone"), .qos = 1 };
    const struct midge_client_options options = {
        .version = version, .client_id = slice("it"), .username = slice("somebody"), .password = slice("secret"),
        .will = &will, .session_expiry_s = 1000, .keepalive_s = 30,
    };
    const struct midge_filter_request filter = { .filter = slice("some/#"), .qos = 2 };
    publish_each_qos(r, "before there is a connection");
    dial_in(r, &options);
    (void)!midge_client_subscribe(r->c, &filter, 1, 0, NULL);
    pump(r);
    for (unsigned i = 0; i < 3; i++)
        publish_each_qos(r, "now");
    pump(r);
    publish_each_qos(r, text_of('x', 3000)); /* in pieces, both ways */
    pump(r);
    hang_up(r);
    publish_each_qos(r, "for the next connection");
    dial_in(r, &options);
    (void)!midge_client_unsubscribe(r->c, &filter, 1, NULL);
    pump(r);
    must(r->connected == 2, "connected twice");
    must(r->messages == 15, "all messages came back");
    must(midge_client_held(r->c) == 0, "all was published");
}

/* With memory again the same client gets through. */
static void recover(struct rig *r)
{
    run_mode.refuse = 0;
    if (!r->c || !broker)
        return;
    const struct midge_client_options options = { .version = 5, .client_id = slice("again"), .clean_start = true };
    if (!dial_in(r, &options))
        broken("the client does not connect though there is memory again");
    const unsigned done = r->done;
    publish_each_qos(r, "after");
    pump(r);
    if (r->done < done + 3 || midge_client_held(r->c))
        broken("the client does not publish though there is memory again");
}

static void converse_and_recover(uint8_t version)
{
    start();
    make(&rig, &client_config);
    if (rig.c) {
        converse(&rig, version);
        const size_t refuse = run_mode.refuse;
        recover(&rig);
        run_mode.refuse = refuse;
        unmake(&rig);
    }
    for (struct peer *p = peers; p; p = p->next)
        p->close_expected = true;
}

TEST(oom_client_5_converses)
{
    converse_and_recover(5);
}

TEST(oom_client_3_1_1_converses)
{
    converse_and_recover(4);
}

/* ---- whose host keeps the state of QoS 1 and 2 itself -------------------------------------------------- */

static void on_packet(void *user, const struct midge_client_packet *packet)
{
    ((struct rig *)user)->messages += packet->type == PK_PUBACK;
}

static const struct midge_client_hooks relay_hooks = { .user = &rig, .event = on_event, .packet = on_packet };
static const struct midge_client_config relay_config = { .memory = &client_memory, .hooks = &relay_hooks };

static bool send_one(struct rig *r, const char *id)
{
    const struct midge_client_options options = { .version = 5, .client_id = slice(id), .clean_start = true };
    const struct midge_user_property property = { slice("name"), slice("value") };
    const struct midge_message message = { .topic = slice("some/topic"), .payload = slice("passed on"), .qos = 1 };
    const struct midge_client_packet packet = {
        .type = PK_PUBLISH, .pid = 1, .message = &message, .more = &property, .more_count = 1
    };
    const unsigned acknowledged = r->messages;
    if (!dial_in(r, &options) || midge_client_send(r->c, &packet) != MIDGE_OK)
        return false;
    pump(r);
    return r->messages == acknowledged + 1;
}

TEST(oom_client_passes_on)
{
    start();
    make(&rig, &relay_config);
    if (rig.c) {
        must(send_one(&rig, "it"), "the message was passed on");
        const size_t refuse = run_mode.refuse;
        run_mode.refuse = 0;
        if (broker && !send_one(&rig, "again"))
            broken("the client does not pass on though there is memory again");
        run_mode.refuse = refuse;
        unmake(&rig);
    }
    for (struct peer *p = peers; p; p = p->next)
        p->close_expected = true;
}
