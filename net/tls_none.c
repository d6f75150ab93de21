/* tls_none.c - in place of tls_openssl.c where there is no OpenSSL: programs link, and TLS is refused in words. */
#include "net/tls.h"

#include <string.h>

static struct midge_tls *open_none(const struct midge_tls_options *options, char *why, size_t why_size)
{
    static const char text[] = "this build has no TLS (OpenSSL was not there when it was made)";
    (void)options;
    if (why_size) {
        size_t n = sizeof text < why_size ? sizeof text : why_size;
        memcpy(why, text, n);
        why[n - 1] = '\0';
    }
    return NULL;
}

const struct midge_tls_provider midge_tls_openssl = { .open = open_none };
