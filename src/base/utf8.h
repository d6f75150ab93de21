/* utf8.h - well-formed UTF-8 as MQTT wants it. */
#ifndef MIDGE_BASE_UTF8_H
#define MIDGE_BASE_UTF8_H

#include "midge/midge_types.h"

/* True for well-formed UTF-8 (no overlong form, no surrogate, at most U+10FFFF) without U+0000
 * [MQTT-1.5.4-1] [MQTT-1.5.4-2]. U+FEFF is a character as any other [MQTT-1.5.4-3]. ASCII is read a word at a time. */
bool midge_utf8_valid(struct midge_slice s);

/* The same, U+0000 allowed: for payloads that say they are UTF-8 (Payload Format Indicator 1). */
bool midge_utf8_text(struct midge_slice s);

#endif
