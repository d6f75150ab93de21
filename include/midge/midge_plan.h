/* midge_plan.h - how much memory a broker on a 32-bit chip takes, as a sum that the compiler can do.
 *
 *     static uint8_t block[MIDGE_PLAN_BLOCK(
 *         MIDGE_PLAN_CLIENTS(20, 23) + MIDGE_PLAN_SUBSCRIPTIONS(20 * 5, 2 * 20 * 5, 8) + ...)];
 *     _Static_assert(MIDGE_PLAN_BLOCK(...) <= 32 * 1024, "the broker's block");
 *
 * Bytes of midge_arena_memory, for a build with MIDGE_STATS, MIDGE_BOOKS and MIDGE_SYS 0 (profiles/mcu.h). Not in it:
 * what the port takes, and limits.reserve_bytes, which the broker keeps back for answers (add it). script/plan does the
 * same sum; tests/measure compares it with a broker.
 */
#ifndef MIDGE_PLAN_H
#define MIDGE_PLAN_H

#define MIDGE_PLAN_UP(n) (((n) + 7) / 8 * 8)

/* A hash table's: pointers, a power of two of them, at least half as many as there are nodes. */
#define MIDGE_PLAN_TABLE(n)                                                                                  \
    (4 * ((n) <= 16 ? 8 : (n) <= 32 ? 16 : (n) <= 64 ? 32 : (n) <= 128 ? 64 : (n) <= 256 ? 128 :             \
          (n) <= 512 ? 256 : (n) <= 1024 ? 512 : (n) <= 2048 ? 1024 : (n)))

#define MIDGE_PLAN_START 328   /* the broker and the root of its subscriptions */
#define MIDGE_PLAN_CONN 120    /* a connection */
#define MIDGE_PLAN_SESSION 52  /* a session, and the client id */
#define MIDGE_PLAN_REST 40     /* what a session has that outlives its connection */
#define MIDGE_PLAN_OUTBOX 56   /* a session to which a message was routed */
#define MIDGE_PLAN_SUB 32      /* a subscription */
#define MIDGE_PLAN_NODE 34     /* a level of a filter that no other filter shares, and its bytes */
#define MIDGE_PLAN_MSG 20      /* a message, and topic, properties and payload */
#define MIDGE_PLAN_RETAINED 4  /* the same when retained ... */
#define MIDGE_PLAN_BRANCH 16   /* ... and its place in the tree */
#define MIDGE_PLAN_ENTRY 16    /* a message in the queue of one session */
#define MIDGE_PLAN_FRAME 28    /* a packet that comes in pieces, and its bytes */
#define MIDGE_PLAN_CONTROL 32  /* answers that wait to be sent, up to 20 bytes */

/* n connected clients with ids of id_bytes. */
#define MIDGE_PLAN_CLIENTS(n, id_bytes)                                                                      \
    ((n) * (MIDGE_PLAN_CONN + MIDGE_PLAN_UP(MIDGE_PLAN_SESSION + (id_bytes))) + MIDGE_PLAN_TABLE(n))
/* n of them keep their session when they go. */
#define MIDGE_PLAN_PERSISTENT(n) ((n) * MIDGE_PLAN_REST)
/* n subscriptions whose filters have `levels` levels in all that are not shared, of level_bytes each. */
#define MIDGE_PLAN_SUBSCRIPTIONS(n, levels, level_bytes)                                                     \
    ((n) * MIDGE_PLAN_SUB + (levels) * MIDGE_PLAN_UP(MIDGE_PLAN_NODE + (level_bytes)) + MIDGE_PLAN_TABLE(levels))
/* n retained messages with topics and payloads (and properties) of so many bytes. */
#define MIDGE_PLAN_RETAIN(n, topic_bytes, payload_bytes)                                                     \
    ((n) * (MIDGE_PLAN_BRANCH + MIDGE_PLAN_UP(MIDGE_PLAN_MSG + MIDGE_PLAN_RETAINED + (topic_bytes) + (payload_bytes))))
/* n messages in queues or in flight, each for so many sessions. */
#define MIDGE_PLAN_QUEUED(n, sessions, topic_bytes, payload_bytes)                                           \
    ((n) * (MIDGE_PLAN_UP(MIDGE_PLAN_MSG + (topic_bytes) + (payload_bytes)) + (sessions) * MIDGE_PLAN_ENTRY))
/* n sessions that get messages at all. */
#define MIDGE_PLAN_RECEIVERS(n) ((n) * MIDGE_PLAN_OUTBOX)
/* n packets of so many bytes that are coming in at a time, and their answers. */
#define MIDGE_PLAN_PACKETS(n, bytes) ((n) * (MIDGE_PLAN_UP(MIDGE_PLAN_FRAME + (bytes)) + MIDGE_PLAN_CONTROL))

/* The block for all that: with the broker itself, the map of the arena, and the sixteenth that stays free for messages
 * that pass through (docs/LIMITS.md). */
#define MIDGE_PLAN_BLOCK(bytes) ((MIDGE_PLAN_START + (bytes)) / 12 * 13 + 96)

#endif
