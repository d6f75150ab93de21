/* layer.c - the chain: what goes up, what comes down, who has still something to say. */
#include "net/layer.h"

/* ---- for layers ---------------------------------------------------------------------------------------- */

void midge_layer_up(struct midge_layer *l, uint8_t *bytes, size_t n)
{
    struct midge_chain *c = l->chain;
    if (n == 0 || c->ended)
        return;
    if (l->above)
        l->above->kind->feed(l->above, bytes, n);
    else if (!c->closing)
        c->top->feed(c->user, bytes, n);
}

size_t midge_layer_pull_above(struct midge_layer *l, uint8_t *out, size_t room)
{
    struct midge_chain *c = l->chain;
    if (l->above)
        return l->above->done ? 0 : l->above->kind->pull(l->above, out, room);
    return c->ended || c->closing ? 0 : c->top->pull(c->user, out, room);
}

bool midge_layer_above_is_done(const struct midge_layer *l)
{
    return l->above ? l->above->done : l->chain->ended || l->chain->closing;
}

void midge_layer_end(struct midge_layer *l, const char *why)
{
    struct midge_chain *c = l->chain;
    if (c->ended)
        return;
    c->ended = true;
    c->why = why;
    for (struct midge_layer *above = l->above; above; above = above->above)
        above->done = true; /* there is no way out for their goodbyes */
}

/* ---- for ports ----------------------------------------------------------------------------------------- */

bool midge_chain_push(struct midge_chain *c, struct midge_layer *l)
{
    if (!l)
        return false;
    struct midge_layer **at = &c->bottom;
    while (*at)
        at = &(*at)->above;
    *at = l;
    l->chain = c;
    return true;
}

void midge_chain_feed(struct midge_chain *c, uint8_t *bytes, size_t n)
{
    if (c->ended || n == 0)
        return;
    if (c->bottom)
        c->bottom->kind->feed(c->bottom, bytes, n);
    else if (!c->closing)
        c->top->feed(c->user, bytes, n);
}

size_t midge_chain_pull(struct midge_chain *c, uint8_t *out, size_t room)
{
    if (c->bottom)
        return c->bottom->done ? 0 : c->bottom->kind->pull(c->bottom, out, room);
    return c->ended || c->closing ? 0 : c->top->pull(c->user, out, room);
}

void midge_chain_close(struct midge_chain *c)
{
    c->closing = true;
}

bool midge_chain_has_greeted(const struct midge_chain *c)
{
    const struct midge_layer *l = c->bottom;
    while (l && l->greeted)
        l = l->above;
    return !l;
}

void midge_chain_free(struct midge_chain *c)
{
    while (c->bottom) {
        struct midge_layer *l = c->bottom;
        c->bottom = l->above;
        l->kind->free(l);
    }
}
