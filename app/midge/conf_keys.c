/* conf_keys.c - one row a key: what it is called, where it stands, what it takes, what it does.
 *
 * The manual, docs/COMING_FROM_MOSQUITTO.md, `midge --keys` and every check of a value come from these rows.
 */
#include "conf.h"

#include "near.h"

#include <string.h>

#ifndef MIDGE_HAS_OPENSSL
#define MIDGE_HAS_OPENSSL 0
#endif
#ifndef MIDGE_HAS_SQLITE
#define MIDGE_HAS_SQLITE 0
#endif

/* ---- what this build has ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool here;
} parts[] = {
    [CONF_CORE] = { "", true },
    [CONF_CRYPTO] = { "OpenSSL", MIDGE_HAS_OPENSSL },
    [CONF_TLS] = { "TLS", MIDGE_HAS_OPENSSL },
    [CONF_STORE] = { "SQLite", MIDGE_HAS_SQLITE },
};

bool conf_has(enum conf_part part)
{
    return parts[part].here;
}

const char *conf_part_name(enum conf_part part)
{
    return parts[part].name;
}

/* ---- keys that are not like the others ------------------------------------------------------------------ */

static bool set_flag_of(struct conf_reader *r, char *value, bool *out)
{
    const char *word = conf_word(&value);
    bool yes = word && (strcmp(word, "true") == 0 || strcmp(word, "1") == 0);
    bool no = word && (strcmp(word, "false") == 0 || strcmp(word, "0") == 0);
    if (!yes && !no)
        return conf_fail(r, "'%.64s' is neither true nor false", word ? word : "");
    *out = yes;
    return conf_end(r, &value);
}

static bool set_anonymous(struct conf_reader *r, char *value)
{
    struct conf *c = r->conf;
    struct conf_auth *a = c->per_listener_settings ? &r->listener->auth : &c->auth;
    bool yes = false;
    if (!set_flag_of(r, value, &yes))
        return false;
    a->allow_anonymous = yes ? CONF_YES : CONF_NO;
    return true;
}

static bool own_listener(struct conf_reader *r)
{
    return r->listener != &r->conf->fallback || conf_fail(r, "belongs below a 'listener' line");
}

static bool set_own_anonymous(struct conf_reader *r, char *value)
{
    bool yes = false;
    if (!own_listener(r) || !set_flag_of(r, value, &yes))
        return false;
    r->listener->auth.allow_anonymous = yes ? CONF_YES : CONF_NO;
    return true;
}

static bool set_own_prefix(struct conf_reader *r, char *value)
{
    return own_listener(r) && conf_text_set(r, &r->listener->auth.auto_id_prefix, value);
}

static bool set_per_listener(struct conf_reader *r, char *value)
{
    struct conf *c = r->conf;
    if (c->listeners)
        return conf_fail(r, "comes too late: put it before the first 'listener' (%s line %u)",
                         c->listeners->file, c->listeners->line);
    if (c->auth_by.text)
        return conf_fail(r, "comes too late: put it before %s (%s line %u)", c->auth_by.text, c->auth_by.file,
                         c->auth_by.line);
    return set_flag_of(r, value, &c->per_listener_settings);
}

static bool set_log_dest(struct conf_reader *r, char *value)
{
    static const char *const names[] = { "stderr", "stdout", "syslog", "topic", "file", "none" };
    const char *word = conf_word(&value);
    for (unsigned i = 0; word && i < sizeof names / sizeof *names; i++) {
        if (strcmp(word, names[i]) != 0)
            continue;
        r->conf->log_dest |= (uint8_t)(1u << i);
        if (1u << i != CONF_LOG_FILE)
            return conf_end(r, &value);
        value += strspn(value, " \t");
        return *value ? conf_text_set(r, &r->conf->log_file, value)
                      : conf_fail(r, "the file is missing: log_dest file PATH");
    }
    return conf_fail(r, "'%.64s' is none of: stderr stdout syslog topic file none", word ? word : "");
}

static bool set_log_type(struct conf_reader *r, char *value)
{
    static const struct {
        const char *name;
        uint8_t types;
    } rows[] = {
        { "error", CONF_LOG_ERROR },
        { "warning", CONF_LOG_WARNING },
        { "notice", CONF_LOG_NOTICE },
        { "information", CONF_LOG_INFORMATION },
        { "subscribe", CONF_LOG_SUBSCRIBE },
        { "unsubscribe", CONF_LOG_UNSUBSCRIBE },
        { "debug", CONF_LOG_DEBUG },
        { "all", CONF_LOG_ALL },
        { "websockets", 0 },
        { "internal", 0 }, /* in Midge's log they are no kinds of their own */
        { "none", 0 },
    };
    const char *word = conf_word(&value);
    for (size_t i = 0; word && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(word, rows[i].name) == 0) {
            r->conf->log_types |= rows[i].types;
            r->conf->log_none |= strcmp(word, "none") == 0;
            return conf_end(r, &value);
        }
    return conf_fail(
        r, "'%.64s' is none of: error warning notice information subscribe unsubscribe debug all none",
        word ? word : "");
}

/* "3, 4, 5": levels of the protocol in CONNECT. */
static bool set_versions(struct conf_reader *r, char *value)
{
    if (!own_listener(r))
        return false;
    uint8_t bits = 0;
    for (const char *p = value; *p; p++) {
        if (*p >= '3' && *p <= '5' && (!p[1] || strchr(", \t", p[1])))
            bits |= (uint8_t)(1u << (*p - '0'));
        else if (!strchr(", \t", *p))
            return conf_fail(r, "'%.64s' is no list of 3, 4, 5 with commas between them", value);
    }
    r->listener->versions = bits;
    return bits || conf_fail(r, "names no version: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0");
}

static bool set_memory(struct conf_reader *r, char *value)
{
    const char *word = conf_word(&value);
    int64_t *out = &r->conf->memory_limit;
    if (!word || !conf_number(r, word, 0, INT64_MAX, out) || !conf_end(r, &value))
        return false;
    return !*out || *out >= 1 << 20 ||
           conf_fail(r, "%s is too little to serve anybody; give 1048576 or more", word);
}

static bool set_admin(struct conf_reader *r, char *value)
{
    const char *word = conf_word(&value);
    if (!word || !conf_number(r, word, 0, UINT16_MAX, &r->conf->admin_port))
        return false;
    const char *address = conf_word(&value);
    return conf_end(r, &value) && (!address || conf_text_set(r, &r->conf->admin_address, address));
}

static bool set_stamp(struct conf_reader *r, char *value)
{
    if (strlen(value) >= CONF_STAMP_SIZE)
        return conf_fail(r, "is longer than %d bytes", CONF_STAMP_SIZE - 1);
    return conf_text_set(r, &r->conf->log_timestamp_format, value);
}

static bool set_origin(struct conf_reader *r, char *value)
{
    return own_listener(r) && conf_list_add(r, &r->listener->origins, value);
}

/* ---- the rows ------------------------------------------------------------------------------------------- */

#define GLOBAL(field) .scope = CONF_GLOBAL, .at = offsetof(struct conf, field)
#define LISTENER(field) .scope = CONF_LISTENER, .at = offsetof(struct conf_listener, field)
#define AUTH(field) .scope = CONF_AUTH, .at = offsetof(struct conf_auth, field)
#define FLAG .type = CONF_FLAG, .max = 1, .words = "true|false"
#define ONLY(yes) .type = CONF_FLAG, .min = (yes), .max = (yes), .words = (yes) ? "true" : "false"
#define NUMBER(least, most, unit) .type = CONF_NUMBER, .min = (least), .max = (most), .words = (unit)
#define WORD(list) .type = CONF_WORD, .words = (list)
#define TEXT(look) .type = CONF_TEXT, .words = (look)
#define SET(function, look) .type = CONF_SPECIAL, .set = (function), .words = (look)
#define RELOAD .reload = true
#define REFUSED .standing = CONF_REFUSED, .words = "", .unset = ""
#define PLUGIN "Midge loads no plugins; password_file and acl_file say who may do what"

const struct conf_key conf_keys[] = {
    /* files */
    { "include_dir", GLOBAL(unused_flag), SET(conf_set_include_dir, "FOLDER"), RELOAD, .unset = "",
      .help = "read each file of this folder that ends in .conf here, in the order of their names" },
    { "pid_file", GLOBAL(pid_file), .type = CONF_PATH, .words = "FILE", .unset = "none",
      .help = "write the process id into this file, once the broker listens" },
    { "user", GLOBAL(user), TEXT("NAME"), .unset = "midge, mosquitto or nobody",
      .help = "started as root, go on as this user and its groups; root keeps root, which is not wise" },

    /* listeners */
    { "listener", .scope = CONF_GLOBAL, SET(conf_set_listener, "PORT [ADDRESS]"), RELOAD,
      .unset = "1883 on loopback",
      .help = "listen on this port, of this address or host name only if one is given; a port of 0 and a "
              "path is a "
              "Unix socket; the keys below it, up to the next 'listener', are this listener's" },
    { "port", GLOBAL(port), NUMBER(1, 65535, "PORT"), .unset = "1883",
      .help = "the port of the default listener; 'listener' is better" },
    { "bind_address", GLOBAL(bind_address), TEXT("ADDRESS"), .unset = "every address",
      .help = "the address of the default listener; 'listener' is better" },
    { "bind_interface", LISTENER(bind_interface), TEXT("DEVICE"), .unset = "any",
      .help = "accept connections from this network interface only" },
    { "socket_domain", LISTENER(socket_domain), WORD("both ipv4 ipv6"), .unset = "both",
      .help = "listen on one family of addresses only" },
    { "max_connections", LISTENER(max_connections), NUMBER(-1, INT32_MAX, "COUNT"), RELOAD,
      .unset = "-1: no limit", .help = "connections of this listener at once" },
    { "max_qos", LISTENER(max_qos), NUMBER(0, 2, "QOS"), RELOAD, .unset = "2",
      .help = "the highest QoS of this listener; 5.0 clients are told, a client that publishes above it is "
              "disconnected" },
    { "maximum_qos", LISTENER(max_qos), NUMBER(0, 2, "QOS"), RELOAD, .unset = "2",
      .help = "the same as max_qos" },
    { "max_topic_alias", LISTENER(max_topic_alias), NUMBER(0, 65535, "COUNT"), RELOAD, .unset = "64",
      .help = "topic aliases that a 5.0 client may use" },
    { "max_topic_alias_broker", LISTENER(max_topic_alias_broker), NUMBER(0, 65535, "COUNT"), RELOAD,
      .unset = "16", .help = "topic aliases used towards a 5.0 client that allows as many" },
    { "protocol", LISTENER(protocol), WORD("mqtt websockets any"), .unset = "mqtt",
      .help = "what this listener speaks; any: told apart by the first bytes" },
    { "accept_protocol_versions", LISTENER(versions), SET(set_versions, "3,4,5"), RELOAD, .unset = "3,4,5",
      .help = "versions of MQTT that this listener serves: 3 is 3.1, 4 is 3.1.1, 5 is 5.0" },
    { "use_username_as_clientid", LISTENER(use_username_as_clientid), FLAG, RELOAD, .unset = "false",
      .help = "the client id is the user name, whatever CONNECT says; who has none is refused" },
    { "enable_proxy_protocol", LISTENER(proxy), NUMBER(1, 2, "VERSION"), .unset = "off",
      .help = "connections come through a proxy that tells the client's address in a PROXY header; both "
              "versions of "
              "it are understood" },
    { "websockets_origin", LISTENER(origins), SET(set_origin, "ORIGIN"), RELOAD, .unset = "any",
      .help = "web pages of this origin may connect, and no others; may be repeated" },

    /* TLS */
    { "certfile", LISTENER(certfile), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_TLS,
      .unset = "no TLS",
      .help = "the server's certificate and those that lead to its CA, PEM; with keyfile it makes TLS" },
    { "keyfile", LISTENER(keyfile), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_TLS,
      .unset = "no TLS", .help = "the server's private key, PEM" },
    { "cafile", LISTENER(cafile), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_TLS,
      .unset = "none", .help = "CAs whose client certificates are good, PEM" },
    { "capath", LISTENER(capath), .type = CONF_FOLDER, .words = "FOLDER", RELOAD, .part = CONF_TLS,
      .unset = "none", .help = "a folder of such CAs, prepared by 'openssl rehash'" },
    { "crlfile", LISTENER(crlfile), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_TLS,
      .unset = "none", .help = "revoked client certificates, PEM" },
    { "require_certificate", LISTENER(require_certificate), FLAG, RELOAD, .part = CONF_TLS, .unset = "false",
      .help = "clients without a good certificate are refused" },
    { "use_identity_as_username", LISTENER(use_identity_as_username), FLAG, RELOAD, .part = CONF_TLS,
      .unset = "false", .help = "the certificate's common name, or the PSK identity, is the user name" },
    { "use_subject_as_username", LISTENER(use_subject_as_username), FLAG, RELOAD, .part = CONF_TLS,
      .unset = "false", .help = "the certificate's whole subject is the user name" },
    { "tls_version", LISTENER(tls_version), WORD("tlsv1.2 tlsv1.3"), RELOAD, .part = CONF_TLS,
      .unset = "tlsv1.2", .help = "the oldest version of TLS that is served" },
    { "ciphers", LISTENER(ciphers), TEXT("LIST"), RELOAD, .part = CONF_TLS, .unset = "forward secret AEAD",
      .help = "ciphers of TLS 1.2, as OpenSSL writes them" },
    { "ciphers_tls1.3", LISTENER(ciphers_13), TEXT("LIST"), RELOAD, .part = CONF_TLS, .unset = "OpenSSL's",
      .help = "cipher suites of TLS 1.3" },
    { "psk_hint", LISTENER(psk_hint), TEXT("HINT"), .part = CONF_TLS, .unset = "no pre-shared keys",
      .help = "pre-shared keys of psk_file are good for this listener; clients are shown the hint" },
    { "psk_file", AUTH(psk_file), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_TLS,
      .unset = "none", .help = "pre-shared keys: lines of identity:key, the key in hexadecimal" },

    /* accounts and rights */
    { "per_listener_settings", GLOBAL(per_listener_settings), SET(set_per_listener, "true|false"), RELOAD,
      .unset = "false", .help = "accounts and rights are each listener's own; stands before all of them" },
    { "allow_anonymous", AUTH(allow_anonymous), SET(set_anonymous, "true|false"), RELOAD,
      .unset = "false; true without a listener", .help = "clients without a user name are let in" },
    { "listener_allow_anonymous", .scope = CONF_LISTENER, SET(set_own_anonymous, "true|false"), RELOAD,
      .unset = "as allow_anonymous", .help = "the same for this listener alone" },
    { "password_file", AUTH(password_file), .type = CONF_FILE, .words = "FILE", RELOAD, .part = CONF_CRYPTO,
      .unset = "none: user names are good where allow_anonymous is true",
      .help = "users and their passwords, as 'midge passwd' and mosquitto_passwd write them" },
    { "acl_file", AUTH(acl_file), .type = CONF_FILE, .words = "FILE", RELOAD,
      .unset = "none: everything is allowed",
      .help = "who may read and write which topics: see ACCESS CONTROL" },
    { "allow_zero_length_clientid", AUTH(allow_zero_length_clientid), FLAG, RELOAD, .unset = "true",
      .help = "clients may leave it to the broker to name them" },
    { "auto_id_prefix", AUTH(auto_id_prefix), TEXT("PREFIX"), RELOAD, .unset = "auto-",
      .help = "names that the broker gives begin like this" },
    { "listener_auto_id_prefix", .scope = CONF_LISTENER, SET(set_own_prefix, "PREFIX"), RELOAD,
      .unset = "as auto_id_prefix", .help = "the same for this listener alone" },
    { "clientid_prefixes", GLOBAL(clientid_prefixes), .type = CONF_TEXTS, .words = "PREFIX", RELOAD,
      .unset = "any", .help = "client ids must begin like this; may be repeated, one of them is enough" },

    /* limits */
    { "memory_limit", GLOBAL(memory_limit), SET(set_memory, "BYTES"), RELOAD, .unset = "1 GiB",
      .help = "all memory that clients, sessions and messages may take; 0 is no limit" },
    { "global_max_connections", GLOBAL(global_max_connections), NUMBER(-1, INT32_MAX, "COUNT"), RELOAD,
      .unset = "100000, or what descriptors allow", .help = "connections at once; -1 is the default" },
    { "global_max_clients", GLOBAL(global_max_clients), NUMBER(-1, INT32_MAX, "COUNT"), RELOAD,
      .unset = "200000", .help = "clients that are known, connected or not; -1 is the default" },
    { "max_connections_per_address", GLOBAL(connections_per_address), NUMBER(0, INT32_MAX, "COUNT"), RELOAD,
      .unset = "0: no limit",
      .help = "connections at once from one address (IPv6: one /64); Midge's own key" },
    { "max_inflight_messages", GLOBAL(max_inflight_messages), NUMBER(0, 65535, "COUNT"), RELOAD,
      .unset = "100", .help = "QoS 1 and 2 messages on their way to one client; 0 is 65535" },
    { "max_inflight_bytes", GLOBAL(max_inflight_bytes), NUMBER(0, UINT32_MAX, "BYTES"), RELOAD,
      .unset = "0: no limit", .help = "the same, as bytes; one message may always go" },
    { "max_queued_messages", GLOBAL(max_queued_messages), NUMBER(0, INT32_MAX, "COUNT"), RELOAD,
      .unset = "900",
      .help = "messages that wait for one client, besides those on their way; 0 is no limit" },
    { "max_queued_bytes", GLOBAL(max_queued_bytes), NUMBER(0, UINT32_MAX, "BYTES"), RELOAD, .unset = "64 MiB",
      .help = "the same, as bytes, those on their way included; 0 is no limit" },
    { "queue_policy", GLOBAL(queue_policy), WORD("drop_new drop_old end_session refuse"), RELOAD,
      .unset = "drop_new",
      .help = "what a full queue does: drop the new message or the oldest, end the session, or refuse the "
              "publisher; "
              "Midge's own key" },
    { "queue_qos0_messages", GLOBAL(queue_qos0_messages), FLAG, RELOAD, .unset = "false",
      .help = "QoS 0 messages wait for clients that are away, too" },
    { "max_packet_size", GLOBAL(max_packet_size), NUMBER(20, 268435460, "BYTES"), RELOAD,
      .unset = "268435460", .help = "the largest packet; 5.0 clients are told" },
    { "message_size_limit", GLOBAL(message_size_limit), NUMBER(0, 268435455, "BYTES"), RELOAD,
      .unset = "0: no limit",
      .help =
          "the largest payload; a larger one goes to nobody, QoS 1 and 2 are acknowledged, with 0x83 to 5.0 "
          "clients" },
    { "max_keepalive", GLOBAL(max_keepalive), NUMBER(0, 65535, "SECONDS"), RELOAD, .unset = "0: any",
      .help = "the longest keep alive; 5.0 clients are told" },
    { "persistent_client_expiration", GLOBAL(session_expiry_s), .type = CONF_SPAN, .words = "TIME", RELOAD,
      .unset = "never",
      .help = "sessions of clients that stay away longer end; h, d, w, m, y: 14d is two weeks" },
    { "retain_available", GLOBAL(retain_available), FLAG, RELOAD, .unset = "true",
      .help = "retained messages are served" },

    /* disk */
    { "persistence", GLOBAL(persistence), FLAG, .part = CONF_STORE, .unset = "false",
      .help = "sessions, their messages and retained messages outlive the broker" },
    { "retained_persistence", GLOBAL(persistence), FLAG, .part = CONF_STORE, .unset = "false",
      .help = "the old name of persistence" },
    { "persistence_location", GLOBAL(persistence_location), .type = CONF_FOLDER, .words = "FOLDER",
      .part = CONF_STORE, .unset = "the working directory", .help = "where the store is" },
    { "persistence_file", GLOBAL(persistence_file), TEXT("NAME"), .part = CONF_STORE, .unset = "midge.db",
      .help = "the store's file in that folder" },
    { "durability", GLOBAL(durability), WORD("full relaxed"), .part = CONF_STORE, .unset = "full",
      .help = "full: what is acknowledged is on the disk; relaxed: a crash may lose what came in the last "
              "autosave_interval; Midge's own key" },
    { "autosave_interval", GLOBAL(autosave_s), NUMBER(0, INT32_MAX, "SECONDS"), .unset = "1",
      .help = "with 'durability relaxed', how often the disk is waited for; 0 is 1. Otherwise nothing waits "
              "to be saved" },
    { "autosave_on_changes", GLOBAL(unused_flag), FLAG, .standing = CONF_SAME, RELOAD, .unset = "",
      .help = "everything is on the disk before it is acknowledged" },
    { "retain_expiry_interval", GLOBAL(unused_number), NUMBER(0, INT32_MAX, "MINUTES"), .standing = CONF_SAME,
      RELOAD, .unset = "",
      .help = "retained messages that have expired are removed when it is time, without looking around" },

    /* sockets, protocol */
    { "set_tcp_nodelay", GLOBAL(set_tcp_nodelay), ONLY(1), .standing = CONF_SAME, RELOAD, .unset = "true",
      .help = "small packets leave at once; the broker gathers what it can before it writes" },
    { "sys_interval", GLOBAL(sys_interval), NUMBER(0, 86400, "SECONDS"), .unset = "10",
      .help = "how often the topics below $SYS are renewed; 0: there are none" },
    { "allow_duplicate_messages", GLOBAL(unused_flag), FLAG, .standing = CONF_SAME, RELOAD, .unset = "",
      .help = "a client with overlapping subscriptions gets a message once" },
    { "upgrade_outgoing_qos", GLOBAL(unused_flag), ONLY(0), .standing = CONF_SAME, RELOAD, .unset = "false",
      .help = "the standard forbids it; publish with the QoS that subscribers are to get" },
    { "check_retain_source", GLOBAL(unused_flag), ONLY(0), .standing = CONF_SAME, RELOAD, .unset = "false",
      .help =
          "who published a retained message is not asked again; take the message back with an empty one" },
    { "retry_interval", GLOBAL(unused_number), NUMBER(0, INT32_MAX, "SECONDS"), .standing = CONF_SAME, RELOAD,
      .unset = "", .help = "messages are sent again when a client comes back, as the standard says" },
    { "store_clean_interval", GLOBAL(unused_number), NUMBER(0, INT32_MAX, "SECONDS"), .standing = CONF_SAME,
      RELOAD, .unset = "", .help = "messages are freed with their last reader" },
    { "enable_control_api", GLOBAL(unused_flag), ONLY(0), .standing = CONF_SAME, .unset = "false",
      .help = "there are no $CONTROL topics" },

    /* log */
    { "log_dest", GLOBAL(log_dest), SET(set_log_dest, "stderr|stdout|syslog|topic|file PATH|none"), RELOAD,
      .unset = "stderr",
      .help = "where the log goes; may be repeated; topic: to $SYS/broker/log/E, W, N, I and M/subscribe, "
              "M/unsubscribe; a file is opened anew on SIGHUP" },
    { "log_type", GLOBAL(log_types), SET(set_log_type, "TYPE"), RELOAD,
      .unset = "error warning notice information",
      .help = "what is logged: error warning notice information subscribe unsubscribe debug all none; may be "
              "repeated" },
    { "log_timestamp", GLOBAL(log_timestamp), FLAG, RELOAD, .unset = "true",
      .help = "each line begins with the time" },
    { "log_timestamp_format", GLOBAL(log_timestamp_format), SET(set_stamp, "FORMAT"), RELOAD,
      .unset = "seconds since 1970",
      .help = "how the time looks, as strftime(3) reads it: %Y-%m-%dT%H:%M:%S" },
    { "log_facility", GLOBAL(log_facility), NUMBER(0, 7, "NUMBER"), RELOAD, .unset = "daemon",
      .help = "the facility of syslog is local0 to local7" },
    { "connection_messages", GLOBAL(connection_messages), FLAG, RELOAD, .unset = "true",
      .help = "clients that come and go are logged" },

    /* seeing inside */
    { "control_socket", GLOBAL(control_socket), .type = CONF_PATH, .words = "PATH", .unset = "none",
      .help =
          "a Unix socket for 'midge ctl', which the broker's user and root alone may use; Midge's own key" },
    { "admin_listener", GLOBAL(admin_port), SET(set_admin, "PORT [ADDRESS]"), .unset = "none",
      .help = "HTTP: /metrics for Prometheus, /health; on 127.0.0.1 unless an address is given, * for all; "
              "Midge's own key" },

    /* what Midge does not do */
    { "auth_plugin", .scope = CONF_AUTH, REFUSED, .help = PLUGIN },
    { "auth_plugin_deny_special_chars", .scope = CONF_AUTH, REFUSED, .help = PLUGIN },
    { "auth_opt_*", .scope = CONF_AUTH, REFUSED, .help = PLUGIN },
    { "plugin", .scope = CONF_AUTH, REFUSED, .help = PLUGIN },
    { "global_plugin", .scope = CONF_GLOBAL, REFUSED, .help = PLUGIN },
    { "plugin_load", .scope = CONF_GLOBAL, REFUSED, .help = PLUGIN },
    { "plugin_use", .scope = CONF_LISTENER, REFUSED, .help = PLUGIN },
    { "plugin_opt_*", .scope = CONF_AUTH, REFUSED, .help = PLUGIN },
    { "http_dir", .scope = CONF_LISTENER, REFUSED,
      .help = "Midge serves no web pages; let a web server do it" },
    { "http_api", .scope = CONF_LISTENER, REFUSED, .help = "Midge has no such interface" },
    { "mount_point", .scope = CONF_LISTENER, REFUSED,
      .help = "Midge puts nothing in front of topics; keep clients apart by acl_file: pattern readwrite "
              "PREFIX/%u/#" },
    { "websockets_log_level", .scope = CONF_GLOBAL, REFUSED,
      .help = "leave it out; log_type debug says more" },
    { "websockets_headers_size", .scope = CONF_GLOBAL, REFUSED,
      .help = "leave it out; 4096 bytes are taken" },
    { "packet_buffer_size", .scope = CONF_GLOBAL, REFUSED,
      .help = "leave it out; buffers are as large as they need to be" },
    { "dhparamfile", .scope = CONF_LISTENER, REFUSED,
      .help = "leave it out; key exchange is by elliptic curves" },
    { "tls_engine", .scope = CONF_LISTENER, REFUSED,
      .help = "OpenSSL 3 has no engines; keyfile names a PEM file" },
    { "tls_engine_kpass_sha1", .scope = CONF_LISTENER, REFUSED,
      .help = "OpenSSL 3 has no engines; keyfile names a PEM file" },
    { "tls_keyform", .scope = CONF_LISTENER, REFUSED, .help = "leave it out; keyfile names a PEM file" },
    { "disable_client_cert_date_checks", .scope = CONF_LISTENER, REFUSED,
      .help = "certificates that have expired are not good; renew them" },
    { "proxy_protocol_v2_require_tls", .scope = CONF_LISTENER, REFUSED,
      .help = "let the proxy refuse what is not TLS" },
};
const size_t conf_key_count = sizeof conf_keys / sizeof *conf_keys;

/* ---- finding -------------------------------------------------------------------------------------------- */

const struct conf_key *conf_key_at(size_t i)
{
    if (i < conf_key_count)
        return &conf_keys[i];
    i -= conf_key_count;
    return i < conf_bridge_key_count ? &conf_bridge_keys[i] : NULL;
}

static bool is_called(const struct conf_key *k, const char *name)
{
    const char *star = strchr(k->name, '*');
    return star ? strncmp(k->name, name, (size_t)(star - k->name)) == 0 : strcmp(k->name, name) == 0;
}

const struct conf_key *conf_key_find(const char *name)
{
    const struct conf_key *k;
    for (size_t i = 0; (k = conf_key_at(i)) && !is_called(k, name); i++)
        continue;
    return k;
}

const struct conf_key *conf_key_nearest(const char *name)
{
    const struct conf_key *best = NULL, *k;
    size_t least = NEAR_LIMIT;
    for (size_t i = 0; (k = conf_key_at(i)); i++) {
        size_t d = near_distance(name, strlen(name), k->name);
        if (d < least) {
            best = k;
            least = d;
        }
    }
    return best;
}

/* ---- telling -------------------------------------------------------------------------------------------- */

void conf_keys_print(FILE *out)
{
    static const char *const scopes[] = { "global", "listener", "accounts", "bridge" };
    static const char *const standings[] = { "served", "same", "refused" };
    const struct conf_key *k;
    for (size_t i = 0; (k = conf_key_at(i)); i++) {
        const char *standing = k->type == CONF_FLAG && k->min == k->max && k->standing == CONF_SAME
                                   ? "part"
                                   : standings[k->standing];
        fprintf(out, "%s\t%s\t%s\t%s\t", k->name, scopes[k->scope], standing,
                k->reload ? "reload" : "restart");
        fprintf(out, "%s\t", k->words);
        if (k->type == CONF_NUMBER)
            fprintf(out, "%lld..%lld", (long long)k->min, (long long)k->max);
        fprintf(out, "\t%s\t%s\t%s\n", k->unset, parts[k->part].name, k->help);
    }
}
