/* doors.h - the listeners as they are open, each with its accounts, rights and limits. */
#ifndef MIDGE_APP_DOORS_H
#define MIDGE_APP_DOORS_H

#include "conf.h"
#include "midge/midge_posix.h"

struct midge_acl_file;
struct midge_login_file;
struct midge_login_worker;

/* Who is let in through a listener, and what they may do. */
struct rules {
    struct midge_login_file *logins; /* holds; NULL = no password_file */
    struct midge_acl_file *acl;      /* holds; NULL = no acl_file: everything is allowed */
    bool anonymous, zero_length_id, username_is_id, identity_is_username;
    uint8_t versions; /* bits 3, 4, 5; 0 = all */
    char *prefix;     /* owns; NULL = the broker's own */
    struct midge_limits limits;
};

/* Behind midge_peer_listener_user. Lives as long as the loop: connections outlive their listener. */
struct door {
    struct door *next;
    struct midge_listener *listener;  /* NULL: closed */
    const struct conf_listener *conf; /* of the configuration in force; NULL: closed */
    struct rules rules;
};

struct doors {
    struct midge_loop *loop;
    struct door *all;
    const struct conf *conf;           /* in force; borrows */
    struct midge_login_worker *worker; /* made when passwords are first asked for */
    int sockets, socket_count;         /* handed over by the service manager: first descriptor, how many */
};

/* The core's limits by the configuration; `descriptors`: connections that the system has descriptors for. */
void doors_limits(const struct conf *c, uint32_t descriptors, struct midge_limits *out);

/* Opens, changes and closes listeners as `c` says. False, and `why` is one line: everything is as before. From then
 * on c is in force; it must live until the next one is. `limits` as doors_limits makes them. */
bool doors_set(struct doors *d, const struct conf *c, const struct midge_limits *limits, char *why,
               size_t why_size);
/* Does any door have rights that restrict, or limits of its own? */
bool doors_restrict(const struct doors *d);
bool doors_differ(const struct doors *d, const struct midge_limits *limits);
/* Would that do, as far as one can tell without opening anything? `loop` serves nobody. */
bool doors_check(struct midge_loop *loop, const struct conf *c, char *why, size_t why_size);
/* Before the loop is freed. */
void doors_end(struct doors *d);
/* After it. */
void doors_free(struct doors *d);

/* ---- hooks.c: the broker's questions; `user` is struct doors -------------------------------------------- */

void doors_login(struct doors *d, const struct midge_login *in, struct midge_login_answer *out);
bool doors_allow(const struct midge_who *who, enum midge_access what, struct midge_slice topic);
void doors_lost(struct doors *d, const struct midge_conn *conn);
const struct midge_limits *doors_peer_limits(void *peer);

#endif
