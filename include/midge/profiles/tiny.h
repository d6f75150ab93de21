/* profiles/tiny.h - 3.1.1, QoS 0, retained messages: the smallest broker that is still one. */
#define MIDGE_V5 0
#define MIDGE_MAX_QOS 0
#define MIDGE_WILL 0
#define MIDGE_PERSIST 0
#define MIDGE_SHARED 0
#define MIDGE_ALIAS_OUT 0
#define MIDGE_AUTH 0
#define MIDGE_REASON_STRINGS 0
#define MIDGE_LOCAL 0
#define MIDGE_LOGIN_LATER 0
#define MIDGE_PAUSE 0
#define MIDGE_STATS 0
#define MIDGE_SYS 0
#define MIDGE_BOOKS 0
#define MIDGE_DURABLE 0
#define MIDGE_RETAIN_SEEK 0
