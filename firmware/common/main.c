/* main.c - a broker on bare metal: lwIP, Midge in what memory is left, statistics on the console.
 *
 * Console: `s` prints a line of statistics, `q` tells every client, waits for them and ends with status 0.
 */
#include "board.h"
#include "console.h"
#include "layers.h"
#include "midge_lwip.h"

#include "lwip/etharp.h"
#include "lwip/init.h"
#include "lwip/stats.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include <string.h>

#define MQTT_PORT 1883
#define STOP_MS 3000

static struct netif netif;
static struct midge_lwip port;
static struct midge_memory memory;

/* Behind QEMU's network all clients have one address. */
static const struct midge_limits limits = {
    .memory_bytes = SIZE_MAX,
    .reserve_bytes = 2048,
    .connections = CLIENTS,
    .hello_ms = 5000,
    .hello_bytes = 512,
    .connect_bytes = 1024,
    .connect_pool_bytes = 2048,
    .linger_ms = 2000,
    .control_bytes = 256,
    .pause_ms = 3000,
    .keepalive_s = 300,
    .packet_bytes = 8192,
    .user_properties = 16,
    .topic_levels = 32,
    .client_id_bytes = 64,
    .filters = 16,
    .sessions = CLIENTS + CLIENTS / 4,
    .session_expiry_s = 24 * 3600,
    .subscriptions = 16,
    .queue_msgs = 32,
    .queue_bytes = 16384, /* two of the largest packets */
    .inflight = 8,
    .receive_maximum = 8,
    .inbound_qos2 = 16,
    .alias_in = 4,
    .retained_msgs = 64,
    .retained_bytes = 8192,
    .max_qos = 2,
    .retain = true,
    .wildcards = true,
    .subscription_ids = true,
    .queue_policy = MIDGE_QUEUE_DROP_NEW,
};

u32_t sys_now(void)
{
    return (u32_t)board_ms();
}

static void fill_random(void *user, void *out, size_t n)
{
    (void)user;
    for (uint8_t *p = out; n; n--)
        *p++ = (uint8_t)(firmware_random() >> 8);
}

static const struct midge_hooks hooks = { .random = fill_random };

/* ---- statistics ---------------------------------------------------------------------------------------- */

static void say_pool(const char *name, memp_t pool)
{
    const struct stats_mem *s = lwip_stats.memp[pool];
    say_field(name, s->max);
    say("/");
    say_number(s->avail);
}

/* One line: uptime, the broker, its memory, lwIP's, the stack. Of pairs a/b, a is the most that was used of b. */
static void say_stats(void)
{
    static struct midge_stats s; /* large for a stack that is guarded closely */
    midge_get_stats(port.broker, &s);
    say("stats");
    say_field("ms", (uint32_t)board_ms());
    say_field("connections", s.connections);
    say_field("clients", s.clients);
    say_field("sessions", s.sessions);
    say_field("subscriptions", s.subscriptions);
    say_field("retained", s.retained);
    say_field("received", (uint32_t)s.publish_received);
    say_field("sent", (uint32_t)s.publish_sent);
    say_field("refused", (uint32_t)s.publish_refused);
    say_field("arena", (uint32_t)memory.size);
    say_field("used", (uint32_t)s.memory_used);
    say_field("peak", (uint32_t)s.memory_peak);
    say_field("largest", (uint32_t)midge_arena_largest(&memory));
    say_field("sockets", midge_lwip_open(&port));
    say_field("heap", lwip_stats.mem.used);
    say_field("heap_max", lwip_stats.mem.max);
    say("/");
    say_number(lwip_stats.mem.avail);
    say_pool("pcb", MEMP_TCP_PCB);
    say_pool("segment", MEMP_TCP_SEG);
    say_pool("pbuf", MEMP_PBUF_POOL);
    if (MIDGE_LWIP_LAYERS) {
        say_field("layered", layers_stats.open);
        say_field("tls", layers_stats.tls_bytes);
        say_field("tls_peak", layers_stats.tls_bytes_peak);
    }
    say_field("rx_drop", lwip_stats.link.drop);
    say_field("stack", stack_used());
    say("/");
    say_number((uint32_t)(stack_top - stack_bottom));
    say("\n");
}

/* ---- start and end ------------------------------------------------------------------------------------- */

static void start_network(void)
{
    ip4_addr_t address, mask, gateway;
    IP4_ADDR(&address, 10, 0, 2, 15); /* QEMU's user network forwards to this one */
    IP4_ADDR(&mask, 255, 255, 255, 0);
    IP4_ADDR(&gateway, 10, 0, 2, 2);
    lwip_init();
    netif_add(&netif, &address, &mask, &gateway, NULL, board_net_init, ethernet_input);
    netif_set_default(&netif);
    netif_set_up(&netif);
    netif_set_link_up(&netif);
    etharp_request(&netif, &gateway); /* of packets for an address that is not resolved only one is kept */
}

static _Noreturn void fail(const char *what)
{
    say("cannot start: ");
    say(what);
    say("\n");
    board_exit(STATUS_START);
}

static void start_broker(void)
{
    if (!midge_arena_memory(arena_start, (size_t)(arena_end - arena_start), &memory))
        fail("no memory is left for the broker");
    const struct midge_config config = { .memory = &memory, .limits = &limits, .hooks = &hooks };
    struct midge *broker = midge_new(&config, sys_now());
    if (!broker || midge_lwip_start(&port, broker, MQTT_PORT) != ERR_OK)
        fail("no memory for the broker");
    if (MIDGE_LWIP_LAYERS && !layers_start(&port, &memory))
        fail("no memory for TLS");
}

static void turn(void)
{
    board_net_poll(&netif);
    sys_check_timeouts();
    board_idle(midge_lwip_run(&port));
}

static _Noreturn void stop(void)
{
    midge_lwip_stop(&port);
    uint64_t until = board_ms() + STOP_MS;
    while ((midge_lwip_open(&port) || lwip_stats.mem.used) && board_ms() < until) /* until the last word has arrived */
        turn();
    say_stats();
    midge_lwip_end(&port);
    midge_free(port.broker);
    if (MIDGE_LWIP_LAYERS)
        layers_end();
    bool all_back = midge_arena_largest(&memory) == memory.size;
    say(all_back ? "stopped\n" : "stopped, and memory is missing\n");
    board_exit(all_back ? 0 : STATUS_ASSERT);
}

/* `f` shows the tests that a stray access, and a stack that is too small, end the program. */
static void overflow(volatile uint8_t *below)
{
    volatile uint8_t frame[256];
    frame[0] = *below;
    if (sys_now() != UINT32_MAX) /* always, which the compiler does not know */
        overflow(frame);
    frame[1] = 0;
}

static void obey(int command)
{
    if (command == 's')
        say_stats();
    else if (command == 'q')
        stop();
    else if (command == 'f')
        *(volatile uint32_t *)(uintptr_t)(8 + port.now % 2 * 4) = 1;
    else if (command == 'o')
        overflow(arena_start);
}

int main(void)
{
    board_init();
    start_network();
    start_broker();
    say("ready board=");
    say(board_name);
    say_field("clients", CLIENTS);
    say_field("arena", (uint32_t)memory.size);
    say("\n");
    for (;;) {
        turn();
        obey(board_getc());
    }
}
