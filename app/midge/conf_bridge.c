/* conf_bridge.c - `connection` and the keys below it that are not like others: addresses, topics, times. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "conf.h"
#include "midge/midge_bridge.h"

#include <stdlib.h>
#include <string.h>

bool conf_set_connection(struct conf_reader *r, char *value);
bool conf_set_address(struct conf_reader *r, char *value);
bool conf_set_topic(struct conf_reader *r, char *value);
bool conf_set_restart(struct conf_reader *r, char *value);
bool conf_set_local_clean(struct conf_reader *r, char *value);

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

bool conf_set_connection(struct conf_reader *r, char *value)
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

bool conf_set_address(struct conf_reader *r, char *value)
{
    const char *word;
    while ((word = conf_word(&value)))
        if (!check_address(r, word) || !conf_list_add(r, &r->bridge->addresses, word))
            return false;
    return true;
}

bool conf_set_restart(struct conf_reader *r, char *value)
{
    struct conf_bridge *b = r->bridge;
    const char *base = conf_word(&value);
    if (!base || !conf_number(r, base, 1, 86400, &b->restart_s))
        return base ? false : conf_fail(r, "a value is missing: restart_timeout BASE [CAP]");
    const char *cap = conf_word(&value);
    b->restart_cap_s = 0;
    return !cap || (conf_number(r, cap, b->restart_s, 86400, &b->restart_cap_s) && conf_end(r, &value));
}

bool conf_set_local_clean(struct conf_reader *r, char *value)
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

bool conf_set_topic(struct conf_reader *r, char *value)
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
