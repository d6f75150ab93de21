/* retain.c - the crit-bit tree of retained messages. */
#include "state/retain.h"

#include "base/slice.h"

/* Two subtrees that agree in each bit before `at`, bit 7 of byte 0 being bit 0, and differ in it. */
struct branch {
    void *side[2]; /* 0 and 1: tagged like midge_retain.root */
    uint32_t at;
};

/* A topic to be looked for: `head` and then `tail`, then zeros. */
struct key {
    struct midge_slice head, tail;
};

static struct key key_of(struct midge_slice topic)
{
    return (struct key){ .head = topic };
}

static uint8_t byte_at(const struct key *k, uint32_t i)
{
    if (i < k->head.len)
        return k->head.data[i];
    i -= k->head.len;
    return i < k->tail.len ? k->tail.data[i] : 0;
}

static unsigned bit_at(const struct key *k, uint32_t bit)
{
    unsigned byte = byte_at(k, bit / 8);
    return byte >> (7 - bit % 8) & 1u;
}

/* ---- tagged pointers: bit 0 is set for a branch -------------------------------------------------------- */

static bool is_branch(const void *tagged)
{
    return ((uintptr_t)tagged & 1) != 0;
}

static struct branch *branch_of(void *tagged)
{
    return (struct branch *)(void *)((char *)tagged - 1);
}

static void *tag_branch(struct branch *b)
{
    return (char *)b + 1;
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

#define SAME UINT32_MAX

/* The first bit in which they differ. */
static uint32_t first_difference(const struct key *k, struct midge_slice topic)
{
    struct key other = key_of(topic);
    uint32_t len = k->head.len + k->tail.len;
    if (len < topic.len)
        len = topic.len;
    for (uint32_t i = 0; i < len; i++) {
        unsigned x = (unsigned)byte_at(k, i) ^ byte_at(&other, i);
        if (x == 0)
            continue;
        uint32_t bit = 8 * i;
        while ((x & 0x80) == 0) {
            x <<= 1;
            bit++;
        }
        return bit;
    }
    return SAME;
}

/* The message that the key's bits lead to; *bit: the first in which it differs from the key, or SAME. NULL:
 * the tree is empty. */
static struct midge_msg *nearest(const struct midge_retain *r, const struct key *k, uint32_t *bit)
{
    void *tagged = r->root;
    while (is_branch(tagged)) {
        struct branch *b = branch_of(tagged);
        tagged = b->side[bit_at(k, b->at)];
    }
    struct midge_msg *msg = tagged;
    *bit = msg ? first_difference(k, midge_msg_topic(msg)) : SAME;
    return msg;
}

/* The place on the key's way that holds what agrees with it in all bits before `bit`. */
static void **place(struct midge_retain *r, const struct key *k, uint32_t bit)
{
    void **at = &r->root;
    while (is_branch(*at) && branch_of(*at)->at < bit) {
        struct branch *b = branch_of(*at);
        at = &b->side[bit_at(k, b->at)];
    }
    return at;
}

static struct midge_msg *lowest(void *tagged)
{
    while (is_branch(tagged))
        tagged = branch_of(tagged)->side[0];
    return tagged;
}

/* The first message in byte order at the key, or behind it; with `after`, behind it only. */
static struct midge_msg *seek(const struct midge_retain *r, const struct key *k, bool after)
{
    uint32_t bit;
    struct midge_msg *near = nearest(r, k, &bit);
    if (!near || (bit == SAME && !after))
        return near;
    void *at = r->root;
    void *larger = NULL; /* the next subtree to the right of the way */
    while (is_branch(at) && branch_of(at)->at < bit) {
        struct branch *b = branch_of(at);
        unsigned side = bit_at(k, b->at);
        if (side == 0)
            larger = b->side[1];
        at = b->side[side];
    }
    if (bit != SAME && bit_at(k, bit) == 0)
        larger = at; /* all that agrees so far is larger in this bit */
    return lowest(larger);
}

void midge_retain_init(struct midge_retain *r, struct midge_mem *mem)
{
    *r = (struct midge_retain){ .mem = mem, .next_expiry = MIDGE_NEVER };
}

void midge_retain_clear(struct midge_retain *r)
{
    while (r->root)
        midge_retain_remove(r, midge_msg_topic(lowest(r->root)));
}

/* Holds one more reference. */
static void take_in(struct midge_retain *r, struct midge_msg *msg)
{
    r->count++;
    r->bytes += midge_msg_bytes(msg);
    if (midge_msg_expires(msg) < r->next_expiry)
        r->next_expiry = midge_msg_expires(msg);
    midge_msg_hold(msg);
}

static void let_go(struct midge_retain *r, struct midge_msg *msg)
{
    r->count--;
    r->bytes -= midge_msg_bytes(msg);
    midge_msg_drop(r->mem, msg);
}

static bool insert(struct midge_retain *r, const struct key *k, uint32_t bit, struct midge_msg *msg)
{
    struct branch *b = midge_mem_alloc(r->mem, sizeof *b, MIDGE_TAG_RETAIN);
    if (!b)
        return false;
    void **at = place(r, k, bit);
    unsigned side = bit_at(k, bit);
    *b = (struct branch){ .at = bit };
    b->side[side] = msg;
    b->side[!side] = *at;
    *at = tag_branch(b);
    return true;
}

enum midge_err midge_retain_set(struct midge_retain *r, struct midge_msg *msg)
{
    struct key k = key_of(midge_msg_topic(msg));
    uint32_t bit;
    struct midge_msg *near = nearest(r, &k, &bit);
    if (bit != SAME && !insert(r, &k, bit, msg))
        return MIDGE_ERR_NO_MEMORY;
    take_in(r, msg);
    if (bit == SAME)
        *place(r, &k, SAME) = msg;
    if (near && bit == SAME)
        let_go(r, near);
    return MIDGE_OK;
}

struct midge_msg *midge_retain_get(const struct midge_retain *r, struct midge_slice topic)
{
    struct key k = key_of(topic);
    uint32_t bit;
    struct midge_msg *near = nearest(r, &k, &bit);
    return bit == SAME ? near : NULL;
}

void midge_retain_remove(struct midge_retain *r, struct midge_slice topic)
{
    struct midge_msg *msg = midge_retain_get(r, topic);
    if (!msg)
        return;
    struct key k = key_of(topic);
    void **at = &r->root;
    void **above = NULL;
    while (is_branch(*at)) {
        struct branch *b = branch_of(*at);
        above = at;
        at = &b->side[bit_at(&k, b->at)];
    }
    if (above) {
        struct branch *b = branch_of(*above);
        *above = b->side[at == &b->side[0]]; /* the other side takes its place */
        midge_mem_free(r->mem, b, sizeof *b, MIDGE_TAG_RETAIN);
    } else {
        r->root = NULL;
    }
    let_go(r, msg);
}

static struct midge_msg *following(const struct midge_retain *r, const struct midge_msg *msg)
{
    struct key k = key_of(midge_msg_topic(msg));
    return seek(r, &k, true);
}

void midge_retain_expire(struct midge_retain *r, midge_ms age)
{
    r->next_expiry = MIDGE_NEVER;
    for (struct midge_msg *msg = lowest(r->root), *next; msg; msg = next) {
        next = following(r, msg);
        if (midge_msg_expires(msg) <= age)
            midge_retain_remove(r, midge_msg_topic(msg)); /* [MQTT-3.3.2-5] */
        else if (midge_msg_expires(msg) < r->next_expiry)
            r->next_expiry = midge_msg_expires(msg);
    }
}

/* ---- scanning ------------------------------------------------------------------------------------------ */

/* What the filter says before its first "+". */
static struct midge_slice literal_of(const struct midge_filter *f)
{
    const uint8_t *plus = f->path.len > 0 ? memchr(f->path.data, '+', f->path.len) : NULL;
    return midge_slice_of(f->path.data, plus ? (size_t)(plus - f->path.data) : f->path.len);
}

static bool begins_with(struct midge_slice topic, const struct key *k)
{
    uint32_t len = k->head.len + k->tail.len;
    if (topic.len < len)
        return false;
    for (uint32_t i = 0; i < len; i++)
        if (byte_at(k, i) != topic.data[i])
            return false;
    return true;
}

/* What the filter matches begins with its literal part, so it lies side by side. Without "+" it is one topic and, with
 * "#", what begins with it and a "/": others may stand in between. */
struct midge_msg *midge_retain_next(const struct midge_retain *r, const struct midge_filter *f,
                                    const struct midge_msg *last)
{
    struct midge_slice literal = literal_of(f);
    bool whole = f->levels > 0 && literal.len == f->path.len;
    struct midge_msg *msg = whole && !last ? midge_retain_get(r, literal) : NULL;
    if (msg || (whole && !f->multi))
        return msg;
    struct key below = { .head = literal, .tail = midge_slice_of("/", whole) };
    bool begun = last && !(whole && last->topic_len == literal.len);
    msg = begun ? following(r, last) : seek(r, &below, false);
    while (msg && begins_with(midge_msg_topic(msg), &below)) {
        if (midge_filter_matches(f, midge_msg_topic(msg)))
            return msg;
        msg = following(r, msg);
    }
    return NULL;
}
