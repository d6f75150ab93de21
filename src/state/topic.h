/* topic.h - topic names and filters: lawful or not, levels, matching [MQTT 5.0 section 4.7]. */
#ifndef MIDGE_STATE_TOPIC_H
#define MIDGE_STATE_TOPIC_H

#include "midge/midge_types.h"

/* Levels of a name. */
uint32_t midge_topic_levels(struct midge_slice name);

/* A filter, taken apart once; everything after works on this form. Slices into the filter's text. */
struct midge_filter {
    struct midge_slice group; /* ShareName; data NULL = not shared */
    struct midge_slice path;  /* levels, without $share/<group>/ and without a final "#" and the "/" before it */
    struct midge_slice whole; /* without $share/<group>/, with "#": what rights are asked for */
    uint16_t levels;          /* in path; 0 for the filter "#" */
    bool multi;               /* ended in "#" */
    bool wildcard;            /* has "#" or "+" */
};

/* MIDGE_RC_TOPIC_FILTER_INVALID: empty, misplaced wildcard [MQTT-4.7.1-1] [MQTT-4.7.1-2], bad share
 * [MQTT-4.8.2-1] [MQTT-4.8.2-2]. MIDGE_RC_QUOTA_EXCEEDED: more than max_levels levels. Without
 * MIDGE_SHARED "$share/..." is an ordinary filter. */
MIDGE_MUST_USE enum midge_reason midge_filter_parse(struct midge_slice text, uint16_t max_levels,
                                                    struct midge_filter *out);

/* True when `name` begins with "$" and the filter with a wildcard. */
bool midge_filter_bars(const struct midge_filter *f, struct midge_slice name);

static inline bool midge_level_is_plus(struct midge_slice level)
{
    return level.len == 1 && level.data[0] == '+';
}

/* Walks levels: at = text, then each call yields one, false after the last. An empty text has one empty level. */
struct midge_levels {
    const uint8_t *at;  /* NULL after the last */
    const uint8_t *end;
};
static inline void midge_levels_init(struct midge_levels *l, struct midge_slice text)
{
    l->at = text.data ? text.data : (const uint8_t *)"";
    l->end = l->at + text.len;
}

bool midge_levels_next(struct midge_levels *l, struct midge_slice *level);

#endif
