/* relay.c - packets of one broker become packets of the other: the same ids, the same acknowledgements. */
#include "internal.h"

#include <string.h>

#define MARKS_MAX 32u
#define TOPIC_ROOM 1024u /* of a topic that changes; those of longer ones are not passed on */

/* ---- packet ids that one side has to treat in its own way ---------------------------------------------- */

static void set_put(struct pid_set *s, uint16_t pid)
{
    if (s->count < BRIDGE_SET)
        s->ids[s->count++] = pid;
}

static bool set_take(struct pid_set *s, uint16_t pid)
{
    for (uint8_t i = 0; i < s->count; i++) {
        if (s->ids[i] != pid)
            continue;
        s->ids[i] = s->ids[--s->count];
        return true;
    }
    return false;
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static void pass_on(struct midge_bridge *b, struct midge_client *to, const struct midge_client_packet *p)
{
    if (midge_client_send(to, p) != MIDGE_OK)
        bridge_break(b, MIDGE_RC_QUOTA_EXCEEDED);
}

static void acknowledge(struct midge_bridge *b, struct midge_client *to, uint8_t type, uint16_t pid, uint8_t reason)
{
    pass_on(b, to, &(struct midge_client_packet){ .type = type, .pid = pid, .reason = reason });
}

/* Not for the other side: to its sender it is as good as delivered. A PUBREL for it is passed on all the same, to one
 * who does not know the id and says so. */
static void swallow(struct midge_bridge *b, struct midge_client *from, uint8_t qos, uint16_t pid)
{
    if (qos)
        acknowledge(b, from, qos == 1 ? PUBACK : PUBREC, pid, MIDGE_RC_SUCCESS);
}

void bridge_dropped(struct midge_bridge *b, bool by_far, const struct midge_client_event *event)
{
    uintptr_t token = (uintptr_t)event->token;
    if (event->reason != MIDGE_RC_PACKET_TOO_LARGE && event->reason != MIDGE_RC_QOS_NOT_SUPPORTED)
        return; /* the connection's end: its sender sends it again */
    b->stats.too_large++;
    swallow(b, by_far ? b->near : b->far, (uint8_t)(token >> 16 & 3u), (uint16_t)token);
}

/* ---- where a message has been -------------------------------------------------------------------------- */

static bool is(struct midge_slice a, const char *b)
{
    struct midge_slice text = bridge_text(b);
    return a.len == text.len && (!a.len || memcmp(a.data, text.data, a.len) == 0);
}

/* Marks: NODE where it was sent on, +NODE where it was fetched, and the address that it was fetched from. */
static bool is_fetched_by(struct midge_slice mark, const char *node)
{
    return mark.len && mark.data[0] == '+' && is((struct midge_slice){ mark.data + 1, mark.len - 1 }, node);
}

static bool is_far(const struct midge_bridge *b, struct midge_slice mark)
{
    for (size_t i = 0; i < b->o->address_count; i++)
        if (is(mark, b->o->addresses[i]))
            return true;
    return false;
}

/* It was sent on from here before, or would be fetched a second time, or came from where it would go; or it has come
 * too far altogether. */
static bool has_been_there(const struct midge_bridge *b, enum midge_bridge_direction way, const struct midge_message *m)
{
    struct midge_property p;
    uint32_t at = 0, marks = 0;
    while (midge_message_property(m, &at, &p)) {
        if (p.id != 0x26 || !is(p.name, MIDGE_VIA))
            continue;
        bool here = is(p.value, b->o->node) || (way == MIDGE_BRIDGE_IN && is_fetched_by(p.value, b->o->node));
        if (++marks >= MARKS_MAX || here || (way == MIDGE_BRIDGE_OUT && is_far(b, p.value)))
            return true;
    }
    return false;
}

static size_t make_marks(const struct midge_bridge *b, enum midge_bridge_direction way,
                         struct midge_user_property marks[2])
{
    const struct midge_slice name = bridge_text(MIDGE_VIA);
    if (way == MIDGE_BRIDGE_OUT) {
        marks[0] = (struct midge_user_property){ name, bridge_text(b->o->node) };
        return 1;
    }
    marks[0] = (struct midge_user_property){ name, bridge_text(b->o->addresses[b->address]) };
    marks[1] = (struct midge_user_property){ name, bridge_text(b->fetched) };
    return 2;
}

/* ---- PUBLISH ------------------------------------------------------------------------------------------- */

static void publish(struct midge_bridge *b, enum midge_bridge_direction way, const struct midge_client_packet *p)
{
    bool out = way == MIDGE_BRIDGE_OUT;
    struct midge_client *from = out ? b->near : b->far;
    struct midge_client *to = out ? b->far : b->near;
    struct midge_message m = *p->message;
    uint8_t room[TOPIC_ROOM];
    const struct midge_bridge_map *map = bridge_map_find(b->o, way, m.topic);
    if (!map || !bridge_map_topic(map, way, m.topic, &m.topic, room, sizeof room) || !m.topic.len) {
        b->stats.unmapped++;
        swallow(b, from, m.qos, p->pid);
        return;
    }
    if (has_been_there(b, way, &m)) {
        b->stats.looped++;
        swallow(b, from, m.qos, p->pid);
        return;
    }
    struct midge_user_property marks[2];
    struct midge_client_packet q = { .type = PUBLISH, .pid = p->pid, .message = &m, .more = marks };
    q.more_count = make_marks(b, way, marks);
    m.retain = m.retain && !map->no_retain && !(out && (b->far_no_retain || b->o->outgoing_no_retain));
    if (out && m.qos > b->far_qos) {
        if (m.qos == 2 && b->far_qos == 1)
            set_put(&b->lowered, p->pid);
        else
            swallow(b, from, m.qos, p->pid);
        m.qos = b->far_qos;
        q.pid = m.qos ? p->pid : 0;
    }
    if (out && b->flush_left && m.qos == 2 && !m.dup) {
        b->flush_left--;
        acknowledge(b, b->far, PUBREL, p->pid, MIDGE_RC_SUCCESS); /* goes ahead of the PUBLISH */
        set_put(&b->flushed, p->pid);
    }
    *(out ? &b->stats.out : &b->stats.in) += 1;
    b->idle_at = b->now + (midge_ms)bridge_or(b->o->idle_s, 60) * 1000;
    b->credit -= out && b->draining ? 1000 : 0;
    pass_on(b, to, &q);
}

/* ---- acknowledgements ---------------------------------------------------------------------------------- */

/* It may take the message another time: it is not acknowledged, and sent again on the next connection. */
static bool is_for_now(uint8_t reason)
{
    return reason == MIDGE_RC_QUOTA_EXCEEDED || reason == MIDGE_RC_MESSAGE_RATE_TOO_HIGH;
}

static void refused(struct midge_bridge *b, uint8_t reason)
{
    b->stats.refused++;
    bridge_tell(b, MIDGE_BRIDGE_EV_REFUSED, reason, NULL);
}

void bridge_from_far(void *user, const struct midge_client_packet *p)
{
    struct midge_bridge *b = user;
    bool ends = p->type == PUBACK || p->type == PUBREC;
    if (!b->near_up || b->broken)
        return;
    if (p->type == PUBLISH) {
        publish(b, MIDGE_BRIDGE_IN, p);
        return;
    }
    if (ends && is_for_now(p->reason)) {
        bridge_break(b, p->reason);
        return;
    }
    if (ends && p->reason >= MIDGE_RC_UNSPECIFIED)
        refused(b, p->reason);
    if (p->type == PUBCOMP && set_take(&b->flushed, p->pid))
        return;
    if (p->type == PUBACK && set_take(&b->lowered, p->pid)) {
        acknowledge(b, b->near, PUBREC, p->pid, p->reason);
        return;
    }
    acknowledge(b, b->near, p->type, p->pid, p->reason);
}

void bridge_from_near(void *user, const struct midge_client_packet *p)
{
    struct midge_bridge *b = user;
    if (b->phase != PHASE_UP || b->broken)
        return;
    if (p->type == PUBLISH)
        publish(b, MIDGE_BRIDGE_OUT, p);
    else if ((p->type == PUBACK || p->type == PUBREC) && is_for_now(p->reason))
        bridge_break(b, p->reason);
    else if (p->type == PUBREL && b->far_qos < 2)
        acknowledge(b, b->near, PUBCOMP, p->pid, MIDGE_RC_SUCCESS);
    else
        acknowledge(b, b->far, p->type, p->pid, p->reason);
}
