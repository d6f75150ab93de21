/* morec.c - packets built by hand, as no encoder would write them. */
#include "morec.h"

struct peer *connect_kept_at(struct place at, int version, const char *id, uint32_t expiry_s)
{
    struct c_connect c = { .version = (uint8_t)version, .client_id = id };
    const struct prop expiry = prop_num(PROP_SESSION_EXPIRY, expiry_s);
    if (version == 5)
        c.props = (struct props){ &expiry, 1 };
    return connect_at(at, &c);
}

struct bytes raw_bytes(const void *at, size_t n)
{
    struct bytes b = { .at = keep(n + 1), .len = n };
    if (n > 0)
        memcpy(b.at, at, n);
    return b;
}

struct bytes join3(struct bytes a, struct bytes b, struct bytes c)
{
    return join(join(a, b), c);
}

struct bytes first_bytes(struct bytes b, size_t n)
{
    return (struct bytes){ .at = b.at, .len = n < b.len ? n : b.len };
}

struct bytes string_bytes(const void *at, size_t n)
{
    const uint8_t len[2] = { (uint8_t)(n >> 8), (uint8_t)n };
    return join(raw_bytes(len, sizeof len), raw_bytes(at, n));
}

struct bytes counted_bytes(struct bytes b)
{
    uint8_t varint[4];
    size_t used = 0;
    size_t rest = b.len;
    do {
        varint[used] = (uint8_t)(rest & 0x7F);
        rest >>= 7;
        varint[used++] |= rest > 0 ? 0x80 : 0;
    } while (rest > 0);
    return join(raw_bytes(varint, used), b);
}

struct bytes packet_bytes(uint8_t first, struct bytes body)
{
    return join(raw_bytes(&first, 1), counted_bytes(body));
}

void expect_refused_at(struct place at, struct peer *p, uint8_t reason)
{
    if (unread(p) > 0) {
        expect_connack_at(at, p, reason);
    } else {
        expect_closed_at(at, p);
    }
}

void expect_codes_at(struct place at, struct peer *p, enum packet_type type, uint16_t pid, const char *hex)
{
    struct packet pk = expect_packet_at(at, p, type);
    struct bytes want = hex_bytes(hex);
    check_equal_at(at, "packet id", pk.pid, pid);
    check_bytes_at(at, pk.codes, pk.code_count, want.at, want.len);
}
