/* midge_switches.h - MIDGE_USER_CONFIG of the firmware: a profile, and the counters that its console prints. */
#ifdef MIDGE_PROFILE
#include MIDGE_PROFILE
#endif
#undef MIDGE_STATS
#define MIDGE_STATS 1
