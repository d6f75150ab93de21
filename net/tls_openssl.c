/* tls_openssl.c - TLS by OpenSSL 3: a BIO that is handed what was fed and writes where it is pulled to. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* strndup */
#endif

#include "net/tls_layer.h"
#include "net/tls_openssl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <stdlib.h>
#include <string.h>

#define PSK_IDENTITY_MAX 256u

struct tls {
    struct midge_tls_layer base;
    struct midge_tls *shared;
    SSL *ssl;
    char *names[2]; /* of its certificate: common name, whole subject; made when asked for */
    char *asked;    /* the last PSK identity that a key was found for */
};

static struct tls *tls_of(struct midge_tls_layer *base)
{
    return (struct tls *)(void *)base;
}

/* ---- the BIO ------------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int n)
{
    size_t took = midge_tls_take(BIO_get_data(bio), to, (size_t)n);
    BIO_clear_retry_flags(bio);
    if (took)
        return (int)took;
    BIO_set_retry_read(bio);
    return -1;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    BIO_clear_retry_flags(bio);
    return midge_tls_put(BIO_get_data(bio), from, (size_t)n) ? n : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *midge_openssl_wire(void)
{
    BIO_METHOD *wire = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "midge");
    if (!wire)
        return NULL;
    BIO_meth_set_read(wire, bio_read);
    BIO_meth_set_write(wire, bio_write);
    BIO_meth_set_ctrl(wire, bio_ctrl);
    return wire;
}

/* ---- what tls_layer.c asks for ------------------------------------------------------------------------- */

/* The queue of errors is the thread's: what stands in it may be another connection's. */
static enum midge_tls_result result_of(const struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return MIDGE_TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return MIDGE_TLS_NEEDS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return MIDGE_TLS_ENDED;
    default:
        return MIDGE_TLS_FAILED;
    }
}

static enum midge_tls_result shake(struct midge_tls_layer *base)
{
    struct tls *t = tls_of(base);
    ERR_clear_error();
    return result_of(t, SSL_do_handshake(t->ssl));
}

static enum midge_tls_result read_plain(struct midge_tls_layer *base, uint8_t *out, size_t room, size_t *n)
{
    struct tls *t = tls_of(base);
    ERR_clear_error();
    int result = SSL_read(t->ssl, out, (int)room);
    *n = result > 0 ? (size_t)result : 0;
    return result_of(t, result);
}

static enum midge_tls_result write_plain(struct midge_tls_layer *base, const uint8_t *bytes, size_t n)
{
    struct tls *t = tls_of(base);
    ERR_clear_error();
    return result_of(t, SSL_write(t->ssl, bytes, (int)n));
}

static void shut(struct midge_tls_layer *base)
{
    SSL_shutdown(tls_of(base)->ssl);
}

static const char *why(struct midge_tls_layer *base)
{
    const struct tls *t = tls_of(base);
    long verdict = SSL_get_verify_result(t->ssl);
    if (!base->layer.greeted && verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *text = ERR_reason_error_string(ERR_peek_error());
    return text ? text : "TLS failed";
}

static void tls_free(struct midge_tls_layer *base)
{
    struct tls *t = tls_of(base);
    midge_tls_layer_close(base);
    SSL_free(t->ssl);
    midge_openssl_drop(t->shared);
    free(t->names[0]);
    free(t->names[1]);
    free(t->asked);
    free(t);
}

/* ---- who it is ----------------------------------------------------------------------------------------- */

static char *common_name(const X509_NAME *subject)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return NULL;
    unsigned char *utf8;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n < 0)
        return NULL;
    bool whole = n > 0 && !memchr(utf8, 0, (size_t)n); /* a NUL inside is a trick: "admin\0.example.org" */
    char *name = whole ? strndup((char *)utf8, (size_t)n) : NULL;
    OPENSSL_free(utf8);
    return name;
}

static char *whole_subject(const X509_NAME *subject)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return NULL;
    char *text, *copy = NULL;
    if (X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        copy = n > 0 ? strndup(text, (size_t)n) : NULL;
    }
    BIO_free(bio);
    return copy;
}

/* A PSK that was asked for need not be the one that was used: with a cipher that does not go with it, TLS 1.3 goes on
 * by certificate. */
static bool came_by_psk(const struct tls *t)
{
    if (SSL_version(t->ssl) >= TLS1_3_VERSION)
        return t->asked && SSL_session_reused(t->ssl); /* there are no tickets beside PSKs */
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    return cipher && SSL_CIPHER_get_auth_nid(cipher) == NID_auth_psk;
}

static char *certificate_name(const struct tls *t, bool whole)
{
    X509 *certificate = SSL_get0_peer_certificate(t->ssl);
    if (!certificate || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return NULL;
    const X509_NAME *subject = X509_get_subject_name(certificate);
    return whole ? whole_subject(subject) : common_name(subject);
}

static struct midge_slice identity(struct midge_layer *l, bool whole)
{
    struct tls *t = (struct tls *)(void *)l;
    const char *name = t->asked;
    if (!l->greeted || !came_by_psk(t)) {
        char **made = &t->names[whole];
        if (l->greeted && !*made)
            *made = certificate_name(t, whole);
        name = *made;
    }
    return (struct midge_slice){ .data = (const uint8_t *)name, .len = name ? (uint32_t)strlen(name) : 0 };
}

/* TLS 1.2 and 1.3 both. */
unsigned midge_openssl_ask_psk(SSL *ssl, const char *name, unsigned char *key, unsigned size)
{
    struct tls *t = SSL_get_app_data(ssl);
    if (!name || !*name || strlen(name) > PSK_IDENTITY_MAX)
        return 0;
    unsigned n = t->shared->psk(t->shared->psk_user, name, key, size);
    if (n == 0 || n > size)
        return 0;
    free(t->asked);
    t->asked = strdup(name);
    return t->asked ? n : 0;
}

unsigned midge_openssl_tell_psk(SSL *ssl, const char *hint, char *name, unsigned name_size, unsigned char *key,
                                unsigned size)
{
    const struct tls *t = SSL_get_app_data(ssl);
    const struct midge_tls *shared = t->shared;
    (void)hint;
    if (strlen(shared->psk_identity) >= name_size || shared->psk_len > size)
        return 0;
    memcpy(name, shared->psk_identity, strlen(shared->psk_identity) + 1);
    memcpy(key, shared->psk_key, shared->psk_len);
    return shared->psk_len;
}

/* ---- a connection -------------------------------------------------------------------------------------- */

static struct tls *new_tls(struct midge_tls *shared)
{
    static const struct midge_tls_library library = {
        .shake = shake, .read = read_plain, .write = write_plain, .shut = shut, .why = why, .free = tls_free
    };
    struct tls *t = calloc(1, sizeof *t);
    SSL *ssl = SSL_new(shared->ctx);
    BIO *bio = BIO_new(shared->wire);
    if (!t || !ssl || !bio) {
        free(t);
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    midge_tls_layer_init(&t->base, &library, &midge_memory_libc);
    t->shared = shared;
    t->ssl = ssl;
    shared->refs++;
    BIO_set_data(bio, &t->base);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, t);
    return t;
}

static struct midge_layer *layer(struct midge_tls *shared)
{
    struct tls *t = new_tls(shared);
    if (!t)
        return NULL;
    SSL_set_accept_state(t->ssl);
    return &t->base.layer;
}

/* Whose certificate it has to be. */
static bool expect_host(const struct tls *t, const char *host)
{
    bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), host) == 1;
    if (!is_address && SSL_set_tlsext_host_name(t->ssl, host) != 1)
        return false;
    if (t->shared->insecure && is_address)
        return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(t->ssl), NULL, 0) == 1;
    return is_address || t->shared->insecure || SSL_set1_host(t->ssl, host) == 1;
}

/* Its first word waits to be pulled. */
static struct midge_layer *client(struct midge_tls *shared, const char *host)
{
    struct tls *t = new_tls(shared);
    if (!t)
        return NULL;
    SSL_set_connect_state(t->ssl);
    ERR_clear_error();
    if (expect_host(t, host) && result_of(t, SSL_do_handshake(t->ssl)) == MIDGE_TLS_NEEDS_MORE)
        return &t->base.layer;
    tls_free(&t->base);
    return NULL;
}

const struct midge_tls_provider midge_tls_openssl = {
    .open = midge_openssl_open,
    .close = midge_openssl_drop,
    .layer = layer,
    .client = client,
    .identity = identity
};
