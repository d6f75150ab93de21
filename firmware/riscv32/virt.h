/* virt.h - the registers of QEMU's RISC-V `virt` machine that this board uses. */
#ifndef FIRMWARE_VIRT_H
#define FIRMWARE_VIRT_H

#include <stdbool.h>
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define REGISTER8(address) (*(volatile uint8_t *)(uintptr_t)(address))

#define TEST_EXIT REGISTER(0x00100000u) /* ends the emulator */
#define TEST_PASS 0x5555u
#define TEST_FAIL 0x3333u /* with the status above it */

#define CLINT_MTIMECMP REGISTER(0x02004000u) /* two words each */
#define CLINT_MTIMECMP_HIGH REGISTER(0x02004004u)
#define CLINT_MTIME REGISTER(0x0200BFF8u)
#define CLINT_MTIME_HIGH REGISTER(0x0200BFFCu)
#define MTIME_A_MS 10000u

#define PLIC_PRIORITY(irq) REGISTER(0x0C000000u + 4 * (irq))
#define PLIC_ENABLE REGISTER(0x0C002000u)
#define PLIC_CLAIM REGISTER(0x0C200004u)

#define UART_DATA REGISTER8(0x10000000u)
#define UART_LSR REGISTER8(0x10000005u)
#define LSR_DATA_READY 0x01u
#define LSR_TX_EMPTY 0x20u

#define VIRTIO_SLOT(i) (0x10001000u + 0x1000u * (i))
#define VIRTIO_SLOTS 8
#define VIRTIO_IRQ(i) (1 + (i))

#define CSR_SET(name, bits) __asm__ volatile("csrs " #name ", %0" ::"r"(bits))
#define CSR_WRITE(name, bits) __asm__ volatile("csrw " #name ", %0" ::"r"(bits))
#define CSR_READ(name, to) __asm__ volatile("csrr %0, " #name : "=r"(to))
#define MIE_TIMER (1u << 7)
#define MIE_EXTERNAL (1u << 11)

/* ethernet.c: is there a frame? The card's interrupt, which told of one, is taken back. */
bool board_net_waits(void);
void board_net_acknowledge(void);

#endif
