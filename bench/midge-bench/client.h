/* client.h - MQTT clients on sockets, and the hub that waits for all of them on one thread. */
#ifndef MIDGE_BENCH_CLIENT_H
#define MIDGE_BENCH_CLIENT_H

#include "link.h"
#include "wire.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#define CLIENT_ID_BYTES_MAX 64

struct client;

/* What a workload wants to hear. NULL = does not care. */
struct client_calls {
    void (*connected)(void *user, struct client *c);
    void (*subscribed)(void *user, struct client *c);
    /* A PUBLISH, before it is acknowledged. */
    void (*published)(void *user, struct client *c, const struct wire_publish *p);
    /* PUBACK or PUBCOMP: the broker has taken the message with this packet id. */
    void (*acknowledged)(void *user, struct client *c, uint16_t id);
};

enum client_state { CLIENT_OFF, CLIENT_CONNECTING, CLIENT_GREETING, CLIENT_ON };

struct client {
    struct link link;
    struct hub *hub;
    uint32_t number; /* the how-manieth of the run: makes its client id */
    uint8_t state;
    bool keep_session; /* CONNECT without clean start */
    bool held;         /* in the hub's list of those to flush */
    uint16_t next_id;
    struct wire_granted granted;
    struct client *next_held;
};

struct hub {
    int epoll_fd;
    uint8_t version;
    bool spin; /* never sleep: the fastest answers, at the price of a processor */
    struct transport transport;
    const struct addrinfo *address;
    const struct addrinfo *far; /* of clients from number `near` on; NULL = the same */
    uint32_t near;
    const char *prefix; /* of client ids */
    const char *user_name;
    const char *password;
    const struct client_calls *calls;
    void *user;
    uint64_t now_ns; /* the clock when the last bytes were read, or else when the turn began */
    uint64_t heard;  /* packets: whether anything still moves */
    uint32_t connecting;
    struct client *held;
    uint8_t *bytes;    /* owns; what one read brings */
    char failure[160]; /* not empty: the run cannot go on */
};

uint64_t clock_ns(void);

/* False: no descriptor. */
bool hub_init(struct hub *h);
void hub_free(struct hub *h);

/* Sends what was added, hands over what came, and sends what was added to that. Waits for `timeout_ms` at most.
 * False: see `failure`. */
bool hub_turn(struct hub *h, int timeout_ms);

/* The run cannot go on. */
__attribute__((format(printf, 2, 3))) void hub_fail(struct hub *h, const char *format, ...);

void client_open(struct hub *h, struct client *c, uint32_t number);
/* DISCONNECT, and the socket closed as soon as it is out. */
void client_close(struct client *c);
/* Closed at once, without a word. */
void client_drop(struct client *c);

void client_subscribe(struct client *c, const char *const *filters, unsigned count, uint8_t qos);
/* At QoS 1 and 2 with the packet id p->id. Where the payload is to be written. */
uint8_t *client_publish(struct client *c, const struct wire_publish *p);

/* Bytes that wait to be sent. */
static inline size_t client_waiting(const struct client *c)
{
    return link_waiting(&c->link);
}

#endif
