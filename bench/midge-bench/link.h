/* link.h - bytes to a broker and back, plain or through TLS and WebSocket. */
#ifndef MIDGE_BENCH_LINK_H
#define MIDGE_BENCH_LINK_H

#include "buffer.h"
#include "tls.h"
#include "ws.h"

struct addrinfo;

/* How all connections of a run are made. */
struct transport {
    const char *host; /* by name, for TLS and WebSocket */
    bool tls, ws;
};

/* One connection. */
struct link {
    int fd;             /* -1 = none */
    uint32_t events;    /* what epoll waits for */
    struct buffer in;   /* the beginning of a packet whose end has not come */
    struct buffer out;  /* what is to be sent */
    struct buffer wire; /* the same in frames, with WebSocket */
    void *tls;          /* owns; NULL = plain */
    struct ws *ws;      /* owns; NULL = none */
};

/* Begins to connect; `user` is what epoll gives back. False: errno. */
bool link_open(struct link *l, int epoll_fd, const struct transport *t, const struct addrinfo *to, void *user);
void link_close(struct link *l);

/* 0, or the errno of the connecting that has ended. */
int link_connected(struct link *l);

/* Waits for room to send too, or no longer. */
void link_wait_for_room(struct link *l, int epoll_fd, void *user, bool on);

/* Sends of `out` what goes. LINK_AGAIN: not all. */
enum link_outcome link_send(struct link *l);

/* Up to `size` bytes to `bytes`. LINK_OK: there may be more. */
enum link_outcome link_receive(struct link *l, uint8_t *bytes, size_t size, size_t *n);

/* Bytes that wait to be sent. */
static inline size_t link_waiting(const struct link *l)
{
    return buffer_bytes(&l->out) + buffer_bytes(&l->wire);
}

#endif
