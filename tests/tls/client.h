/* client.h - a TLS client by OpenSSL in memory, on the other side of a chain of layers. */
#ifndef MIDGE_TESTS_TLS_CLIENT_H
#define MIDGE_TESTS_TLS_CLIENT_H

#include "chain.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdio.h>

/* A file of the folder that the environment names: see certificates. */
static inline const char *certificate_path(const char *name)
{
    static char paths[32][512];
    static unsigned turn;
    char *path = paths[turn++ % 32];
    const char *folder = getenv("MIDGE_TEST_CERTIFICATES");
    assert_non_null(folder);
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline struct midge_slice certificate_bytes(const char *name)
{
    static uint8_t files[32][4096];
    static unsigned turn;
    FILE *file = fopen(certificate_path(name), "rb");
    assert_non_null(file);
    uint8_t *bytes = files[turn++ % 32];
    size_t n = fread(bytes, 1, sizeof files[0], file);
    fclose(file);
    assert_true(n > 0 && n < sizeof files[0]);
    return (struct midge_slice){ .data = bytes, .len = (uint32_t)n };
}

struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    struct stream got;
    bool failed; /* the handshake */
};

static inline void client_open(struct client *c)
{
    *c = (struct client){ .ctx = SSL_CTX_new(TLS_client_method()) };
    assert_non_null(c->ctx);
    assert_int_equal(SSL_CTX_load_verify_file(c->ctx, certificate_path("ca.pem")), 1);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
}

static inline void client_version(struct client *c, int version)
{
    SSL_CTX_set_min_proto_version(c->ctx, version);
    SSL_CTX_set_max_proto_version(c->ctx, version);
}

static inline void client_certificate(struct client *c, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "%s.pem", name);
    assert_int_equal(SSL_CTX_use_certificate_file(c->ctx, certificate_path(file), SSL_FILETYPE_PEM), 1);
    snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(c->ctx, certificate_path(file), SSL_FILETYPE_PEM), 1);
}

/* A new connection with the same settings. */
static inline void client_connect(struct client *c)
{
    if (c->ssl) /* else its session counts as broken, and is not resumed */
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(c->ssl);
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    c->failed = false;
    c->got.len = 0;
    assert_non_null(c->ssl);
    BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_tlsext_host_name(c->ssl, "localhost");
    SSL_set1_host(c->ssl, "localhost");
    SSL_set_connect_state(c->ssl);
}

static inline void client_free(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    stream_free(&c->got);
    ERR_clear_error();
}

static inline void client_read(struct client *c)
{
    uint8_t bytes[4096];
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) {
        c->failed |= SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ;
        return;
    }
    while ((n = SSL_read(c->ssl, bytes, sizeof bytes)) > 0)
        stream_add(&c->got, bytes, (size_t)n);
}

/* Carries bytes both ways until there are none. */
static inline void talk(struct client *c, struct end *e)
{
    bool moved = true;
    ERR_clear_error();
    while (moved) {
        char *bytes;
        client_read(c);
        long n = BIO_get_mem_data(c->out, &bytes);
        moved = n > 0;
        if (n > 0)
            end_feed(e, bytes, (size_t)n);
        (void)BIO_reset(c->out);
        end_pull(e);
        moved |= e->wire.len > 0;
        if (e->wire.len)
            assert_int_equal(BIO_write(c->in, e->wire.bytes, (int)e->wire.len), (int)e->wire.len);
        e->wire.len = 0;
    }
}

#endif
