/* topic.c - the rules of topic names and filters, in one place. */
#include "state/topic.h"

#include "base/slice.h"
#include "midge/midge_config.h"

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

uint32_t midge_topic_levels(struct midge_slice name)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < name.len; i++)
        n += name.data[i] == '/';
    return n;
}

static bool has_wildcard(struct midge_slice s)
{
    return s.len > 0 && (memchr(s.data, '+', s.len) || memchr(s.data, '#', s.len));
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
    if (group->len == 0 || has_wildcard(*group) || !l.at)
        return false; /* [MQTT-4.8.2-1] [MQTT-4.8.2-2] */
    *text = midge_slice_of(l.at, (size_t)(l.end - l.at));
    return true;
}

/* Counts the levels and cuts "#", and the "/" before it, off; false where a wildcard has company or "#" is not the
 * last level [MQTT-4.7.1-1] [MQTT-4.7.1-2]. */
static bool walk(struct midge_filter *f, uint32_t *levels)
{
    struct midge_levels l;
    struct midge_slice level;
    midge_levels_init(&l, f->path);
    while (midge_levels_next(&l, &level)) {
        f->multi = level.len == 1 && level.data[0] == '#';
        if (has_wildcard(level)) {
            if (level.len > 1 || (f->multi && l.at))
                return false;
            f->wildcard = true;
        }
        if (!f->multi)
            ++*levels;
        else
            f->path.len -= *levels > 0 ? 2 : 1;
    }
    return true;
}

enum midge_reason midge_filter_parse(struct midge_slice text, uint16_t max_levels, struct midge_filter *out)
{
    uint32_t levels = 0;
    *out = (struct midge_filter){ 0 };
    if ((MIDGE_SHARED && !cut_share(&text, &out->group)) || text.len == 0) /* [MQTT-4.7.3-1] */
        return MIDGE_RC_TOPIC_FILTER_INVALID;
    out->whole = out->path = text;
    if (!walk(out, &levels))
        return MIDGE_RC_TOPIC_FILTER_INVALID;
    out->levels = (uint16_t)levels;
    return levels > max_levels ? MIDGE_RC_QUOTA_EXCEEDED : MIDGE_RC_SUCCESS;
}

bool midge_filter_bars(const struct midge_filter *f, struct midge_slice name)
{
    bool begins_wild = f->levels == 0 || (f->path.len > 0 && f->path.data[0] == '+');
    return begins_wild && name.len > 0 && name.data[0] == '$';
}
