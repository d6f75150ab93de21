/* bridges.c - opens, changes and closes bridges as the configuration says. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "bridges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct bridge {
    struct bridge *next;
    struct conf *conf; /* holds: all texts are in it */
    const struct conf_bridge *own;
    struct midge_uplink_options options;
    struct midge_uplink *uplink;
    char client_id[160];
};

/* ---- who we are ---------------------------------------------------------------------------------------- */

/* Messages must not meet another broker of this name on their way: the host's is not enough for two on one host. */
static void name_us(struct bridges *b)
{
    uint32_t number = 0;
    if (b->node[0])
        return;
    if (gethostname(b->host, sizeof b->host - 1))
        snprintf(b->host, sizeof b->host, "midge");
    ssize_t got = getrandom(&number, sizeof number, 0);
    (void)got;
    snprintf(b->node, sizeof b->node, "%.48s-%08x", b->host, number);
}

/* ---- a bridge's options -------------------------------------------------------------------------------- */

static uint32_t or_zero(int64_t given)
{
    return given == CONF_UNSET ? 0 : (uint32_t)given;
}

static struct midge_slice slice(const char *text)
{
    return (struct midge_slice){ (const uint8_t *)text, text ? (uint32_t)strlen(text) : 0 };
}

static void describe_tls(const struct conf_bridge *c, struct midge_tls_options *out)
{
    *out = (struct midge_tls_options){ .certificate_file = c->certfile.text,
                                       .key_file = c->keyfile.text,
                                       .ca_file = c->cafile.text,
                                       .ca_path = c->capath.text,
                                       .version_min = c->tls_version ? MIDGE_TLS_1_3 : MIDGE_TLS_1_2,
                                       .ciphers = c->ciphers.text,
                                       .ciphers_1_3 = c->ciphers_13.text,
                                       .alpn = c->alpn.text,
                                       .insecure = c->insecure,
                                       .psk_identity = c->identity.text,
                                       .psk_key = c->psk.text };
}

static uint8_t transport_of(const struct conf_bridge *c)
{
    bool secured = c->cafile.text || c->capath.text || c->psk.text;
    if (c->transport)
        return secured ? MIDGE_TRANSPORT_WSS : MIDGE_TRANSPORT_WS;
    return secured ? MIDGE_TRANSPORT_TLS : MIDGE_TRANSPORT_TCP;
}

static void describe(const struct bridges *all, struct bridge *b)
{
    const struct conf_bridge *c = b->own;
    snprintf(b->client_id, sizeof b->client_id, "%.80s.%s", c->name, all->host);
    b->options = (struct midge_uplink_options){
        .transport = transport_of(c), .ws_path = c->ws_path.text, .bind_address = c->bind_address.text
    };
    describe_tls(c, &b->options.tls);
    b->options.bridge = (struct midge_bridge_options){
        .name = c->name,
        .node = all->node,
        .maps = c->maps,
        .map_count = c->map_count,
        .addresses = c->addresses.items,
        .address_count = c->addresses.count,
        .round_robin = c->round_robin,
        .version = (uint8_t)(c->version + 3),
        .not_private = !c->try_private,
        .clean_session = c->clean_session,
        .session_expiry_s = or_zero(c->session_expiry_s),
        .keepalive_s = (uint16_t)or_zero(c->keepalive_s),
        .client_id = c->client_id.text ? c->client_id.text : b->client_id,
        .username = c->username.text,
        .password = slice(c->password.text),
        .packet_bytes = or_zero(c->packet_bytes),
        .inflight = (uint16_t)or_zero(c->inflight),
        .outgoing_no_retain = !c->outgoing_retain,
        .no_unsubscribe = !c->unsubscribe,
        .split_horizon = c->split_horizon,
        .local_clean_session = c->local_clean == CONF_NOT_SAID ? c->clean_session : c->local_clean == CONF_YES,
        .local_client_id = c->local_client_id.text,
        .queue_bytes = or_zero(c->queue_bytes),
        .queue_msgs = c->queue_msgs == CONF_UNSET ? UINT32_MAX : (uint32_t)c->queue_msgs,
        .replay_per_s = or_zero(c->replay_per_s),
        .buffer_bytes = 65536,
        .no_notifications = !c->notifications,
        .notify_local_only = c->notify_local_only,
        .notify_topic = c->notify_topic.text,
        .start = c->start,
        .idle_s = or_zero(c->idle_s),
        .threshold = or_zero(c->threshold),
        .restart_s = or_zero(c->restart_s),
        .restart_cap_s = or_zero(c->restart_cap_s),
    };
}

/* ---- open, close --------------------------------------------------------------------------------------- */

static bool open_one(struct bridges *all, struct conf *c, const struct conf_bridge *own, char *why, size_t why_size)
{
    char what[256];
    struct bridge *b = calloc(1, sizeof *b);
    if (!b) {
        snprintf(why, why_size, "no memory");
        return false;
    }
    b->own = own;
    describe(all, b);
    b->uplink = midge_loop_bridge(all->loop, &b->options, what, sizeof what);
    if (!b->uplink) {
        snprintf(why, why_size, "%s:%u: connection %s: %s", own->file, own->line, own->name, what);
        free(b);
        return false;
    }
    b->conf = conf_hold(c);
    b->next = all->all;
    all->all = b;
    return true;
}

static void forget(struct bridge *b)
{
    conf_free(b->conf);
    free(b);
}

static struct bridge *find(const struct bridges *all, const char *name)
{
    struct bridge *b = all->all;
    while (b && strcmp(b->own->name, name) != 0)
        b = b->next;
    return b;
}

static const struct conf_bridge *find_conf(const struct conf *c, const char *name)
{
    const struct conf_bridge *b = c->bridges;
    while (b && strcmp(b->name, name) != 0)
        b = b->next;
    return b;
}

/* Those that changed keep what waits in their session here; those that are gone do not. */
static void close_unwanted(struct bridges *all, const struct conf *c)
{
    struct bridge **at = &all->all;
    while (*at) {
        struct bridge *b = *at;
        const struct conf_bridge *now = find_conf(c, b->own->name);
        if (now && strcmp(now->text, b->own->text) == 0) {
            at = &b->next;
            continue;
        }
        *at = b->next;
        if (now)
            midge_uplink_replace(b->uplink);
        else
            midge_uplink_close(b->uplink, true);
        forget(b);
    }
}

bool bridges_set(struct bridges *all, struct conf *c, char *why, size_t why_size)
{
    bool ok = true;
    name_us(all);
    close_unwanted(all, c);
    for (const struct conf_bridge *b = c->bridges; b; b = b->next)
        if (!find(all, b->name))
            ok = open_one(all, c, b, why, why_size) && ok;
    return ok;
}

void bridges_end(struct bridges *all)
{
    while (all->all) {
        struct bridge *b = all->all;
        all->all = b->next;
        forget(b);
    }
}
