/* midge_tls.h - TLS for listeners: what is served, and the library that serves it.
 *
 * The broker needs no TLS library. A program that serves TLS names one, and links it:
 *
 *     const struct midge_loop_config config = { .tls = &midge_tls_openssl };     link midge::tls, midge-tls.pc
 */
#ifndef MIDGE_TLS_H
#define MIDGE_TLS_H

#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum midge_tls_version { MIDGE_TLS_ANY, MIDGE_TLS_1_2, MIDGE_TLS_1_3 };

/* The key of a client that names itself `identity`, written to key[0..size-1]. Its length, 0 = not known. */
typedef uint32_t (*midge_psk)(void *user, const char *identity, uint8_t *key, uint32_t size);

/* What a TLS listener shows and asks for. Zero-initialise, set what is wanted: a certificate with its key, or
 * psk, or both. Used during the call it is handed to; psk and psk_user for as long as connections live.
 * Each file may be given as bytes in memory instead: PEM, or DER for a single certificate or key. */
struct midge_tls_options {
    const char *certificate_file;  /* PEM, the chain from the server's own up */
    const char *key_file;          /* PEM */
    const char *ca_file;           /* PEM: who signs clients' certificates */
    const char *ca_path;           /* or a folder of them, as `openssl rehash` makes it */
    const char *crl_file;          /* PEM: revoked certificates, a list for each CA; needs a CA */
    struct midge_slice certificate, key, ca, crl;
    const char *key_password;      /* NULL = none */
    bool require_certificate;      /* clients without a certificate of that CA are turned away */
    uint8_t version_min;           /* enum midge_tls_version; ANY = 1.2 */
    uint8_t version_max;           /* ANY = 1.3 */
    const char *ciphers;           /* TLS 1.2, as OpenSSL writes them; NULL = forward secret AEAD only */
    const char *ciphers_1_3;       /* TLS 1.3; NULL = the library's */
    const char *groups;            /* key exchange, such as "X25519:P-256"; NULL = the library's */
    const char *alpn;              /* chosen when a client offers it; NULL = "mqtt", "http/1.1" for WebSocket */
    bool no_tickets;               /* no session resumption */
    midge_psk psk;                 /* pre-shared keys, TLS 1.2 and 1.3; NULL = none */
    void *psk_user;
    const char *psk_file;          /* or a file of lines identity:hex-key; read again by a renewal */
    const char *psk_hint;          /* shown to TLS 1.2 clients; NULL = none */

    /* The client's side, of a bridge: a certificate only if the server asks for one; the CAs are those of the server's,
     * and needed unless there is a key below; alpn is what is asked for, NULL = nothing. */
    bool client;
    bool insecure;                 /* the server's certificate need not be for the name that was dialed */
    const char *psk_identity;      /* who we are by psk_key; NULL = no pre-shared key */
    const char *psk_key;           /* hexadecimal */
};

/* A library that can. */
struct midge_tls_provider;
extern const struct midge_tls_provider midge_tls_openssl; /* 3.x: servers */
extern const struct midge_tls_provider midge_tls_mbedtls; /* 2.28 to 4.x: chips */

#ifdef __cplusplus
}
#endif
#endif
