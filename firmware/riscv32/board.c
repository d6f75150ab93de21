/* board.c - RISC-V `virt`: clock, UART, sleep, exit. */
#include "board.h"

#include "virt.h"

#define SLEEP_MS_MAX 60000u

const char board_name[] = "riscv32";

static uint64_t mtime(void)
{
    uint32_t high, low;
    do {
        high = CLINT_MTIME_HIGH;
        low = CLINT_MTIME;
    } while (high != CLINT_MTIME_HIGH);
    return (uint64_t)high << 32 | low;
}

void board_init(void)
{
    CSR_SET(mie, MIE_TIMER | MIE_EXTERNAL);
}

uint64_t board_ms(void)
{
    return mtime() / MTIME_A_MS;
}

uint32_t board_noise(void)
{
    return CLINT_MTIME;
}

void board_putc(char c)
{
    while (!(UART_LSR & LSR_TX_EMPTY))
        continue;
    UART_DATA = (uint8_t)c;
}

int board_getc(void)
{
    return UART_LSR & LSR_DATA_READY ? UART_DATA : -1;
}

/* Interrupts stay disabled, but a pending one ends wfi. The timer is set in the order that never rings too early. */
void board_idle(uint32_t ms)
{
    if (ms == 0 || board_net_waits())
        return;
    uint64_t until = mtime() + (uint64_t)(ms < SLEEP_MS_MAX ? ms : SLEEP_MS_MAX) * MTIME_A_MS;
    CLINT_MTIMECMP = UINT32_MAX;
    CLINT_MTIMECMP_HIGH = (uint32_t)(until >> 32);
    CLINT_MTIMECMP = (uint32_t)until;
    __asm__ volatile("wfi");
    board_net_acknowledge();
}

void board_exit(int status)
{
    TEST_EXIT = status ? TEST_FAIL | (uint32_t)status << 16 : TEST_PASS;
    for (;;)
        continue;
}
