/* startup.c - RISC-V `virt`: two stacks, memory protection, and traps that speak. */
#include "board.h"
#include "console.h"
#include "virt.h"

#include <stdbool.h>
#include <string.h>

extern uint8_t trap_stack_top[], guard[];
extern uint8_t data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

/* ---- traps --------------------------------------------------------------------------------------------- */

static void say_register(const char *name, uint32_t value)
{
    say(" ");
    say(name);
    say("=");
    say_hex(value);
}

#define NEAR_BYTES 4096u /* a frame may be large */

/* Interrupts are never enabled (they only end a sleep): whatever comes here is a fault. */
__attribute__((used)) static _Noreturn void report_trap(uint32_t sp)
{
    uint32_t cause, pc, value;
    CSR_READ(mcause, cause);
    CSR_READ(mepc, pc);
    CSR_READ(mtval, value);
    bool overflow = (uintptr_t)stack_bottom - value - 1 < NEAR_BYTES;
    say(overflow ? "\nfault: stack overflow" : "\nfault");
    say_register("mcause", cause);
    say_register("address", value);
    say_register("pc", pc);
    say_register("sp", sp);
    say("\n");
    board_exit(STATUS_FAULT);
}

__attribute__((naked, aligned(4))) static void trap(void)
{
    __asm__ volatile("mv a0, sp\n"
                     "la sp, trap_stack_top\n"
                     "j report_trap\n");
}

/* ---- memory protection --------------------------------------------------------------------------------- */

#define PMP_READ 1u
#define PMP_WRITE 2u
#define PMP_EXECUTE 4u
#define PMP_NAPOT (3u << 3) /* the address tells the size too */
#define PMP_LOCKED (1u << 7) /* holds for machine mode */

static uint32_t napot(uintptr_t address, uint32_t bytes)
{
    return (uint32_t)(address >> 2) | (bytes / 8 - 1);
}

/* The lower entry wins. What no entry names is open to machine mode; where nothing is, the machine itself faults. */
static void protect_memory(void)
{
    CSR_WRITE(pmpaddr0, napot((uintptr_t)guard, 64));
    CSR_WRITE(pmpaddr1, napot(0x80000000u, 256 * 1024));
    CSR_WRITE(pmpaddr2, napot(0x80040000u, 64 * 1024));
    const uint32_t on = PMP_LOCKED | PMP_NAPOT;
    CSR_WRITE(pmpcfg0, on | (on | PMP_READ | PMP_EXECUTE) << 8 | (on | PMP_READ | PMP_WRITE) << 16);
}

/* ---- the beginning ------------------------------------------------------------------------------------- */

/* On the traps' stack: the program's is not in use yet. */
__attribute__((used)) static void prepare(void)
{
    CSR_WRITE(mtvec, (uintptr_t)trap);
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

__attribute__((naked, section(".reset"), used)) void reset(void)
{
    __asm__ volatile(".option push\n"
                     ".option norelax\n"
                     "la gp, __global_pointer$\n"
                     ".option pop\n"
                     "la sp, trap_stack_top\n"
                     "call prepare\n"
                     "la sp, stack_top\n"
                     "j start\n");
}
