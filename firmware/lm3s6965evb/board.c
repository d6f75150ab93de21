/* board.c - LM3S6965: clock, UART, sleep, exit. */
#include "board.h"

#include "lm3s.h"

#define TICK_MS 100u /* a faster tick would lose time in the emulator */
#define COUNTS_A_MS (CPU_HZ / 1000)
#define COUNTS_A_TICK (TICK_MS * COUNTS_A_MS)

const char board_name[] = "lm3s6965evb";

static volatile uint32_t ticks;

void board_tick(void)
{
    ticks++;
}

void board_init(void)
{
    SYSCTL_RCC = RCC_50_MHZ;
    while (!(SYSCTL_RIS & RIS_PLL_LOCKED))
        continue;
    SYSCTL_RCGC1 |= RCGC1_UART0;
    SYSCTL_RCGC2 |= RCGC2_ETHERNET;
    UART_IBRD = CPU_HZ / (16 * 115200);
    UART_FBRD = 8;
    UART_LCRH = LCRH_8N1_FIFO;
    UART_CTL = CTL_ENABLE;
    SYST_RVR = COUNTS_A_TICK - 1;
    SYST_CVR = 0;
    SYST_CSR = SYST_ENABLE;
}

/* Between the counter's wrap and its interrupt it seems to step back: then the last answer holds. */
uint64_t board_ms(void)
{
    static uint64_t last;
    uint32_t before, counts;
    do {
        before = ticks;
        counts = COUNTS_A_TICK - 1 - SYST_CVR;
    } while (before != ticks);
    uint64_t now = (uint64_t)before * TICK_MS + counts / COUNTS_A_MS;
    if (now > last)
        last = now;
    return last;
}

uint32_t board_noise(void)
{
    return SYST_CVR ^ ticks << 24;
}

void board_putc(char c)
{
    while (UART_FR & FR_TX_FULL)
        continue;
    UART_DR = (uint8_t)c;
}

int board_getc(void)
{
    return UART_FR & FR_RX_EMPTY ? -1 : (int)(UART_DR & 0xff);
}

/* ---- sleep --------------------------------------------------------------------------------------------- */

/* Masked until the next sleep: packets are taken by polling. */
void board_ethernet(void)
{
    MAC_IM = 0;
}

/* The flag does not rise again for frames that are there already: so it is cleared first, then they are looked for. A
 * tick ends the sleep too: nothing here needs to be due to the millisecond. */
void board_idle(uint32_t ms)
{
    if (ms == 0)
        return;
    __asm__ volatile("cpsid i");
    if (MAC_NP == 0) {
        MAC_IACK = MAC_INT_ALL;
        if (MAC_NP == 0) {
            MAC_IM = MAC_INT_RX;
            __asm__ volatile("wfi");
        }
    }
    __asm__ volatile("cpsie i");
}

/* Semihosting: SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit. Without a debugger this faults, and ends there. */
void board_exit(int status)
{
    uint32_t block[2] = { 0x20026, (uint32_t)status };
    register uint32_t r0 __asm__("r0") = 0x20;
    register uint32_t *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    for (;;)
        continue;
}
