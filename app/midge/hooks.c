/* hooks.c - the broker's questions: who is it, what may they do, what are their limits? */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "doors.h"

#include "plug/acl_file.h"
#if MIDGE_HAS_OPENSSL
#include "plug/login_worker.h"
#endif

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const struct door *door_of(const void *peer)
{
    return midge_peer_listener_user(peer);
}

/* What rights go by: the certificate's name where the listener says so, else the user name. */
static struct midge_slice username_of(const struct midge_who *who)
{
    struct midge_slice identity = midge_peer_identity(who->peer);
    return identity.data ? identity : who->username;
}

/* ---- login --------------------------------------------------------------------------------------------- */

static void deny(struct midge_login_answer *out, uint8_t reason)
{
    *out = (struct midge_login_answer){ .answer = MIDGE_DENY, .reason = reason };
}

static bool begins_with_one(const struct conf_list *prefixes, struct midge_slice id)
{
    for (size_t i = 0; i < prefixes->count; i++) {
        size_t n = strlen(prefixes->items[i]);
        if (n <= id.len && memcmp(prefixes->items[i], id.data, n) == 0)
            return true;
    }
    return prefixes->count == 0;
}

/* "auto-0123456789ABCDEF" with the listener's own words in front. */
static struct midge_slice make_id(const char *prefix)
{
    static char id[256];
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        return (struct midge_slice){ 0 };
    int n = snprintf(id, sizeof id, "%.200s%016llX", prefix, (unsigned long long)random);
    return (struct midge_slice){ (const uint8_t *)id, (uint32_t)n };
}

/* The client id it gets, where that is not the one in CONNECT; the reason why it is not let in otherwise. */
static uint8_t choose_id(const struct doors *d, const struct rules *r, const struct midge_login *in,
                         struct midge_slice username, struct midge_login_answer *out)
{
    if (r->versions && !(r->versions & 1u << in->who.version))
        return MIDGE_RC_UNSUPPORTED_VERSION;
    if (in->assigned_id && !r->zero_length_id && !r->username_is_id)
        return MIDGE_RC_CLIENT_ID_NOT_VALID;
    if (r->username_is_id && !username.len)
        return MIDGE_RC_NOT_AUTHORIZED;
    if (r->username_is_id)
        out->client_id = username;
    else if (in->assigned_id && r->prefix)
        out->client_id = make_id(r->prefix);
    struct midge_slice id = out->client_id.data ? out->client_id : in->who.client_id;
    return begins_with_one(&d->conf->clientid_prefixes, id) ? MIDGE_RC_SUCCESS : MIDGE_RC_CLIENT_ID_NOT_VALID;
}

static void ask_worker(struct doors *d, const struct rules *r, const struct midge_login *in,
                       struct midge_login_answer *out)
{
#if MIDGE_HAS_OPENSSL
    char address[MIDGE_PEER_TEXT];
    uint8_t reason = MIDGE_RC_SERVER_UNAVAILABLE;
    const struct midge_login_answer yes = *out;
    if (!d->worker)
        d->worker = midge_login_worker_new(d->loop);
    midge_peer_text(in->who.peer, address, sizeof address);
    out->answer =
        d->worker ? midge_login_worker_ask(d->worker, in, r->logins, address, &yes, &reason) : MIDGE_DENY;
    out->reason = reason;
#else
    (void)d, (void)r, (void)in;
    deny(out, MIDGE_RC_SERVER_UNAVAILABLE);
#endif
}

void doors_login(struct doors *d, const struct midge_login *in, struct midge_login_answer *out)
{
    const struct door *door = door_of(in->who.peer);
    *out = (struct midge_login_answer){ .answer = MIDGE_ALLOW };
    if (in->method.data) { /* [MQTT-4.12.0-1] */
        deny(out, MIDGE_RC_BAD_AUTHENTICATION_METHOD);
        return;
    }
    if (!door)
        return;
    const struct rules *r = &door->rules;
    struct midge_slice username = username_of(&in->who);
    uint8_t reason = choose_id(d, r, in, username, out);
    if (reason)
        deny(out, reason);
    else if (r->identity_is_username && !midge_peer_identity(in->who.peer).data)
        deny(out, MIDGE_RC_BAD_USER_NAME_OR_PASSWORD);
    else if (r->identity_is_username)
        return; /* its certificate or key was looked at already */
    else if (username.data && r->logins)
        ask_worker(d, r, in, out);
    else if (!r->anonymous)
        deny(out, MIDGE_RC_NOT_AUTHORIZED);
}

void doors_lost(struct doors *d, const struct midge_conn *conn)
{
#if MIDGE_HAS_OPENSSL
    if (d->worker)
        midge_login_worker_lost(d->worker, conn);
#else
    (void)d, (void)conn;
#endif
}

/* ---- rights, limits ------------------------------------------------------------------------------------ */

bool doors_allow(const struct midge_who *who, enum midge_access what, struct midge_slice topic)
{
    const struct door *door = door_of(who->peer);
    return !door || !door->rules.acl ||
           midge_acl_file_allows(door->rules.acl, who->client_id, username_of(who), what, topic);
}

const struct midge_limits *doors_peer_limits(void *peer)
{
    const struct door *door = door_of(peer);
    return &door->rules.limits;
}
