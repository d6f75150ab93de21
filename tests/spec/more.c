/* more.c - what the tests of publishing share: sessions that stay, refusals, books that must close. */
#include "more.h"

struct peer *stay5_at(struct place at, const char *id, uint16_t receive_maximum)
{
    return connect_at(at,
                      &(struct c_connect){ .version = 5,
                                           .client_id = id,
                                           .props = PROPS(prop_num(PROP_SESSION_EXPIRY, 3600),
                                                          prop_num(PROP_RECEIVE_MAXIMUM, receive_maximum)) });
}

struct peer *connect_version_at(struct place at, uint8_t version, const char *id)
{
    return connect_at(at, &(struct c_connect){ .version = version, .client_id = id, .clean_start = true });
}

void expect_taken_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid)
{
    struct packet pk = expect_packet_at(at, p, type);
    check_equal_at(at, "packet id", pk.pid, pid);
    if (pk.reason != MIDGE_RC_NO_MATCHING_SUBSCRIBERS)
        check_equal_at(at, "reason", pk.reason, MIDGE_RC_SUCCESS);
}

void check_books_at(struct place at, const struct midge_books books[3])
{
    for (int qos = 0; qos < 3; qos++) {
        const struct midge_books *b = &books[qos];
        uint64_t gone = b->acknowledged + b->expired + b->ended + b->queued + b->inflight;
        for (int i = 0; i < MIDGE_DROP_REASONS; i++)
            gone += b->dropped[i];
        check_equal_at(at, "all that was enqueued", gone, b->enqueued);
    }
}

struct midge_books books_of(const char *client_id, uint8_t qos)
{
    struct midge_books books[3];
    enum midge_err err = midge_get_books(broker, slice(client_id), books);
    CHECK_EQ(err, MIDGE_OK);
    check_books(books);
    return books[qos];
}

struct events events;

static void on_event(void *user, const struct midge_event *e)
{
    (void)user;
    events.messages += e->kind == MIDGE_EV_MESSAGE;
    events.low_memory += e->kind == MIDGE_EV_LOW_MEMORY;
    events.refused += e->kind == MIDGE_EV_REFUSED;
    if (e->kind == MIDGE_EV_DROPPED) {
        events.dropped++;
        events.last_drop = e->reason;
    }
    if (e->kind == MIDGE_EV_SESSION_ENDED) {
        events.sessions_ended++;
        events.last_end = e->reason;
    }
}

void count_events(void)
{
    events = (struct events){ 0 };
    hooks.event = on_event;
}

struct denial denied;

static bool allow(void *user, const struct midge_who *who, enum midge_access what, struct midge_slice topic)
{
    (void)user;
    (void)who;
    struct midge_slice no = slice(denied.topic ? denied.topic : "");
    return !(denied.topic && what == denied.what && topic.len == no.len &&
             memcmp(topic.data, no.data, no.len) == 0);
}

void deny(enum midge_access what, const char *topic)
{
    denied = (struct denial){ what, topic };
    hooks.allow = allow;
}

struct midge_slice slice(const char *text)
{
    return (struct midge_slice){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

uint32_t roll(uint32_t *state, uint32_t n)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x % n;
}
