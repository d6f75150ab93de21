/* tls_openssl.c - TLS by OpenSSL 3: a BIO that is handed what was fed and writes where it is pulled to. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* strndup */
#endif

#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_MAX 16384u /* a record's most */
#define RECORD_MORE 64u  /* what it is longer than what is in it, and some */
#define SMALL_ROOM 256u  /* a room below this is no measure of what to send */
#define SPILL_MAX 65536u /* a peer that asks and does not read is put out above this */
#define PSK_IDENTITY_MAX 256u

/* Forward secret and AEAD. Pre-shared keys: chips do them without curves too. */
#define CIPHERS "ECDHE+aECDSA+AESGCM:ECDHE+aRSA+AESGCM:ECDHE+aECDSA+CHACHA20:ECDHE+aRSA+CHACHA20"
#define PSK_CIPHERS                                                                                          \
    "ECDHE-PSK-CHACHA20-POLY1305:PSK-AES256-GCM-SHA384:PSK-AES128-GCM-SHA256:"                               \
    "ECDHE-PSK-AES128-CBC-SHA256:PSK-CHACHA20-POLY1305"

struct midge_tls {
    SSL_CTX *ctx;
    unsigned char alpn[64]; /* as the wire has it: length, name, length, name */
    unsigned alpn_len;
    midge_psk psk;
    void *psk_user;
    unsigned refs; /* its owner and its layers */
};

struct tls {
    struct midge_layer layer;
    struct midge_tls *shared;
    SSL *ssl;
    const uint8_t *in; /* what is being fed */
    size_t in_len;
    uint8_t *out; /* where it is being pulled to */
    size_t out_len, out_room;
    uint8_t *spill; /* records that had no room; NULL = none */
    size_t spill_at, spill_len, spill_size;
    char *names[2]; /* its identity: common name or PSK identity, whole subject; made when asked for */
    bool by_psk;
    bool broken; /* an alert is its last word */
};

/* ---- the BIO ------------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = t->in_len < (size_t)n ? t->in_len : (size_t)n;
    memcpy(to, t->in, take);
    t->in += take;
    t->in_len -= take;
    return (int)take;
}

static bool spill(struct tls *t, const char *from, size_t n)
{
    if (t->spill_len + n > SPILL_MAX)
        return false;
    if (t->spill_len + n > t->spill_size) {
        size_t size = t->spill_len + n + 1024;
        uint8_t *moved = realloc(t->spill, size);
        if (!moved)
            return false;
        t->spill = moved;
        t->spill_size = size;
    }
    memcpy(t->spill + t->spill_len, from, n);
    t->spill_len += n;
    return true;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    struct tls *t = BIO_get_data(bio);
    size_t size = (size_t)n, room = t->spill_len ? 0 : t->out_room - t->out_len;
    size_t take = size < room ? size : room;
    BIO_clear_retry_flags(bio);
    if (take)
        memcpy(t->out + t->out_len, from, take);
    t->out_len += take;
    return take == size || spill(t, from + take, size - take) ? n : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; /* made once, for all */
static CRYPTO_ONCE bio_once = CRYPTO_ONCE_STATIC_INIT;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "midge");
    if (!bio_method)
        return;
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static const char *reason_of(struct tls *t)
{
    long verdict = SSL_get_verify_result(t->ssl);
    if (!t->layer.greeted && verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *text = ERR_reason_error_string(ERR_peek_error());
    return text ? text : "TLS failed";
}

/* True: there may be more. */
static bool look_at(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_NONE:
        return true;
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN: /* close_notify */
        midge_layer_end(&t->layer, NULL);
        break;
    default:
        t->broken = true;
        midge_layer_end(&t->layer, reason_of(t));
    }
    ERR_clear_error();
    return false;
}

static bool shake_hands(struct tls *t)
{
    ERR_clear_error();
    if (!look_at(t, SSL_do_handshake(t->ssl)))
        return false;
    t->layer.greeted = true;
    return true;
}

static bool read_some(struct tls *t)
{
    uint8_t plain[PLAIN_MAX];
    ERR_clear_error();
    int n = SSL_read(t->ssl, plain, sizeof plain);
    if (!look_at(t, n))
        return false;
    midge_layer_up(&t->layer, plain, (size_t)n);
    return !t->layer.chain->ended;
}

static void feed(struct midge_layer *l, uint8_t *bytes, size_t n)
{
    struct tls *t = (struct tls *)(void *)l;
    t->in = bytes;
    t->in_len = n;
    if (l->greeted || shake_hands(t))
        while (read_some(t))
            continue;
    t->in = NULL;
    t->in_len = 0;
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static size_t pull_spill(struct tls *t, uint8_t *out, size_t room)
{
    size_t left = t->spill_len - t->spill_at;
    size_t n = left < room ? left : room;
    if (n)
        memcpy(out, t->spill + t->spill_at, n);
    t->spill_at += n;
    if (n == left) {
        free(t->spill);
        t->spill = NULL;
        t->spill_at = t->spill_len = t->spill_size = 0;
    }
    return n;
}

/* What the library writes while `act` runs goes to `out`, as far as there is room. */
static size_t pull_into(struct tls *t, uint8_t *out, size_t room, const uint8_t *plain, size_t n)
{
    t->out = out;
    t->out_room = room;
    t->out_len = 0;
    ERR_clear_error();
    int result = n ? SSL_write(t->ssl, plain, (int)n) : SSL_shutdown(t->ssl);
    if (n)
        look_at(t, result);
    ERR_clear_error();
    size_t len = t->out_len;
    t->out = NULL;
    t->out_len = t->out_room = 0;
    return len;
}

static size_t pull_record(struct tls *t, uint8_t *out, size_t room)
{
    uint8_t plain[PLAIN_MAX];
    size_t most = room > SMALL_ROOM ? room - RECORD_MORE : SMALL_ROOM - RECORD_MORE;
    size_t n = midge_layer_pull_above(&t->layer, plain, most < PLAIN_MAX ? most : PLAIN_MAX);
    return n ? pull_into(t, out, room, plain, n) : 0;
}

static size_t pull(struct midge_layer *l, uint8_t *out, size_t room)
{
    struct tls *t = (struct tls *)(void *)l;
    size_t n = pull_spill(t, out, room);
    if (!n && l->greeted && !t->broken)
        n = pull_record(t, out, room);
    if (n || !midge_layer_above_is_done(l))
        return n;
    if (l->greeted && !t->broken) {
        t->broken = true;
        n = pull_into(t, out, room, NULL, 0);
        if (n)
            return n;
    }
    l->done = t->spill_len == 0;
    return pull_spill(t, out, room);
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

static struct midge_slice identity(struct midge_layer *l, bool subject)
{
    struct tls *t = (struct tls *)(void *)l;
    char **name = &t->names[subject && !t->by_psk];
    if (!*name && !t->by_psk && SSL_get_verify_result(t->ssl) == X509_V_OK) {
        X509 *certificate = SSL_get0_peer_certificate(t->ssl);
        const X509_NAME *from = certificate ? X509_get_subject_name(certificate) : NULL;
        if (from)
            *name = subject ? whole_subject(from) : common_name(from);
    }
    const uint8_t *text = (const uint8_t *)*name;
    return (struct midge_slice){ .data = text, .len = text ? (uint32_t)strlen(*name) : 0 };
}

/* TLS 1.2 and 1.3 both. */
static unsigned ask_psk(SSL *ssl, const char *name, unsigned char *key, unsigned size)
{
    struct tls *t = SSL_get_app_data(ssl);
    if (!name || !*name || strlen(name) > PSK_IDENTITY_MAX)
        return 0;
    unsigned n = t->shared->psk(t->shared->psk_user, name, key, size);
    if (n == 0 || n > size)
        return 0;
    free(t->names[0]);
    t->names[0] = strdup(name);
    t->by_psk = true;
    return t->names[0] ? n : 0;
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

/* ---- a connection -------------------------------------------------------------------------------------- */

static void drop(struct midge_tls *shared)
{
    if (--shared->refs)
        return;
    SSL_CTX_free(shared->ctx);
    free(shared);
}

static void tls_free(struct midge_layer *l)
{
    struct tls *t = (struct tls *)(void *)l;
    SSL_free(t->ssl);
    drop(t->shared);
    free(t->spill);
    free(t->names[0]);
    free(t->names[1]);
    free(t);
}

static const struct midge_layer_kind kind = { .feed = feed, .pull = pull, .free = tls_free };

static struct midge_layer *layer(struct midge_tls *shared)
{
    struct tls *t = malloc(sizeof *t);
    SSL *ssl = SSL_new(shared->ctx);
    BIO *bio = BIO_new(bio_method);
    if (!t || !ssl || !bio) {
        free(t);
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    *t = (struct tls){ .layer.kind = &kind, .shared = shared, .ssl = ssl };
    shared->refs++;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, t);
    SSL_set_accept_state(ssl);
    return &t->layer;
}

/* ---- a listener's certificates and rules --------------------------------------------------------------- */

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
        return o->psk || fail(m, "TLS needs a certificate and its key, or pre-shared keys", NULL);
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
    if (o->require_certificate)
        SSL_CTX_set_verify(m->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool set_ciphers(const struct making *m)
{
    const struct midge_tls_options *o = m->o;
    const char *standard = o->psk ? PSK_CIPHERS ":" CIPHERS : CIPHERS;
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
    SSL_CTX_set_session_id_context(ctx, here, sizeof here - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets cost the server nothing */
    SSL_CTX_set_num_tickets(ctx, 1);
    if (o->no_tickets || o->psk) { /* a resumed session does not tell which PSK it began with */
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
}

/* "mqtt,http/1.1" */
static bool set_alpn(const struct making *m, struct midge_tls *t)
{
    const char *names = m->o->alpn ? m->o->alpn : "mqtt";
    while (*names) {
        size_t n = strcspn(names, ",");
        if (n == 0 || n > 255 || t->alpn_len + 1 + n > sizeof t->alpn)
            return fail(m, "ALPN names are empty or too long:", m->o->alpn);
        t->alpn[t->alpn_len] = (unsigned char)n;
        memcpy(t->alpn + t->alpn_len + 1, names, n);
        t->alpn_len += (unsigned)n + 1;
        names += n + (names[n] == ',');
    }
    SSL_CTX_set_alpn_select_cb(m->ctx, choose_alpn, t);
    return true;
}

static bool set_psk(const struct making *m, struct midge_tls *t)
{
    if (!m->o->psk)
        return true;
    t->psk = m->o->psk;
    t->psk_user = m->o->psk_user;
    SSL_CTX_set_psk_server_callback(m->ctx, ask_psk);
    if (m->o->psk_hint && SSL_CTX_use_psk_identity_hint(m->ctx, m->o->psk_hint) != 1)
        return fail(m, "cannot use PSK hint", m->o->psk_hint);
    return true;
}

static struct midge_tls *open(const struct midge_tls_options *o, char *why, size_t why_size)
{
    ERR_clear_error();
    struct midge_tls *t = calloc(1, sizeof *t);
    if (t)
        t->ctx = SSL_CTX_new(TLS_server_method());
    struct making m = { .o = o, .ctx = t ? t->ctx : NULL, .why = why, .why_size = why_size };
    if (!m.ctx || CRYPTO_THREAD_run_once(&bio_once, make_bio_method) != 1 || !bio_method) {
        fail(&m, "no memory for TLS", NULL);
    } else {
        t->refs = 1;
        set_manners(t->ctx, o);
        if (set_versions(&m) && set_ciphers(&m) && set_alpn(&m, t) && set_certificate(&m) &&
            set_clients(&m) && set_psk(&m, t))
            return t;
    }
    if (t)
        SSL_CTX_free(t->ctx);
    free(t);
    return NULL;
}

const struct midge_tls_provider midge_tls_openssl = {
    .open = open, .close = drop, .layer = layer, .identity = identity
};
