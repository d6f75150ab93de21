/* more.h - what the tests of publishing share: sessions that stay, refusals, books that must close. */
#ifndef MIDGE_SPEC_MORE_H
#define MIDGE_SPEC_MORE_H

#include "harness.h"

/* Clients whose session outlives the connection: an hour on 5.0, for ever on 3.1.1. */
#define stay5(id) stay5_at(HERE, id, 65535)
#define stay5_window(id, receive_maximum) stay5_at(HERE, id, receive_maximum)
struct peer *stay5_at(struct place at, const char *id, uint16_t receive_maximum);
#define stay311(id)                                                                                          \
    connect_at(HERE, &(struct c_connect){ .version = 4, .client_id = id, .clean_start = false })

/* 5.0, Clean Start, with these CONNECT properties. */
#define connect5_with(id, ...)                                                                               \
    connect_at(HERE, &(struct c_connect){                                                                    \
                         .version = 5, .client_id = id, .clean_start = true, .props = PROPS(__VA_ARGS__) })

/* Version 4 or 5 for tests that are the same in both. */
struct peer *connect_version_at(struct place at, uint8_t version, const char *id);
#define connect_version(version, id) connect_version_at(HERE, version, id)

/* PUBACK or PUBREC that accepts: 0x00, or 0x10 where nobody subscribes [U5-3.3.4-0x10]. */
void expect_taken_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid);
#define expect_taken(p, type, pid) expect_taken_at(HERE, p, type, pid)

/* enqueued = acknowledged + expired + dropped + ended + queued + inflight, for each QoS. */
void check_books_at(struct place at, const struct midge_books books[3]);
#define check_books(books) check_books_at(HERE, books)
#define check_all_books() check_books_at(HERE, stats().books)
struct midge_books books_of(const char *client_id, uint8_t qos);

/* A hook of midge_hooks.event that counts. */
struct events {
    unsigned messages, dropped, low_memory, sessions_ended, refused;
    uint8_t last_drop, last_end; /* reasons */
};
extern struct events events;
void count_events(void); /* installs it, from zero */

/* A hook of midge_hooks.allow that says no to one kind of access to one topic; NULL topic: to nothing. */
extern struct denial {
    enum midge_access what;
    const char *topic;
} denied;
void deny(enum midge_access what, const char *topic);

struct midge_slice slice(const char *text);

/* xorshift: the same numbers everywhere, 0..n-1. */
uint32_t roll(uint32_t *state, uint32_t n);

#endif
