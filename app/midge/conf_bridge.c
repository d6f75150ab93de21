/* conf_bridge.c - the keys of bridges, which stand below a `connection` line: rows like those of conf_keys.c. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "conf.h"
#include "midge/midge_bridge.h"

#include <stdlib.h>
#include <string.h>

/* ---- the block ----------------------------------------------------------------------------------------- */

static struct conf_bridge *new_bridge(struct conf_reader *r, const char *name)
{
    struct conf_bridge *b = conf_alloc(r->conf, sizeof *b);
    if (!b)
        return NULL;
    conf_unset_numbers(b, CONF_BRIDGE);
    b->restart_s = b->restart_cap_s = CONF_UNSET;
    b->file = r->file;
    b->line = r->line;
    b->name = conf_copy(r->conf, name);
    b->text = "";
    b->version = 1;
    b->local_clean = CONF_NOT_SAID;
    b->topic_retain = b->try_private = b->notifications = b->unsubscribe = b->outgoing_retain = true;
    struct conf_bridge **at = &r->conf->bridges;
    while (*at)
        at = &(*at)->next;
    return *at = b;
}

static bool set_connection(struct conf_reader *r, char *value)
{
    const char *name = conf_word(&value);
    if (!name)
        return conf_fail(r, "a name is missing: connection NAME");
    if (strpbrk(name, "+#/"))
        return conf_fail(r, "'%.64s' has a '+', '#' or '/', and the name is part of a topic", name);
    for (const struct conf_bridge *b = r->conf->bridges; b; b = b->next)
        if (strcmp(b->name, name) == 0)
            return conf_fail(r, "'%.64s' is there already, in %s line %u; choose another name", name, b->file,
                             b->line);
    r->bridge = new_bridge(r, name);
    return (r->bridge && r->bridge->name && conf_end(r, &value)) || conf_fail(r, "no memory");
}

bool conf_bridge_note(struct conf_reader *r, const char *value)
{
    struct conf_bridge *b = r->bridge;
    if (!b)
        return conf_fail(r, "belongs below a 'connection' line");
    size_t n = strlen(b->text), key = strlen(r->key->name), more = strlen(value);
    char *text = conf_alloc(r->conf, n + key + more + 3);
    if (!text)
        return conf_fail(r, "no memory");
    char *at = stpcpy(text, b->text);
    at = stpcpy(at, r->key->name);
    *at++ = ' ';
    at = stpcpy(at, value);
    *at++ = '\n';
    *at = '\0';
    b->text = text;
    return true;
}

/* ---- addresses, times ---------------------------------------------------------------------------------- */

static bool check_address(struct conf_reader *r, const char *address)
{
    const char *colon = strrchr(address, ':');
    const char *bracket = strrchr(address, ']');
    bool bare = colon && *address != '[' && strchr(address, ':') != colon;
    int64_t port;
    if (bare)
        return conf_fail(r, "'%.64s': an IPv6 address stands in brackets: [%.64s]:1883", address, address);
    if (*address == '[' && !bracket)
        return conf_fail(r, "'%.64s': the ']' is missing", address);
    if (!colon || (bracket && colon < bracket))
        return true;
    return conf_number(r, colon + 1, 1, 65535, &port);
}

static bool set_address(struct conf_reader *r, char *value)
{
    const char *word;
    while ((word = conf_word(&value)))
        if (!check_address(r, word) || !conf_list_add(r, &r->bridge->addresses, word))
            return false;
    return true;
}

static bool set_restart(struct conf_reader *r, char *value)
{
    struct conf_bridge *b = r->bridge;
    const char *base = conf_word(&value);
    if (!base || !conf_number(r, base, 1, 86400, &b->restart_s))
        return base ? false : conf_fail(r, "a value is missing: restart_timeout BASE [CAP]");
    const char *cap = conf_word(&value);
    b->restart_cap_s = 0;
    return !cap || (conf_number(r, cap, b->restart_s, 86400, &b->restart_cap_s) && conf_end(r, &value));
}

static bool set_local_clean(struct conf_reader *r, char *value)
{
    const char *word = conf_word(&value);
    bool yes = word && (strcmp(word, "true") == 0 || strcmp(word, "1") == 0);
    if (!yes && (!word || (strcmp(word, "false") != 0 && strcmp(word, "0") != 0)))
        return conf_fail(r, "'%.64s' is neither true nor false", word ? word : "");
    r->bridge->local_clean = yes ? CONF_YES : CONF_NO;
    return conf_end(r, &value);
}

/* ---- topics -------------------------------------------------------------------------------------------- */

/* A '#' is a wildcard here and begins no comment. NULL: there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, " \t");
    if (!*word)
        return NULL;
    *at = word + strcspn(word, " \t");
    if (**at)
        *(*at)++ = '\0';
    return word;
}

/* "" stands for nothing. */
static const char *text_of(struct conf_reader *r, const char *word)
{
    return !word || strcmp(word, "\"\"") == 0 ? "" : conf_copy(r->conf, word);
}

static bool read_direction(struct conf_reader *r, const char *word, uint8_t *out)
{
    static const char *const names[] = {
        [MIDGE_BRIDGE_OUT] = "out", [MIDGE_BRIDGE_IN] = "in", [MIDGE_BRIDGE_BOTH] = "both"
    };
    *out = MIDGE_BRIDGE_OUT;
    for (uint8_t i = MIDGE_BRIDGE_OUT; word && i <= MIDGE_BRIDGE_BOTH; i++)
        if (strcmp(word, names[i]) == 0) {
            *out = i;
            return true;
        }
    return !word || conf_fail(r, "'%.64s' is none of: out in both", word);
}

static bool read_map(struct conf_reader *r, char *value, struct midge_bridge_map *map)
{
    const char *pattern = next_word(&value);
    const char *direction = next_word(&value), *qos = next_word(&value);
    const char *local = next_word(&value), *remote = next_word(&value);
    int64_t level = 0;
    *map = (struct midge_bridge_map){ .pattern = text_of(r, pattern),
                                      .local_prefix = text_of(r, local),
                                      .remote_prefix = text_of(r, remote),
                                      .policy = r->bridge->policy,
                                      .no_retain = !r->bridge->topic_retain };
    if (!map->pattern || !map->local_prefix || !map->remote_prefix)
        return conf_fail(r, "no memory");
    if (!read_direction(r, direction, &map->direction) || (qos && !conf_number(r, qos, 0, 2, &level)))
        return false;
    map->qos = (uint8_t)level;
    const char *wrong = midge_bridge_map_wrong(map);
    return (!wrong || conf_fail(r, "%s", wrong)) && conf_end(r, &value);
}

static bool set_topic(struct conf_reader *r, char *value)
{
    struct conf_bridge *b = r->bridge;
    struct midge_bridge_map *maps = conf_alloc(r->conf, (b->map_count + 1) * sizeof *maps);
    if (!maps)
        return conf_fail(r, "no memory");
    if (b->map_count)
        memcpy(maps, b->maps, b->map_count * sizeof *maps);
    if (!read_map(r, value, &maps[b->map_count]))
        return false;
    b->maps = maps;
    b->map_count++;
    return true;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static bool check(struct conf_reader *r, const struct conf_bridge *b)
{
    const struct conf_text at = { NULL, b->file, b->line };
    if (!b->addresses.count)
        return conf_fail_at(r, &at, "connection", "an address is missing: address HOST[:PORT]");
    if (!b->map_count)
        return conf_fail_at(r, &at, "connection", "a topic is missing: topic PATTERN out|in|both QOS");
    if (b->password.text && !b->username.text && b->version < 2)
        return conf_fail_at(r, &b->password, "remote_password", "needs remote_username before MQTT 5.0");
    if (!b->certfile.text != !b->keyfile.text)
        return conf_fail_at(r, b->certfile.text ? &b->certfile : &b->keyfile, "bridge_certfile",
                            "bridge_certfile and bridge_keyfile go together: give both, or neither");
    if (!b->psk.text != !b->identity.text)
        return conf_fail_at(r, b->psk.text ? &b->psk : &b->identity, "bridge_psk",
                            "bridge_psk and bridge_identity go together: give both, or neither");
    if (b->certfile.text && !b->cafile.text && !b->capath.text)
        return conf_fail_at(r, &b->certfile, "bridge_certfile", "needs bridge_cafile or bridge_capath");
    return true;
}

bool conf_bridges_check(struct conf_reader *r)
{
    for (const struct conf_bridge *b = r->conf->bridges; b; b = b->next)
        if (!check(r, b))
            return false;
    return true;
}

/* ---- the rows ------------------------------------------------------------------------------------------ */

#define BRIDGE(field) .scope = CONF_BRIDGE, .reload = true, .at = offsetof(struct conf_bridge, field)
#define FLAG .type = CONF_FLAG, .max = 1, .words = "true|false"
#define NUMBER(least, most, unit) .type = CONF_NUMBER, .min = (least), .max = (most), .words = (unit)
#define WORD(list) .type = CONF_WORD, .words = (list)
#define TEXT(look) .type = CONF_TEXT, .words = (look)
#define SET(function, look) .type = CONF_SPECIAL, .set = (function), .words = (look)
#define REFUSED .standing = CONF_REFUSED, .words = "", .unset = ""

const struct conf_key conf_bridge_keys[] = {
    { "connection", .scope = CONF_GLOBAL, SET(set_connection, "NAME"), .reload = true, .unset = "no bridge",
      .help = "a bridge of this name to another broker; the bridge's keys below it, up to the next "
              "'connection', are its own" },
    { "address", BRIDGE(addresses), SET(set_address, "HOST[:PORT]..."), .unset = "",
      .help = "the other broker, or several that stand for one; an IPv6 address stands in brackets" },
    { "addresses", BRIDGE(addresses), SET(set_address, "HOST[:PORT]..."), .unset = "",
      .help = "the same as address" },
    { "topic", BRIDGE(maps),
      SET(set_topic, "PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]"), .unset = "",
      .help = "topics that the two brokers share; may be repeated; \"\" is an empty prefix" },
    { "bridge_queue_policy", BRIDGE(policy), WORD("drop_new drop_old end_session refuse last_value"),
      .unset = "drop_new",
      .help = "what happens when too much waits for the other broker, of the topics below this line: the new "
              "message or the oldest goes, or the publisher is refused; last_value: only the newest of each "
              "topic waits; Midge's own key" },
    { "bridge_topic_retain", BRIDGE(topic_retain), FLAG, .unset = "true",
      .help = "messages of the topics below this line keep their RETAIN; Midge's own key" },
    { "bridge_max_queued_bytes", BRIDGE(queue_bytes), NUMBER(1, UINT32_MAX, "BYTES"),
      .unset = "max_queued_bytes", .help = "what waits for the other broker; Midge's own key" },
    { "bridge_max_queued_messages", BRIDGE(queue_msgs), NUMBER(1, INT32_MAX, "COUNT"),
      .unset = "no limit", .help = "the same, as messages; Midge's own key" },
    { "bridge_replay_rate", BRIDGE(replay_per_s), NUMBER(1, 1000000, "MESSAGES"), .unset = "no limit",
      .help = "messages a second at most of those that waited, when the other broker is back; Midge's own "
              "key" },
    { "bridge_split_horizon", BRIDGE(split_horizon), FLAG, .unset = "false",
      .help = "what came through a bridge does not go out through this one: for rings of 3.1.1, where "
              "messages cannot tell where they have been; Midge's own key" },
    { "bridge_protocol_version", BRIDGE(version), WORD("mqttv31 mqttv311 mqttv50"), .unset = "mqttv311",
      .help = "the version of MQTT that the bridge speaks; with mqttv50 properties go along, and messages go "
              "round in no circle" },
    { "bridge_transport", BRIDGE(transport), WORD("mqtt websockets"), .unset = "mqtt",
      .help = "what the other broker speaks; Midge's own key" },
    { "bridge_websockets_path", BRIDGE(ws_path), TEXT("PATH"), .unset = "/mqtt",
      .help = "the path of the WebSocket; Midge's own key" },
    { "try_private", BRIDGE(try_private), FLAG, .unset = "true",
      .help = "3.1 and 3.1.1: tell the other broker that this is a bridge; if it refuses that, connect "
              "without" },
    { "cleansession", BRIDGE(clean_session), FLAG, .unset = "false",
      .help = "the other broker keeps nothing for the bridge while it is away" },
    { "local_cleansession", BRIDGE(local_clean), SET(set_local_clean, "true|false"),
      .unset = "as cleansession", .help = "nothing waits here for the other broker while it is away" },
    { "clientid", BRIDGE(client_id), TEXT("ID"), .unset = "NAME.HOSTNAME",
      .help = "the old name of remote_clientid" },
    { "remote_clientid", BRIDGE(client_id), TEXT("ID"), .unset = "NAME.HOSTNAME",
      .help = "the bridge's client id at the other broker" },
    { "local_clientid", BRIDGE(local_client_id), TEXT("ID"), .unset = "local.REMOTE_CLIENTID",
      .help = "the bridge's client id at this broker" },
    { "username", BRIDGE(username), TEXT("NAME"), .unset = "none", .help = "the old name of remote_username" },
    { "remote_username", BRIDGE(username), TEXT("NAME"), .unset = "none",
      .help = "who the bridge is at the other broker" },
    { "password", BRIDGE(password), TEXT("PASSWORD"), .unset = "none",
      .help = "the old name of remote_password" },
    { "remote_password", BRIDGE(password), TEXT("PASSWORD"), .unset = "none",
      .help = "and its password or token" },
    { "local_username", BRIDGE(unused_text), TEXT("NAME"), .standing = CONF_SAME, .unset = "",
      .help = "the bridge is the broker's own: it needs no account here" },
    { "local_password", BRIDGE(unused_text), TEXT("PASSWORD"), .standing = CONF_SAME, .unset = "",
      .help = "the bridge is the broker's own: it needs no account here" },
    { "keepalive_interval", BRIDGE(keepalive_s), NUMBER(5, 65535, "SECONDS"), .unset = "60",
      .help = "how often a silent connection is looked after" },
    { "start_type", BRIDGE(start), WORD("automatic lazy once"), .unset = "automatic",
      .help = "when the bridge connects: always; when 'threshold' messages wait; or once" },
    { "idle_timeout", BRIDGE(idle_s), NUMBER(1, INT32_MAX / 1000, "SECONDS"), .unset = "60",
      .help = "with start_type lazy, how long without a message until it leaves" },
    { "threshold", BRIDGE(threshold), NUMBER(1, INT32_MAX, "COUNT"), .unset = "10",
      .help = "with start_type lazy, how many messages have to wait until it connects" },
    { "restart_timeout", BRIDGE(restart_s), SET(set_restart, "BASE [CAP]"), .unset = "5 30",
      .help = "seconds until the next try: with CAP a random time that grows from BASE to CAP" },
    { "round_robin", BRIDGE(round_robin), FLAG, .unset = "false",
      .help = "all addresses are alike; else the first is returned to when it can be reached" },
    { "notifications", BRIDGE(notifications), FLAG, .unset = "true",
      .help = "both brokers have a retained message of whether the bridge is up: 1 or 0" },
    { "notifications_local_only", BRIDGE(notify_local_only), FLAG, .unset = "false",
      .help = "only this broker has" },
    { "notification_topic", BRIDGE(notify_topic), TEXT("TOPIC"),
      .unset = "$SYS/broker/connection/REMOTE_CLIENTID/state", .help = "its topic" },
    { "bridge_attempt_unsubscribe", BRIDGE(unsubscribe), FLAG, .unset = "true",
      .help = "topics that only go out are unsubscribed at the other broker: they may have come in before" },
    { "bridge_outgoing_retain", BRIDGE(outgoing_retain), FLAG, .unset = "true",
      .help = "what goes out keeps its RETAIN" },
    { "bridge_max_packet_size", BRIDGE(packet_bytes), NUMBER(0, UINT32_MAX, "BYTES"), .unset = "0: no limit",
      .help = "the largest packet that goes out; larger ones are counted and dropped" },
    { "bridge_receive_maximum", BRIDGE(inflight), NUMBER(1, 65535, "COUNT"),
      .unset = "100; before mqttv50 20",
      .help = "QoS 1 and 2 messages on their way at once, each way" },
    { "bridge_session_expiry_interval", BRIDGE(session_expiry_s), NUMBER(1, UINT32_MAX, "SECONDS"),
      .unset = "never", .help = "5.0: how long the other broker keeps what waits for the bridge" },
    { "bridge_bind_address", BRIDGE(bind_address), TEXT("ADDRESS"), .unset = "any",
      .help = "a local address to connect from" },
    { "bridge_cafile", BRIDGE(cafile), .type = CONF_FILE, .words = "FILE", .part = CONF_TLS, .unset = "no TLS",
      .help = "CAs that may have signed the other broker's certificate, PEM; makes TLS" },
    { "bridge_capath", BRIDGE(capath), .type = CONF_FOLDER, .words = "FOLDER", .part = CONF_TLS,
      .unset = "no TLS", .help = "a folder of such CAs, prepared by 'openssl rehash'; makes TLS" },
    { "bridge_certfile", BRIDGE(certfile), .type = CONF_FILE, .words = "FILE", .part = CONF_TLS,
      .unset = "none", .help = "the bridge's certificate, PEM" },
    { "bridge_keyfile", BRIDGE(keyfile), .type = CONF_FILE, .words = "FILE", .part = CONF_TLS, .unset = "none",
      .help = "and its private key, PEM" },
    { "bridge_insecure", BRIDGE(insecure), FLAG, .part = CONF_TLS, .unset = "false",
      .help = "the certificate's name need not be the address; only for tests" },
    { "bridge_alpn", BRIDGE(alpn), TEXT("NAME"), .part = CONF_TLS, .unset = "none",
      .help = "the protocol asked for in TLS, such as mqtt or x-amzn-mqtt-ca" },
    { "bridge_psk", BRIDGE(psk), TEXT("KEY"), .part = CONF_TLS, .unset = "none",
      .help = "a pre-shared key in hexadecimal; makes TLS, in place of certificates" },
    { "bridge_identity", BRIDGE(identity), TEXT("NAME"), .part = CONF_TLS, .unset = "none",
      .help = "who the bridge is by that key" },
    { "bridge_tls_version", BRIDGE(tls_version), WORD("tlsv1.2 tlsv1.3"), .part = CONF_TLS,
      .unset = "tlsv1.2", .help = "the oldest version of TLS that will do" },
    { "bridge_ciphers", BRIDGE(ciphers), TEXT("LIST"), .part = CONF_TLS, .unset = "forward secret AEAD",
      .help = "ciphers of TLS 1.2, as OpenSSL writes them" },
    { "bridge_ciphers_tls1.3", BRIDGE(ciphers_13), TEXT("LIST"), .part = CONF_TLS, .unset = "OpenSSL's",
      .help = "cipher suites of TLS 1.3" },
    { "bridge_tcp_keepalive", BRIDGE(unused_text), TEXT("IDLE INTERVAL COUNTER"), .standing = CONF_SAME,
      .unset = "", .help = "keepalive_interval finds dead connections" },
    { "bridge_tcp_user_timeout", BRIDGE(unused_number), NUMBER(0, INT32_MAX, "MS"), .standing = CONF_SAME,
      .unset = "", .help = "keepalive_interval finds dead connections" },
    { "bridge_reload_type", BRIDGE(unused_flag), WORD("immediate"), .standing = CONF_SAME, .unset = "immediate",
      .help = "a bridge that changed begins anew at once, the others stay connected" },
    { "bridge_max_topic_alias", .scope = CONF_BRIDGE, REFUSED, .help = "leave it out; aliases are used where "
      "the other broker allows them" },
    { "bridge_require_ocsp", .scope = CONF_BRIDGE, REFUSED,
      .help = "Midge asks nobody whether a certificate was revoked; let certificates live shortly" },
    { "bridge_tls_use_os_certs", .scope = CONF_BRIDGE, REFUSED,
      .help = "name them: bridge_capath /etc/ssl/certs" },
};
const size_t conf_bridge_key_count = sizeof conf_bridge_keys / sizeof *conf_bridge_keys;
