/* settings.c - what a listener was told, copied, checked and made into TLS contexts: new ones replace it whole. */
#include "posix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool serves_tls(const struct midge_listen *what)
{
    const struct midge_tls_options *o = &what->tls;
    if (what->transport == MIDGE_TRANSPORT_ANY)
        return o->certificate_file || o->certificate.data || o->psk || o->psk_file;
    return what->transport == MIDGE_TRANSPORT_TLS || what->transport == MIDGE_TRANSPORT_WSS;
}

static bool serves_ws(const struct midge_listen *what)
{
    return what->transport >= MIDGE_TRANSPORT_WS;
}

/* One block: the pointers, then what they point to. */
static bool copy_origins(struct midge_settings *s, const struct midge_listen *what)
{
    size_t count = what->ws_origin_count, bytes = count * sizeof *s->ws_origins;
    if (!what->ws_origins)
        return true;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(what->ws_origins[i]) + 1;
    s->ws_origins = malloc(bytes ? bytes : 1);
    if (!s->ws_origins)
        return false;
    char *at = (char *)(s->ws_origins + count);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(what->ws_origins[i]) + 1;
        s->ws_origins[i] = memcpy(at, what->ws_origins[i], n);
        at += n;
    }
    s->ws.origins = s->ws_origins;
    s->ws.origin_count = count;
    return true;
}

static bool copy_ws(struct midge_settings *s, const struct midge_listen *what)
{
    s->ws.header_bytes = what->ws_header_bytes;
    if (what->ws_path && !(s->ws_path = strdup(what->ws_path)))
        return false;
    s->ws.path = s->ws_path;
    return copy_origins(s, what);
}

/* What ALPN is called when nobody says: RFC 7301, and WebSocket begins as HTTP. */
static const char *standard_alpn(uint8_t transport)
{
    if (transport == MIDGE_TRANSPORT_ANY)
        return "mqtt,http/1.1";
    return transport == MIDGE_TRANSPORT_WSS ? "http/1.1" : "mqtt";
}

static int open_tls(struct midge_settings *s, const struct midge_listen *what, char *why, size_t why_size)
{
    struct midge_tls_options o = what->tls;
    if (!s->provider) {
        snprintf(why, why_size, "this program was built without TLS");
        return EPROTONOSUPPORT;
    }
    if (o.psk_file) {
        s->psks = midge_psk_read(o.psk_file, why, why_size);
        if (!s->psks)
            return errno;
        o.psk = midge_psk_find;
        o.psk_user = s->psks;
    }
    if (!o.alpn)
        o.alpn = standard_alpn(what->transport);
    s->tls = s->provider->open(&o, why, why_size);
    return s->tls ? 0 : EPROTO;
}

struct midge_settings *midge_settings_new(const struct midge_loop *loop, const struct midge_listen *what,
                                          int *err, char *why, size_t why_size)
{
    struct midge_settings *s = calloc(1, sizeof *s);
    *err = ENOMEM;
    if (s) {
        s->refs = 1;
        s->connections = what->connections;
        s->identity = what->identity;
        s->provider = loop->config.tls;
        s->user = what->user;
        *err = !serves_ws(what) || copy_ws(s, what) ? 0 : ENOMEM;
    }
    if (*err)
        snprintf(why, why_size, "no memory for a listener");
    else if (serves_tls(what))
        *err = open_tls(s, what, why, why_size);
    if (*err == 0)
        return s;
    if (s)
        midge_settings_drop(s);
    return NULL;
}

void midge_settings_drop(struct midge_settings *s)
{
    if (--s->refs)
        return;
    if (s->tls)
        s->provider->close(s->tls);
    free((void *)s->ws_origins);
    free(s->ws_path);
    midge_psk_free(s->psks);
    free(s);
}
