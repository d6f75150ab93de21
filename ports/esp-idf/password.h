/* password.h - PBKDF2 by whichever mbedTLS there is. */
#ifndef MIDGE_ESP_PASSWORD_H
#define MIDGE_ESP_PASSWORD_H

#include "midge/midge_types.h"

#define MIDGE_SALT 16u
#define MIDGE_DIGEST 32u

/* SHA-256, `rounds` >= 1. False: no memory, or this mbedTLS is built without it. */
bool midge_password_digest(struct midge_slice password, const uint8_t salt[MIDGE_SALT], uint32_t rounds,
                           uint8_t out[MIDGE_DIGEST]);

#endif
