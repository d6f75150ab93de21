/* map.c - topics of one broker as topics of the other. */
#include "internal.h"

#include <string.h>

static const char *text_or_none(const char *s)
{
    return s ? s : "";
}

static const char *prefix_of(const struct midge_bridge_map *map, bool local)
{
    return text_or_none(local ? map->local_prefix : map->remote_prefix);
}

/* ---- lawful? ------------------------------------------------------------------------------------------- */

/* Wildcards stand alone in their level, '#' in the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2]. */
static bool pattern_ok(const char *p)
{
    for (const char *at = p; *at; at++) {
        if (*at != '+' && *at != '#')
            continue;
        bool alone = (at == p || at[-1] == '/') && (at[1] == '\0' || at[1] == '/');
        if (!alone || (*at == '#' && at[1]))
            return false;
    }
    return true;
}

static bool prefix_ok(const char *prefix, const char *pattern)
{
    size_t len = strlen(prefix);
    bool wild = *pattern == '+' || *pattern == '#';
    return !strpbrk(prefix, "+#") && !(wild && len && prefix[len - 1] != '/');
}

const char *midge_bridge_map_wrong(const struct midge_bridge_map *map)
{
    const char *pattern = text_or_none(map->pattern);
    const char *local = prefix_of(map, true), *remote = prefix_of(map, false);
    if (!*pattern && !(*local && *remote))
        return "a topic without a pattern needs both prefixes";
    if (!pattern_ok(pattern))
        return "a topic's pattern is no topic filter";
    if (!prefix_ok(local, pattern) || !prefix_ok(remote, pattern))
        return "a topic's prefix has a wildcard, or does not end in '/' before one";
    if (map->qos > 2 || map->direction < MIDGE_BRIDGE_OUT || map->direction > MIDGE_BRIDGE_BOTH)
        return "a topic has a QoS above 2, or no direction";
    return NULL;
}

/* ---- matching ------------------------------------------------------------------------------------------ */

static size_t level(const char *at, const char *end)
{
    const char *slash = memchr(at, '/', (size_t)(end - at));
    return (size_t)((slash ? slash : end) - at);
}

/* Does `topic`, behind the prefix, fit the pattern? */
static bool fits(const char *pattern, struct midge_slice topic)
{
    const char *p = pattern, *p_end = pattern + strlen(pattern);
    const char *t = (const char *)topic.data, *t_end = t + topic.len;
    for (;;) {
        size_t p_len = level(p, p_end), t_len = level(t, t_end);
        if (*p == '#')
            return true;
        if (*p != '+' && (p_len != t_len || memcmp(p, t, p_len) != 0))
            return false;
        p += p_len;
        t += t_len;
        if (p == p_end || t == t_end)
            return (p == p_end && t == t_end) || (t == t_end && strcmp(p, "/#") == 0);
        p++;
        t++;
    }
}

static bool begins_with(struct midge_slice topic, struct midge_slice prefix)
{
    return topic.len >= prefix.len && (!prefix.len || memcmp(topic.data, prefix.data, prefix.len) == 0);
}

static bool is_its(const struct midge_bridge_map *map, bool local, struct midge_slice topic)
{
    struct midge_slice prefix = bridge_text(prefix_of(map, local));
    const char *pattern = text_or_none(map->pattern);
    if (!begins_with(topic, prefix))
        return false;
    topic.data += prefix.len;
    topic.len -= prefix.len;
    return *pattern ? fits(pattern, topic) : topic.len == 0;
}

const struct midge_bridge_map *bridge_map_find(const struct midge_bridge_options *o, enum midge_bridge_direction way,
                                               struct midge_slice topic)
{
    for (size_t i = 0; i < o->map_count; i++)
        if ((o->maps[i].direction & way) && is_its(&o->maps[i], way == MIDGE_BRIDGE_OUT, topic))
            return &o->maps[i];
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static bool join(struct midge_slice a, struct midge_slice b, struct midge_slice *out, uint8_t *room, size_t size)
{
    if ((size_t)a.len + b.len > size)
        return false;
    if (a.len)
        memcpy(room, a.data, a.len);
    if (b.len)
        memcpy(room + a.len, b.data, b.len);
    *out = (struct midge_slice){ room, a.len + b.len };
    return true;
}

bool bridge_map_filter(const struct midge_bridge_map *map, bool local, struct midge_slice *out, uint8_t *room,
                       size_t size)
{
    return join(bridge_text(prefix_of(map, local)), bridge_text(text_or_none(map->pattern)), out, room, size);
}

bool bridge_map_topic(const struct midge_bridge_map *map, enum midge_bridge_direction way, struct midge_slice topic,
                      struct midge_slice *out, uint8_t *room, size_t size)
{
    bool to_local = way == MIDGE_BRIDGE_IN;
    struct midge_slice prefix = bridge_text(prefix_of(map, to_local));
    size_t from = strlen(prefix_of(map, !to_local));
    struct midge_slice rest = { topic.data + from, topic.len - (uint32_t)from };
    if (!prefix.len && !from) {
        *out = topic;
        return true;
    }
    return join(prefix, rest, out, room, size);
}
