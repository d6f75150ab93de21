/* midge_esp_tls.h - the fields of ESP-TLS's server configuration that a broker reads, away from ESP-IDF. */
#ifndef MIDGE_COMPAT_ESP_TLS_H
#define MIDGE_COMPAT_ESP_TLS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Buffers are PEM, with the terminating NUL counted, or DER. Each has its older name too. */
typedef struct esp_tls_cfg_server {
    const char **alpn_protos;
    union {
        const unsigned char *cacert_buf; /* of the clients' certificates; NULL = clients need none */
        const unsigned char *cacert_pem_buf;
    };
    union {
        unsigned int cacert_bytes;
        unsigned int cacert_pem_bytes;
    };
    union {
        const unsigned char *servercert_buf;
        const unsigned char *servercert_pem_buf;
    };
    union {
        unsigned int servercert_bytes;
        unsigned int servercert_pem_bytes;
    };
    union {
        const unsigned char *serverkey_buf;
        const unsigned char *serverkey_pem_buf;
    };
    union {
        unsigned int serverkey_bytes;
        unsigned int serverkey_pem_bytes;
    };
    const unsigned char *serverkey_password;
    unsigned int serverkey_password_len;
} esp_tls_cfg_server_t;

#ifdef __cplusplus
}
#endif
#endif
