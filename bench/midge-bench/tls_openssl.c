/* tls_openssl.c - TLS by OpenSSL, on the socket itself. */
#include "tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

static SSL_CTX *context;

bool tls_init(const char *ca_file, char *why, size_t why_size)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        snprintf(why, why_size, "OpenSSL cannot begin");
        return false;
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    if (!ca_file)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_file(context, ca_file))
        return true;
    snprintf(why, why_size, "option '--cafile': no certificate can be read from '%s'", ca_file);
    return false;
}

void tls_end(void)
{
    SSL_CTX_free(context);
    context = NULL;
}

void *tls_new(int fd, const char *host)
{
    SSL *tls = SSL_new(context);
    if (!tls)
        return NULL;
    if (SSL_set_fd(tls, fd) && SSL_set_tlsext_host_name(tls, host) && SSL_set1_host(tls, host)) {
        SSL_set_connect_state(tls);
        return tls;
    }
    SSL_free(tls);
    return NULL;
}

void tls_free(void *tls)
{
    SSL_free(tls);
}

static enum link_outcome outcome(SSL *tls, int result)
{
    if (result > 0)
        return LINK_OK;
    const int err = SSL_get_error(tls, result);
    ERR_clear_error();
    return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE ? LINK_AGAIN : LINK_OVER;
}

/* A record at a time. */
enum link_outcome tls_send(void *tls, const uint8_t *bytes, size_t n, size_t *sent)
{
    enum link_outcome o = LINK_OK;
    for (*sent = 0; o == LINK_OK && *sent < n;) {
        size_t more = 0;
        o = outcome(tls, SSL_write_ex(tls, bytes + *sent, n - *sent, &more));
        *sent += more;
    }
    return o;
}

/* What has been read from the socket wakes nobody again: all of it is taken. */
enum link_outcome tls_receive(void *tls, uint8_t *bytes, size_t size, size_t *n)
{
    enum link_outcome o = LINK_OK;
    for (*n = 0; o == LINK_OK && *n < size;) {
        size_t more = 0;
        o = outcome(tls, SSL_read_ex(tls, bytes + *n, size - *n, &more));
        *n += more;
    }
    return *n ? LINK_OK : o;
}

bool tls_wants_to_read(void *tls)
{
    return SSL_want_read((const SSL *)tls);
}
