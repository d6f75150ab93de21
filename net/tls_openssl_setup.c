/* tls_openssl_setup.c - what a TLS listener was told, made into an OpenSSL context or a line that says why not. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* strdup */
#endif

#include "net/tls_openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Forward secret and AEAD. Pre-shared keys: chips do them without curves too. */
#define CIPHERS "ECDHE+aECDSA+AESGCM:ECDHE+aRSA+AESGCM:ECDHE+aECDSA+CHACHA20:ECDHE+aRSA+CHACHA20"
#define PSK_CIPHERS                                                                                          \
    "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:"                               \
    "ECDHE-PSK-AES128-CBC-SHA256:PSK-CHACHA20-POLY1305"

/* While it is being made. */
struct making {
    const struct midge_tls_options *o;
    SSL_CTX *ctx;
    char *why;
    size_t why_size;
};

/* "WHAT 'FILE': the library's reason" */
static bool fail(const struct making *m, const char *what, const char *name)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(m->why, m->why_size, "%s%s%s%s%s%s", what, name ? " '" : "", name ? name : "", name ? "'" : "",
             reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return false;
}

static bool is_given(const char *file, struct midge_slice bytes)
{
    return file || bytes.data;
}

static BIO *open_source(const char *file, struct midge_slice bytes)
{
    return bytes.data ? BIO_new_mem_buf(bytes.data, (int)bytes.len) : BIO_new_file(file, "r");
}

static const char *name_of(const char *file, struct midge_slice bytes)
{
    return bytes.data ? "(in memory)" : file;
}

static int give_password(char *to, int size, int writing, void *user)
{
    const char *password = user;
    (void)writing;
    size_t n = password ? strlen(password) : 0;
    if (n > (size_t)size)
        return -1;
    if (n)
        memcpy(to, password, n);
    return (int)n;
}

/* The next certificate of a PEM, or the only one of a DER. NULL: there is none, or none any more. */
static X509 *next_certificate(BIO *bio, struct midge_slice bytes, bool first)
{
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    const unsigned char *at = bytes.data;
    if (!x && first && bytes.data && bytes.len && bytes.data[0] == 0x30)
        x = d2i_X509(NULL, &at, (long)bytes.len);
    return x;
}

static bool use_chain(SSL_CTX *ctx, BIO *bio, struct midge_slice bytes)
{
    X509 *x = next_certificate(bio, bytes, true);
    bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1;
    X509_free(x);
    while (ok && (x = next_certificate(bio, bytes, false)))
        if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
            X509_free(x);
            return false;
        }
    return ok;
}

static bool use_key(const struct making *m, BIO *bio)
{
    const struct midge_tls_options *o = m->o;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)(uintptr_t)o->key_password);
    const unsigned char *at = o->key.data;
    if (!key && at && o->key.len && at[0] == 0x30)
        key = d2i_AutoPrivateKey(NULL, &at, (long)o->key.len);
    bool ok = key && SSL_CTX_use_PrivateKey(m->ctx, key) == 1;
    EVP_PKEY_free(key);
    return ok;
}

static bool set_certificate(const struct making *m)
{
    const struct midge_tls_options *o = m->o;
    if (!is_given(o->certificate_file, o->certificate)) {
        if (is_given(o->key_file, o->key))
            return fail(m, "a key without its certificate", NULL);
        return o->psk || o->client || fail(m, "TLS needs a certificate and its key, or pre-shared keys", NULL);
    }
    if (!is_given(o->key_file, o->key))
        return fail(m, "a certificate without its key", NULL);
    BIO *bio = open_source(o->certificate_file, o->certificate);
    bool ok = bio && use_chain(m->ctx, bio, o->certificate);
    BIO_free(bio);
    if (!ok)
        return fail(m, "cannot use certificate", name_of(o->certificate_file, o->certificate));
    ERR_clear_error();
    bio = open_source(o->key_file, o->key);
    ok = bio && use_key(m, bio) && SSL_CTX_check_private_key(m->ctx) == 1;
    BIO_free(bio);
    return ok || fail(m, "cannot use key", name_of(o->key_file, o->key));
}

/* Certificates that clients' are signed with, and the names that they are shown. */
static bool add_authorities(const struct making *m, BIO *bio)
{
    X509_STORE *store = SSL_CTX_get_cert_store(m->ctx);
    X509 *x;
    int count = 0;
    while ((x = next_certificate(bio, m->o->ca, count == 0))) {
        bool ok = X509_STORE_add_cert(store, x) == 1 && SSL_CTX_add_client_CA(m->ctx, x) == 1;
        X509_free(x);
        if (!ok)
            return false;
        count++;
    }
    return count > 0;
}

static bool add_crls(const struct making *m, BIO *bio)
{
    X509_STORE *store = SSL_CTX_get_cert_store(m->ctx);
    X509_CRL *crl;
    int count = 0;
    while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        bool ok = X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
        if (!ok)
            return false;
        count++;
    }
    return count > 0 && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
}

/* Adds what one source holds. */
static bool add(const struct making *m, const char *file, struct midge_slice bytes, const char *what,
                bool (*add_all)(const struct making *m, BIO *bio))
{
    if (!is_given(file, bytes))
        return true;
    BIO *bio = open_source(file, bytes);
    bool ok = bio && add_all(m, bio);
    BIO_free(bio);
    if (!ok)
        return fail(m, what, name_of(file, bytes));
    ERR_clear_error(); /* the end of a PEM is an error to its reader */
    return true;
}

static bool set_clients(const struct making *m)
{
    const struct midge_tls_options *o = m->o;
    bool has_ca = is_given(o->ca_file, o->ca) || o->ca_path;
    if (!has_ca && o->require_certificate)
        return fail(m, "clients' certificates cannot be checked without a CA", NULL);
    if (!has_ca && is_given(o->crl_file, o->crl))
        return fail(m, "a CRL without its CA", NULL);
    if (!add(m, o->ca_file, o->ca, "cannot use CA", add_authorities) ||
        !add(m, o->crl_file, o->crl, "cannot use CRL", add_crls))
        return false;
    if (o->ca_path && SSL_CTX_load_verify_dir(m->ctx, o->ca_path) != 1)
        return fail(m, "cannot use CA folder", o->ca_path);
    if (o->client && !has_ca && !o->psk_identity)
        return fail(m, "a server cannot be checked without a CA", NULL);
    if (o->client)
        SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER, NULL);
    if (o->require_certificate)
        SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool set_ciphers(const struct making *m)
{
    const struct midge_tls_options *o = m->o;
    const char *standard = o->psk || o->psk_identity ? PSK_CIPHERS ":" CIPHERS : CIPHERS;
    if (SSL_CTX_set_cipher_list(m->ctx, o->ciphers ? o->ciphers : standard) != 1)
        return fail(m, "no such ciphers", o->ciphers);
    if (o->ciphers_1_3 && SSL_CTX_set_ciphersuites(m->ctx, o->ciphers_1_3) != 1)
        return fail(m, "no such TLS 1.3 ciphers", o->ciphers_1_3);
    if (o->groups && SSL_CTX_set1_groups_list(m->ctx, o->groups) != 1)
        return fail(m, "no such groups", o->groups);
    return true;
}

static bool set_versions(const struct making *m)
{
    static const int versions[] = { [MIDGE_TLS_1_2] = TLS1_2_VERSION, [MIDGE_TLS_1_3] = TLS1_3_VERSION };
    uint8_t from = m->o->version_min ? m->o->version_min : MIDGE_TLS_1_2;
    uint8_t to = m->o->version_max ? m->o->version_max : MIDGE_TLS_1_3;
    if (from > to || to > MIDGE_TLS_1_3)
        return fail(m, "no TLS version is left", NULL);
    SSL_CTX_set_min_proto_version(m->ctx, versions[from]);
    SSL_CTX_set_max_proto_version(m->ctx, versions[to]);
    return true;
}

static void set_manners(SSL_CTX *ctx, const struct midge_tls_options *o)
{
    static const unsigned char here[] = "midge";
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (!o->client)
        SSL_CTX_set_session_id_context(ctx, here, sizeof here - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets cost the server nothing */
    SSL_CTX_set_num_tickets(ctx, 1);
    if (o->no_tickets || o->psk) { /* a resumed session does not tell which PSK it began with */
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
}

/* RFC 7301: a client that offers only what we do not speak is turned away. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *user)
{
    const struct midge_tls *shared = user;
    unsigned char *chosen;
    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, shared->alpn, shared->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    int place = at ? (int)(at - digits) : -1;
    return place < 16 ? place : place - 6;
}

/* False: not hexadecimal, or too long. */
static bool read_key(const char *hex, struct midge_tls *t)
{
    size_t n = strlen(hex);
    if (n == 0 || n % 2 || n / 2 > sizeof t->psk_key)
        return false;
    for (size_t i = 0; i < n; i += 2) {
        int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return false;
        t->psk_key[i / 2] = (unsigned char)(high * 16 + low);
    }
    t->psk_len = (unsigned)(n / 2);
    return true;
}

static bool set_client_psk(const struct making *m, struct midge_tls *t)
{
    if (!m->o->psk_identity)
        return true;
    if (!m->o->psk_key || !read_key(m->o->psk_key, t))
        return fail(m, "a pre-shared key is given in hexadecimal, at most 64 bytes", NULL);
    t->psk_identity = strdup(m->o->psk_identity);
    SSL_CTX_set_psk_client_callback(m->ctx, midge_openssl_tell_psk);
    return t->psk_identity || fail(m, "no memory for TLS", NULL);
}

/* "mqtt,http/1.1" */
static bool set_alpn(const struct making *m, struct midge_tls *t)
{
    const char *names = m->o->alpn ? m->o->alpn : m->o->client ? "" : "mqtt";
    while (*names) {
        size_t n = strcspn(names, ",");
        if (n == 0 || n > 255 || t->alpn_len + 1 + n > sizeof t->alpn)
            return fail(m, "ALPN names are empty or too long:", m->o->alpn);
        t->alpn[t->alpn_len] = (unsigned char)n;
        memcpy(t->alpn + t->alpn_len + 1, names, n);
        t->alpn_len += (unsigned)n + 1;
        names += n + (names[n] == ',');
    }
    if (!m->o->client)
        SSL_CTX_set_alpn_select_cb(m->ctx, choose_alpn, t);
    else if (t->alpn_len)
        SSL_CTX_set_alpn_protos(m->ctx, t->alpn, t->alpn_len);
    return true;
}

static bool set_psk(const struct making *m, struct midge_tls *t)
{
    if (!m->o->psk)
        return true;
    t->psk = m->o->psk;
    t->psk_user = m->o->psk_user;
    SSL_CTX_set_psk_server_callback(m->ctx, midge_openssl_ask_psk);
    if (m->o->psk_hint && SSL_CTX_use_psk_identity_hint(m->ctx, m->o->psk_hint) != 1)
        return fail(m, "cannot use PSK hint", m->o->psk_hint);
    return true;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static void free_shared(struct midge_tls *shared)
{
    SSL_CTX_free(shared->ctx);
    BIO_meth_free(shared->wire);
    free(shared->psk_identity);
    OPENSSL_cleanse(shared->psk_key, sizeof shared->psk_key);
    free(shared);
}

void midge_openssl_drop(struct midge_tls *shared)
{
    if (--shared->refs == 0)
        free_shared(shared);
}

static bool set_up(const struct making *m, struct midge_tls *t)
{
    set_manners(m->ctx, m->o);
    return set_versions(m) && set_ciphers(m) && set_alpn(m, t) && set_certificate(m) && set_clients(m) &&
           set_psk(m, t) && set_client_psk(m, t);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through m.why */
struct midge_tls *midge_openssl_open(const struct midge_tls_options *o, char *why, size_t why_size)
{
    struct making m = { .o = o, .why_size = why_size };
    struct midge_tls *t = calloc(1, sizeof *t);
    m.why = why;
    ERR_clear_error();
    if (t) {
        t->refs = 1;
        t->wire = midge_openssl_wire();
        t->insecure = o->insecure;
        t->ctx = m.ctx = SSL_CTX_new(o->client ? TLS_client_method() : TLS_server_method());
    }
    if (!t || !t->ctx || !t->wire)
        fail(&m, "no memory for TLS", NULL);
    else if (set_up(&m, t))
        return t;
    if (t)
        free_shared(t);
    return NULL;
}
