/* esp_tls.c - ESP-TLS's server on the system's mbedTLS, as far as the port calls it. */
#include "esp_tls.h"

#include "mbedtls/net_sockets.h"
#include "mbedtls/pk.h"
#include "mbedtls/x509_crt.h"

#include <stdlib.h>
#include <sys/random.h>

struct esp_tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate, ca;
    mbedtls_pk_context key;
    mbedtls_net_context net;
};

static int fill_random(void *user, unsigned char *out, size_t n)
{
    (void)user;
    return getrandom(out, n, 0) == (ssize_t)n ? 0 : -1;
}

esp_tls_t *esp_tls_init(void)
{
    esp_tls_t *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->certificate);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_pk_init(&t->key);
    return t;
}

esp_err_t esp_tls_server_session_init(esp_tls_cfg_server_t *c, int fd, esp_tls_t *t)
{
    t->net.fd = fd;
    if (mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) ||
        mbedtls_x509_crt_parse(&t->certificate, c->servercert_buf, c->servercert_bytes) ||
        mbedtls_pk_parse_key(&t->key, c->serverkey_buf, c->serverkey_bytes, NULL, 0) ||
        mbedtls_ssl_conf_own_cert(&t->config, &t->certificate, &t->key))
        return ESP_FAIL;
    mbedtls_ssl_conf_rng(&t->config, fill_random, NULL);
    if (c->cacert_buf) {
        if (mbedtls_x509_crt_parse(&t->ca, c->cacert_buf, c->cacert_bytes))
            return ESP_FAIL;
        mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, NULL);
    }
    if (mbedtls_ssl_setup(&t->ssl, &t->config))
        return ESP_FAIL;
    mbedtls_ssl_set_bio(&t->ssl, &t->net, mbedtls_net_send, mbedtls_net_recv, NULL);
    return ESP_OK;
}

int esp_tls_server_session_continue_async(esp_tls_t *t)
{
    return mbedtls_ssl_handshake(&t->ssl);
}

void esp_tls_server_session_delete(esp_tls_t *t)
{
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->certificate);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_pk_free(&t->key);
    free(t);
}

ssize_t esp_tls_conn_read(esp_tls_t *t, void *data, size_t size)
{
    int n = mbedtls_ssl_read(&t->ssl, data, size);
    return n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? 0 : n;
}

ssize_t esp_tls_conn_write(esp_tls_t *t, const void *data, size_t size)
{
    return mbedtls_ssl_write(&t->ssl, data, size);
}

ssize_t esp_tls_get_bytes_avail(esp_tls_t *t)
{
    return (ssize_t)mbedtls_ssl_get_bytes_avail(&t->ssl);
}

void *esp_tls_get_ssl_context(esp_tls_t *t)
{
    return &t->ssl;
}
