/* tls_mbedtls.c - a TLS session on mbedTLS itself, for ESP-IDF before 5.5: there, ESP-TLS's handshake of a server
 * waits for a silent client without end, and everybody else with it.
 *
 * Reads certificate, key, CA and the key's password of esp_tls_cfg_server_t; ALPN too. Secure elements, session
 * tickets and PSK need ESP-IDF 5.5.
 */
#include "esp_config.h"

#if MIDGE_ESP_TLS && !MIDGE_ESP_TLS_IN_STEPS

#include "esp.h"

#include "esp_random.h"
#include "esp_tls.h"
#include "mbedtls/net_sockets.h"
#include "mbedtls/pk.h"
#include "mbedtls/ssl.h"
#include "mbedtls/x509_crt.h"

#include <errno.h>
#include <stdlib.h>

struct midge_tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate, ca;
    mbedtls_pk_context key;
    int fd;
};

static int fill_random(void *user, unsigned char *out, size_t n)
{
    (void)user;
    esp_fill_random(out, n);
    return 0;
}

static int put_out(void *user, const unsigned char *bytes, size_t n)
{
    const struct midge_tls *t = user;
    ssize_t sent = send(t->fd, bytes, n, MSG_NOSIGNAL);
    if (sent >= 0)
        return (int)sent;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_NET_SEND_FAILED;
}

static int take_in(void *user, unsigned char *out, size_t room)
{
    const struct midge_tls *t = user;
    ssize_t n = recv(t->fd, out, room, 0);
    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_RECV_FAILED;
}

static bool parse(struct midge_tls *t, const esp_tls_cfg_server_t *c)
{
    return !mbedtls_x509_crt_parse(&t->certificate, c->servercert_buf, c->servercert_bytes) &&
           !mbedtls_pk_parse_key(&t->key, c->serverkey_buf, c->serverkey_bytes, c->serverkey_password,
                                 c->serverkey_password_len, fill_random, NULL) &&
           (!c->cacert_buf || !mbedtls_x509_crt_parse(&t->ca, c->cacert_buf, c->cacert_bytes));
}

static bool set_up(struct midge_tls *t, const esp_tls_cfg_server_t *c)
{
    if (mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT))
        return false;
    mbedtls_ssl_conf_rng(&t->config, fill_random, NULL);
    if (c->cacert_buf) {
        mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, NULL);
    }
#ifdef CONFIG_MBEDTLS_SSL_ALPN
    if (c->alpn_protos && mbedtls_ssl_conf_alpn_protocols(&t->config, c->alpn_protos))
        return false;
#endif
    if (mbedtls_ssl_conf_own_cert(&t->config, &t->certificate, &t->key) || mbedtls_ssl_setup(&t->ssl, &t->config))
        return false;
    mbedtls_ssl_set_bio(&t->ssl, t, put_out, take_in, NULL);
    return true;
}

struct midge_tls *midge_tls_open(struct esp_tls_cfg_server *config, int fd)
{
    struct midge_tls *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->fd = fd;
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->certificate);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_pk_init(&t->key);
    if (parse(t, config) && set_up(t, config))
        return t;
    midge_tls_close(t);
    return NULL;
}

enum midge_shake midge_tls_shake(struct midge_tls *t)
{
    int result = mbedtls_ssl_handshake(&t->ssl);
    if (result == MBEDTLS_ERR_SSL_WANT_READ)
        return SHAKE_READ;
    if (result == MBEDTLS_ERR_SSL_WANT_WRITE)
        return SHAKE_WRITE;
    return result == 0 ? SHAKE_DONE : SHAKE_FAILED;
}

static ssize_t in_errno(int n)
{
    if (n >= 0)
        return n;
    if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return 0;
    errno = n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

ssize_t midge_tls_recv(struct midge_tls *t, void *out, size_t room)
{
    return in_errno(mbedtls_ssl_read(&t->ssl, out, room));
}

ssize_t midge_tls_send(struct midge_tls *t, const void *bytes, size_t n)
{
    return in_errno(mbedtls_ssl_write(&t->ssl, bytes, n));
}

bool midge_tls_pending(struct midge_tls *t)
{
    return mbedtls_ssl_get_bytes_avail(&t->ssl) > 0;
}

void midge_tls_shut(struct midge_tls *t)
{
    mbedtls_ssl_close_notify(&t->ssl);
}

void midge_tls_close(struct midge_tls *t)
{
    if (!t)
        return;
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->certificate);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_pk_free(&t->key);
    free(t);
}

#endif
