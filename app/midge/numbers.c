/* numbers.c - everything that the broker and its loop count, by name. */
#include "inside.h"

#if MIDGE_HAS_OPENSSL
#include "plug/login_worker.h"
#endif

struct list {
    struct number *out;
    size_t count;
};

static void add(struct list *l, const char *name, const char *help, bool counter, uint64_t value)
{
    l->out[l->count++] = (struct number){ .name = name, .help = help, .counter = counter, .value = value };
}

static void add_labelled(struct list *l, const char *name, const char *help, bool counter, const char *label,
                         const char *value_of_label, uint64_t value)
{
    add(l, name, help, counter, value);
    l->out[l->count - 1].label = label;
    l->out[l->count - 1].value_of_label = value_of_label;
}

static void add_memory(struct list *l, const struct midge_stats *s)
{
    static const char *const tags[MIDGE_TAGS] = {
        [MIDGE_TAG_BROKER] = "broker", [MIDGE_TAG_CONN] = "connections", [MIDGE_TAG_CONTROL] = "control",
        [MIDGE_TAG_FRAME] = "frames",  [MIDGE_TAG_SESSION] = "sessions", [MIDGE_TAG_SUB] = "subscriptions",
        [MIDGE_TAG_QUEUE] = "queues",  [MIDGE_TAG_MSG] = "messages",     [MIDGE_TAG_RETAIN] = "retained",
    };
    add(l, "memory_bytes", "Memory that the broker holds", false, s->memory_used);
    add(l, "memory_peak_bytes", "The most that it has held", false, s->memory_peak);
    for (int tag = 0; tag < MIDGE_TAGS; tag++)
        add_labelled(l, "memory_by_kind_bytes", "Memory by what it is for", false, "kind", tags[tag],
                     s->memory_by_tag[tag]);
}

static void add_drops(struct list *l, const struct midge_stats *s)
{
    static const char *const reasons[MIDGE_DROP_REASONS] = {
        [MIDGE_DROP_QUEUE_MSGS] = "queue_messages",
        [MIDGE_DROP_QUEUE_BYTES] = "queue_bytes",
        [MIDGE_DROP_PACKET_SIZE] = "packet_size",
        [MIDGE_DROP_RIGHT] = "no_right",
    };
    for (int why = 0; why < MIDGE_DROP_REASONS; why++)
        add_labelled(l, "messages_dropped_total", "Messages that did not reach a session, by reason", true,
                     "reason", reasons[why],
                     s->books[0].dropped[why] + s->books[1].dropped[why] + s->books[2].dropped[why]);
}

static void add_queues(struct list *l, const struct midge_stats *s)
{
    static const char *const qos[] = { "0", "1", "2" };
    for (int q = 0; q < 3; q++)
        add_labelled(l, "messages_queued", "Messages that wait for a client", false, "qos", qos[q],
                     s->books[q].queued);
    for (int q = 0; q < 3; q++)
        add_labelled(l, "messages_inflight", "Messages on their way to a client, not acknowledged", false,
                     "qos", qos[q], s->books[q].inflight);
    for (int q = 0; q < 3; q++)
        add_labelled(l, "messages_delivered_total", "Messages that clients have acknowledged; QoS 0: sent",
                     true, "qos", qos[q], s->books[q].acknowledged);
    for (int q = 0; q < 3; q++)
        add_labelled(l, "messages_expired_total", "Messages that expired in a queue", true, "qos", qos[q],
                     s->books[q].expired);
}

static void add_loop(struct list *l, const struct inside *in)
{
    struct midge_loop_stats s;
    midge_loop_get_stats(in->loop, &s);
    add(l, "wakeups_total", "Times that the loop woke up", true, s.passes);
    add(l, "sockets", "Sockets that are open", false, s.sockets);
    add(l, "sockets_greeting", "Of them: not yet through TLS, WebSocket's upgrade or PROXY", false,
        s.greeting);
    add(l, "sockets_accepted_total", "Sockets accepted", true, s.accepted);
    add(l, "sockets_refused_total", "Sockets closed at once: at a limit", true, s.refused);
    add(l, "sockets_failed_total", "Sockets that did not get through TLS, upgrade or PROXY", true, s.failed);
    add(l, "socket_waiting_bytes", "Bytes that sockets did not take yet", false, s.waiting_bytes);
}

static void add_logins(struct list *l, const struct inside *in)
{
    add(l, "connects_total", "CONNECTs that were welcomed", true, in->connects);
    add(l, "connects_refused_total", "CONNECTs that were refused", true, in->refused);
#if MIDGE_HAS_OPENSSL
    add(l, "logins_failed_total", "Passwords that were wrong", true,
        in->doors->worker ? midge_login_worker_failures(in->doors->worker) : 0);
#endif
}

size_t inside_numbers(const struct inside *in, struct number out[NUMBERS_MAX])
{
    struct list l = { .out = out };
    struct midge_stats s;
    midge_get_stats(midge_loop_broker(in->loop), &s);
    add(&l, "connections", "Connections, CONNECT complete or not", false, s.connections);
    add(&l, "clients", "Clients that are connected", false, s.clients);
    add(&l, "clients_maximum", "The most that were connected at once", false, in->clients_maximum);
    add(&l, "sessions", "Clients that are known, connected or not", false, s.sessions);
    add(&l, "subscriptions", "Subscriptions", false, s.subscriptions);
    add(&l, "retained_messages", "Retained messages", false, s.retained);
    add(&l, "received_bytes_total", "Bytes received", true, s.bytes_received);
    add(&l, "sent_bytes_total", "Bytes sent", true, s.bytes_sent);
    add(&l, "publish_received_total", "PUBLISH packets received", true, s.publish_received);
    add(&l, "publish_sent_total", "PUBLISH packets sent", true, s.publish_sent);
    add(&l, "publish_refused_total", "PUBLISH packets refused by the memory limit or a policy", true,
        s.publish_refused);
    add_queues(&l, &s);
    add_drops(&l, &s);
    add_memory(&l, &s);
    add_logins(&l, in);
    add_loop(&l, in);
    return l.count;
}
