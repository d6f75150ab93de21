/* utf8.h - well-formed UTF-8 as MQTT wants it. */
#ifndef MIDGE_BASE_UTF8_H
#define MIDGE_BASE_UTF8_H

#include "midge/midge_types.h"

/* True for well-formed UTF-8 (no overlong form, no surrogate, at most U+10FFFF) without U+0000
 * [MQTT-1.5.4-1] [MQTT-1.5.4-2]. U+FEFF is a character as any other [MQTT-1.5.4-3]. ASCII is read a word at a time. */
bool midge_utf8_check(const uint8_t *text, size_t len);

static inline bool midge_utf8_valid(struct midge_slice s)
{
    return midge_utf8_check(s.data, s.len);
}

#endif
