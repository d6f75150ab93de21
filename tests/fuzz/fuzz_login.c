/* fuzz_login.c - the password file: read, or refused in one line; nobody who is not in it. Input: the file. */
#include "file.h"

#include "plug/login_file.h"
#include "plug/password.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const users[] = { "", "a", "user", "nobody at all" };
    char why[256] = "";
    struct midge_login_file *f = midge_login_file_read(fuzz_file(bytes, n), why, sizeof why);
    if (!f) {
        must_be_a_line(why);
        return 0;
    }
    for (unsigned i = 0; i < 4; i++) {
        const struct midge_slice user = { (const uint8_t *)users[i], (uint32_t)strlen(users[i]) };
        const char *hash = midge_login_file_find(f, user);
        MUST(!hash || (memmem(bytes, n, users[i], strlen(users[i])) && !midge_password_check(hash)));
    }
    MUST(midge_login_file_decoy(f));
    midge_login_file_drop(f);
    return 0;
}
