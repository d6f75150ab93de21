/* startup.c - LM3S6965: vectors, the two stacks, memory protection, and faults that speak. */
#include "board.h"
#include "console.h"
#include "lm3s.h"

#include <stdbool.h>
#include <string.h>

extern uint8_t handler_stack_top[], guard[];
extern uint8_t data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

/* ---- faults -------------------------------------------------------------------------------------------- */

struct exception_frame {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

static void say_register(const char *name, uint32_t value)
{
    say(" ");
    say(name);
    say("=");
    say_hex(value);
}

static bool in_ram(const void *p, size_t n)
{
    return (uintptr_t)p >= RAM_START && (uintptr_t)p <= RAM_START + RAM_BYTES - n;
}

#define NEAR_BYTES 4096u /* a frame may be large */

/* If the stack has overflowed, the frame was not written, and is not read. */
__attribute__((used)) static _Noreturn void report_fault(const struct exception_frame *frame)
{
    bool overflow = (const uint8_t *)frame < stack_bottom || SCB_MMFAR - (RAM_START - NEAR_BYTES) < NEAR_BYTES;
    say(overflow ? "\nfault: stack overflow" : "\nfault");
    say_register("cfsr", SCB_CFSR);
    say_register("address", SCB_MMFAR);
    if (!overflow && in_ram(frame, sizeof *frame)) {
        say_register("pc", frame->pc);
        say_register("lr", frame->lr);
    }
    say("\n");
    board_exit(STATUS_FAULT);
}

__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mrs r0, psp\n"
                     "b report_fault\n");
}

/* ---- memory protection --------------------------------------------------------------------------------- */

static void protect(uint32_t region, uint32_t address, uint32_t attributes, unsigned size_log2)
{
    MPU_RNR = region;
    MPU_RBAR = address;
    MPU_RASR = attributes | (size_log2 - 1) << 1 | MPU_RASR_ENABLE;
}

/* The emulated machine ignores accesses to nowhere; with this, only what exists can be touched. */
static void protect_memory(void)
{
    protect(0, FLASH_START, MPU_READ_ONLY, 18);
    protect(1, RAM_START, MPU_READ_WRITE | MPU_NO_EXECUTE, 16);
    protect(2, 0x40000000, MPU_READ_WRITE | MPU_NO_EXECUTE, 29);
    protect(3, 0, MPU_NO_ACCESS | MPU_NO_EXECUTE, 5); /* NULL; vectors are still fetched */
    protect(4, (uint32_t)(uintptr_t)guard, MPU_NO_ACCESS | MPU_NO_EXECUTE, 5);
    SCB_SHCSR |= SHCSR_ALL_FAULTS;
    SCB_CCR |= CCR_DIVIDE_BY_ZERO;
    MPU_CTRL = MPU_ENABLE;
    __asm__ volatile("dsb\n isb\n");
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

/* On the handlers' stack: the program's is not in use yet. */
__attribute__((used)) static void prepare(void)
{
    memcpy(data_start, data_load, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    stack_paint();
    protect_memory();
}

__attribute__((used)) static _Noreturn void start(void)
{
    main();
    board_exit(STATUS_ASSERT);
}

/* The program has a stack of its own, so that its overflow leaves the fault handler one. */
__attribute__((naked)) static void reset(void)
{
    __asm__ volatile("bl prepare\n"
                     "ldr r0, =stack_top\n"
                     "msr psp, r0\n"
                     "movs r0, #2\n"
                     "msr control, r0\n"
                     "isb\n"
                     "b start\n");
}

typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[16 + IRQ_ETHERNET + 1] = {
    (vector)(void *)handler_stack_top,
    reset,
    [2 ... 14] = fault,
    [15] = board_tick,
    [16 + IRQ_ETHERNET] = board_ethernet,
};
