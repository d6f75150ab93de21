/* net.c - the network, and the port: it serves what midge_ready names, and nothing else. */
#include "world.h"

#include <stdlib.h>

/* ---- the port ------------------------------------------------------------------------------------------ */

static void see_status(struct conn *c)
{
    const unsigned status = midge_status(c->c);
    if (c->paused && !(status & MIDGE_STATUS_PAUSED))
        c->touched = W.age; /* its keep alive begins anew */
    c->paused = status & MIDGE_STATUS_PAUSED;
    if (status & MIDGE_STATUS_CLOSE)
        c->close = true;
    c->served = !(status & MIDGE_STATUS_PULL);
}

void port_ready(void)
{
    struct midge_conn *mc;
    unsigned n = 0;
    while ((mc = midge_ready(W.broker, W.now))) {
        see_status(midge_conn_user(mc));
        if (++n > 100000)
            diverge("midge_ready never comes to an end");
    }
}

struct conn *conn_open(struct client *cl)
{
    if (W.conn_count == sizeof W.conn_at / sizeof W.conn_at[0])
        return NULL;
    struct conn *c = make(sizeof *c);
    const struct midge_peer peer = { .user = c, .address_key = 0 };
    c->serial = ++W.serials;
    c->records_tail = &c->records;
    c->downs_tail = &c->downs;
    c->answers_tail = &c->answers;
    c->served = true;
    c->packet_maximum = UINT32_MAX;
    c->largest_up = UINT32_MAX;
    c->receive_maximum = UINT16_MAX;
    model_before(NULL);
    c->opened = c->heard = c->touched = W.age;
    c->c = midge_accept(W.broker, &peer, W.now);
    model_after();
    if (!c->c) {
        if (!W.tight && W.conn_count < W.limits.connections && !W.shutting_down)
            diverge("a connection is not accepted: %u are open, the limit is %u", W.conn_count,
                    W.limits.connections);
        unmake(c);
        port_ready();
        return NULL;
    }
    c->client = cl;
    cl->conn = c;
    c->next = W.conns;
    W.conns = c;
    W.conn_at[W.conn_count++] = c;
    port_ready();
    return c;
}

/* ---- towards the broker -------------------------------------------------------------------------------- */

void conn_feed(struct conn *c, uint32_t most)
{
    const uint32_t left = c->up.len - c->up_at;
    const uint32_t n = left < most ? left : most;
    if (!n)
        return;
    c->fed += n;
    TRACE("feed    %u: %u of %u bytes", c->serial, n, left);
    model_before(c);
    c->touched = W.age;
    const uint64_t puts = W.puts;
    midge_recv(c->c, c->up.at + c->up_at, n, W.now);
    W.fed_bytes += n;
    W.must |= W.puts != puts && !W.call_left && !W.relaxed_ms;
    model_fed(c);
    W.current = NULL;
    model_after();
    c->up_at += n;
    if (c->up_at > 4096 || c->up_at == c->up.len) {
        buffer_drop(&c->up, c->up_at);
        c->up_at = 0;
    }
    port_ready();
}

/* ---- from the broker ----------------------------------------------------------------------------------- */

static void send_down(struct conn *c, const struct packet *p)
{
    struct down *d = make(sizeof *d);
    *d = (struct down){ .end = c->pulled - c->in.len,
                        .type = p->type,
                        .pid = p->pid,
                        .qos = p->qos,
                        .reason = p->reason,
                        .session_present = p->session_present,
                        .receive_maximum = p->receive_maximum,
                        .alias_maximum = p->alias_maximum,
                        .packet_maximum = p->packet_maximum };
    if (p->type == PK_PUBLISH)
        d->number = payload_number(p->payload, p->payload_len);
    if (p->type == PK_CONNACK && c->session)
        d->incarnation = c->session->incarnation;
    *c->downs_tail = d;
    c->downs_tail = &d->next;
}

static void take_packets(struct conn *c)
{
    uint32_t n, at = 0;
    while (c->in.len > at && (n = packet_length(c->in.at + at, c->in.len - at))) {
        static struct packet p;
        if (n == UINT32_MAX)
            diverge("a packet with a bad length was sent to %u", c->serial);
        const char *wrong = parse_packet(c->in.at + at, n, c->version, &p);
        if (wrong)
            diverge("a malformed packet of type %u was sent to %u: %s", p.type, c->serial, wrong);
        at += n;
        model_output(c, &p);
        c->in.len -= at; /* send_down reckons with what is left */
        send_down(c, &p);
        c->in.len += at;
        c->first_age = W.age;
        c->first_routed = W.routed;
        c->first_moment = W.moment;
    }
    if (at)
        buffer_drop(&c->in, at);
}

void conn_pull(struct conn *c, uint32_t most)
{
    uint8_t out[4096];
    if (most > sizeof out)
        most = sizeof out;
    const unsigned before = midge_status(c->c);
    model_before(NULL);
    if (c->in.len == 0) {
        c->first_age = W.age;
        c->first_routed = W.routed;
        c->first_moment = W.moment;
    }
    const size_t n = midge_pull(c->c, out, most, W.now);
    TRACE("pull    %u: %zu bytes", c->serial, n);
    if (n && W.must)
        diverge("%zu bytes go out before what clients rely on is synced", n);
    if (n > most)
        diverge("midge_pull gave more than there was room for");
    if (n && (before & MIDGE_STATUS_CLOSE))
        diverge("bytes came out after CLOSE");
    if (n && !(before & MIDGE_STATUS_PULL) && !W.tight)
        diverge("bytes came out though the status did not say PULL");
    c->pulled += n;
    W.pulled_bytes += n;
    buffer_put(&c->in, out, n);
    take_packets(c);
    model_after();
    const unsigned after = midge_status(c->c);
    if (n < most && (after & MIDGE_STATUS_PULL) && !W.tight && W.now == W.last_now)
        diverge("the status says PULL, but midge_pull gave %zu of %u bytes", n, most);
    c->served = !(after & MIDGE_STATUS_PULL);
    if (after & MIDGE_STATUS_CLOSE)
        c->close = true;
    port_ready();
    if (c->served && n < most)
        model_drained(c);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

void free_conn(struct conn *c)
{
    struct conn **at = &W.conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    uint32_t i = 0;
    while (W.conn_at[i] != c)
        i++;
    W.conn_at[i] = W.conn_at[--W.conn_count];
    if (c->client)
        c->client->conn = NULL;
    for (struct record *r = c->records, *next; r; r = next) {
        next = r->next;
        content_drop(r->content);
        unmake(r);
    }
    for (struct down *d = c->downs, *next; d; d = next) {
        next = d->next;
        unmake(d);
    }
    for (struct answer *a = c->answers, *next; a; a = next) {
        next = a->next;
        unmake(a->record);
        unmake(a);
    }
    free(c->up.at);
    free(c->in.at);
    unmake(c);
}

void conn_lost(struct conn *c)
{
    TRACE("lost    %u", c->serial);
    model_before(NULL);
    W.losing = c;
    midge_lost(c->c, W.now);
    W.losing = NULL;
    c->c = NULL;
    model_lost(c);
    model_after();
    free_conn(c);
    port_ready();
}
