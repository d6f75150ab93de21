/* password.h - hashes of passwords, as Mosquitto's password file has them.
 *
 *     $6$SALT$HASH              SHA-512 of password and salt: read, not written any more
 *     $7$ROUNDS$SALT$HASH       PBKDF2 with SHA-512
 *     $argon2id$v=19$m=..,t=..,p=..$SALT$HASH
 *
 * Salt and hash are base64, the first two with padding. */
#ifndef MIDGE_PLUG_PASSWORD_H
#define MIDGE_PLUG_PASSWORD_H

#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MIDGE_PASSWORD_HASH_SIZE 256       /* room for any hash that is written */
#define MIDGE_PASSWORD_ROUNDS_MAX 2000000u /* a login that takes seconds helps nobody */

enum midge_password_kind { MIDGE_PASSWORD_ARGON2ID, MIDGE_PASSWORD_PBKDF2, MIDGE_PASSWORD_SHA512 };

/* NULL: it is well formed, and this build can verify it. Else what is wrong. */
const char *midge_password_check(const char *hash);

/* Takes as long as the hash says: milliseconds to a second. */
bool midge_password_matches(const char *hash, struct midge_slice password);

/* What stands for a password that matched this hash, for as long as `key` is kept secret: quick to make, so that who
 * comes back is known without hashing again. False: no memory. */
#define MIDGE_PASSWORD_TOKEN_BYTES 32
MIDGE_MUST_USE bool midge_password_token(const uint8_t key[MIDGE_PASSWORD_TOKEN_BYTES], const char *hash,
                                         struct midge_slice password,
                                         uint8_t out[MIDGE_PASSWORD_TOKEN_BYTES]);

/* The best kind of this build. */
enum midge_password_kind midge_password_best(void);

/* rounds: of PBKDF2, 0 = 210,000. False: no entropy, no memory, or not in this build. */
MIDGE_MUST_USE bool midge_password_hash(enum midge_password_kind kind, uint32_t rounds,
                                        struct midge_slice password, char out[MIDGE_PASSWORD_HASH_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
