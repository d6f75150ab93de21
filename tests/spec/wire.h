/* wire.h - the harness's own codec: packets to bytes and bytes to packets, for the harness's files only. */
#ifndef MIDGE_SPEC_WIRE_H
#define MIDGE_SPEC_WIRE_H

#include "harness.h"

/* How a property is encoded; TYPE_NONE: there is no such property. */
enum prop_type { TYPE_NONE, TYPE_U8, TYPE_U16, TYPE_U32, TYPE_VARINT, TYPE_STRING, TYPE_BINARY, TYPE_PAIR };
enum prop_type prop_type(unsigned id);

/* A buffer that grows in the test's memory. */
struct buffer {
    uint8_t *at;
    size_t len, cap;
};
void put(struct buffer *b, const void *bytes, size_t n);
void put_u8(struct buffer *b, unsigned v);

struct cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};
uint8_t get_u8(struct cursor *c);
uint16_t get_u16(struct cursor *c);
uint32_t get_u32(struct cursor *c);
uint32_t get_varint(struct cursor *c, bool *minimal);
struct cursor get_bytes(struct cursor *c, size_t n);
struct cursor get_binary(struct cursor *c);

/* Length of the first packet in these bytes; 0 = not complete. *head: bytes of its fixed header. */
size_t packet_length(const uint8_t *bytes, size_t n, size_t *head);

/* Reads a packet that the broker sent. NULL: well-formed, else what is wrong. Aliases are not looked up. */
const char *parse_packet(const uint8_t *bytes, size_t n, unsigned version, struct packet *out);
/* Reads a property section. */
const char *parse_props(struct cursor *c, struct packet *out);

bool utf8_ok(const uint8_t *s, size_t n);

/* Hex as in send_hex; `any` marks the bytes written as ??. Fails the test on bad hex. */
struct bytes parse_hex(struct place at, const char *hex, const uint8_t **any);

struct bytes encode_publish(unsigned version, const struct c_publish *c);
struct bytes encode_subscribe(unsigned version, enum packet_type type, const struct c_subscribe *c);
struct bytes encode_reason(unsigned version, enum packet_type type, uint8_t reason, struct props props);
struct bytes encode_ack(unsigned version, enum packet_type type, uint16_t pid, uint8_t reason);

#endif
