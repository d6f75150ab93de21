/* lm3s.h - the registers of the Cortex-M3 and the LM3S6965 that this board uses. */
#ifndef FIRMWARE_LM3S_H
#define FIRMWARE_LM3S_H

#include <stdint.h>

#define FLASH_START 0x00000000u
#define RAM_START 0x20000000u
#define RAM_BYTES 0x10000u

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* ---- Cortex-M3 ----------------------------------------------------------------------------------------- */

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define SYST_ENABLE 7u /* counts the processor's clock, interrupts at 0 */
#define NVIC_ISER1 REGISTER(0xE000E104u)
#define SCB_CCR REGISTER(0xE000ED14u)
#define CCR_DIVIDE_BY_ZERO (1u << 4)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SHCSR_ALL_FAULTS (7u << 16)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_ENABLE 1u
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)
#define MPU_RASR_ENABLE 1u
#define MPU_NO_EXECUTE (1u << 28)
#define MPU_NO_ACCESS (0u << 24)
#define MPU_READ_WRITE (3u << 24)
#define MPU_READ_ONLY (6u << 24)

/* ---- LM3S6965 ------------------------------------------------------------------------------------------ */

#define CPU_HZ 50000000u
#define SYSCTL_RIS REGISTER(0x400FE050u)
#define RIS_PLL_LOCKED (1u << 6)
#define SYSCTL_RCC REGISTER(0x400FE060u)
#define RCC_50_MHZ 0x01C00380u /* PLL, divided by 4 */
#define SYSCTL_RCGC1 REGISTER(0x400FE104u)
#define RCGC1_UART0 (1u << 0)
#define SYSCTL_RCGC2 REGISTER(0x400FE108u)
#define RCGC2_ETHERNET (1u << 28 | 1u << 30 | 1u << 0) /* MAC, PHY, the port with the PHY's pins */
#define SYSCTL_USER0 REGISTER(0x400FE1E0u) /* the MAC address, three bytes each */
#define SYSCTL_USER1 REGISTER(0x400FE1E4u)

#define UART_DR REGISTER(0x4000C000u)
#define UART_FR REGISTER(0x4000C018u)
#define FR_TX_FULL (1u << 5)
#define FR_RX_EMPTY (1u << 4)
#define UART_IBRD REGISTER(0x4000C024u)
#define UART_FBRD REGISTER(0x4000C028u)
#define UART_LCRH REGISTER(0x4000C02Cu)
#define LCRH_8N1_FIFO 0x70u
#define UART_CTL REGISTER(0x4000C030u)
#define CTL_ENABLE 0x301u

#define IRQ_ETHERNET 42
#define MAC_IACK REGISTER(0x40048000u)
#define MAC_IM REGISTER(0x40048004u)
#define MAC_INT_RX 0x01u
#define MAC_INT_ALL 0x7Fu
#define MAC_RCTL REGISTER(0x40048008u)
#define RCTL_RXEN 0x01u
#define RCTL_BADCRC 0x08u
#define RCTL_RSTFIFO 0x10u
#define MAC_TCTL REGISTER(0x4004800Cu)
#define TCTL_DUPLEX_CRC_PAD_TXEN 0x0Fu
#define MAC_DATA REGISTER(0x40048010u)
#define MAC_IA0 REGISTER(0x40048014u)
#define MAC_IA1 REGISTER(0x40048018u)
#define MAC_NP REGISTER(0x40048034u)
#define MAC_TR REGISTER(0x40048038u)

/* Interrupt handlers. */
void board_tick(void);
void board_ethernet(void);

#endif
