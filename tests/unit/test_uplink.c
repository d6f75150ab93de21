/* test_uplink.c - bridges between loops, over real sockets. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "peer.h"

#include <stdio.h>

#define SPEC(...)

static const struct midge_bridge_map maps[] = { { .pattern = "x", .direction = MIDGE_BRIDGE_BOTH, .qos = 1 } };

/* Two loops, and a bridge from the first to the second, named as one thinks of it: by name, by address. */
struct pair {
    struct runner home, away;
    char address[32];
    const char *addresses[1];
    struct midge_uplink_options options;
};

static void pair_open(struct pair *p, const char *host, uint8_t version)
{
    char why[128] = "";
    memset(p, 0, sizeof *p);
    runner_start(&p->away, NULL);
    runner_open(&p->home, NULL);
    snprintf(p->address, sizeof p->address, "%s:%u", host, p->away.port);
    p->addresses[0] = p->address;
    p->options.bridge = (struct midge_bridge_options){ .name = "edge",
                                                       .node = "home",
                                                       .maps = maps,
                                                       .map_count = 1,
                                                       .addresses = p->addresses,
                                                       .address_count = 1,
                                                       .version = version,
                                                       .notify_topic = "t",
                                                       .notify_local_only = true,
                                                       .restart_s = 1 };
    assert_non_null(midge_loop_bridge(p->home.loop, &p->options, why, sizeof why));
}

static void pair_run(struct pair *p)
{
    assert_int_equal(pthread_create(&p->home.thread, NULL, runner_main, &p->home), 0);
}

static void pair_close(struct pair *p)
{
    runner_stop(&p->home);
    runner_stop(&p->away);
    midge_loop_free(p->home.loop);
    midge_loop_free(p->away.loop);
}

/* The bridge says "1" when it is up. */
static void wait_until_up(int sub)
{
    char packet[6];
    do {
        for (size_t have = 0; have < sizeof packet;) {
            ssize_t n = recv(sub, packet + have, sizeof packet - have, 0);
            assert_true(n > 0);
            have += (size_t)n;
        }
        assert_memory_equal(packet + 1, "\x04\0\1t", 4);
    } while (packet[5] != '1');
}

static void subscribe_x(int fd)
{
    SEND(fd, "\x82\x06\0\1\0\1x\0");
    EXPECT(fd, "\x90\x03\0\1\0");
}

SPEC("MQTT311-7.1.2-1")
static void messages_go_both_ways(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost" };
    (void)state;
    for (uint8_t i = 0; i < 2; i++) {
        struct pair p;
        pair_open(&p, hosts[i], 4 + i);
        pair_run(&p);
        int here = peer_client(p.home.port, 'h'), there = peer_client(p.away.port, 't');
        peer_subscribe_t(here);
        wait_until_up(here);
        subscribe_x(here);
        subscribe_x(there);
        SEND(here, "\x30\x05\0\1xup");
        EXPECT(here, "\x30\x05\0\1xup");
        EXPECT(there, "\x30\x05\0\1xup");
        SEND(there, "\x30\x07\0\1xdown");
        EXPECT(there, "\x30\x07\0\1xdown");
        EXPECT(here, "\x30\x07\0\1xdown");
        close(here);
        close(there);
        pair_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
