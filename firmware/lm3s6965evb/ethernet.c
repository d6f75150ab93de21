/* ethernet.c - the LM3S6965's Ethernet controller: frames as words through a FIFO.
 *
 * A frame in the FIFO has two bytes of length in front, where lwIP has its two bytes of padding (ETH_PAD_SIZE): so
 * whole words go both ways.
 */
#include "board.h"
#include "lm3s.h"

#include "lwip/etharp.h"
#include "lwip/pbuf.h"
#include "lwip/stats.h"
#include "netif/ethernet.h"

#include <string.h>

#define CRC_BYTES 4u
#define WORDS(bytes) (((bytes) + 3u) / 4u)

/* ---- in ------------------------------------------------------------------------------------------------ */

/* The payloads of a pool's pbufs are aligned, and whole words but for the last. */
static uint32_t read_words(const struct pbuf *p)
{
    uint32_t words = 0;
    for (; p; p = p->next) {
        uint32_t *to = p->payload;
        for (uint32_t i = 0; i < WORDS(p->len); i++, words++)
            if (words > 0) /* the first is here already */
                to[i] = MAC_DATA;
    }
    return words;
}

/* The last read takes the frame out of the FIFO, so all of it is read, wanted or not. */
static struct pbuf *read_frame(void)
{
    uint32_t first = MAC_DATA;
    uint32_t bytes = first & 0xffff;
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(bytes - CRC_BYTES), PBUF_POOL);
    uint32_t words = 1;
    if (p) {
        memcpy(p->payload, &first, sizeof first);
        words = read_words(p);
    } else {
        LINK_STATS_INC(link.drop);
    }
    for (; words < WORDS(bytes); words++)
        (void)MAC_DATA;
    return p;
}

void board_net_poll(struct netif *netif)
{
    if (MAC_NP == 0)
        return;
    struct pbuf *p = read_frame();
    if (p && netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
}

/* ---- out ----------------------------------------------------------------------------------------------- */

static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    LWIP_UNUSED_ARG(netif);
    uint32_t word = 0;
    uint32_t at = 0; /* bytes of the frame, its padding counted */
    for (const struct pbuf *q = p; q; q = q->next) {
        const uint8_t *bytes = q->payload;
        for (uint32_t i = 0; i < q->len; i++, at++) {
            word |= (uint32_t)bytes[i] << at % 4 * 8;
            if (at == 3)
                word = (word & 0xffff0000) | (uint32_t)(p->tot_len - SIZEOF_ETH_HDR); /* of the payload alone */
            if (at % 4 == 3) {
                MAC_DATA = word;
                word = 0;
            }
        }
    }
    if (at % 4)
        MAC_DATA = word;
    MAC_TR = 1;
    return ERR_OK;
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

err_t board_net_init(struct netif *netif)
{
    const uint32_t low = SYSCTL_USER0, high = SYSCTL_USER1;
    for (unsigned i = 0; i < 3; i++) {
        netif->hwaddr[i] = (u8_t)(low >> i * 8);
        netif->hwaddr[3 + i] = (u8_t)(high >> i * 8);
    }
    netif->hwaddr_len = 6;
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;

    MAC_IM = 0; /* all are enabled after a reset */
    MAC_IA0 = low | high << 24;
    MAC_IA1 = high >> 8;
    MAC_RCTL = RCTL_RSTFIFO;
    MAC_TCTL = TCTL_DUPLEX_CRC_PAD_TXEN;
    MAC_RCTL = RCTL_RXEN | RCTL_BADCRC;
    NVIC_ISER1 = 1u << (IRQ_ETHERNET - 32);
    return ERR_OK;
}
