/* run.h - between the runner (main.c) and the harness: one test, from its broker's birth to its last byte. */
#ifndef MIDGE_SPEC_RUN_H
#define MIDGE_SPEC_RUN_H

#include "harness.h"

/* How input and output are cut. */
struct run_mode {
    size_t feed;  /* most bytes that midge_recv gets at once */
    size_t pull;  /* room that midge_pull gets */
    size_t cut;   /* midge_recv never gets both sides of this place in the test's whole input; 0 = none */
    size_t refuse; /* the allocator says no to this request of the test, the first is 1; 0 = never */
    bool refuse_rest; /* and to all that follow, until the test is over */
    void (*on_request)(bool refused); /* told of each; NULL = nobody */
    bool durable; /* every broker has a store */
    bool trace;   /* print what is sent and received */
};
extern struct run_mode run_mode;
extern const struct test *tests;

/* False: it failed, and that was printed. Under `refuse` the test may miss what could not be had; the rules
 * for every packet, the books and the memory hold all the same. */
bool run_test(const struct test *t);
/* The same test again for each request for memory that its latest run made, with that one refused, and with that one
 * and all that follow. When the test is over there is memory again: clients that are still connected have to be
 * answered then, and a new one has to be served. Tests with more requests than REFUSE_BELOW are left out.
 * every: 1, or each how many requests. */
#define REFUSE_BELOW 1000
bool run_refused(const struct test *t, size_t every);
/* What the latest test sent in all, and the blocks it asked for. */
size_t run_input_bytes(void);
size_t run_blocks(void);

#endif
