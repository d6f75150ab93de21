/* queue.h - entries: one message on its way to one session, and the queues they stand in. */
#ifndef MIDGE_STATE_QUEUE_H
#define MIDGE_STATE_QUEUE_H

#include "state/msg.h"

struct midge_session;

/* 32-bit: 16 bytes, and 4 for each Subscription Identifier. */
struct midge_entry {
    struct midge_entry *next;
    struct midge_session *session; /* whose outbox it is in */
    struct midge_msg *msg;         /* holds */
    uint16_t pid;                  /* once sent: packet id (0 at QoS 0). Before: the order of arrival */
    uint8_t qos : 2;               /* of delivery: lower of published and granted [MQTT-3.8.4-8] */
    uint8_t retain : 1;            /* RETAIN flag of the delivery */
    uint8_t sent : 1;              /* its PUBLISH has begun to go out, on this or an earlier connection */
    uint8_t released : 1;          /* PUBREC came: PUBREL is what is sent (again) [MQTT-4.3.3-6] */
    uint8_t flying : 1;            /* counted in outbox->inflight: sent on this connection, not complete */
    uint8_t dup : 1;               /* what is going out went out before */
    uint8_t shared : 1;            /* ids[0] is the serial of the group it was drawn from, not an identifier */
    uint8_t id_count;              /* ids that follow, the serial included */
    uint32_t ids[];
};

struct midge_queue {
    struct midge_entry *head;
    struct midge_entry *last; /* undefined when head is NULL */
};

/* Holds one more reference to msg. Tag MIDGE_TAG_QUEUE. NULL: no memory. */
struct midge_entry *midge_entry_new(struct midge_mem *mem, struct midge_session *s, struct midge_msg *msg,
                                    const uint32_t *ids, uint8_t id_count);
/* One more id at the end; the entry may move. NULL: no memory (or 255 ids); the entry is untouched. */
struct midge_entry *midge_entry_add_id(struct midge_mem *mem, struct midge_entry *e, uint32_t id);
void midge_entry_free(struct midge_mem *mem, struct midge_entry *e); /* drops the message */
size_t midge_entry_size(uint8_t id_count);

void midge_queue_push(struct midge_queue *q, struct midge_entry *e);
void midge_queue_push_front(struct midge_queue *q, struct midge_entry *e);
struct midge_entry *midge_queue_pop(struct midge_queue *q); /* NULL when empty */
void midge_queue_insert(struct midge_queue *q, struct midge_entry *before, struct midge_entry *e); /* NULL = first */
/* Takes e out; before = the one ahead of it, NULL when e is the head. */
void midge_queue_take(struct midge_queue *q, struct midge_entry *before, struct midge_entry *e);

#endif
