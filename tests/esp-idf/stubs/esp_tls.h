/* esp_tls.h - ESP-TLS's server as it is since ESP-IDF 5.5, on the system's mbedTLS. */
#ifndef STUB_ESP_TLS_H
#define STUB_ESP_TLS_H

#include "esp_err.h"
#include "midge_esp_tls.h" /* esp_tls_cfg_server_t */

#include "mbedtls/ssl.h"

#include <sys/types.h>

#define ESP_TLS_ERR_SSL_WANT_READ MBEDTLS_ERR_SSL_WANT_READ
#define ESP_TLS_ERR_SSL_WANT_WRITE MBEDTLS_ERR_SSL_WANT_WRITE

typedef struct esp_tls esp_tls_t;

esp_tls_t *esp_tls_init(void);
esp_err_t esp_tls_server_session_init(esp_tls_cfg_server_t *cfg, int sockfd, esp_tls_t *tls);
int esp_tls_server_session_continue_async(esp_tls_t *tls);
void esp_tls_server_session_delete(esp_tls_t *tls); /* does not close sockfd */
ssize_t esp_tls_conn_read(esp_tls_t *tls, void *data, size_t size);
ssize_t esp_tls_conn_write(esp_tls_t *tls, const void *data, size_t size);
ssize_t esp_tls_get_bytes_avail(esp_tls_t *tls);
void *esp_tls_get_ssl_context(esp_tls_t *tls);

#endif
