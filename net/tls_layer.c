/* tls_layer.c - a TLS library between feed and pull. What it writes while it is fed waits here until it is pulled. */
#include "net/tls_layer.h"

#include <string.h>

#define RECORD_MORE 96u  /* what a record is longer than what is in it, and some */
#define SMALL_ROOM 256u  /* a room below this is no measure of what to send */
#define SPILL_MAX 65536u /* a peer that asks and does not read is put out above this */

/* ---- bytes of the peer's ------------------------------------------------------------------------------- */

size_t midge_tls_take(struct midge_tls_layer *t, void *to, size_t n)
{
    size_t take = t->in_len < n ? t->in_len : n;
    if (take)
        memcpy(to, t->in, take);
    t->in += take;
    t->in_len -= take;
    return take;
}

static bool grow_spill(struct midge_tls_layer *t, size_t need)
{
    const struct midge_memory *m = t->memory;
    uint8_t *moved = t->spill ? m->resize(m->user, t->spill, t->spill_size, need) : m->alloc(m->user, need);
    if (!moved)
        return false;
    t->spill = moved;
    t->spill_size = (uint32_t)need;
    return true;
}

static bool spill(struct midge_tls_layer *t, const uint8_t *from, size_t n)
{
    size_t need = t->spill_len + n;
    if (need > SPILL_MAX || (need > t->spill_size && !grow_spill(t, need)))
        return false;
    memcpy(t->spill + t->spill_len, from, n);
    t->spill_len = (uint32_t)need;
    return true;
}

bool midge_tls_put(struct midge_tls_layer *t, const void *from, size_t n)
{
    size_t room = t->spill_len ? 0 : t->out_room - t->out_len;
    size_t take = n < room ? n : room;
    if (take)
        memcpy(t->out + t->out_len, from, take);
    t->out_len += take;
    return take == n || spill(t, (const uint8_t *)from + take, n - take);
}

static void free_spill(struct midge_tls_layer *t)
{
    if (t->spill)
        t->memory->free(t->memory->user, t->spill, t->spill_size);
    t->spill = NULL;
    t->spill_at = t->spill_len = t->spill_size = 0;
}

static size_t pull_spill(struct midge_tls_layer *t, uint8_t *out, size_t room)
{
    size_t left = t->spill_len - t->spill_at;
    size_t n = left < room ? left : room;
    if (n)
        memcpy(out, t->spill + t->spill_at, n);
    t->spill_at += (uint32_t)n;
    if (n == left)
        free_spill(t);
    return n;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

/* True: it goes on. */
static bool look_at(struct midge_tls_layer *t, enum midge_tls_result result)
{
    if (result == MIDGE_TLS_FAILED) {
        t->is_over = true;
        midge_layer_end(&t->layer, t->calls->why(t));
    }
    if (result == MIDGE_TLS_ENDED)
        midge_layer_end(&t->layer, NULL);
    return result == MIDGE_TLS_DONE;
}

static bool shake(struct midge_tls_layer *t)
{
    t->layer.greeted = look_at(t, t->calls->shake(t));
    return t->layer.greeted;
}

static bool read_some(struct midge_tls_layer *t)
{
    uint8_t plain[MIDGE_TLS_PIECE];
    size_t n;
    if (!look_at(t, t->calls->read(t, plain, sizeof plain, &n)))
        return false;
    midge_layer_up(&t->layer, plain, n);
    return !t->layer.chain->ended;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is that of a layer */
static void feed(struct midge_layer *l, uint8_t *bytes, size_t n)
{
    struct midge_tls_layer *t = (struct midge_tls_layer *)(void *)l;
    t->in = bytes;
    t->in_len = n;
    if (l->greeted || shake(t))
        while (read_some(t))
            continue;
    t->in = NULL;
    t->in_len = 0;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static void point_out(struct midge_tls_layer *t, uint8_t *out, size_t room)
{
    t->out = out;
    t->out_room = room;
    t->out_len = 0;
}

static size_t pull_record(struct midge_tls_layer *t, uint8_t *out, size_t room)
{
    uint8_t plain[MIDGE_TLS_PIECE];
    size_t most = (room > SMALL_ROOM ? room : SMALL_ROOM) - RECORD_MORE;
    size_t n = midge_layer_pull_above(&t->layer, plain, most < sizeof plain ? most : sizeof plain);
    if (n == 0)
        return 0;
    point_out(t, out, room);
    look_at(t, t->calls->write(t, plain, n));
    n = t->out_len;
    point_out(t, NULL, 0);
    return n;
}

static size_t pull_goodbye(struct midge_tls_layer *t, uint8_t *out, size_t room)
{
    if (t->layer.greeted && !t->is_over)
        t->calls->shut(t);
    t->is_over = true;
    size_t n = pull_spill(t, out, room);
    t->layer.done = n == 0;
    return n;
}

static size_t pull(struct midge_layer *l, uint8_t *out, size_t room)
{
    struct midge_tls_layer *t = (struct midge_tls_layer *)(void *)l;
    size_t n = pull_spill(t, out, room);
    if (!n && l->greeted && !t->is_over)
        n = pull_record(t, out, room);
    return n || !midge_layer_above_is_done(l) ? n : pull_goodbye(t, out, room);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void tls_free(struct midge_layer *l)
{
    struct midge_tls_layer *t = (struct midge_tls_layer *)(void *)l;
    t->calls->free(t);
}

void midge_tls_layer_init(struct midge_tls_layer *t, const struct midge_tls_library *library,
                          const struct midge_memory *memory)
{
    static const struct midge_layer_kind kind = { .feed = feed, .pull = pull, .free = tls_free };
    *t = (struct midge_tls_layer){ .layer.kind = &kind, .calls = library, .memory = memory };
}

void midge_tls_layer_close(struct midge_tls_layer *t)
{
    free_spill(t);
}
