/* tls_mbedtls.c - TLS by mbedTLS, for chips: certificates and keys as bytes, memory as mbedTLS was told to find it.
 *
 * mbedTLS 2.28 and 3.x: entropy is MBEDTLS_ENTROPY_HARDWARE_ALT's or the platform's. 4.x asks PSA for it. Pre-shared
 * keys are TLS 1.2's. Of midge_tls_options it does not read files, `ca_path`, `ciphers`, `ciphers_1_3`, `groups`.
 */
#include "net/tls_layer.h"

#include <mbedtls/platform.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/version.h>

#if defined(MBEDTLS_SSL_TICKET_C) && defined(MBEDTLS_SSL_SESSION_TICKETS)
#include <mbedtls/ssl_ticket.h>
#define HAS_TICKETS 1
#else
#define HAS_TICKETS 0
typedef char mbedtls_ssl_ticket_context; /* has no member that is used */
#endif

#if defined(MBEDTLS_KEY_EXCHANGE_SOME_PSK_ENABLED) || defined(MBEDTLS_SSL_HANDSHAKE_WITH_PSK_ENABLED)
#define HAS_PSK 1
#else
#define HAS_PSK 0
#ifndef MBEDTLS_PSK_MAX_LEN
#define MBEDTLS_PSK_MAX_LEN 32
#endif
#define mbedtls_ssl_set_hs_psk(ssl, key, n) MBEDTLS_ERR_SSL_FEATURE_UNAVAILABLE
#define mbedtls_ssl_conf_psk_cb(config, ask, user) (void)(ask)
#endif

#include <stddef.h>
#include <string.h>

#define TICKET_S 86400u
#define PEER_NAME_MAX 256u /* of a peer */
#define RDNS_MAX 16u  /* parts of a subject */

/* ---- what differs between versions, all of it ---------------------------------------------------------- */

#if MBEDTLS_VERSION_NUMBER < 0x04000000
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#else
#include <psa/crypto.h>
#endif

struct dice {
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context drbg;
#else
    char none;
#endif
};

static void free_dice(struct dice *d)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    mbedtls_ctr_drbg_free(&d->drbg);
    mbedtls_entropy_free(&d->entropy);
#else
    (void)d;
#endif
}

static bool open_dice(struct dice *d, mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_NUMBER >= 0x04000000
    (void)d;
    (void)config;
    return psa_crypto_init() == PSA_SUCCESS;
#else
#if defined(MBEDTLS_USE_PSA_CRYPTO) || defined(MBEDTLS_SSL_PROTO_TLS1_3)
    if (psa_crypto_init() != PSA_SUCCESS)
        return false;
#endif
    mbedtls_entropy_init(&d->entropy);
    mbedtls_ctr_drbg_init(&d->drbg);
    mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &d->drbg);
    return mbedtls_ctr_drbg_seed(&d->drbg, mbedtls_entropy_func, &d->entropy, NULL, 0) == 0;
#endif
}

static int parse_key(mbedtls_pk_context *key, struct dice *d, const uint8_t *bytes, size_t n, const char *password)
{
    const unsigned char *pass = (const unsigned char *)password;
    size_t pass_len = password ? strlen(password) : 0;
    (void)d;
#if MBEDTLS_VERSION_NUMBER < 0x03000000 || MBEDTLS_VERSION_NUMBER >= 0x04000000
    return mbedtls_pk_parse_key(key, bytes, n, pass, pass_len);
#else
    return mbedtls_pk_parse_key(key, bytes, n, pass, pass_len, mbedtls_ctr_drbg_random, &d->drbg);
#endif
}

/* False: not one of them is in this build. */
static bool set_versions(mbedtls_ssl_config *config, unsigned from, unsigned to)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    return from <= MIDGE_TLS_1_2 && to >= from;
#else
#if !defined(MBEDTLS_SSL_PROTO_TLS1_3)
    to = MIDGE_TLS_1_2;
#endif
    static const mbedtls_ssl_protocol_version versions[] = { MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_2,
                                                             MBEDTLS_SSL_VERSION_TLS1_3 };
    if (from > to)
        return false;
    mbedtls_ssl_conf_min_tls_version(config, versions[from]);
    mbedtls_ssl_conf_max_tls_version(config, versions[to]);
    return true;
#endif
}

/* A ticket of TLS 1.3 does not hold the client's certificate: who comes back by it would have no name. */
#if defined(MBEDTLS_SSL_PROTO_TLS1_3)
#define TICKETS_FORGET_NAMES 1
#else
#define TICKETS_FORGET_NAMES 0
#endif

static bool open_tickets(mbedtls_ssl_ticket_context *tickets, struct dice *d, mbedtls_ssl_config *config)
{
#if HAS_TICKETS
    mbedtls_ssl_ticket_init(tickets);
#if MBEDTLS_VERSION_NUMBER < 0x04000000
    int failed = mbedtls_ssl_ticket_setup(tickets, mbedtls_ctr_drbg_random, &d->drbg, MBEDTLS_CIPHER_AES_256_GCM,
                                          TICKET_S);
#else
    int failed = mbedtls_ssl_ticket_setup(tickets, PSA_ALG_GCM, PSA_KEY_TYPE_AES, 256, TICKET_S);
#endif
    (void)d;
    mbedtls_ssl_conf_session_tickets_cb(config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, tickets);
    return !failed;
#else
    (void)tickets;
    (void)d;
    (void)config;
    return true;
#endif
}

static void free_tickets(mbedtls_ssl_ticket_context *tickets)
{
#if HAS_TICKETS
    mbedtls_ssl_ticket_free(tickets);
#else
    (void)tickets;
#endif
}

#if defined(MBEDTLS_ERROR_C) && MBEDTLS_VERSION_NUMBER < 0x04000000 /* 4.x has it for all levels in one, in a buffer */
#include <mbedtls/error.h>
#define HAS_ERROR_TEXT 1
#else
#define HAS_ERROR_TEXT 0
#endif

static const char *error_text(int error)
{
    const char *text = NULL;
#if HAS_ERROR_TEXT
    text = mbedtls_high_level_strerr(error);
#else
    (void)error;
#endif
    return text ? text : "TLS failed";
}

/* ---- a listener ---------------------------------------------------------------------------------------- */

struct midge_tls {
    mbedtls_ssl_config config;
    mbedtls_x509_crt certificate, ca;
    mbedtls_x509_crl crl;
    mbedtls_pk_context key;
    struct dice dice;
    mbedtls_ssl_ticket_context tickets;
    bool has_tickets;
    int ciphers[24];     /* ends with 0 */
    unsigned refs;       /* its owner and its layers */
    char alpn[64];       /* names, each with a NUL */
    const char *alpn_names[8];
    midge_psk psk;
    void *psk_user;
};

struct tls {
    struct midge_tls_layer base;
    struct midge_tls *shared;
    mbedtls_ssl_context ssl;
    int error;            /* the last one */
    char asked[PEER_NAME_MAX]; /* the last PSK identity that a key was found for */
    char name[PEER_NAME_MAX];  /* of its certificate */
};

/* The same manners as with OpenSSL: forward secret, and AEAD. */
static const int ciphers[] = {
    0x1301, 0x1302, 0x1303, /* TLS 1.3: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 */
    0xC02B, 0xC02C, 0xCCA9, /* ECDHE-ECDSA with the same */
    0xC02F, 0xC030, 0xCCA8, /* ECDHE-RSA */
    0xC0AC, 0xC0AE,         /* ECDHE-ECDSA-AES128-CCM, CCM_8 */
    0
};
static const int psk_ciphers[] = {
    0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8, 0xC0AC, 0xC0AE,
    0xCCAC, 0xC037,                         /* ECDHE-PSK: ChaCha20-Poly1305, AES-128-CBC-SHA256 */
    0x00A8, 0x00A9, 0xCCAB, 0xC0A4, 0xC0A8, /* PSK: AES-GCM, ChaCha20-Poly1305, AES-128-CCM, CCM_8 */
    0
};

static void free_listener(struct midge_tls *t)
{
    if (--t->refs)
        return;
    if (t->has_tickets)
        free_tickets(&t->tickets);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->certificate);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crl_free(&t->crl);
    mbedtls_pk_free(&t->key);
    free_dice(&t->dice);
    mbedtls_free(t);
}

/* PEM has to end with a NUL. NULL: no memory. */
static uint8_t *with_nul(struct midge_slice bytes)
{
    uint8_t *copy = mbedtls_calloc(1, (size_t)bytes.len + 1);
    if (copy && bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return copy;
}

enum part { CERTIFICATE, KEY, CA, CRL };

static int parse_part(struct midge_tls *t, enum part part, const uint8_t *bytes, size_t n, const char *password)
{
    switch (part) {
    case CERTIFICATE:
        return mbedtls_x509_crt_parse(&t->certificate, bytes, n);
    case KEY:
        return parse_key(&t->key, &t->dice, bytes, n, password);
    case CA:
        return mbedtls_x509_crt_parse(&t->ca, bytes, n);
    default:
        return mbedtls_x509_crl_parse(&t->crl, bytes, n);
    }
}

/* DER as it is, PEM with its NUL. */
static bool parse(struct midge_tls *t, enum part part, struct midge_slice bytes, const char *password)
{
    bool is_der = bytes.len && bytes.data[0] == 0x30;
    bool has_nul = bytes.len && bytes.data[bytes.len - 1] == 0;
    if (is_der || has_nul)
        return parse_part(t, part, bytes.data, bytes.len, password) == 0;
    uint8_t *copy = with_nul(bytes);
    bool ok = copy && parse_part(t, part, copy, (size_t)bytes.len + 1, password) == 0;
    mbedtls_free(copy);
    return ok;
}

/* Those that this build has: mbedTLS fails at one that it does not know. */
static void set_ciphers(struct midge_tls *t, const int *wanted)
{
    size_t n = 0;
    for (; *wanted && n + 1 < sizeof t->ciphers / sizeof *t->ciphers; wanted++)
        if (mbedtls_ssl_ciphersuite_from_id(*wanted))
            t->ciphers[n++] = *wanted;
    mbedtls_ssl_conf_ciphersuites(&t->config, t->ciphers);
}

/* "mqtt,http/1.1" */
static bool set_alpn(struct midge_tls *t, const char *names)
{
    size_t len = strlen(names), count = 0;
    if (len >= sizeof t->alpn)
        return false;
    memcpy(t->alpn, names, len);
    for (char *at = t->alpn; count + 1 < sizeof t->alpn_names / sizeof *t->alpn_names; count++) {
        char *end = strchr(at, ',');
        t->alpn_names[count] = at;
        if (!end)
            break;
        *end = '\0';
        at = end + 1;
    }
    return mbedtls_ssl_conf_alpn_protocols(&t->config, t->alpn_names) == 0;
}

static int ask_psk(void *user, mbedtls_ssl_context *ssl, const unsigned char *name, size_t len)
{
    struct tls *t = (struct tls *)(void *)((char *)ssl - offsetof(struct tls, ssl));
    const struct midge_tls *shared = user;
    uint8_t key[MBEDTLS_PSK_MAX_LEN];
    if (len == 0 || len >= sizeof t->asked || memchr(name, 0, len))
        return MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY;
    memcpy(t->asked, name, len);
    t->asked[len] = '\0';
    uint32_t n = shared->psk(shared->psk_user, t->asked, key, sizeof key);
    if (n == 0 || n > sizeof key)
        return MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY;
    return mbedtls_ssl_set_hs_psk(ssl, key, n);
}

/* NULL: fine. */
static const char *use_certificate(struct midge_tls *t, const struct midge_tls_options *o)
{
    if (!o->certificate.data && !o->key.data)
        return o->psk ? NULL : "TLS needs a certificate and its key, or pre-shared keys";
    if (!o->certificate.data || !o->key.data)
        return o->key.data ? "a key without its certificate" : "a certificate without its key";
    if (!parse(t, CERTIFICATE, o->certificate, NULL))
        return "cannot use certificate";
    if (!parse(t, KEY, o->key, o->key_password) || mbedtls_ssl_conf_own_cert(&t->config, &t->certificate, &t->key))
        return "cannot use key";
    return NULL;
}

static const char *use_clients(struct midge_tls *t, const struct midge_tls_options *o)
{
    if (!o->ca.data)
        return o->require_certificate ? "clients' certificates cannot be checked without a CA"
               : o->crl.data          ? "a CRL without its CA"
                                      : NULL;
    if (!parse(t, CA, o->ca, NULL))
        return "cannot use CA";
    if (o->crl.data && !parse(t, CRL, o->crl, NULL))
        return "cannot use CRL";
    mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, o->crl.data ? &t->crl : NULL);
    if (o->require_certificate)
        mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    return NULL;
}

static const char *use_rules(struct midge_tls *t, const struct midge_tls_options *o)
{
    unsigned from = o->version_min ? o->version_min : MIDGE_TLS_1_2;
    unsigned to = o->psk ? MIDGE_TLS_1_2 : o->version_max ? o->version_max : MIDGE_TLS_1_3;
    if (from > MIDGE_TLS_1_3 || to > MIDGE_TLS_1_3 || !set_versions(&t->config, from, to))
        return "no TLS version is left";
    if (!set_alpn(t, o->alpn ? o->alpn : "mqtt"))
        return "ALPN names are empty or too long";
    set_ciphers(t, o->psk ? psk_ciphers : ciphers);
    if (o->psk) {
        t->psk = o->psk;
        t->psk_user = o->psk_user;
        mbedtls_ssl_conf_psk_cb(&t->config, ask_psk, t); /* and no tickets: they do not tell the identity */
    } else if (!o->no_tickets && !(o->require_certificate && TICKETS_FORGET_NAMES && to == MIDGE_TLS_1_3)) {
        t->has_tickets = true;
        return open_tickets(&t->tickets, &t->dice, &t->config) ? NULL : "no tickets";
    }
    return NULL;
}

static const char *refuse_unknown(const struct midge_tls_options *o)
{
    if (o->certificate_file || o->key_file || o->ca_file || o->ca_path || o->crl_file)
        return "this TLS reads certificates and keys from memory only";
    if (o->psk && !HAS_PSK)
        return "this mbedTLS is built without pre-shared keys";
    return o->ciphers || o->ciphers_1_3 || o->groups ? "this TLS chooses ciphers and groups itself" : NULL;
}

static const char *set_up(struct midge_tls *t, const struct midge_tls_options *o)
{
    const char *wrong = refuse_unknown(o);
    if (wrong)
        return wrong;
    if (!open_dice(&t->dice, &t->config) ||
        mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT))
        return "no memory or no entropy for TLS";
    if (!(wrong = use_certificate(t, o)) && !(wrong = use_clients(t, o)))
        wrong = use_rules(t, o);
    return wrong;
}

static void tell(const char *text, char *why, size_t why_size)
{
    size_t n = strlen(text);
    if (why_size == 0)
        return;
    n = n < why_size ? n : why_size - 1;
    memcpy(why, text, n);
    why[n] = '\0';
}

static struct midge_tls *open_listener(const struct midge_tls_options *o, char *why, size_t why_size)
{
    struct midge_tls *t = mbedtls_calloc(1, sizeof *t);
    if (!t) {
        tell("no memory for TLS", why, why_size);
        return NULL;
    }
    t->refs = 1;
    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->certificate);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crl_init(&t->crl);
    mbedtls_pk_init(&t->key);
    const char *wrong = set_up(t, o);
    if (!wrong)
        return t;
    tell(wrong, why, why_size);
    free_listener(t);
    return NULL;
}

/* ---- what tls_layer.c asks for ------------------------------------------------------------------------- */

static struct tls *tls_of(struct midge_tls_layer *base)
{
    return (struct tls *)(void *)base;
}

static int put(void *user, const unsigned char *bytes, size_t n)
{
    return midge_tls_put(user, bytes, n) ? (int)n : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

static int take(void *user, unsigned char *out, size_t n)
{
    size_t took = midge_tls_take(user, out, n);
    return took ? (int)took : MBEDTLS_ERR_SSL_WANT_READ;
}

static enum midge_tls_result result_of(struct tls *t, int result)
{
    t->error = result;
    if (result >= 0)
        return MIDGE_TLS_DONE;
    if (result == MBEDTLS_ERR_SSL_WANT_READ)
        return MIDGE_TLS_NEEDS_MORE;
    return result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? MIDGE_TLS_ENDED : MIDGE_TLS_FAILED;
}

static enum midge_tls_result shake(struct midge_tls_layer *base)
{
    struct tls *t = tls_of(base);
    return result_of(t, mbedtls_ssl_handshake(&t->ssl));
}

static enum midge_tls_result read_plain(struct midge_tls_layer *base, uint8_t *out, size_t room, size_t *n)
{
    struct tls *t = tls_of(base);
    int result = mbedtls_ssl_read(&t->ssl, out, room);
    *n = result > 0 ? (size_t)result : 0;
    return result == 0 ? MIDGE_TLS_ENDED : result_of(t, result);
}

/* A record each time, as large as this build has them. */
static enum midge_tls_result write_plain(struct midge_tls_layer *base, const uint8_t *bytes, size_t n)
{
    struct tls *t = tls_of(base);
    while (n) {
        int wrote = mbedtls_ssl_write(&t->ssl, bytes, n);
        if (wrote <= 0)
            return result_of(t, wrote ? wrote : MBEDTLS_ERR_SSL_INTERNAL_ERROR);
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return MIDGE_TLS_DONE;
}

static void shut(struct midge_tls_layer *base)
{
    mbedtls_ssl_close_notify(&tls_of(base)->ssl);
}

static const char *why_of(struct midge_tls_layer *base)
{
    return error_text(tls_of(base)->error);
}

static void free_connection(struct midge_tls_layer *base)
{
    struct tls *t = tls_of(base);
    midge_tls_layer_close(base);
    mbedtls_ssl_free(&t->ssl);
    free_listener(t->shared);
    mbedtls_free(t);
}

/* ---- who it is ----------------------------------------------------------------------------------------- */

static bool is_common_name(const mbedtls_x509_name *part)
{
    return part->oid.len == 3 && memcmp(part->oid.p, "\x55\x04\x03", 3) == 0; /* 2.5.4.3 */
}

static bool is_text(const mbedtls_x509_buf *value)
{
    int tag = value->tag;
    bool one_byte = tag == MBEDTLS_ASN1_UTF8_STRING || tag == MBEDTLS_ASN1_PRINTABLE_STRING ||
                    tag == MBEDTLS_ASN1_IA5_STRING;
    return one_byte && value->len && !memchr(value->p, 0, value->len); /* a NUL inside is a trick */
}

static size_t write_common_name(char *out, const mbedtls_x509_name *subject)
{
    const mbedtls_x509_name *part = subject;
    while (part && !is_common_name(part))
        part = part->next;
    if (!part || !is_text(&part->val) || part->val.len >= PEER_NAME_MAX)
        return 0;
    memcpy(out, part->val.p, part->val.len);
    return part->val.len;
}

/* As RFC 2253 has it: the last part first. 0: too long. */
static size_t write_subject(char *out, const mbedtls_x509_name *subject)
{
    const mbedtls_x509_name *parts[RDNS_MAX];
    size_t count = 0, len = 0;
    for (; subject; subject = subject->next) {
        if (count == RDNS_MAX)
            return 0;
        parts[count++] = subject;
    }
    while (count) {
        mbedtls_x509_name part = *parts[--count];
        part.next = NULL;
        int n = mbedtls_x509_dn_gets(out + len, PEER_NAME_MAX - 1 - len, &part);
        if (n < 0)
            return 0;
        len += (size_t)n;
        if (count)
            out[len++] = ',';
    }
    return len;
}

static bool came_by_psk(const struct tls *t)
{
    const char *cipher = mbedtls_ssl_get_ciphersuite(&t->ssl);
    return t->shared->psk && cipher && strstr(cipher, "PSK");
}

static struct midge_slice identity(struct midge_layer *l, bool whole_subject)
{
    struct tls *t = (struct tls *)(void *)l;
    if (!l->greeted)
        return (struct midge_slice){ .data = NULL };
    if (came_by_psk(t))
        return (struct midge_slice){ .data = (const uint8_t *)t->asked, .len = (uint32_t)strlen(t->asked) };
    const mbedtls_x509_crt *peer = mbedtls_ssl_get_peer_cert(&t->ssl);
    if (!peer || mbedtls_ssl_get_verify_result(&t->ssl) != 0)
        return (struct midge_slice){ .data = NULL };
    size_t n = whole_subject ? write_subject(t->name, &peer->subject) : write_common_name(t->name, &peer->subject);
    return (struct midge_slice){ .data = n ? (const uint8_t *)t->name : NULL, .len = (uint32_t)n };
}

/* ---- a connection -------------------------------------------------------------------------------------- */

static void *take_memory(void *user, size_t n)
{
    (void)user;
    return mbedtls_calloc(1, n);
}

static void give_memory(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    mbedtls_free(p);
}

static void *move_memory(void *user, void *p, size_t old, size_t n)
{
    void *moved = take_memory(user, n);
    if (!moved)
        return NULL;
    memcpy(moved, p, old < n ? old : n);
    give_memory(user, p, old);
    return moved;
}

static struct midge_layer *open_connection(struct midge_tls *shared)
{
    static const struct midge_memory memory = { .alloc = take_memory, .free = give_memory, .resize = move_memory };
    static const struct midge_tls_library library = { .shake = shake,
                                                      .read = read_plain,
                                                      .write = write_plain,
                                                      .shut = shut,
                                                      .why = why_of,
                                                      .free = free_connection };
    struct tls *t = mbedtls_calloc(1, sizeof *t);
    if (!t)
        return NULL;
    midge_tls_layer_init(&t->base, &library, &memory);
    t->shared = shared;
    shared->refs++;
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_set_bio(&t->ssl, &t->base, put, take, NULL);
    if (mbedtls_ssl_setup(&t->ssl, &shared->config) == 0)
        return &t->base.layer;
    free_connection(&t->base);
    return NULL;
}

const struct midge_tls_provider midge_tls_mbedtls = {
    .open = open_listener, .close = free_listener, .layer = open_connection, .identity = identity
};
