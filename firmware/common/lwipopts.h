/* lwipopts.h - lwIP for a broker in 64 kB: no operating system, TCP and ARP over IPv4, little of everything. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

/* Clients that fit: the build's choice (make CLIENTS=20). */
#ifndef CLIENTS
#define CLIENTS 64
#endif

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0 /* nothing of lwIP is called from an interrupt */
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_RAW 0
#define LWIP_UDP 0
#define LWIP_ICMP 1
#define LWIP_IPV6 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define LWIP_SINGLE_NETIF 1
#define ARP_TABLE_SIZE 4
#define ARP_QUEUEING 0
#define ETH_PAD_SIZE 2 /* the IP header comes to lie on a word */

/* Connections: the clients, those that the core takes beyond them for takeovers, two to refuse the next in order. */
#define MEMP_NUM_TCP_PCB (CLIENTS + CLIENTS / 16 + 3)
#define MEMP_NUM_TCP_PCB_LISTEN (MIDGE_LWIP_LAYERS ? 3 : 1)
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 0xff

#define TCP_MSS 536
#define TCP_WND (2 * TCP_MSS) /* one segment alone would stall on delayed ACKs */
#define TCP_SND_BUF (2 * TCP_MSS)
#define TCP_SND_QUEUELEN 8
#define TCP_QUEUE_OOSEQ 0

/* What is on its way out, in lwIP's heap until it is acknowledged; shared by all connections. */
#define MEM_ALIGNMENT 4
#ifndef MEM_SIZE
#define MEM_SIZE 8192
#endif
#define MEMP_NUM_TCP_SEG 64
#define MEMP_NUM_PBUF 4 /* references without bytes: not used by TCP_WRITE_FLAG_COPY */

/* What comes in is handed on at once: a window's worth is enough. */
#define PBUF_POOL_SIZE 6
#define PBUF_POOL_BUFSIZE 256

#define LWIP_STATS 1
#define LWIP_STATS_LARGE 0
#define LWIP_STATS_DISPLAY 0
#define MEM_STATS 1
#define MEMP_STATS 1
#define TCP_STATS 1
#define LINK_STATS 1
#define ETHARP_STATS 0
#define IP_STATS 0
#define ICMP_STATS 0

#endif
