/* template.h - the smallest port, as a recipe: what your network calls, and what it has to offer.
 *
 * A port moves bytes between connections and the core, tells it the time, and closes what the core has done with.
 * Copy this folder, write the five functions at the end for your stack, and call the others where things happen.
 * `socket` is whatever number your stack gives a connection, from 0 to TEMPLATE_SOCKETS - 1.
 *
 *     static struct template_port port;
 *     template_start(&port, broker);
 *     for (;;) {
 *         let the network call template_opened, template_received, template_closed, template_writable
 *         sleep until the network has something, at most template_run(&port) milliseconds
 *     }
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "midge/midge.h"

#ifndef TEMPLATE_SOCKETS
#define TEMPLATE_SOCKETS 16
#endif
#ifndef TEMPLATE_CHUNK
#define TEMPLATE_CHUNK 512
#endif

struct template_conn {
    int socket;
    bool writable;           /* something happened that may have made room */
    struct midge_conn *conn; /* from midge_accept until midge_lost, which is called exactly once; NULL = free */
};

struct template_port {
    struct midge *broker;
    struct template_conn conns[TEMPLATE_SOCKETS];
    uint8_t out[TEMPLATE_CHUNK]; /* one buffer for all: an idle connection needs none */
};

/* ---- your network calls these, never from an interrupt, never from inside a your_... function ------------ */

void template_start(struct template_port *port, struct midge *broker);

/* A connection was made. address_key: equal for connections of one peer (its IPv4 address will do), 0 = not known.
 * False: the core does not want it; close it. */
bool template_opened(struct template_port *port, int socket, uint32_t address_key);
/* Bytes came: any number, cut anywhere. They may be overwritten as soon as this returns. */
void template_received(struct template_port *port, int socket, const void *bytes, size_t n);
/* There may be room to send again. Saying so for nothing is harmless. */
void template_writable(struct template_port *port, int socket);
/* The peer closed, or the connection broke. The socket is yours alone again. */
void template_closed(struct template_port *port, int socket);

/* Once after each batch of the above, and when the time is up that it returned last: milliseconds. */
uint32_t template_run(struct template_port *port);

/* ---- you write these ------------------------------------------------------------------------------------- */

/* Milliseconds, 64 bits, from anywhere; does not go back. (Of a 32-bit tick count, count the wrap-arounds.) */
midge_ms your_clock(void);
/* Bytes that your_send would take now. */
size_t your_room(int socket);
/* Sends; n is at most what your_room said just before. */
void your_send(int socket, const void *bytes, size_t n);
/* Stop reading, or go on: while stopped, the peer has to feel it (TCP: its window fills up). */
void your_reading(int socket, bool on);
/* Close when what was sent is out. template_closed is not called for it. */
void your_close(int socket);

#endif
