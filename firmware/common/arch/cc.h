/* cc.h - what lwIP asks of the compiler and the board. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_UNISTD_H 1

/* console.c: prints where and what, ends the program. */
_Noreturn void firmware_assert(const char *what, const char *file, int line);
unsigned firmware_random(void);

#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(what) firmware_assert(what, __FILE__, __LINE__)
#define LWIP_RAND() firmware_random()

#endif
