/* rules.h - what every packet of the broker has to obey, whatever the test; for the harness's files only. */
#ifndef MIDGE_SPEC_RULES_H
#define MIDGE_SPEC_RULES_H

#include "wire.h"

struct id_table;

/* What one connection's two streams have shown so far. */
struct rules {
    struct buffer sent;        /* by the client, from the first packet that is not complete yet */
    bool has_connect;
    unsigned version;          /* that CONNECT named; 0 = none of 3, 4, 5 */
    const char *client_id;
    const char *method;        /* NULL = CONNECT had none */
    uint32_t maximum_packet;
    unsigned receive_maximum, alias_maximum;
    bool no_problem_information, response_information;
    bool client_left;          /* DISCONNECT was sent */
    bool greeted, refused, goodbye; /* CONNACK, CONNACK that is no success, DISCONNECT came */
    bool resumed;              /* CONNACK said Session Present */
    unsigned in_flight;        /* QoS 1 and 2 that came on this connection and are not complete */
    struct id_table *ids;
    const char **aliases;
};

void rules_init(struct rules *r);
/* The client has sent these bytes. */
void rules_sent(struct rules *r, const uint8_t *bytes, size_t n);
/* The broker has sent this packet. NULL: lawful, else the rule that it breaks. Looks aliases up.
 * `before`: the latest connection of the same client id, or NULL. */
const char *rules_check(struct rules *r, const struct rules *before, const uint8_t *bytes, size_t n,
                        struct packet *out);

#endif
