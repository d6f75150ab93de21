/* password.c - hashes of passwords: read, verified, made, with OpenSSL and, where it is there, libargon2. */
#include "password.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef MIDGE_HAS_ARGON2
#include <argon2.h>
#define HAS_ARGON2 1
#else
#define HAS_ARGON2 0
#define argon2id_verify(hash, password, len) (-1)
#define argon2id_hash_encoded(t, m, p, password, len, salt, salt_len, hash_len, out, out_len) (-1)
#endif

#define HASH_BYTES 64u
#define SALT_MAX_BYTES 64u
#define DEFAULT_ROUNDS 210000u
#define NEW_SALT_BYTES 16u
#define ARGON2_KIB 19456u /* OWASP's: 19 MiB, two passes, one lane */
#define ARGON2_PASSES 2u

/* $6$ and $7$ taken apart. */
struct parts {
    uint32_t rounds; /* 0: SHA-512 */
    uint8_t salt[SALT_MAX_BYTES];
    size_t salt_len;
    uint8_t hash[HASH_BYTES];
};

/* Base64 with padding, from *at up to `end`; *at is then behind that. 0: it is not. */
static size_t decode(const char **at, char end, uint8_t *out, size_t size)
{
    uint8_t room[136]; /* EVP_DecodeBlock counts the padding as bytes */
    const char *stop = strchr(*at, end);
    size_t n = stop ? (size_t)(stop - *at) : 0;
    if (n == 0 || n % 4 || n / 4 * 3 > sizeof room)
        return 0;
    int got = EVP_DecodeBlock(room, (const unsigned char *)*at, (int)n);
    size_t len = got < 0 ? 0 : (size_t)got - (stop[-1] == '=') - (stop[-2] == '=');
    if (len == 0 || len > size)
        return 0;
    memcpy(out, room, len);
    *at = stop + (end != '\0');
    return len;
}

static bool take_rounds(const char **at, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(*at, &end, 10);
    if (**at < '1' || **at > '9' || errno || n > MIDGE_PASSWORD_ROUNDS_MAX || *end != '$')
        return false;
    *out = (uint32_t)n;
    *at = end + 1;
    return true;
}

/* NULL: taken apart. Else what is wrong. */
static const char *take_apart(const char *hash, struct parts *p)
{
    *p = (struct parts){ 0 };
    const char *at = hash + 3;
    if (hash[1] == '7' && !take_rounds(&at, &p->rounds))
        return "the number of rounds is not one from 1 to 2000000";
    p->salt_len = decode(&at, '$', p->salt, sizeof p->salt);
    if (!p->salt_len)
        return "the salt is not base64 of 1 to 64 bytes";
    if (decode(&at, '\0', p->hash, sizeof p->hash) != HASH_BYTES)
        return "the hash is not base64 of 64 bytes: it may have been cut off";
    return NULL;
}

static bool is_argon2(const char *hash)
{
    return strncmp(hash, "$argon2id$", 10) == 0;
}

static bool is_ours(const char *hash)
{
    return strncmp(hash, "$6$", 3) == 0 || strncmp(hash, "$7$", 3) == 0;
}

/* How many fields $ begins. */
static unsigned count_fields(const char *hash)
{
    unsigned n = 0;
    for (; *hash; hash++)
        n += *hash == '$';
    return n;
}

const char *midge_password_check(const char *hash)
{
    struct parts p;
    if (is_ours(hash))
        return take_apart(hash, &p);
    if (is_argon2(hash) && !HAS_ARGON2)
        return "this build has no libargon2; make the hash again with 'midge passwd'";
    if (is_argon2(hash))
        return count_fields(hash) == 5 ? NULL : "an argon2id hash has five fields";
    return *hash == '$' ? "a hash of a kind that is not known; make it again with 'midge passwd'"
                        : "the password is not hashed; 'midge passwd -U FILE' hashes those of a whole file";
}

/* ---- verifying ----------------------------------------------------------------------------------------- */

static bool sha512(struct midge_slice password, const struct parts *p, uint8_t out[HASH_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) &&
              EVP_DigestUpdate(ctx, password.data, password.len) &&
              EVP_DigestUpdate(ctx, p->salt, p->salt_len) && EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool pbkdf2(struct midge_slice password, const struct parts *p, uint8_t out[HASH_BYTES])
{
    return PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len, p->salt, (int)p->salt_len,
                             (int)p->rounds, EVP_sha512(), (int)HASH_BYTES, out) == 1;
}

static bool digest(struct midge_slice password, const struct parts *p, uint8_t out[HASH_BYTES])
{
    return p->rounds ? pbkdf2(password, p, out) : sha512(password, p, out);
}

bool midge_password_matches(const char *hash, struct midge_slice password)
{
    struct parts p;
    uint8_t own[HASH_BYTES];
    static const uint8_t nothing[1];
    if (!password.data)
        password = (struct midge_slice){ nothing, 0 };
    if (is_argon2(hash))
        return argon2id_verify(hash, password.data, password.len) == 0;
    return is_ours(hash) && !take_apart(hash, &p) && digest(password, &p, own) &&
           CRYPTO_memcmp(own, p.hash, sizeof own) == 0;
}

/* HMAC-SHA-256 of the password under HMAC-SHA-256 of the hash under the key: of one account's password alone. */
bool midge_password_token(const uint8_t key[MIDGE_PASSWORD_TOKEN_BYTES], const char *hash,
                          struct midge_slice password, uint8_t out[MIDGE_PASSWORD_TOKEN_BYTES])
{
    uint8_t of_account[MIDGE_PASSWORD_TOKEN_BYTES];
    static const uint8_t nothing[1];
    const uint8_t *bytes = password.data ? password.data : nothing;
    return HMAC(EVP_sha256(), key, MIDGE_PASSWORD_TOKEN_BYTES, (const uint8_t *)hash, strlen(hash),
                of_account, NULL) &&
           HMAC(EVP_sha256(), of_account, (int)sizeof of_account, bytes, password.len, out, NULL);
}

/* ---- making -------------------------------------------------------------------------------------------- */

enum midge_password_kind midge_password_best(void)
{
    return HAS_ARGON2 ? MIDGE_PASSWORD_ARGON2ID : MIDGE_PASSWORD_PBKDF2;
}

static bool write_out(const struct parts *p, char out[MIDGE_PASSWORD_HASH_SIZE])
{
    char salt[4 * (SALT_MAX_BYTES / 3 + 1) + 1], hash[4 * (HASH_BYTES / 3 + 1) + 1];
    EVP_EncodeBlock((unsigned char *)salt, p->salt, (int)p->salt_len);
    EVP_EncodeBlock((unsigned char *)hash, p->hash, (int)HASH_BYTES);
    int n = p->rounds ? snprintf(out, MIDGE_PASSWORD_HASH_SIZE, "$7$%u$%s$%s", p->rounds, salt, hash)
                      : snprintf(out, MIDGE_PASSWORD_HASH_SIZE, "$6$%s$%s", salt, hash);
    return n > 0 && n < MIDGE_PASSWORD_HASH_SIZE;
}

bool midge_password_hash(enum midge_password_kind kind, uint32_t rounds, struct midge_slice password,
                         char out[MIDGE_PASSWORD_HASH_SIZE])
{
    struct parts p = { .salt_len = NEW_SALT_BYTES };
    if (RAND_bytes(p.salt, (int)p.salt_len) != 1)
        return false;
    if (kind == MIDGE_PASSWORD_ARGON2ID)
        return argon2id_hash_encoded(ARGON2_PASSES, ARGON2_KIB, 1, password.data, password.len, p.salt,
                                     p.salt_len, 32, out, MIDGE_PASSWORD_HASH_SIZE) == 0;
    if (kind == MIDGE_PASSWORD_PBKDF2)
        p.rounds = rounds ? rounds : DEFAULT_ROUNDS;
    return p.rounds <= MIDGE_PASSWORD_ROUNDS_MAX && digest(password, &p, p.hash) && write_out(&p, out);
}
