/* fuzz_props.c - the property table and the strings in it, against the specification tests' own codec.
 *
 * Input: where the section stands, then the section.
 */
#include "fuzz.h"

#include "base/slice.h"
#include "base/utf8.h"
#include "codec/props.h"

/* The model, in the file below it (its names are the broker's). */
bool model_props_ok(const uint8_t *section, size_t n, size_t *count);
bool model_utf8_ok(const uint8_t *s, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, n };
    const unsigned where = 1u << choose(&in, 16);
    const struct midge_slice section = take_bytes(&in, 65536);
    struct midge_props p = { 0 };
    MUST(midge_utf8_valid(section) == model_utf8_ok(section.data, section.len));
    const enum midge_reason rc = midge_props_check(section, where, &p);
    size_t want = 0;
    const bool readable = model_props_ok(section.data, section.len, &want);
    if (rc != MIDGE_RC_SUCCESS) {
        MUST(rc == MIDGE_RC_MALFORMED || rc == MIDGE_RC_PROTOCOL_ERROR || rc == MIDGE_RC_TOPIC_ALIAS_INVALID);
        return 0;
    }
    MUST(readable);
    size_t got = 0;
    uint32_t at = 0;
    struct midge_property one;
    while (midge_props_next(section, &at, &one))
        got++;
    MUST(got == want && at == section.len);
    MUST(midge_props_forward_size(section) <= section.len);
    return 0;
}
