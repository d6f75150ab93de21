/* login.c - who is it? The question to the host, its answer now or later, the AUTH exchange. */
#include "broker/internal.h"

/* CONNECT is kept as it came while the answer is open; bytes that follow it are held. */
struct midge_login_state {
    struct midge_frame *held; /* owns; NULL = none */
    uint32_t connect_len;     /* 0 while re-authenticating: CONNECT is long done */
    bool waits;               /* the host said LATER */
    uint8_t connect[];
};

static size_t state_size(uint32_t connect_len)
{
    return sizeof(struct midge_login_state) + connect_len;
}

static void free_held(struct midge_conn *c, struct midge_frame *held)
{
    if (held)
        midge_mem_free(&c->m->mem, held, sizeof *held + held->cap, MIDGE_TAG_FRAME);
}

void midge_login_free(struct midge_conn *c)
{
    if (!c->login)
        return;
    free_held(c, c->login->held);
    midge_mem_free(&c->m->mem, c->login, state_size(c->login->connect_len), MIDGE_TAG_CONN);
    c->login = NULL;
}

bool midge_login_waits(const struct midge_conn *c)
{
    return c->login && c->login->waits && c->state < CONN_ENDING;
}

bool midge_login_hold(struct midge_conn *c, struct midge_slice in)
{
    struct midge_frame *held = c->login->held;
    uint32_t len = held ? held->len : 0;
    if (len + in.len > c->m->limits->packet_bytes)
        return false;
    uint32_t cap = held ? held->cap : 0;
    struct midge_frame *f =
        midge_mem_resize(&c->m->mem, held, sizeof *f + cap, sizeof *f + len + in.len, MIDGE_TAG_FRAME);
    if (!f)
        return false;
    memcpy(f->bytes + len, in.data, in.len);
    f->len = f->cap = len + in.len;
    c->login->held = f;
    return true;
}

/* Makes the state that outlives this packet; CONNECT goes into it. */
static bool remember(struct midge_conn *c, struct midge_slice connect)
{
    if (c->login)
        return true;
    struct midge_login_state *st = midge_mem_alloc(&c->m->mem, state_size(connect.len), MIDGE_TAG_CONN);
    if (!st)
        return false;
    *st = (struct midge_login_state){ .connect_len = connect.len };
    if (connect.len)
        memcpy(st->connect, connect.data, connect.len);
    c->login = st;
    return true;
}

/* ---- AUTH out ----------------------------------------------------------------------------------------- */

static void encode_auth(struct midge_wr *w, const struct midge_conn *c, const void *arg)
{
    midge_encode_control(w, PK_AUTH, c->version, arg);
}

static void send_auth(struct midge_conn *c, uint8_t reason, struct midge_slice data)
{
    struct midge_control_out out = { .reason = reason, /* 0x18 in the exchange [MQTT-4.12.0-2] */
                                     .auth_method = midge_names_method(c->names), /* [MQTT-4.12.0-5] */
                                     .auth_data = data };
    if (!midge_conn_send(c, encode_auth, &out))
        midge_conn_break(c, MIDGE_RC_PACKET_TOO_LARGE);
}

/* ---- the answer --------------------------------------------------------------------------------------- */

static enum midge_reason deny(struct midge_conn *c, const struct midge_login_answer *a)
{
    uint8_t reason = a->answer == MIDGE_DENY && a->reason >= MIDGE_RC_UNSPECIFIED ? a->reason
                                                                                  : MIDGE_RC_NOT_AUTHORIZED;
    bool moved = reason == MIDGE_RC_USE_ANOTHER_SERVER || reason == MIDGE_RC_SERVER_MOVED; /* [U5-4.11-ref] */
    if (!MIDGE_V5 || !moved || c->state >= CONN_UP)
        return (enum midge_reason)reason; /* [MQTT-4.12.0-4] [MQTT-4.12.1-2] */
    midge_connect_refuse(c, reason, &a->server);
    return MIDGE_RC_SUCCESS;
}

static enum midge_reason allow(struct midge_conn *c, struct midge_connect *pk, const struct midge_login_answer *a)
{
    c->tag = a->tag ? a->tag : c->tag;
    if (MIDGE_AUTH && c->state == CONN_UP) {
        send_auth(c, MIDGE_RC_SUCCESS, a->data);
    } else {
        enum midge_reason rc = midge_connect_allowed(c, pk, a);
        if (rc != MIDGE_RC_SUCCESS)
            return rc; /* the id may lie in what midge_login_free frees: it goes with the connection */
    }
    if (MIDGE_LOGIN_STATE)
        midge_login_free(c);
    return MIDGE_RC_SUCCESS;
}

/* connect: the bytes of CONNECT, kept if the exchange goes on; pk: the same, decoded. Both NULL when UP. */
static enum midge_reason settle(struct midge_conn *c, struct midge_connect *pk, struct midge_slice connect,
                                const struct midge_login_answer *a)
{
    bool later = MIDGE_LOGIN_LATER && a->answer == MIDGE_LATER;
    bool goes_on = MIDGE_AUTH && a->answer == MIDGE_CONTINUE && midge_names_method(c->names).data;
    if (a->answer == MIDGE_ALLOW)
        return allow(c, pk, a);
    if (!later && !goes_on)
        return deny(c, a);
    if (!remember(c, connect))
        return MIDGE_RC_QUOTA_EXCEEDED;
    c->tag = a->tag ? a->tag : c->tag;
    c->state = c->state == CONN_UP ? CONN_UP : CONN_LOGIN;
    c->login->waits = later;
    if (goes_on)
        send_auth(c, MIDGE_RC_CONTINUE_AUTHENTICATION, a->data);
    midge_conn_mark_ready(c); /* the port is to see whether to read on */
    return MIDGE_RC_SUCCESS;
}

/* What happens on CONNECT as it was kept, if it is not long done: it was decoded before, so it can be again. `a` NULL:
 * its client's id is known from now on; else the answer takes effect. */
static void recall(struct midge_conn *c, const struct midge_login_answer *a)
{
    struct midge_connect pk;
    struct midge_slice connect = midge_slice_of(c->login->connect, c->login->connect_len);
    bool kept = connect.len && midge_decode_connect(connect, &pk) == MIDGE_RC_SUCCESS;
    if (kept)
        midge_hello(c, &pk);
    if (!a)
        return;
    enum midge_reason rc = settle(c, kept ? &pk : NULL, (struct midge_slice){ 0 }, a);
    if (rc != MIDGE_RC_SUCCESS)
        midge_conn_fail(c, (uint8_t)rc);
    c->m->hello = NULL;
}

void midge_login_done(struct midge_conn *c, const struct midge_login_answer *answer, midge_ms now)
{
    midge_enter(c->m, now);
    if (MIDGE_LOGIN_LATER && midge_login_waits(c)) {
        c->login->waits = false;
        struct midge_frame *held = c->login->held;
        c->login->held = NULL;
        recall(c, answer);
        if (held)
            midge_conn_take(c, midge_slice_of(held->bytes, held->len));
        free_held(c, held);
        c->heard = midge_age32(c->m);
        midge_conn_mark_ready(c);
    }
    midge_leave(c->m);
}

/* ---- the question ------------------------------------------------------------------------------------- */

static MIDGE_APART void ask(struct midge_conn *c, enum midge_login_step step, const struct midge_connect *pk,
                            const struct midge_props *props, struct midge_login_answer *out)
{
    const struct midge_hooks *h = c->m->hooks;
    struct midge_login in = { .step = step, .conn = c, .assigned_id = midge_names_assigned(c->names).len > 0 };
    *out = (struct midge_login_answer){ .answer = MIDGE_ALLOW };
    midge_conn_who(c, &in.who);
    if (pk)
        in.password = pk->password;
    if (MIDGE_V5) {
        in.method = midge_props_text(props, PROP_AUTH_METHOD);
        in.auth_data = midge_props_text(props, PROP_AUTH_DATA);
    }
    if (MIDGE_V5 && in.method.data && !(MIDGE_AUTH && h->login)) { /* [MQTT-4.12.0-1] */
        out->answer = MIDGE_DENY;
        out->reason = MIDGE_RC_BAD_AUTHENTICATION_METHOD;
    } else if (h->login) {
        h->login(h->user, &in, out);
    }
}

enum midge_reason midge_login_ask(struct midge_conn *c, struct midge_connect *pk, struct midge_slice body)
{
    struct midge_login_answer answer = { .answer = MIDGE_ALLOW };
    if (!midge_is_inside(c))
        ask(c, MIDGE_LOGIN_CONNECT, pk, &pk->props, &answer);
    return settle(c, pk, body, &answer);
}

/* AUTH goes on with an exchange, or starts one anew on a connection that is up. */
enum midge_reason midge_on_auth(struct midge_conn *c, struct midge_slice body)
{
    struct midge_slice method = midge_names_method(c->names);
    struct midge_control pk;
    if (!MIDGE_AUTH || !method.data)
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-4.12.0-7] */
    enum midge_reason rc = midge_decode_control(PK_AUTH, body, c->version, true, &pk);
    if (rc != MIDGE_RC_SUCCESS)
        return rc;
    if (!midge_slice_equal(midge_props_text(&pk.props, PROP_AUTH_METHOD), method))
        return MIDGE_RC_PROTOCOL_ERROR; /* [MQTT-4.12.0-5] [MQTT-4.12.1-1] [U5-3.15-nomethod] */
    bool again = pk.reason == MIDGE_RC_REAUTHENTICATE;
    if (again != (c->login == NULL))
        return MIDGE_RC_PROTOCOL_ERROR; /* 0x19 starts, 0x18 goes on [MQTT-4.12.0-3] */
    if (again && !remember(c, (struct midge_slice){ 0 }))
        return MIDGE_RC_QUOTA_EXCEEDED;

    struct midge_login_answer answer;
    recall(c, NULL);
    ask(c, again ? MIDGE_LOGIN_REAUTH : MIDGE_LOGIN_AUTH, NULL, &pk.props, &answer);
    recall(c, &answer);
    return MIDGE_RC_SUCCESS;
}
