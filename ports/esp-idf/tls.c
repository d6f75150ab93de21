/* tls.c - ESP-TLS's server configuration in the words of midge_tls.h.
 *
 * mbedTLS serves it as a layer: a handshake is done as its bytes come, and a listener's certificate and key are parsed
 * once for all its connections. */
#include "esp.h"

#include "esp_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALPN_BYTES 64

static struct midge_slice slice(const unsigned char *bytes, unsigned n)
{
    return (struct midge_slice){ .data = bytes, .len = bytes ? n : 0 };
}

/* "mqtt,x-amzn-mqtt-ca"; false: longer than mbedTLS's own limit allows. */
static bool join(const char **names, char out[ALPN_BYTES])
{
    int n = 0;
    for (; *names && n < ALPN_BYTES; names++)
        n += snprintf(out + n, (size_t)(ALPN_BYTES - n), "%s%s", n ? "," : "", *names);
    return n < ALPN_BYTES;
}

static bool needs_certificate(const struct esp_tls_cfg_server *c)
{
#ifdef CONFIG_ESP_TLS_SERVER_MIN_AUTH_MODE_OPTIONAL
    if (c->client_cert_authmode_optional)
        return false;
#endif
    return c->cacert_buf != NULL;
}

#if defined(CONFIG_ESP_TLS_PSK_VERIFICATION) && ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 5, 0)
/* ESP-TLS knows one key: the hint is whose. */
static uint32_t give_key(void *user, const char *identity, uint8_t *key, uint32_t size)
{
    const struct esp_tls_cfg_server *c = user;
    const psk_hint_key_t *psk = c->psk_hint_key;
    if (strcmp(identity, psk->hint) != 0 || psk->key_size > size)
        return 0;
    memcpy(key, psk->key, psk->key_size);
    return (uint32_t)psk->key_size;
}

static void use_psk(struct midge_tls_options *o, struct esp_tls_cfg_server *c)
{
    o->psk = c->psk_hint_key ? give_key : NULL;
    o->psk_user = c;
}
#else
static void use_psk(struct midge_tls_options *o, struct esp_tls_cfg_server *c)
{
    (void)o;
    (void)c;
}
#endif

static struct midge_tls *open_with(struct esp_tls_cfg_server *c, const char *password)
{
    char alpn[ALPN_BYTES], why[128];
    struct midge_tls_options o = {
        .certificate = slice(c->servercert_buf, c->servercert_bytes),
        .key = slice(c->serverkey_buf, c->serverkey_bytes),
        .ca = slice(c->cacert_buf, c->cacert_bytes),
        .key_password = password,
        .require_certificate = needs_certificate(c),
    };
    use_psk(&o, c);
    if (c->alpn_protos && !join(c->alpn_protos, alpn))
        return NULL;
    o.alpn = c->alpn_protos ? alpn : NULL;
    struct midge_tls *t = midge_tls_mbedtls.open(&o, why, sizeof why);
    if (!t)
        ESP_LOGE(MIDGE_TAG, "TLS: %s.", why);
    return t;
}

struct midge_tls *midge_esp_tls_open(struct esp_tls_cfg_server *c)
{
    char *password = c->serverkey_password ? calloc(1, c->serverkey_password_len + 1u) : NULL;
    if (c->serverkey_password && !password)
        return NULL;
    if (password)
        memcpy(password, c->serverkey_password, c->serverkey_password_len);
    struct midge_tls *t = open_with(c, password);
    if (password)
        explicit_bzero(password, c->serverkey_password_len);
    free(password);
    return t;
}
