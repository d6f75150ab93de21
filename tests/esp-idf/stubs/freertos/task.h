/* task.h - FreeRTOS's tasks as threads. */
#ifndef STUB_FREERTOS_TASK_H
#define STUB_FREERTOS_TASK_H

#include "FreeRTOS.h"

#include <pthread.h>
#include <unistd.h>

typedef pthread_t *TaskHandle_t;

static inline BaseType_t xTaskCreate(void (*run)(void *user), const char *name, uint32_t stack, void *user,
                                     UBaseType_t priority, TaskHandle_t *out)
{
    pthread_t thread;
    void *(*entry)(void *) = (void *(*)(void *))(void (*)(void))run;
    (void)name;
    (void)stack;
    (void)priority;
    (void)out;
    if (pthread_create(&thread, NULL, entry, user))
        return 0;
    pthread_detach(thread);
    return pdPASS;
}

static inline void vTaskDelete(TaskHandle_t task)
{
    (void)task; /* its function returns */
}

static inline void vTaskDelay(TickType_t ms)
{
    usleep(ms * 1000);
}

static inline TickType_t xTaskGetTickCount(void)
{
    return 0;
}

#endif
