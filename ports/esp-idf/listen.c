/* listen.c - listening sockets and addresses as text. */
#include "esp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 8

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
#if MIDGE_ESP_IPV6
    struct sockaddr_in6 v6;
#endif
};

/* ---- text ---------------------------------------------------------------------------------------------- */

/* A dual-stack listener's IPv4 clients appear as ::ffff:192.0.2.1, which is written as IPv4. */
static const char *host_text(const union address *a, char *out, socklen_t size)
{
#if MIDGE_ESP_IPV6
    if (a->any.sa_family == AF_INET6) {
        const char *text = inet_ntop(AF_INET6, &a->v6.sin6_addr, out, size);
        return text && strncasecmp(text, "::ffff:", 7) == 0 && strchr(text, '.') ? text + 7 : text;
    }
#endif
    return inet_ntop(AF_INET, &a->v4.sin_addr, out, size);
}

void midge_esp_peer_text(const void *peer, char *out, size_t size)
{
    const struct midge_sock *s = peer;
    union address a = { .any.sa_family = AF_UNSPEC };
    socklen_t len = sizeof a;
    char host[48];
    if (!s) {
        snprintf(out, size, "in-process");
        return;
    }
    getpeername(s->fd, &a.any, &len);
    const char *text = host_text(&a, host, sizeof host);
    bool colons = text && strchr(text, ':');
    snprintf(out, size, colons ? "[%s]:%u" : "%s:%u", text ? text : "?", ntohs(a.v4.sin_port));
}

/* IPv4 by address; IPv6 by the /64, as one host has it all. */
uint32_t midge_address_key(int fd)
{
    union address a = { .any.sa_family = AF_UNSPEC };
    socklen_t len = sizeof a;
    getpeername(fd, &a.any, &len);
#if MIDGE_ESP_IPV6
    if (a.any.sa_family == AF_INET6) {
        uint32_t words[4];
        memcpy(words, &a.v6.sin6_addr, sizeof words);
        bool mapped = !words[0] && !words[1]; /* ::ffff:192.0.2.1, or ::1 */
        return mapped ? words[3] : words[0] * 31 + words[1];
    }
#endif
    return a.any.sa_family == AF_INET ? a.v4.sin_addr.s_addr : 0;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* The first address of `host`; false and errno: there is none. */
static bool resolve(const char *host, union address *out, socklen_t *len)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *list = NULL;
    if (getaddrinfo(host ? host : MIDGE_ESP_IPV6 ? "::" : "0.0.0.0", NULL, &hints, &list) || !list ||
        list->ai_addrlen > sizeof *out) {
        freeaddrinfo(list);
        errno = EADDRNOTAVAIL;
        return false;
    }
    *len = list->ai_addrlen;
    memcpy(out, list->ai_addr, *len);
    freeaddrinfo(list);
    return true;
}

/* "::" by name is IPv6 alone, as elsewhere; every address is what NULL asks for. */
static bool set_options(int fd, const union address *a, bool both)
{
    const int on = 1, only_v6 = !both;
#if MIDGE_ESP_IPV6
    if (a->any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6))
        return false;
#endif
    (void)a;
    (void)only_v6;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* A listening socket, its address in *a; or -1 and errno. */
static int open_socket(const char *host, uint16_t port, union address *a)
{
    socklen_t len;
    if (!resolve(host, a, &len))
        return -1;
    a->v4.sin_port = htons(port); /* at the same place in both */
    int fd = socket(a->any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (set_options(fd, a, !host) && !bind(fd, &a->any, len) && !listen(fd, BACKLOG) &&
        !getsockname(fd, &a->any, &len))
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

/* What cannot be served is told now rather than to the first client. */
static int open_tls(struct midge_listener *l, struct esp_tls_cfg_server *tls)
{
    if (!tls)
        return 0;
    if (!MIDGE_ESP_TLS)
        return ENOTSUP;
    l->tls = midge_esp_tls_open(tls);
    return l->tls ? 0 : EPROTO;
}

void midge_listener_free(struct midge_esp *e, struct midge_listener *l)
{
    if (MIDGE_ESP_TLS && l->tls)
        midge_tls_mbedtls.close(l->tls);
    if (l->fd >= 0)
        close(l->fd);
    midge_esp_release(e, l, sizeof *l);
}

/* What is to be served is in `what`; takes its TLS. */
static int open_listener(struct midge_esp *e, const char *host, uint16_t port, struct esp_tls_cfg_server *tls,
                         const struct midge_listener *what)
{
    union address a;
    struct midge_listener *l = midge_esp_alloc(e, sizeof *l);
    if (!l)
        return ENOMEM;
    *l = *what;
    l->fd = -1;
    int err = open_tls(l, tls);
    if (!err && (l->fd = open_socket(host, port, &a)) < 0)
        err = errno;
    if (err) {
        midge_listener_free(e, l);
        return err;
    }
    l->port = ntohs(a.v4.sin_port);
    l->next = e->listeners;
    e->listeners = l;
    ESP_LOGI(MIDGE_TAG, "Opening %s listen socket on port %u.", a.any.sa_family == AF_INET ? "ipv4" : "ipv6",
             l->port);
    return 0;
}

int midge_esp_listen(struct midge_esp *e, const char *host, uint16_t port, struct esp_tls_cfg_server *tls)
{
    const struct midge_listener what = { .websocket = false };
    return open_listener(e, host, port, tls, &what);
}

int midge_esp_listen_ws(struct midge_esp *e, const char *host, uint16_t port, struct esp_tls_cfg_server *tls,
                        const char *path)
{
    const struct midge_listener what = { .websocket = true, .ws.path = path };
    return MIDGE_ESP_WS ? open_listener(e, host, port, tls, &what) : ENOTSUP;
}

uint16_t midge_esp_port(const struct midge_esp *e)
{
    return e->listeners ? e->listeners->port : 0;
}
