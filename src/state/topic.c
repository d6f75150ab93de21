/* topic.c - the rules of topic names and filters, in one place. */
#include "state/topic.h"

#include "base/slice.h"

bool midge_levels_next(struct midge_levels *l, struct midge_slice *level)
{
    if (!l->at)
        return false;
    const uint8_t *end = l->at;
    while (end < l->end && *end != '/')
        end++;
    *level = midge_slice_of(l->at, (size_t)(end - l->at));
    l->at = end < l->end ? end + 1 : NULL;
    return true;
}

static uint32_t count(struct midge_slice text, uint8_t byte)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < text.len; i++)
        n += text.data[i] == byte;
    return n;
}

uint32_t midge_topic_levels(struct midge_slice name)
{
    return count(name, '/') + 1;
}

bool midge_topic_valid(struct midge_slice name, uint16_t max_levels)
{
    if (name.len == 0 || count(name, '+') > 0 || count(name, '#') > 0)
        return false; /* [MQTT-4.7.3-1] [MQTT-3.3.2-2] [MQTT-4.7.1-1] */
    return midge_topic_levels(name) <= max_levels;
}

/* Cuts "$share/<group>/" off; false when that is malformed. */
static bool cut_share(struct midge_slice *text, struct midge_slice *group)
{
    static const char prefix[] = "$share/";
    const uint32_t n = sizeof prefix - 1;
    if (text->len < n || memcmp(text->data, prefix, n) != 0)
        return true;
    struct midge_levels l;
    midge_levels_init(&l, midge_slice_of(text->data + n, text->len - n));
    midge_levels_next(&l, group);
    if (group->len == 0 || count(*group, '+') > 0 || count(*group, '#') > 0 || !l.at)
        return false; /* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
    *text = midge_slice_of(l.at, (size_t)(l.end - l.at));
    return true;
}

/* Cuts "#", and the "/" before it, off. */
static void cut_multi(struct midge_filter *f)
{
    struct midge_slice *path = &f->path;
    f->multi = path->data[path->len - 1] == '#';
    if (!f->multi)
        return;
    path->len--;
    f->wildcard = true;
    if (path->len > 0 && path->data[path->len - 1] == '/')
        path->len--;
}

/* Looks at each level of the path: "+" stands alone, "#" not at all. */
static bool check_levels(struct midge_filter *f)
{
    struct midge_levels l;
    struct midge_slice level;
    midge_levels_init(&l, f->path);
    while (midge_levels_next(&l, &level)) {
        uint32_t plus = count(level, '+');
        if ((plus > 0 && level.len > 1) || count(level, '#') > 0)
            return false; /* [MQTT-4.7.1-1] [MQTT-4.7.1-2] */
        f->wildcard |= plus > 0;
    }
    return true;
}

enum midge_reason midge_filter_parse(struct midge_slice text, bool shared, uint16_t max_levels,
                                     struct midge_filter *out)
{
    *out = (struct midge_filter){ 0 };
    if ((shared && !cut_share(&text, &out->group)) || text.len == 0) /* [MQTT-4.7.3-1] */
        return MIDGE_RC_TOPIC_FILTER_INVALID;
    out->whole = out->path = text;
    cut_multi(out);
    bool only_multi = text.len == 1 && out->multi;
    if (out->multi && !only_multi && text.data[text.len - 2] != '/')
        return MIDGE_RC_TOPIC_FILTER_INVALID; /* [MQTT-4.7.1-1] */
    if (!check_levels(out))
        return MIDGE_RC_TOPIC_FILTER_INVALID;
    uint32_t levels = only_multi ? 0 : count(out->path, '/') + 1;
    if (levels > max_levels)
        return MIDGE_RC_QUOTA_EXCEEDED;
    out->levels = (uint16_t)levels;
    return MIDGE_RC_SUCCESS;
}

bool midge_filter_bars(const struct midge_filter *f, struct midge_slice name)
{
    bool begins_wild = f->levels == 0 || (f->path.len > 0 && f->path.data[0] == '+');
    return begins_wild && name.len > 0 && name.data[0] == '$';
}
