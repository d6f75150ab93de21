/* tls_openssl.h - what the two files of TLS by OpenSSL share: a listener's context, and what it is asked. */
#ifndef MIDGE_NET_TLS_OPENSSL_H
#define MIDGE_NET_TLS_OPENSSL_H

#include "net/tls.h"

#include <openssl/ssl.h>

struct midge_tls {
    SSL_CTX *ctx;
    BIO_METHOD *wire; /* of its layers' BIOs */
    unsigned char alpn[64]; /* as the wire has it: length, name, length, name */
    unsigned alpn_len;
    midge_psk psk;
    void *psk_user;
    bool insecure;          /* these three: of the client's side */
    char *psk_identity;
    unsigned char psk_key[64];
    unsigned psk_len;
    unsigned refs; /* its owner and its layers */
};

/* Made as the options say, held once. NULL: `why`. (tls_openssl_setup.c) */
struct midge_tls *midge_openssl_open(const struct midge_tls_options *o, char *why, size_t why_size);
void midge_openssl_drop(struct midge_tls *shared);

/* How a layer's BIO reads and writes; NULL: no memory. And an SSL_psk_server_cb_func. (tls_openssl.c) */
BIO_METHOD *midge_openssl_wire(void);
unsigned midge_openssl_ask_psk(SSL *ssl, const char *name, unsigned char *key, unsigned size);
/* An SSL_psk_client_cb_func. */
unsigned midge_openssl_tell_psk(SSL *ssl, const char *hint, char *name, unsigned name_size, unsigned char *key,
                                unsigned size);

#endif
