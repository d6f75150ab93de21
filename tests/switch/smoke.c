/* smoke.c - the least that a broker of any switches must do: one 3.1.1 client hears what it publishes at QoS 0. */
#include "midge/midge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(max_align_t) unsigned char block[64 * 1024];

static void say_and_fail(const char *what)
{
    fprintf(stderr, "smoke: %s\n", what);
    exit(1);
}

/* Sends `in`, expects exactly `out` back. */
static void exchange(struct midge_conn *c, const void *in, size_t in_len, const void *out, size_t out_len,
                     const char *what)
{
    unsigned char got[256];
    size_t n = 0;
    midge_recv(c, in, in_len, 1);
    for (size_t more; (more = midge_pull(c, got + n, sizeof got - n, 1)) != 0;)
        n += more;
    if (n != out_len || memcmp(got, out, n) != 0)
        say_and_fail(what);
}

#define EXCHANGE(c, in, out, what) exchange(c, in, sizeof(in) - 1, out, sizeof(out) - 1, what)

int main(void)
{
    struct midge_memory memory;
    if (!midge_arena_memory(block, sizeof block, &memory))
        say_and_fail("arena");
    struct midge_config config = { .memory = &memory };
    struct midge *m = midge_new(&config, 0);
    if (!m)
        say_and_fail("midge_new");
    struct midge_peer peer = { .user = NULL };
    struct midge_conn *c = midge_accept(m, &peer, 0);
    if (!c)
        say_and_fail("midge_accept");

    EXCHANGE(c, "\x10\x0d\0\4MQTT\4\2\0\0\0\1a", "\x20\2\0\0", "CONNACK");
    EXCHANGE(c, "\x82\6\0\1\0\1t\0", "\x90\3\0\1\0", "SUBACK");
    EXCHANGE(c, "\x30\5\0\1thi", "\x30\5\0\1thi", "PUBLISH");
    EXCHANGE(c, "\xc0\0", "\xd0\0", "PINGRESP");

    midge_lost(c, 2);
    midge_free(m);
    return 0;
}
