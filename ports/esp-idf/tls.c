/* tls.c - a TLS session on ESP-TLS, whose server can be continued step by step since ESP-IDF 5.5. */
#include "esp_config.h"

#if MIDGE_ESP_TLS && MIDGE_ESP_TLS_IN_STEPS

#include "esp.h"

#include "esp_tls.h"
#include "mbedtls/ssl.h"
#if ESP_IDF_VERSION_MAJOR >= 6
#include "psa/crypto.h"
#endif

#include <errno.h>

/* struct midge_tls is an esp_tls_t by another name. */
static esp_tls_t *session(struct midge_tls *t)
{
    return (esp_tls_t *)t;
}

struct midge_tls *midge_tls_open(struct esp_tls_cfg_server *config, int fd)
{
#if ESP_IDF_VERSION_MAJOR >= 6
    if (psa_crypto_init() != PSA_SUCCESS) /* at most once: on the linux target nobody else has done it */
        return NULL;
#endif
    esp_tls_t *tls = esp_tls_init();
    if (tls && esp_tls_server_session_init(config, fd, tls) != ESP_OK) {
        esp_tls_server_session_delete(tls);
        return NULL;
    }
    return (struct midge_tls *)tls;
}

enum midge_shake midge_tls_shake(struct midge_tls *t)
{
    int result = esp_tls_server_session_continue_async(session(t));
    if (result == ESP_TLS_ERR_SSL_WANT_READ)
        return SHAKE_READ;
    if (result == ESP_TLS_ERR_SSL_WANT_WRITE)
        return SHAKE_WRITE;
    return result == 0 ? SHAKE_DONE : SHAKE_FAILED;
}

static ssize_t in_errno(ssize_t n)
{
    if (n >= 0)
        return n;
    errno = n == ESP_TLS_ERR_SSL_WANT_READ || n == ESP_TLS_ERR_SSL_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

ssize_t midge_tls_recv(struct midge_tls *t, void *out, size_t room)
{
    return in_errno(esp_tls_conn_read(session(t), out, room));
}

ssize_t midge_tls_send(struct midge_tls *t, const void *bytes, size_t n)
{
    return in_errno(esp_tls_conn_write(session(t), bytes, n));
}

bool midge_tls_pending(struct midge_tls *t)
{
    return esp_tls_get_bytes_avail(session(t)) > 0;
}

void midge_tls_shut(struct midge_tls *t)
{
    mbedtls_ssl_close_notify(esp_tls_get_ssl_context(session(t)));
}

void midge_tls_close(struct midge_tls *t)
{
    if (t)
        esp_tls_server_session_delete(session(t));
}

#endif
