/* login_worker.h - passwords verified on a thread of their own, so that hashing stalls nobody.
 *
 * A password that was right is known again by a keyed digest, without hashing: after a power failure everybody comes
 * back at once. Another hash in the file is another account.
 *
 * Failed logins slow down the address they come from: the first few are free, then each has to wait for the one before
 * it, twice as long each time. Everything but the hashing happens on the loop's thread. */
#ifndef MIDGE_PLUG_LOGIN_WORKER_H
#define MIDGE_PLUG_LOGIN_WORKER_H

#include "login_file.h"
#include "midge/midge_posix.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_login_worker;

/* NULL: no memory, no thread, no entropy. */
MIDGE_MUST_USE struct midge_login_worker *midge_login_worker_new(struct midge_loop *loop);
/* Before the loop is freed, and when it no longer runs. NULL is allowed. */
void midge_login_worker_free(struct midge_login_worker *w);

/* Does `in` give the password that `file` has for its user? MIDGE_LATER: the answer comes by midge_login_done: `yes`,
 * of which the client id is copied, or a refusal; holds `file` until then. MIDGE_ALLOW: who is known. MIDGE_DENY, and
 * *reason: too many wait, in all or from this address, which is text of midge_peer_text. */
enum midge_answer midge_login_worker_ask(struct midge_login_worker *w, const struct midge_login *in,
                                         struct midge_login_file *file, const char *address,
                                         const struct midge_login_answer *yes, uint8_t *reason);

/* From hooks.lost: nobody waits for this answer any more. */
void midge_login_worker_lost(struct midge_login_worker *w, const struct midge_conn *conn);

/* Failed logins so far. */
uint64_t midge_login_worker_failures(const struct midge_login_worker *w);

#ifdef __cplusplus
}
#endif
#endif
