/* tls.h - TLS below the packets: OpenSSL, or nothing (tls_none.c). */
#ifndef MIDGE_BENCH_TLS_H
#define MIDGE_BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum link_outcome { LINK_OK, LINK_AGAIN, LINK_OVER };

/* Once, before the first connection. `ca_file` NULL: whoever answers is believed, as it is speed that is measured.
 * False: `why` is one line. */
bool tls_init(const char *ca_file, char *why, size_t why_size);
void tls_end(void);

/* One connection on a connected socket; NULL: no memory. */
void *tls_new(int fd, const char *host);
void tls_free(void *tls);

/* As send and recv; handshakes happen in them. tls_wants_to_read: it is not room that a LINK_AGAIN waits for. */
enum link_outcome tls_send(void *tls, const uint8_t *bytes, size_t n, size_t *sent);
enum link_outcome tls_receive(void *tls, uint8_t *bytes, size_t size, size_t *n);
bool tls_wants_to_read(void *tls);

#endif
