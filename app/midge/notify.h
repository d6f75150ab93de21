/* notify.h - what a service manager is told, and what it hands over: the protocol of sd_notify(3) and
 * sd_listen_fds(3), without the library. */
#ifndef MIDGE_APP_NOTIFY_H
#define MIDGE_APP_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Sends "READY=1" and the like to $NOTIFY_SOCKET; lines are divided by \n. Without a manager: nothing happens. */
void notify_send(const char *state);
/* "RELOADING=1" with the time, and a status. */
void notify_reloading(void);

/* How often the manager wants a sign of life, half of what it waits for; 0 = it does not. */
uint64_t notify_watchdog_us(void);

/* Listening sockets of the manager's: their first descriptor in *first; how many. Asked once. */
unsigned notify_sockets(int *first);

#endif
