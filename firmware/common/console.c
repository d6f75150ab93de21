/* console.c - words and numbers to the board's UART; the painted stack; the last words of an assertion. */
#include "console.h"

#include "arch/cc.h"
#include "board.h"

#include <string.h>

#define PAINT 0xA5u

void say(const char *text)
{
    for (; *text; text++)
        board_putc(*text);
}

void say_number(uint32_t n)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    say(at);
}

void say_hex(uint32_t n)
{
    say("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        board_putc("0123456789abcdef"[n >> shift & 15]);
}

void say_field(const char *name, uint32_t value)
{
    say(" ");
    say(name);
    say("=");
    say_number(value);
}

void stack_paint(void)
{
    memset(stack_bottom, PAINT, (size_t)(stack_top - stack_bottom));
}

uint32_t stack_used(void)
{
    const uint8_t *p = stack_bottom;
    while (p < stack_top && *p == PAINT)
        p++;
    return (uint32_t)(stack_top - p);
}

void firmware_assert(const char *what, const char *file, int line)
{
    say("\nassert ");
    say(file);
    say(":");
    say_number((uint32_t)line);
    say(" ");
    say(what);
    say("\n");
    board_exit(STATUS_ASSERT);
}

/* xorshift: port numbers and hash seeds, not keys. */
unsigned firmware_random(void)
{
    static uint32_t x;
    x ^= board_noise() + 0x9e3779b9u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}
