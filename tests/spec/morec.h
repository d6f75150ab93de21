/* morec.h - packets built by hand, as no encoder would write them. */
#ifndef MIDGE_SPEC_MOREC_H
#define MIDGE_SPEC_MOREC_H

#include "harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* With Clean Start, keep alive 0, no properties, no will. */
#define connect_v(v, id)                                                                                               \
    connect_at(HERE, &(struct c_connect){ .version = (uint8_t)(v), .client_id = id, .clean_start = true })

/* A session that outlives its connection, or comes back: by so many seconds on 5.0, for good on 3.x. */
struct peer *connect_kept_at(struct place at, int version, const char *id, uint32_t expiry_s);
#define connect_kept(v, id, expiry_s) connect_kept_at(HERE, v, id, expiry_s)

struct bytes raw_bytes(const void *at, size_t n);
struct bytes join3(struct bytes a, struct bytes b, struct bytes c);
struct bytes first_bytes(struct bytes b, size_t n);          /* the first n of b */
struct bytes string_bytes(const void *at, size_t n);         /* two-byte length, then the bytes */
struct bytes counted_bytes(struct bytes b);                  /* length as Variable Byte Integer, then the bytes */
struct bytes packet_bytes(uint8_t first, struct bytes body); /* fixed header, then the body */

/* A refused CONNECT of 5.0: CONNACK with this code and the close, or only the close [MQTT-3.1.4-1]. */
void expect_refused_at(struct place at, struct peer *p, uint8_t reason);
#define expect_refused(p, reason) expect_refused_at(HERE, p, reason)

/* SUBACK or UNSUBACK with exactly these codes, written as hex. */
void expect_codes_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid, const char *hex);
#define expect_codes(p, type, pid, hex) expect_codes_at(HERE, p, type, pid, hex)

#endif
