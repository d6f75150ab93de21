/* topics.h - topic filters as rules: what they match, cover, and have in common. */
#ifndef MIDGE_PLUG_TOPICS_H
#define MIDGE_PLUG_TOPICS_H

#include "midge/midge_types.h"

/* Wildcards stand where the standard lets them [MQTT-4.7.1-1] [MQTT-4.7.1-2]; len > 0. */
bool midge_topics_filter_valid(const uint8_t *filter, uint32_t len);
/* Does the filter match this topic name? [MQTT-4.7.2-1] */
bool midge_topics_match(struct midge_slice filter, struct midge_slice topic);
/* Does `rule` match every topic name that `filter` matches? */
bool midge_topics_covers(struct midge_slice rule, struct midge_slice filter);
/* Is there a topic name that both filters match? */
bool midge_topics_overlap(struct midge_slice a, struct midge_slice b);

#endif
