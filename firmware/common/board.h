/* board.h - what the program asks of a board; each folder beside common/ is one. */
#ifndef FIRMWARE_BOARD_H
#define FIRMWARE_BOARD_H

#include "lwip/netif.h"

#include <stdint.h>

extern const char board_name[];

/* Clocks, memory protection, console. Called first. */
void board_init(void);

/* Milliseconds since board_init; does not go back. */
uint64_t board_ms(void);

/* The console. board_getc: -1 = nothing there. */
void board_putc(char c);
int board_getc(void);

/* Some bits that differ from run to run. No source of secrets: an emulated board has none. */
uint32_t board_noise(void);

/* Sleeps until a packet has come, or `ms` have passed, or for no reason. */
void board_idle(uint32_t ms);

/* Ends the emulator with this status: 0 = all is well. */
_Noreturn void board_exit(int status);

/* The network chip: the init function for netif_add, and the call that hands one frame, if there is any, to
 * netif.input. One at a time, so that what it caused is sent before the next adds to it. */
err_t board_net_init(struct netif *netif);
void board_net_poll(struct netif *netif);

/* From the linker script. The stack grows down from stack_top; below stack_bottom is what must not be touched. What
 * no other part uses is the broker's. */
extern uint8_t stack_bottom[], stack_top[];
extern uint8_t arena_start[], arena_end[];

/* Exit statuses beyond 0. */
#define STATUS_ASSERT 2
#define STATUS_FAULT 3
#define STATUS_START 4 /* something did not fit */

#endif
