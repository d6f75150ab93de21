/* FreeRTOS.h - its types, for task.h. */
#ifndef STUB_FREERTOS_H
#define STUB_FREERTOS_H

#include <stdint.h>

typedef uint32_t TickType_t;
typedef int BaseType_t;
typedef unsigned UBaseType_t;
#define pdPASS 1
#define configTICK_RATE_HZ 1000
#define pdMS_TO_TICKS(ms) (ms)

#endif
