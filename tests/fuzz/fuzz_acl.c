/* fuzz_acl.c - the ACL file: read, or refused in one line; what it denies to all stays denied. Input: the file. */
#include "file.h"

#include "plug/acl_file.h"

static struct midge_slice slice(const char *s)
{
    return (struct midge_slice){ (const uint8_t *)s, s ? (uint32_t)strlen(s) : 0 };
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const who[] = { "a", "u", "+", "#", "a/b", "" };
    static const char *const topics[] = { "a", "a/b", "u/x/y", "$SYS/x", "/", "#", "+/b", "a/#" };
    char why[256] = "";
    struct midge_acl_file *acl = midge_acl_file_read(fuzz_file(bytes, n), why, sizeof why);
    if (!acl) {
        must_be_a_line(why);
        return 0;
    }
    bool any = false;
    for (unsigned i = 0; i < 6 * 7 * 8 * 3; i++) {
        const struct midge_slice user = slice(i / 6 % 7 == 6 ? NULL : who[i / 6 % 7]);
        const unsigned topic = i / 42 % 8;
        const enum midge_access what = (enum midge_access)(i / 336);
        if (topic > 4 && what != MIDGE_ACCESS_SUBSCRIBE)
            continue;
        any |= midge_acl_file_allows(acl, slice(who[i % 6]), user, what, slice(topics[topic]));
    }
    MUST(!any || memmem(bytes, n, "topic", 5) || memmem(bytes, n, "pattern", 7));
    midge_acl_file_drop(acl);
    return 0;
}
