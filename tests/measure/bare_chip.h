/* bare_chip.h - what the ESP-IDF port asks of a C library, lwIP's sockets and IDF, declared and no more.
 *
 * For script/size, whose compilers have none of it: each system header that the port names becomes this one. Types
 * are as wide as on the chip; values do not matter, since nothing runs.
 */
#ifndef MIDGE_TESTS_BARE_CHIP_H
#define MIDGE_TESTS_BARE_CHIP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* string.h, stdlib.h, stdio.h, errno.h */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
void *memchr(const void *in, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
void explicit_bzero(void *p, size_t n);
char *strerror(int error);
void *malloc(size_t n);
void *calloc(size_t count, size_t n);
void *realloc(void *p, size_t n);
void free(void *p);
int snprintf(char *restrict out, size_t size, const char *restrict format, ...);
int *bare_errno(void);
#define errno (*bare_errno())
enum { EINTR = 4, EAGAIN = 11, EWOULDBLOCK = 11, ENOMEM = 12, EINVAL = 22, ENFILE = 23, EMFILE = 24, EAFNOSUPPORT = 97,
       ECONNABORTED = 103, ENOBUFS = 105, ENOENT = 2, EADDRNOTAVAIL = 99, ENOTCONN = 107, EBADF = 9, EPROTO = 71, ENOTSUP = 95 };

/* sys/types.h, time.h, unistd.h, fcntl.h */
typedef ptrdiff_t ssize_t;
typedef int64_t time_t;
typedef long suseconds_t;
struct timeval {
    time_t tv_sec;
    long tv_usec;
};
struct timespec {
    time_t tv_sec;
    long tv_nsec;
};
#define CLOCK_REALTIME 1
#define CLOCK_MONOTONIC 4
#define CLOCK_REALTIME 0
int clock_gettime(int clock, struct timespec *out);
int fcntl(int fd, int command, ...);
int close(int fd);
int usleep(unsigned us);
ssize_t read(int fd, void *out, size_t n);
ssize_t write(int fd, const void *from, size_t n);
enum { F_GETFL = 3, F_SETFL = 4, O_NONBLOCK = 0x4000 };
ssize_t getrandom(void *out, size_t n, unsigned flags);

/* sys/socket.h, sys/select.h, netinet, netdb.h */
typedef uint32_t socklen_t;
typedef struct {
    uint32_t bits[2];
} fd_set;
#define FD_SETSIZE 64
#define FD_ZERO(set) (*(set) = (fd_set){ { 0 } })
#define FD_SET(fd, set) ((set)->bits[(unsigned)(fd) / 32] |= 1u << (unsigned)(fd) % 32)
#define FD_ISSET(fd, set) ((set)->bits[(unsigned)(fd) / 32] >> (unsigned)(fd) % 32 & 1u)
struct in_addr {
    uint32_t s_addr;
};
struct in6_addr {
    uint8_t s6_addr[16];
};
struct sockaddr {
    uint8_t sa_len, sa_family;
    char sa_data[14];
};
struct sockaddr_in {
    uint8_t sin_len, sin_family;
    uint16_t sin_port;
    struct in_addr sin_addr;
    char sin_zero[8];
};
struct sockaddr_in6 {
    uint8_t sin6_len, sin6_family;
    uint16_t sin6_port;
    uint32_t sin6_flowinfo;
    struct in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};
struct sockaddr_storage {
    uint8_t s2_len, ss_family;
    uint32_t room[6];
};
struct addrinfo {
    int ai_flags, ai_family, ai_socktype, ai_protocol;
    socklen_t ai_addrlen;
    struct sockaddr *ai_addr;
    char *ai_canonname;
    struct addrinfo *ai_next;
};
enum { AF_UNSPEC = 0, AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOL_SOCKET = 0xFFF, SO_REUSEADDR = 4,
       IPPROTO_TCP = 6, IPPROTO_IPV6 = 41, TCP_NODELAY = 1, IPV6_V6ONLY = 27, AI_PASSIVE = 1, AI_NUMERICSERV = 8,
       INADDR_LOOPBACK = 0x7F000001, INADDR_ANY = 0, SHUT_WR = 1, SHUT_RDWR = 2, MSG_DONTWAIT = 8, MSG_NOSIGNAL = 0x20,
       SO_KEEPALIVE = 8, SOMAXCONN = 8, SO_ERROR = 0x1007, INET6_ADDRSTRLEN = 46, INET_ADDRSTRLEN = 16, MSG_PEEK = 1,
       TCP_KEEPIDLE = 3, TCP_KEEPINTVL = 4, TCP_KEEPCNT = 5, EAI_MEMORY = 203, EAI_SYSTEM = 11, IPPROTO_UDP = 17 };
int socket(int family, int type, int protocol);
int bind(int fd, const struct sockaddr *to, socklen_t n);
int listen(int fd, int backlog);
int accept(int fd, struct sockaddr *from, socklen_t *n);
int connect(int fd, const struct sockaddr *to, socklen_t n);
int shutdown(int fd, int how);
int select(int fds, fd_set *readable, fd_set *writable, fd_set *failed, struct timeval *timeout);
ssize_t recv(int fd, void *out, size_t n, int flags);
ssize_t send(int fd, const void *from, size_t n, int flags);
int setsockopt(int fd, int level, int option, const void *value, socklen_t n);
int getsockopt(int fd, int level, int option, void *value, socklen_t *n);
int getsockname(int fd, struct sockaddr *out, socklen_t *n);
int getpeername(int fd, struct sockaddr *out, socklen_t *n);
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
void freeaddrinfo(struct addrinfo *list);
uint16_t htons(uint16_t v);
uint16_t ntohs(uint16_t v);
uint32_t htonl(uint32_t v);
const char *inet_ntop(int family, const void *from, char *out, socklen_t size);

/* IDF: its log writes the format's text into flash, which counts; events, TLS and eventfd are switched off. */
typedef int esp_err_t;
#define ESP_OK 0
#define ESP_IDF_VERSION_VAL(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(5, 5, 0)
void esp_log_write(int level, const char *tag, const char *format, ...);
#define ESP_LOGE(tag, ...) esp_log_write(1, tag, __VA_ARGS__)
#define ESP_LOGW(tag, ...) esp_log_write(2, tag, __VA_ARGS__)
#define ESP_LOGI(tag, ...) esp_log_write(3, tag, __VA_ARGS__)
typedef const char *esp_event_base_t;
static inline esp_err_t esp_event_post(esp_event_base_t base, int32_t id, const void *data, size_t size, uint32_t ticks)
{
    (void)base, (void)id, (void)data, (void)size, (void)ticks;
    return ESP_OK;
}
#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)
#define MALLOC_CAP_INTERNAL (1 << 11)
#define MALLOC_CAP_DEFAULT (1 << 12)
void *heap_caps_malloc(size_t n, uint32_t caps);
void *heap_caps_realloc(void *p, size_t n, uint32_t caps);
void heap_caps_free(void *p);
#define CONFIG_LWIP_MAX_SOCKETS 16
#define CONFIG_LWIP_IPV6 1

#endif
