/* sdkconfig.h - the settings of the host build, as IDF would write them from Kconfig. */
#define CONFIG_MIDGE_BUFFER_BYTES 1440
#define CONFIG_MIDGE_POST_BYTES 4096
#define CONFIG_MIDGE_MAX_CLIENTS 64
#define CONFIG_MIDGE_EVENTS 1
#define CONFIG_LWIP_MAX_SOCKETS 68
#define CONFIG_LWIP_IPV6 1
#define CONFIG_MOSQ_ENABLE_SYS 1
#define CONFIG_MOSQ_SYS_UPDATE_INTERVAL 10
#ifndef STUB_WAKE_UDP
#define CONFIG_MIDGE_WAKE_EVENTFD 1
#endif
#ifndef STUB_NO_TLS
#define CONFIG_MIDGE_TLS 1
#endif
