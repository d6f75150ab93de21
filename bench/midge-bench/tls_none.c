/* tls_none.c - built without OpenSSL: --tls is refused. */
#include "tls.h"

#include <stdio.h>

bool tls_init(const char *ca_file, char *why, size_t why_size)
{
    (void)ca_file;
    snprintf(why, why_size, "this midge-bench was built without OpenSSL: no TLS");
    return false;
}

void tls_end(void)
{
}

void *tls_new(int fd, const char *host)
{
    (void)fd, (void)host;
    return NULL;
}

void tls_free(void *tls)
{
    (void)tls;
}

enum link_outcome tls_send(void *tls, const uint8_t *bytes, size_t n, size_t *sent)
{
    (void)tls, (void)bytes, (void)n;
    *sent = 0;
    return LINK_OVER;
}

enum link_outcome tls_receive(void *tls, uint8_t *bytes, size_t size, size_t *n)
{
    (void)tls, (void)bytes, (void)size;
    *n = 0;
    return LINK_OVER;
}

bool tls_wants_to_read(void *tls)
{
    (void)tls;
    return false;
}
