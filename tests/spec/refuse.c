/* refuse.c - memory that runs out in the middle of a test, and what has to work when there is some again. */
#include "peer.h"
#include "store.h"

#include <limits.h>

static bool pingresp_came(const struct peer *p)
{
    const struct arrived *a = (const struct arrived *)(const void *)p->arrived.at;
    for (size_t i = 0; i < p->arrived.len / sizeof *a; i++) {
        if (a[i].begin >= p->read && a[i].packet.type == PK_PINGRESP)
            return true;
    }
    return false;
}

static bool is_up(const struct peer *p)
{
    return p->conn && p->rules.greeted && !p->rules.refused && !p->rules.goodbye && !p->rules.client_left;
}

/* Who is still connected, and not in the middle of a packet, is answered. */
static void check_survivor(struct peer *p)
{
    if (p->held) { /* the test may have pulled some of its bytes past the harness */
        drop(p);
        return;
    }
    if (is_paused(p))
        advance(limits.pause_ms);
    if (!is_up(p) || is_paused(p) || p->rules.sent.len)
        return;
    read_all(p);
    send_ping(p);
    if (is_up(p) && !pingresp_came(p))
        broken("peer %u is connected, and its PINGREQ is not answered", p->number);
}

/* All that a client needs: sessions, retained messages, both ways, each QoS. */
static void serve_newcomer(uint8_t version)
{
    struct peer *reader = connect_as(&(struct c_connect){
        .version = version, .client_id = format("reader %u", version), .clean_start = true });
    struct peer *writer = connect_as(&(struct c_connect){
        .version = version, .client_id = format("writer %u", version), .clean_start = true });
    const char *topic = format("fresh/%u", version), *filter = format("fresh/%u/#", version);
    publish_retained(writer, topic, "kept", 1);
    subscribe(reader, filter, 2);
    take_publish(reader, topic, "kept", 1);
    for (uint8_t qos = 0; qos < 3; qos++) {
        publish(writer, topic, "now", qos);
        take_publish(reader, topic, "now", qos);
    }
    if (unread(reader))
        broken("a new client got more than it asked for");
    leave(reader);
    leave(writer);
}

void serve_after_refusal(const struct test *t)
{
    (void)t;
    const bool refused = run_mode.refuse <= run_blocks();
    run_mode.refuse = 0;
    if (!refused || !broker || broker_is_shut || store_fails_after != UINT_MAX)
        return;
    hooks = (struct midge_hooks){ .random = hooks.random, .wall_ms = hooks.wall_ms };
    limits = midge_limits_gateway;
    midge_set_limits(broker, &limits);
    settle();
    for (struct peer *p = peers; p; p = p->next) {
        if (p->conn)
            check_survivor(p);
    }
    serve_newcomer(4);
    serve_newcomer(5);
}

static bool run_with(const struct test *t, size_t request, bool rest)
{
    run_mode.refuse = request;
    run_mode.refuse_rest = rest;
    const bool passed = run_test(t);
    run_mode.refuse = 0;
    if (!passed)
        fprintf(stderr, "    with request %zu for memory refused%s\n", request,
                rest ? ", and all that follow" : "");
    return passed;
}

bool run_refused(const struct test *t, size_t every)
{
    const size_t n = run_blocks();
    for (size_t request = 1; n < REFUSE_BELOW && request <= n; request += every) {
        if (!run_with(t, request, false) || !run_with(t, request, true))
            return false;
    }
    return true;
}
