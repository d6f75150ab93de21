/* profiles/mcu.h - 3.1.1 and 5.0 with QoS 2, retained, wills and sessions; no $SYS, shared groups, AUTH, no clients of
 * the application's own. */
#define MIDGE_SHARED 0
#define MIDGE_ALIAS_OUT 0
#define MIDGE_AUTH 0
#define MIDGE_LOGIN_LATER 0
#define MIDGE_OWN_LIMITS 0
#define MIDGE_REASON_STRINGS 0
#define MIDGE_LOCAL 0
#define MIDGE_SYS 0
#define MIDGE_BOOKS 0
#define MIDGE_BRIDGE 0
#define MIDGE_STATS 0
#define MIDGE_DURABLE 0
#define MIDGE_RETAIN_SEEK 0
#define MIDGE_TLS_PIECE 512
