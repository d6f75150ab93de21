/* link.h - bytes to a broker and back. The one place that knows the transport: TLS and WebSocket go here. */
#ifndef MIDGE_BENCH_LINK_H
#define MIDGE_BENCH_LINK_H

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* One connection. */
struct link {
    int fd;            /* -1 = none */
    uint32_t events;   /* what epoll waits for */
    struct buffer in;  /* the beginning of a packet whose end has not come */
    struct buffer out; /* what is to be sent */
};

enum link_outcome { LINK_OK, LINK_AGAIN, LINK_OVER };

/* Begins to connect; `user` is what epoll gives back. False: errno. */
bool link_open(struct link *l, int epoll_fd, const struct sockaddr *address, socklen_t address_bytes,
               void *user);
void link_close(struct link *l);

/* 0, or the errno of the connecting that has ended. */
int link_connected(struct link *l);

/* Waits for room to send too, or no longer. */
void link_wait_for_room(struct link *l, int epoll_fd, void *user, bool on);

/* Sends of `out` what goes. LINK_AGAIN: not all. */
enum link_outcome link_send(struct link *l);

/* Up to `size` bytes to `bytes`. */
enum link_outcome link_receive(struct link *l, uint8_t *bytes, size_t size, size_t *n);

#endif
