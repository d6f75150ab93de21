/* login_file.h - Mosquitto's password file: lines of NAME:HASH.
 *
 * It is read as a whole or refused as a whole. What was read does not change; whoever needs it for longer holds it. */
#ifndef MIDGE_PLUG_LOGIN_FILE_H
#define MIDGE_PLUG_LOGIN_FILE_H

#include "midge/midge_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_login_file;

/* NULL: the file cannot be read, or a line is wrong; `why` is one line that names it. Held once. */
MIDGE_MUST_USE struct midge_login_file *midge_login_file_read(const char *path, char *why, size_t why_size);
/* The last drop frees it; from any thread. NULL is allowed. */
struct midge_login_file *midge_login_file_hold(struct midge_login_file *f);
void midge_login_file_drop(struct midge_login_file *f);

/* The user's hash for midge_password_matches, lent until the drop; NULL: there is no such user. Then the hash of
 * midge_login_file_decoy is worth the same time, so that nobody learns who has an account. */
const char *midge_login_file_find(const struct midge_login_file *f, struct midge_slice username);
const char *midge_login_file_decoy(const struct midge_login_file *f);

#ifdef __cplusplus
}
#endif
#endif
