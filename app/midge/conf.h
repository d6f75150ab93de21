/* conf.h - the configuration: the keys of mosquitto.conf as values, and the table that knows them all.
 *
 *     struct conf *c = conf_read("/etc/midge/midge.conf", why, sizeof why);     NULL: why is one line
 *     ... c->listeners, c->max_keepalive ...
 *     conf_free(c);
 */
#ifndef MIDGE_APP_CONF_H
#define MIDGE_APP_CONF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_UNSET INT64_MIN /* a number that the file does not give */
#define CONF_STAMP_SIZE 64   /* room for log_timestamp_format */

/* ---- values -------------------------------------------------------------------------------------------- */

/* Text that remembers where it stood, for what turns out to be wrong with it later. */
struct conf_text {
    const char *text; /* NULL = not given */
    const char *file;
    unsigned line;
};

/* Texts of keys that may be repeated. */
struct conf_list {
    const char **items;
    size_t count;
};

enum conf_choice { CONF_NO, CONF_YES, CONF_NOT_SAID };

/* Who is let in and what they may do: for all listeners, or for each with per_listener_settings. */
struct conf_auth {
    uint8_t allow_anonymous; /* enum conf_choice */
    bool allow_zero_length_clientid;
    struct conf_text password_file, acl_file, psk_file, auto_id_prefix;
};

enum conf_protocol { CONF_MQTT, CONF_WEBSOCKETS, CONF_ANY };
enum conf_family { CONF_BOTH, CONF_IPV4, CONF_IPV6 };
enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

struct conf_listener {
    struct conf_listener *next;
    const char *file; /* where it stands; NULL = on the command line, or nowhere */
    unsigned line;
    uint16_t port;    /* 0 with unix_path */
    const char *host; /* NULL = every address */
    const char *unix_path;
    bool loopback; /* 127.0.0.1 and ::1, in place of host */
    struct conf_auth auth;
    bool touched; /* the default listener: a key that is of listeners stood before the first `listener` */
    struct conf_text touched_by;

    int64_t max_connections, max_qos, max_topic_alias, max_topic_alias_broker, proxy;
    uint8_t protocol, socket_domain, tls_version, versions; /* versions: bits 3, 4, 5; 0 = all */
    bool use_username_as_clientid, use_identity_as_username, use_subject_as_username, require_certificate;
    struct conf_text bind_interface;
    struct conf_text cafile, capath, certfile, keyfile, crlfile, ciphers, ciphers_13, psk_hint;
    struct conf_list origins;
};

struct midge_bridge_map;

/* A `connection` and the keys below it. */
struct conf_bridge {
    struct conf_bridge *next;
    const char *file;
    unsigned line;
    const char *name;
    const char *text; /* all its lines: two bridges with the same text are the same */
    struct conf_list addresses;
    struct midge_bridge_map *maps;
    size_t map_count;
    uint8_t version; /* place in "mqttv31 mqttv311 mqttv50" */
    uint8_t start, transport, tls_version;
    uint8_t policy;      /* enum midge_queue_policy, of topics that follow */
    bool topic_retain;   /* the same */
    uint8_t local_clean; /* enum conf_choice */
    bool clean_session, try_private, round_robin, notifications, notify_local_only, unsubscribe,
        outgoing_retain;
    bool split_horizon, insecure, unused_flag;
    int64_t keepalive_s, idle_s, threshold, restart_s, restart_cap_s, packet_bytes, inflight,
        session_expiry_s;
    int64_t queue_bytes, queue_msgs, replay_per_s, unused_number;
    struct conf_text client_id, local_client_id, username, password, notify_topic, bind_address, ws_path;
    struct conf_text cafile, capath, certfile, keyfile, alpn, psk, identity, ciphers, ciphers_13, unused_text;
};

/* Bits of log_type, and of what -v shows. */
enum conf_log_type {
    CONF_LOG_ERROR = 1,
    CONF_LOG_WARNING = 2,
    CONF_LOG_NOTICE = 4,
    CONF_LOG_INFORMATION = 8,
    CONF_LOG_SUBSCRIBE = 16,
    CONF_LOG_UNSUBSCRIBE = 32,
    CONF_LOG_DEBUG = 64,
    CONF_LOG_ALL = 127
};

/* Bits of log_dest. */
enum conf_log_dest {
    CONF_LOG_STDERR = 1,
    CONF_LOG_STDOUT = 2,
    CONF_LOG_SYSLOG = 4,
    CONF_LOG_TOPIC = 8,
    CONF_LOG_FILE = 16,
    CONF_LOG_NOWHERE = 32
};

enum conf_queue_policy { CONF_DROP_NEW, CONF_DROP_OLD, CONF_END_SESSION, CONF_REFUSE };

struct conf {
    struct conf_block *blocks; /* all memory below */
    const char *file;          /* NULL = there is none: only what the command line says */
    unsigned holders;          /* besides the one who has read it */
    struct conf_listener *listeners;
    struct conf_bridge *bridges;
    struct conf_listener
        fallback;          /* the default listener: used with port or bind_address, or without `listener` */
    struct conf_auth auth; /* without per_listener_settings */
    bool loopback_only;    /* no listener, port or bind_address was given */
    bool per_listener_settings;
    struct conf_text
        auth_by; /* the first key of accounts or listeners, which comes too early for the above */

    int64_t port;
    struct conf_text bind_address;

    int64_t max_inflight_messages, max_inflight_bytes, max_queued_messages, max_queued_bytes, max_packet_size;
    int64_t max_keepalive, memory_limit, message_size_limit, sys_interval, global_max_connections;
    int64_t global_max_clients, connections_per_address, session_expiry_s, log_facility, autosave_s,
        admin_port;
    bool queue_qos0_messages, retain_available, set_tcp_nodelay, persistence;
    uint8_t queue_policy, durability;
    struct conf_list clientid_prefixes;
    struct conf_text pid_file, user, persistence_location, persistence_file, control_socket, admin_address;

    uint8_t log_dest, log_types; /* 0 = not given; then stderr, and error to information */
    bool log_none;               /* log_type none */
    bool connection_messages, log_timestamp;
    struct conf_text log_file, log_timestamp_format;

    int64_t unused_number; /* values of keys that change nothing here */
    bool unused_flag;
};

/* ---- reading ------------------------------------------------------------------------------------------- */

/* NULL: `why` is one line, "FILE:LINE: KEY: what is wrong; what would be right". `file` NULL: the defaults. */
struct conf *conf_read(const char *file, char *why, size_t why_size);
void conf_free(struct conf *c); /* once for each conf_hold, and once more */
struct conf *conf_hold(struct conf *c);

/* The account settings that hold for a listener of `c`. */
const struct conf_auth *conf_auth_of(const struct conf *c, const struct conf_listener *l);
/* Is somebody who gives no user name let in? */
bool conf_anonymous(const struct conf *c, const struct conf_listener *l);
/* Two listeners at one place. */
bool conf_same_place(const struct conf_listener *a, const struct conf_listener *b);
/* Another listener, from the command line; host NULL: loopback, and only if no other has this port. False: no
 * memory. */
bool conf_add_listener(struct conf *c, const char *host, uint16_t port);
/* What is only there without a listener gives way to those of the command line. */
void conf_drop_fallback(struct conf *c);
/* Says of each key whose value differs, and that SIGHUP does not change, that it waits for the next start. */
void conf_say_unchanged(const struct conf *old, const struct conf *now,
                        void (*say)(void *user, const char *key), void *user);

/* ---- the table of keys --------------------------------------------------------------------------------- */

enum conf_scope { CONF_GLOBAL, CONF_LISTENER, CONF_AUTH, CONF_BRIDGE };

enum conf_standing {
    CONF_SERVED,
    CONF_SAME,   /* taken, and changes nothing: the broker does so, or better, anyway */
    CONF_REFUSED /* refused, with what to do instead */
};

/* What a build may lack; a key that needs it is then refused. */
enum conf_part { CONF_CORE, CONF_CRYPTO, CONF_TLS, CONF_STORE };
bool conf_has(enum conf_part part);
const char *conf_part_name(enum conf_part part);

enum conf_type {
    CONF_FLAG,   /* true, false, 1, 0 */
    CONF_NUMBER, /* min..max, `words` is its unit */
    CONF_WORD,   /* one of `words`: its place among them */
    CONF_TEXT,   /* the rest of the line */
    CONF_PATH,   /* the same */
    CONF_FILE,   /* the same: a file that can be read */
    CONF_FOLDER, /* the same: a folder that can be read */
    CONF_TEXTS,  /* text, and the key may be repeated */
    CONF_SPAN,   /* a duration such as 14d */
    CONF_SPECIAL /* `set` reads it */
};

struct conf_reader;

struct conf_key {
    const char *name;
    uint8_t scope, type, standing, part;
    bool reload; /* SIGHUP changes it */
    uint16_t at; /* where its value is, in struct conf, conf_listener or conf_auth */
    int64_t min, max;
    const char
        *words; /* CONF_WORD: the words; CONF_NUMBER: the unit; else how the value looks in the manual */
    const char *unset; /* what holds without it */
    bool (*set)(struct conf_reader *r, char *value);
    const char *help; /* what it does; refused: what to do instead; a value out of min..max: the same */
};

/* Those of bridges have a table of their own. */
extern const struct conf_key conf_keys[], conf_bridge_keys[];
extern const size_t conf_key_count, conf_bridge_key_count;

/* All of both, one by one; NULL: there are not so many. */
const struct conf_key *conf_key_at(size_t i);

/* NULL: no such key. A name that ends in "*" stands for all that begin like it. */
const struct conf_key *conf_key_find(const char *name);
/* The key that was probably meant; NULL: nothing comes close. */
const struct conf_key *conf_key_nearest(const char *name);
/* A line a key, fields divided by tabs: what the manual and docs/COMING_FROM_MOSQUITTO.md are made from. */
void conf_keys_print(FILE *out);

/* ---- between the files of the reader ------------------------------------------------------------------- */

struct conf_reader {
    struct conf *conf;
    struct conf_listener *listener; /* whose block it is; the default listener before the first */
    struct conf_bridge *bridge;     /* whose block it is; NULL before the first `connection` */
    const char *file;
    unsigned line;
    const struct conf_key *key; /* NULL = none yet */
    bool included;              /* by include_dir */
    char *why;
    size_t why_size;
};

/* Memory that lives as long as the configuration; zeroed. NULL: none. */
void *conf_alloc(struct conf *c, size_t n);
char *conf_copy(struct conf *c, const char *text);

/* Says what is wrong here, with the file, the line and the key in front. Always false. */
__attribute__((format(printf, 2, 3))) bool conf_fail(struct conf_reader *r, const char *format, ...);

/* Sets the key's value from the text behind it. */
bool conf_set(struct conf_reader *r, char *value);
/* The next word of *at, or NULL; a word that begins with # ends the line. */
char *conf_word(char **at);
/* False, and said: there is more in *at than there should be. */
bool conf_end(struct conf_reader *r, char **at);
bool conf_number(struct conf_reader *r, const char *word, int64_t min, int64_t max, int64_t *out);
bool conf_text_set(struct conf_reader *r, struct conf_text *t, const char *value);
bool conf_list_add(struct conf_reader *r, struct conf_list *list, const char *value);
bool conf_read_file(struct conf_reader *r, const char *file);
/* Of the keys of these names, as struct conf_key has them. */
bool conf_set_include_dir(struct conf_reader *r, char *value);
bool conf_set_listener(struct conf_reader *r, char *value);
void conf_unset_numbers(void *base,
                        enum conf_scope scope); /* those that nobody gives are told from those given */
bool conf_fail_at(struct conf_reader *r, const struct conf_text *t, const char *key, const char *what);

/* conf_bridge.c: there is a `connection` above this line, which is noted. */
bool conf_bridge_note(struct conf_reader *r, const char *value);
bool conf_bridges_check(struct conf_reader *r);

#endif
