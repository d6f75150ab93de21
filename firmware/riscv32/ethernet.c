/* ethernet.c - the network card of the `virt` machine: virtio 1.0 over memory-mapped registers, two rings.
 *
 * The rings and frame buffers lie outside the chip's 64 kB: they stand for the memory that a MAC has of its own.
 */
#include "board.h"
#include "virt.h"

#include "lwip/etharp.h"
#include "lwip/pbuf.h"
#include "lwip/stats.h"
#include "netif/ethernet.h"

#include <stdbool.h>
#include <string.h>

#define RING 4u /* a power of two */
#define HEADER_BYTES 12u
#define FRAME_BYTES 1536u

enum { RX, TX };

/* Register offsets, version 2. */
#define REG_MAGIC 0x000u
#define REG_DEVICE_ID 0x008u
#define REG_FEATURES 0x020u
#define REG_FEATURES_SELECT 0x024u
#define REG_QUEUE 0x030u
#define REG_QUEUE_SIZE 0x038u
#define REG_QUEUE_READY 0x044u
#define REG_NOTIFY 0x050u
#define REG_INTERRUPT 0x060u
#define REG_INTERRUPT_ACK 0x064u
#define REG_STATUS 0x070u
#define REG_DESCRIPTORS 0x080u
#define REG_AVAILABLE 0x090u
#define REG_USED 0x0A0u
#define REG_CONFIG 0x100u
#define MAGIC 0x74726976u
#define DEVICE_NETWORK 1u
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define FEATURE_MAC (1u << 5)
#define FEATURE_VERSION_1 (1u << 0) /* bit 32: of the second word */
#define DESCRIPTOR_WRITE 2u

struct descriptor {
    uint32_t address, address_high, bytes;
    uint16_t flags, next;
};

struct ring {
    _Alignas(16) struct descriptor descriptors[RING];
    struct {
        uint16_t flags;
        volatile uint16_t at;
        uint16_t ring[RING];
    } available;
    _Alignas(4) struct {
        uint16_t flags;
        volatile uint16_t at;
        struct {
            uint32_t id, bytes;
        } ring[RING];
    } used;
    uint16_t seen; /* of `used` */
    uint8_t frames[RING][HEADER_BYTES + FRAME_BYTES];
};

static struct ring rings[2] __attribute__((section(".rings")));
static uintptr_t device;
static unsigned irq;

static void fence(void)
{
    __asm__ volatile("fence" ::: "memory");
}

static void give(struct ring *r, unsigned queue, uint32_t id)
{
    r->available.ring[r->available.at % RING] = (uint16_t)id;
    fence();
    r->available.at++;
    fence();
    REGISTER(device + REG_NOTIFY) = queue;
}

bool board_net_waits(void)
{
    return rings[RX].seen != rings[RX].used.at;
}

void board_net_acknowledge(void)
{
    uint32_t claimed = PLIC_CLAIM;
    if (!claimed)
        return;
    REGISTER(device + REG_INTERRUPT_ACK) = REGISTER(device + REG_INTERRUPT);
    PLIC_CLAIM = claimed;
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static void hand_in(struct netif *netif, const uint8_t *frame, uint32_t bytes)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(bytes + ETH_PAD_SIZE), PBUF_POOL);
    if (!p) {
        LINK_STATS_INC(link.drop);
        return;
    }
    pbuf_remove_header(p, ETH_PAD_SIZE);
    pbuf_take(p, frame, (u16_t)bytes);
    pbuf_add_header(p, ETH_PAD_SIZE);
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

void board_net_poll(struct netif *netif)
{
    struct ring *r = &rings[RX];
    if (r->seen == r->used.at)
        return;
    fence();
    uint32_t id = r->used.ring[r->seen % RING].id;
    uint32_t bytes = r->used.ring[r->seen % RING].bytes;
    r->seen++;
    if (bytes > HEADER_BYTES)
        hand_in(netif, r->frames[id] + HEADER_BYTES, bytes - HEADER_BYTES);
    give(r, RX, id);
}

/* ---- out ----------------------------------------------------------------------------------------------- */

/* The card is an emulated one: a frame that is not taken yet is taken any moment. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    struct ring *r = &rings[TX];
    LWIP_UNUSED_ARG(netif);
    while ((uint16_t)(r->available.at - r->used.at) == RING)
        continue;
    uint32_t id = r->available.at % RING;
    uint32_t bytes = p->tot_len - ETH_PAD_SIZE;
    memset(r->frames[id], 0, HEADER_BYTES);
    pbuf_copy_partial(p, r->frames[id] + HEADER_BYTES, (u16_t)bytes, ETH_PAD_SIZE);
    r->descriptors[id].bytes = HEADER_BYTES + bytes;
    give(r, TX, id);
    return ERR_OK;
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

static bool find_device(void)
{
    for (unsigned i = 0; i < VIRTIO_SLOTS; i++) {
        device = VIRTIO_SLOT(i);
        irq = VIRTIO_IRQ(i);
        if (REGISTER(device + REG_MAGIC) == MAGIC && REGISTER(device + REG_DEVICE_ID) == DEVICE_NETWORK)
            return true;
    }
    return false;
}

static void set_feature_word(unsigned word, uint32_t features)
{
    REGISTER(device + REG_FEATURES_SELECT) = word;
    REGISTER(device + REG_FEATURES) = features;
}

static void set_address(uint32_t reg, const void *p)
{
    REGISTER(device + reg) = (uint32_t)(uintptr_t)p;
    REGISTER(device + reg + 4) = 0;
}

static void start_ring(unsigned queue, uint16_t flags)
{
    struct ring *r = &rings[queue];
    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < RING; i++)
        r->descriptors[i] = (struct descriptor){ .address = (uint32_t)(uintptr_t)r->frames[i],
                                                 .bytes = sizeof r->frames[i],
                                                 .flags = flags };
    REGISTER(device + REG_QUEUE) = queue;
    REGISTER(device + REG_QUEUE_SIZE) = RING;
    set_address(REG_DESCRIPTORS, r->descriptors);
    set_address(REG_AVAILABLE, &r->available);
    set_address(REG_USED, &r->used);
    REGISTER(device + REG_QUEUE_READY) = 1;
}

err_t board_net_init(struct netif *netif)
{
    if (!find_device())
        return ERR_IF;
    netif->hwaddr_len = 6;
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;

    uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    REGISTER(device + REG_STATUS) = 0;
    REGISTER(device + REG_STATUS) = status;
    set_feature_word(0, FEATURE_MAC);
    set_feature_word(1, FEATURE_VERSION_1);
    REGISTER(device + REG_STATUS) = status |= STATUS_FEATURES_OK;
    for (unsigned i = 0; i < 6; i++)
        netif->hwaddr[i] = REGISTER8(device + REG_CONFIG + i);
    start_ring(RX, DESCRIPTOR_WRITE);
    start_ring(TX, 0);
    REGISTER(device + REG_STATUS) = status | STATUS_DRIVER_OK;
    for (uint32_t i = 0; i < RING; i++)
        give(&rings[RX], RX, i);
    PLIC_PRIORITY(irq) = 1;
    PLIC_ENABLE = 1u << irq;
    return ERR_OK;
}
