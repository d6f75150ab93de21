/* inside.h - what the broker is doing, for who asks: numbers, clients, retained messages. */
#ifndef MIDGE_APP_INSIDE_H
#define MIDGE_APP_INSIDE_H

#include "conf.h"
#include "doors.h"

#include <stdio.h>

#define FAREWELLS 4096u /* clients whose last disconnection is remembered */

struct inside {
    struct midge_loop *loop;
    const struct doors *doors;
    const struct midge_limits *limits; /* in force */
    struct desk *control, *admin;
    struct sys *sys;
    uint64_t connects;                 /* CONNECTs that were welcomed */
    uint64_t refused;                  /* and those that were not */
    uint32_t clients, clients_maximum; /* connected */
    bool store_failed;
    struct farewell {
        uint64_t key; /* of the client id; 0 = free */
        int64_t at;   /* seconds since 1970 */
        uint8_t reason;
        bool by_client;
    } farewells[FAREWELLS];
};

/* The control socket, the admin listener and the topics below $SYS that the core does not have, as `c` says.
 * False, and `why` is one line. sys_interval_s 0: no topics. */
bool inside_open(struct inside *in, const struct conf *c, uint32_t sys_interval_s, char *why,
                 size_t why_size);
/* Before the loop is freed. */
void inside_close(struct inside *in);
/* From hooks.event. */
void inside_event(struct inside *in, const struct midge_event *event);
/* NULL: its last disconnection is not known. */
const struct farewell *inside_farewell(const struct inside *in, struct midge_slice client_id);

/* ---- numbers: numbers.c -------------------------------------------------------------------------------- */

struct number {
    const char *name;  /* as Prometheus has it, "midge_" in front; several with one name follow each other */
    const char *label; /* NULL = none */
    const char *value_of_label;
    const char *help;
    bool counter; /* only grows */
    uint64_t value;
};
#define NUMBERS_MAX 80u

/* How many. */
size_t inside_numbers(const struct inside *in, struct number out[NUMBERS_MAX]);

/* ---- who asks ------------------------------------------------------------------------------------------- */

struct desk_talk;
/* control.c: a line of `midge ctl`; metrics.c: a line of HTTP. Both take `in` as a void pointer: desk_answer. */
bool control_answer(void *in, struct desk_talk *talk, char *line, FILE *out);
bool metrics_answer(void *in, struct desk_talk *talk, char *line, FILE *out);

/* topics.c: $SYS beside the core's. NULL: no memory or no timer. */
struct sys *sys_open(struct inside *in, uint32_t interval_s);
void sys_close(struct sys *s);

#endif
