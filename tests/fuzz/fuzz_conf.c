/* fuzz_conf.c - the configuration file: read, or refused in one line. Input: the file. */
#include "file.h"

#include "app/midge/conf.h"

/* Keys that name other files would make the outcome depend on the machine. */
static bool names_files(const uint8_t *bytes, size_t n)
{
    static const char *const keys[] = { "include_dir", "_file", "file ", "path", "location" };
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        if (memmem(bytes, n, keys[k], strlen(keys[k])))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char why[256] = "";
    if (names_files(bytes, n))
        return 0;
    struct conf *c = conf_read(fuzz_file(bytes, n), why, sizeof why);
    if (!c)
        must_be_a_line(why);
    else
        MUST(c->listeners || c->loopback_only || c->fallback.port || c->fallback.unix_path);
    conf_free(c);
    return 0;
}
