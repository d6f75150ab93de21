/* names.c - what a connection is called: user name, authentication method, assigned client id. */
#include "broker/internal.h"

struct midge_slice midge_names_method(const struct midge_names *n)
{
    return n && n->has_method ? midge_slice_of(n->bytes + n->username_len, n->method_len) : (struct midge_slice){ 0 };
}

struct midge_slice midge_names_assigned(const struct midge_names *n)
{
    if (!n || !n->assigned_len)
        return (struct midge_slice){ 0 };
    return midge_slice_of(n->bytes + n->username_len + n->method_len, n->assigned_len);
}

static size_t names_size(const struct midge_names *n)
{
    return sizeof *n + n->username_len + n->method_len + n->assigned_len;
}

void midge_names_free(struct midge_conn *c)
{
    if (c->names)
        midge_mem_free(&c->m->mem, c->names, names_size(c->names), MIDGE_TAG_CONN);
    c->names = NULL;
}

#define AUTO_ID_DIGITS 16u

struct midge_slice midge_assign_id(struct midge *m, const char *prefix, uint8_t out[MIDGE_AUTO_ID_MAX])
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = strlen(prefix);
    n = n < MIDGE_AUTO_ID_MAX - AUTO_ID_DIGITS ? n : MIDGE_AUTO_ID_MAX - AUTO_ID_DIGITS;
    memcpy(out, prefix, n);
    struct midge_slice id = midge_slice_of(out, n + AUTO_ID_DIGITS);
    do {
        uint8_t random[AUTO_ID_DIGITS / 2];
        midge_random(m, random, sizeof random);
        random[0] ^= (uint8_t)++m->auto_ids; /* a host that repeats itself is not asked for ever */
        random[1] ^= (uint8_t)(m->auto_ids >> 8);
        for (size_t i = 0; i < AUTO_ID_DIGITS; i++)
            out[n + i] = (uint8_t)digits[random[i / 2] >> (i % 2 ? 0 : 4) & 0xF];
    } while (midge_session_find(&m->sessions, id));
    return id;
}

bool midge_names_keep(struct midge_conn *c, const struct midge_connect *pk)
{
    uint8_t buffer[MIDGE_AUTO_ID_MAX];
    struct midge_slice assigned = { 0 };
    if (!pk->client_id.len)
        assigned = midge_assign_id(c->m, c->m->auto_id_prefix, buffer);
    struct midge_slice method = { 0 };
    if (MIDGE_AUTH)
        method = midge_props_text(&pk->props, PROP_AUTH_METHOD);
    struct midge_names n = { .username_len = (uint16_t)pk->username.len,
                             .method_len = (uint16_t)method.len,
                             .assigned_len = (uint16_t)assigned.len,
                             .has_username = pk->has_username,
                             .has_method = method.data != NULL };
    if (!n.has_username && !n.has_method && !n.assigned_len)
        return true;
    struct midge_names *names = midge_mem_alloc(&c->m->mem, names_size(&n), MIDGE_TAG_CONN);
    if (!names)
        return false;
    *names = n;
    struct midge_wr w;
    midge_wr_init(&w, names->bytes, UINT32_MAX, 0);
    midge_wr_bytes(&w, pk->username);
    midge_wr_bytes(&w, method);
    midge_wr_bytes(&w, assigned);
    c->names = names;
    return true;
}
