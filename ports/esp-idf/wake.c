/* wake.c - a descriptor that ends select: an eventfd, or a UDP socket of the loopback that talks to itself. */
#include "esp_config.h"

#include "esp.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#if MIDGE_ESP_EVENTFD

#include "esp_vfs_eventfd.h"

int midge_wake_open(void)
{
    const esp_vfs_eventfd_config_t config = { .max_fds = 4 };
    esp_vfs_eventfd_register(&config); /* ESP_ERR_INVALID_STATE: the application has done it */
    return eventfd(0, 0);
}

void midge_wake(int fd)
{
    const uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

void midge_wake_drain(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n;
}

#else

/* Connected to itself, so that no other socket's datagrams get in. */
int midge_wake_open(void)
{
    struct sockaddr_in self = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof self;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return -1;
    if (!bind(fd, (struct sockaddr *)&self, len) && !getsockname(fd, (struct sockaddr *)&self, &len) &&
        !connect(fd, (struct sockaddr *)&self, len) && !fcntl(fd, F_SETFL, O_NONBLOCK))
        return fd;
    close(fd);
    return -1;
}

/* A datagram that finds no room finds others that wake just as well. */
void midge_wake(int fd)
{
    send(fd, "", 1, 0);
}

void midge_wake_drain(int fd)
{
    uint8_t byte;
    while (recv(fd, &byte, sizeof byte, 0) > 0)
        continue;
}

#endif
