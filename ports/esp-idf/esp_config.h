/* esp_config.h - the port's settings as numbers that are always defined, from Kconfig or without it (Arduino). */
#ifndef MIDGE_ESP_CONFIG_H
#define MIDGE_ESP_CONFIG_H

#include "esp_idf_version.h"
#include "sdkconfig.h"

/* Kconfig leaves a bool that is off undefined; the first int tells whether Kconfig was asked at all. */
#ifdef CONFIG_MIDGE_BUFFER_BYTES
#define MIDGE_ESP_BUFFER CONFIG_MIDGE_BUFFER_BYTES
#define MIDGE_ESP_POST_BYTES CONFIG_MIDGE_POST_BYTES
#define MIDGE_ESP_MAX_CLIENTS CONFIG_MIDGE_MAX_CLIENTS
#define MIDGE_ESP_PASSWORD_ROUNDS CONFIG_MIDGE_PASSWORD_ROUNDS
#ifdef CONFIG_MIDGE_TLS
#define MIDGE_ESP_TLS 1
#endif
#ifdef CONFIG_MIDGE_WEBSOCKET
#define MIDGE_ESP_WS 1
#endif
#ifdef CONFIG_MIDGE_EVENTS
#define MIDGE_ESP_EVENTS 1
#endif
#ifdef CONFIG_MIDGE_NVS
#define MIDGE_ESP_NVS 1
#define MIDGE_ESP_NVS_RELAXED_MS (CONFIG_MIDGE_NVS_RELAXED_S * 1000u)
#define MIDGE_ESP_NVS_ENTRIES_PER_HOUR CONFIG_MIDGE_NVS_ENTRIES_PER_HOUR
#define MIDGE_ESP_NVS_ENTRIES CONFIG_MIDGE_NVS_ENTRIES
#define MIDGE_ESP_NVS_PENDING_BYTES CONFIG_MIDGE_NVS_PENDING_BYTES
#endif
#ifdef CONFIG_MIDGE_WAKE_EVENTFD
#define MIDGE_ESP_EVENTFD 1
#endif
#ifdef CONFIG_MIDGE_MEMORY_INTERNAL
#define MIDGE_ESP_MEMORY_CAPS (MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)
#endif
#ifdef CONFIG_MIDGE_MEMORY_PSRAM
#define MIDGE_ESP_MEMORY_CAPS (MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT)
#endif
#endif

#ifdef CONFIG_MOSQ_ENABLE_SYS
#define MIDGE_ESP_SYS_S CONFIG_MOSQ_SYS_UPDATE_INTERVAL
#endif

#ifndef MIDGE_ESP_BUFFER
#define MIDGE_ESP_BUFFER 1440 /* one TCP segment of lwIP's */
#endif
#ifndef MIDGE_ESP_POST_BYTES
#define MIDGE_ESP_POST_BYTES 4096
#endif
#ifndef MIDGE_ESP_MAX_CLIENTS
#define MIDGE_ESP_MAX_CLIENTS 0
#endif
#ifndef MIDGE_ESP_PASSWORD_ROUNDS
#define MIDGE_ESP_PASSWORD_ROUNDS 1000
#endif
#ifndef MIDGE_ESP_TLS
#define MIDGE_ESP_TLS 0
#endif
#ifndef MIDGE_ESP_WS
#define MIDGE_ESP_WS 0
#endif
#ifndef MIDGE_ESP_NVS
#define MIDGE_ESP_NVS 0
#define MIDGE_ESP_NVS_RELAXED_MS 0
#define MIDGE_ESP_NVS_ENTRIES_PER_HOUR 0
#define MIDGE_ESP_NVS_ENTRIES 0
#define MIDGE_ESP_NVS_PENDING_BYTES 0
#endif
#ifndef MIDGE_ESP_EVENTS
#define MIDGE_ESP_EVENTS 0
#endif
#ifndef MIDGE_ESP_EVENTFD
#define MIDGE_ESP_EVENTFD 0
#endif
#ifndef MIDGE_ESP_SYS_S
#define MIDGE_ESP_SYS_S 0
#endif
#ifndef MIDGE_ESP_MEMORY_CAPS
#define MIDGE_ESP_MEMORY_CAPS MALLOC_CAP_DEFAULT
#endif

/* IDF's own lwIP can be without IPv6, and then lacks its structs. */
#if defined(CONFIG_LWIP_IPV6) || !defined(CONFIG_LWIP_MAX_SOCKETS)
#define MIDGE_ESP_IPV6 1
#else
#define MIDGE_ESP_IPV6 0
#endif

/* lwIP's sockets but for a listener, one to wake up by, and a spare: it resets connections it has none for. */
#if MIDGE_ESP_MAX_CLIENTS == 0
#undef MIDGE_ESP_MAX_CLIENTS
#if defined(CONFIG_LWIP_MAX_SOCKETS) && CONFIG_LWIP_MAX_SOCKETS > 3
#define MIDGE_ESP_MAX_CLIENTS (CONFIG_LWIP_MAX_SOCKETS - 3)
#else
#define MIDGE_ESP_MAX_CLIENTS 32
#endif
#endif

#endif
