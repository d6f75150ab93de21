/* template.c - the smallest port, as a recipe: in seven steps. */
#include "template.h"

#include <string.h>

static struct template_conn *find(struct template_port *port, int socket)
{
    for (size_t i = 0; i < TEMPLATE_SOCKETS; i++)
        if (port->conns[i].conn && port->conns[i].socket == socket)
            return &port->conns[i];
    return NULL;
}

static struct template_conn *free_place(struct template_port *port)
{
    for (size_t i = 0; i < TEMPLATE_SOCKETS; i++)
        if (!port->conns[i].conn)
            return &port->conns[i];
    return NULL;
}

void template_start(struct template_port *port, struct midge *broker)
{
    memset(port, 0, sizeof *port);
    port->broker = broker;
}

/* 1. A connection: ask the core, and give it a pointer by which midge_ready will name it. */
bool template_opened(struct template_port *port, int socket, uint32_t address_key)
{
    struct template_conn *c = free_place(port);
    if (!c)
        return false;
    const struct midge_peer peer = { .user = c, .address_key = address_key };
    c->socket = socket;
    c->writable = false;
    c->conn = midge_accept(port->broker, &peer, your_clock());
    return c->conn != NULL;
}

/* 2. Bytes in: the core takes all of them, always. Under pressure it asks for no more: that is all there is to flow
 * control. */
void template_received(struct template_port *port, int socket, const void *bytes, size_t n)
{
    struct template_conn *c = find(port, socket);
    if (!c)
        return;
    midge_recv(c->conn, bytes, n, your_clock());
    if (midge_status(c->conn) & MIDGE_STATUS_PAUSED)
        your_reading(socket, false);
}

/* 3. Room to send: only noted here, so that everything is sent from one place. */
void template_writable(struct template_port *port, int socket)
{
    struct template_conn *c = find(port, socket);
    if (c)
        c->writable = true;
}

/* 4. The connection is gone: tell the core, and forget it. */
void template_closed(struct template_port *port, int socket)
{
    struct template_conn *c = find(port, socket);
    if (!c)
        return;
    midge_lost(c->conn, your_clock());
    c->conn = NULL;
}

/* 5. Bytes out: as many as the network takes now, and no more, since what was pulled counts as sent. */
static void send_some(struct template_port *port, struct template_conn *c)
{
    size_t room, n;
    do {
        room = your_room(c->socket);
        if (room > sizeof port->out)
            room = sizeof port->out;
        n = midge_pull(c->conn, port->out, room, your_clock());
        if (n)
            your_send(c->socket, port->out, n);
    } while (n);
}

/* 6. What a connection wants, after anything happened to it: to send, to be closed, to be read again. */
static void serve(struct template_port *port, struct template_conn *c)
{
    c->writable = false;
    send_some(port, c);
    unsigned status = midge_status(c->conn);
    if (status & MIDGE_STATUS_CLOSE) {
        midge_lost(c->conn, your_clock());
        c->conn = NULL;
        your_close(c->socket);
        return;
    }
    your_reading(c->socket, !(status & MIDGE_STATUS_PAUSED));
}

/* 7. The turn: what is due, who has room again, whom the core names. Serving one may make others ready: the loop ends
 * when nobody is. */
uint32_t template_run(struct template_port *port)
{
    midge_ms now = your_clock();
    if (midge_deadline(port->broker) <= now)
        midge_tick(port->broker, now);
    for (size_t i = 0; i < TEMPLATE_SOCKETS; i++)
        if (port->conns[i].conn && port->conns[i].writable)
            serve(port, &port->conns[i]);
    struct midge_conn *ready;
    while ((ready = midge_ready(port->broker, now)))
        serve(port, midge_conn_user(ready));
    midge_ms due = midge_deadline(port->broker);
    if (due <= now)
        return 0;
    return due - now < UINT32_MAX ? (uint32_t)(due - now) : UINT32_MAX;
}
