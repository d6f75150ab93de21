/* inside.c - opens the places where somebody may ask, and remembers who left and why. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "inside.h"

#include "desk.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LONGEST_REQUEST 4096u
#define LONGEST_COMMAND ((size_t)3 * 268435456 + 65536) /* a retained message as text */

static uint64_t key_of(struct midge_slice client_id)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a: who forges a collision changes a line that somebody reads */
    for (uint32_t i = 0; i < client_id.len; i++)
        h = (h ^ client_id.data[i]) * 0x100000001b3u;
    return h ? h : 1;
}

const struct farewell *inside_farewell(const struct inside *in, struct midge_slice client_id)
{
    uint64_t key = key_of(client_id);
    const struct farewell *f = &in->farewells[key % FAREWELLS];
    return f->key == key ? f : NULL;
}

void inside_event(struct inside *in, const struct midge_event *e)
{
    uint64_t key = key_of(e->who.client_id);
    switch (e->kind) {
    case MIDGE_EV_CONNECTED:
        in->connects++;
        if (++in->clients > in->clients_maximum)
            in->clients_maximum = in->clients;
        return;
    case MIDGE_EV_REFUSED:
        in->refused++;
        return;
    case MIDGE_EV_STORE_FAILED:
        in->store_failed = true;
        return;
    case MIDGE_EV_DISCONNECTED:
        in->clients--;
        in->farewells[key % FAREWELLS] = (struct farewell){
            .key = key, .at = (int64_t)time(NULL), .reason = e->reason, .by_client = e->by_client
        };
        return;
    default:
        return;
    }
}

static bool open_admin(struct inside *in, const struct conf *c, char *why, size_t why_size)
{
    if (c->admin_port == CONF_UNSET)
        return true;
    const char *address = c->admin_address.text ? c->admin_address.text : "127.0.0.1";
    in->admin = desk_open_tcp(in->loop, address, (uint16_t)c->admin_port, LONGEST_REQUEST, metrics_answer, in,
                              why, why_size);
    return in->admin != NULL;
}

static bool open_control(struct inside *in, const struct conf *c, char *why, size_t why_size)
{
    if (!c->control_socket.text)
        return true;
    in->control =
        desk_open_unix(in->loop, c->control_socket.text, LONGEST_COMMAND, control_answer, in, why, why_size);
    return in->control != NULL;
}

bool inside_open(struct inside *in, const struct conf *c, uint32_t sys_interval_s, char *why, size_t why_size)
{
    if (!open_control(in, c, why, why_size) || !open_admin(in, c, why, why_size))
        return false;
    in->sys = sys_interval_s ? sys_open(in, sys_interval_s) : NULL;
    snprintf(why, why_size, "no timer for the $SYS topics: %s", strerror(errno));
    return in->sys || !sys_interval_s;
}

void inside_close(struct inside *in)
{
    desk_close(in->control);
    desk_close(in->admin);
    sys_close(in->sys);
}
