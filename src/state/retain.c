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

/* A way through the tree by the bits of a key. */
struct way {
    void **at;    /* where it ends */
    void **above; /* where the last branch on it hangs; NULL = there is none */
    void *larger; /* the next subtree to the right of it; NULL = there is none */
};

/* From the root to what agrees with the key in all bits before `bit`. */
static void go(void **root, const struct key *k, uint32_t bit, struct way *w)
{
    *w = (struct way){ .at = root };
    while (is_branch(*w->at) && branch_of(*w->at)->at < bit) {
        struct branch *b = branch_of(*w->at);
        unsigned side = bit_at(k, b->at);
        if (side == 0)
            w->larger = b->side[1];
        w->above = w->at;
        w->at = &b->side[side];
    }
}

/* The message that the key's bits lead to; *bit: the first in which it differs from the key, or SAME. NULL:
 * the tree is empty. */
static struct midge_msg *nearest(const struct midge_retain *r, const struct key *k, uint32_t *bit)
{
    struct way w;
    void *root = r->root;
    go(&root, k, SAME, &w);
    struct midge_msg *msg = *w.at;
    *bit = msg ? first_difference(k, midge_msg_topic(msg)) : SAME;
    return msg;
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
    struct way w;
    void *root = r->root;
    go(&root, k, bit, &w);
    if (bit != SAME && bit_at(k, bit) == 0)
        w.larger = *w.at; /* all that agrees so far is larger in this bit */
    return lowest(w.larger);
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
    if (MIDGE_MSG_EXPIRY && midge_msg_expires(msg) < r->next_expiry)
        r->next_expiry = midge_msg_expires(msg);
    midge_msg_hold(msg);
}

static void let_go(struct midge_retain *r, struct midge_msg *msg)
{
    r->count--;
    r->bytes -= midge_msg_bytes(msg);
    midge_msg_drop(r->mem, msg);
}

enum midge_err midge_retain_set(struct midge_retain *r, struct midge_msg *msg)
{
    struct key k = key_of(midge_msg_topic(msg));
    struct way w;
    uint32_t bit;
    struct midge_msg *old = nearest(r, &k, &bit);
    struct branch *b = bit != SAME ? midge_mem_alloc(r->mem, sizeof *b, MIDGE_TAG_RETAIN) : NULL;
    if (bit != SAME && !b)
        return MIDGE_ERR_NO_MEMORY;
    go(&r->root, &k, bit, &w);
    void *there = *w.at;
    *w.at = msg;
    if (b) {
        unsigned side = bit_at(&k, bit);
        *b = (struct branch){ .at = bit };
        b->side[side] = msg;
        b->side[!side] = there;
        *w.at = tag_branch(b);
    }
    take_in(r, msg);
    if (old && !b)
        let_go(r, old);
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
    struct way w;
    go(&r->root, &k, SAME, &w);
    if (w.above) {
        struct branch *b = branch_of(*w.above);
        *w.above = b->side[w.at == &b->side[0]]; /* the other side takes its place */
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

void midge_retain_expire(struct midge_retain *r, midge_ms age, void (*gone)(void *arg, struct midge_msg *msg),
                         void *arg)
{
    r->next_expiry = MIDGE_NEVER;
    for (struct midge_msg *msg = lowest(r->root), *next; msg; msg = next) {
        next = following(r, msg);
        if (midge_msg_expires(msg) <= age) {
            gone(arg, msg);
            midge_retain_remove(r, midge_msg_topic(msg)); /* [MQTT-3.3.2-5] */
        } else if (midge_msg_expires(msg) < r->next_expiry)
            r->next_expiry = midge_msg_expires(msg);
    }
}

/* ---- scanning ------------------------------------------------------------------------------------------ */

static bool less(struct midge_slice a, struct midge_slice b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
    return order != 0 ? order < 0 : a.len < b.len;
}

static struct key up_to(struct midge_slice name, const uint8_t *end, struct midge_slice tail)
{
    return (struct key){ .head = midge_slice_of(name.data, (size_t)(end - name.data)), .tail = tail };
}

/* What a scan does at a topic that it has reached. */
enum step { TAKE, GO_ON, SEEK, END };

/* The name has another level where the filter has `want`: is there something behind it that shares the levels before?
 * `more`: the filter goes on after it. */
static enum step pass_level(struct midge_slice name, const uint8_t *level, struct midge_slice want, bool more,
                            struct key *k)
{
    struct midge_slice rest = midge_slice_of(level, (size_t)(name.data + name.len - level));
    *k = up_to(name, level, want);
    if (less(rest, want))
        return SEEK;
    k->tail.len++; /* with the "/" after it: "a-b" stands between "a" and "a/b" */
    return more && less(rest, k->tail) ? SEEK : END;
}

/* TAKE: the name matches. SEEK: the first topic behind it that may is *k or follows that. */
static enum step look(const struct midge_filter *f, struct midge_slice name, struct key *k)
{
    struct midge_levels wants, has;
    struct midge_slice want, level;
    const uint8_t *plus_end = NULL; /* of the last level that "+" stands for */
    bool differs = false;
    *k = key_of(midge_slice_str("%")); /* '$' + 1 */
    if (midge_filter_bars(f, name))
        return SEEK; /* [MQTT-4.7.2-1] */
    midge_levels_init(&wants, f->path);
    midge_levels_init(&has, name);
    for (uint16_t i = 0; i < f->levels && !differs; i++) {
        if (!midge_levels_next(&wants, &want) || !midge_levels_next(&has, &level))
            return GO_ON;
        if (midge_level_is_plus(want))
            plus_end = level.data + level.len;
        else if (!midge_slice_equal(want, level)) { /* [MQTT-4.7.3-4] */
            if (!MIDGE_RETAIN_SEEK || pass_level(name, level.data, want, i + 1 < f->levels || f->multi, k) == SEEK)
                return SEEK;
            differs = true;
        }
    }
    if (!differs && (f->multi || !has.at))
        return TAKE; /* "a/#" is for "a" too */
    if (!plus_end)
        return END;
    *k = up_to(name, plus_end, midge_slice_str("0")); /* '0' is '/' + 1: past all that is below this level */
    return SEEK;
}

struct midge_msg *midge_retain_next(const struct midge_retain *r, const struct midge_filter *f,
                                    const struct midge_msg *last)
{
    struct midge_msg *msg = last ? following(r, last) : lowest(r->root);
    struct key k;
    while (msg) {
        enum step step = look(f, midge_msg_topic(msg), &k);
        if (step == TAKE)
            return msg;
        if (!MIDGE_RETAIN_SEEK || step == GO_ON)
            msg = following(r, msg);
        else
            msg = step == SEEK ? seek(r, &k, false) : NULL;
    }
    return NULL;
}
