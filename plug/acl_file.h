/* acl_file.h - Mosquitto's ACL file: who may read and write which topics.
 *
 *     topic [read|write|readwrite|deny] FILTER     for clients without a user name, or for the `user` above
 *     user NAME
 *     pattern [read|write|readwrite|deny] FILTER   for everybody; %c is the client id, %u the user name
 *
 * As Mosquitto decides: of a user's topics a `deny` that matches wins, then any grant; else of the patterns the same;
 * else no. A file without a line allows nothing.
 */
#ifndef MIDGE_PLUG_ACL_FILE_H
#define MIDGE_PLUG_ACL_FILE_H

#include "midge/midge_hooks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct midge_acl_file;

/* NULL: the file cannot be read, or is wrong; `why` is one line that names it and its line. Held once. */
MIDGE_MUST_USE struct midge_acl_file *midge_acl_file_read(const char *path, char *why, size_t why_size);
/* The last drop frees it; on one thread. NULL is allowed. */
struct midge_acl_file *midge_acl_file_hold(struct midge_acl_file *acl);
void midge_acl_file_drop(struct midge_acl_file *acl);

/* May this client do that? `username`, data NULL: it has none. For MIDGE_ACCESS_SUBSCRIBE: may it read anything of
 * what the filter matches? Each message is asked for at its delivery. An id or name with + # or / in it fills in no
 * pattern that grants; one that denies it fills in as it is. */
bool midge_acl_file_allows(const struct midge_acl_file *acl, struct midge_slice client_id,
                           struct midge_slice username, enum midge_access what, struct midge_slice topic);

#ifdef __cplusplus
}
#endif
#endif
