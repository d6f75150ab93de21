/* console.h - words and numbers to the board's UART, without printf. */
#ifndef FIRMWARE_CONSOLE_H
#define FIRMWARE_CONSOLE_H

#include <stdint.h>

void say(const char *text);
void say_number(uint32_t n);
void say_hex(uint32_t n);
/* " name=value" */
void say_field(const char *name, uint32_t value);

/* Fills the stack with a pattern, before it is in use; bytes of it that have been in use since. */
void stack_paint(void);
uint32_t stack_used(void);

#endif
