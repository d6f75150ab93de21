/* peer.h - a peer inside, and what the harness's files share; for them only. */
#ifndef MIDGE_SPEC_PEER_H
#define MIDGE_SPEC_PEER_H

#include "rules.h"
#include "run.h"

/* A packet that has come whole. */
struct arrived {
    struct packet packet;
    size_t begin, end; /* in peer.in */
};

struct peer {
    struct peer *next;
    unsigned number;
    struct midge_conn *conn; /* NULL: closed, or dropped */
    bool held, was_held, closed, close_expected;
    struct buffer out;     /* sent by the test */
    size_t fed;            /* of it, to the broker */
    struct buffer in;      /* pulled from the broker */
    size_t read, checked;  /* of `in`: by the test, by the rules */
    struct buffer arrived; /* struct arrived, one a packet */
    struct rules rules;
    struct packet connack;
    uint16_t last_pid;
};

/* fail.c */
void print_hex(FILE *out, const char *label, const void *bytes, size_t n);
_Noreturn void fail_bytes(struct place at, const char *what, const void *got, size_t got_len,
                          const void *want, size_t want_len);
/* What holds in every test does not hold. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void broken_packet(const char *rule, const void *bytes, size_t n);
/* Runs `body` up to its end, or to the first assertion that fails. */
enum outcome { PASSED, FAILED, BROKEN };
enum outcome outcome_of(void (*body)(const struct test *t), const struct test *t);

/* harness.c */
extern struct peer *peers;      /* in the order of their dials */
extern bool broker_is_shut;     /* midge_shutdown was called, or its records are not back: it serves nobody */

/* refuse.c */
void serve_after_refusal(const struct test *t);

/* memory.c */
extern const struct midge_memory counted_memory;
bool memory_refused(void); /* one more request: does it get nothing? */
void count_memory_anew(void);
void forget_memory(void); /* what keep() gave, and what the broker has not given back */

#endif
