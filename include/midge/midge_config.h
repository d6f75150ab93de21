/* midge_config.h - what is compiled in, as numbers that are always defined.
 *
 * Each switch is used as a constant condition, never as #if, so every build compiles both branches and the
 * linker drops what cannot be reached. Name a header of your own in MIDGE_USER_CONFIG to change a value:
 *
 *     cc -DMIDGE_USER_CONFIG='"my_midge.h"' ...          my_midge.h:  #define MIDGE_V5 0
 */
#ifndef MIDGE_CONFIG_H
#define MIDGE_CONFIG_H

#ifdef MIDGE_USER_CONFIG
#include MIDGE_USER_CONFIG
#endif

/* MQTT 5.0 (0: CONNECT at level 5 is refused with "unsupported protocol version"). */
#ifndef MIDGE_V5
#define MIDGE_V5 1
#endif

/* Highest QoS that is served, 0..2. */
#ifndef MIDGE_MAX_QOS
#define MIDGE_MAX_QOS 2
#endif

/* Retained messages. */
#ifndef MIDGE_RETAIN
#define MIDGE_RETAIN 1
#endif

/* A new subscription finds its retained messages by seeking. Without it each of them is looked at: as good while they
 * are hundreds. */
#ifndef MIDGE_RETAIN_SEEK
#define MIDGE_RETAIN_SEEK 1
#endif

/* Will messages. Without them a CONNECT with a will is refused, never accepted and forgotten. */
#ifndef MIDGE_WILL
#define MIDGE_WILL 1
#endif

/* Sessions that outlive their connection. */
#ifndef MIDGE_PERSIST
#define MIDGE_PERSIST 1
#endif

/* $share/group/filter (5.0, and 3.x as an extension most brokers offer). */
#ifndef MIDGE_SHARED
#define MIDGE_SHARED 1
#endif

/* Topic aliases towards clients. Aliases from clients are part of MIDGE_V5. */
#ifndef MIDGE_ALIAS_OUT
#define MIDGE_ALIAS_OUT 1
#endif

/* Enhanced authentication: AUTH packets and the login hook's CONTINUE. */
#ifndef MIDGE_AUTH
#define MIDGE_AUTH 1
#endif

/* The login hook's LATER, answered by midge_login_done. Without it LATER denies. */
#ifndef MIDGE_LOGIN_LATER
#define MIDGE_LOGIN_LATER 1
#endif

/* The limits hook: listeners whose limits differ. */
#ifndef MIDGE_OWN_LIMITS
#define MIDGE_OWN_LIMITS 1
#endif

/* Publishers are paused while memory is short. Without it they are refused at once, whatever limits.pause_ms says. */
#ifndef MIDGE_PAUSE
#define MIDGE_PAUSE 1
#endif

/* Reason strings in acknowledgements and DISCONNECT, where the client asked for problem information. */
#ifndef MIDGE_REASON_STRINGS
#define MIDGE_REASON_STRINGS 1
#endif

/* TLS, where it is linked: most bytes in the clear at a time, on the stack. A record has 16384 at most. */
#ifndef MIDGE_TLS_PIECE
#define MIDGE_TLS_PIECE 16384
#endif

/* Durable state through midge_store.h. */
#ifndef MIDGE_DURABLE
#define MIDGE_DURABLE 1
#endif

/* In-process clients: midge_local_*, midge_publish. */
#ifndef MIDGE_LOCAL
#define MIDGE_LOCAL 1
#endif

/* Bridges: struct midge_inside. */
#ifndef MIDGE_BRIDGE
#define MIDGE_BRIDGE 1
#endif

/* Counters published below $SYS/broker. */
#ifndef MIDGE_SYS
#define MIDGE_SYS 1
#endif

/* Counters behind midge_get_stats, and midge_each_client and midge_each_retained. Without them the first tells what is
 * in use now and leaves the rest 0, and the others show nothing. */
#ifndef MIDGE_STATS
#define MIDGE_STATS 1
#endif

/* Books per session and QoS: what became of each message that was queued. */
#ifndef MIDGE_BOOKS
#define MIDGE_BOOKS 1
#endif

#if MIDGE_MAX_QOS < 0 || MIDGE_MAX_QOS > 2
#error "MIDGE_MAX_QOS is 0, 1 or 2"
#endif
#if MIDGE_DURABLE && !MIDGE_PERSIST
#error "MIDGE_DURABLE needs MIDGE_PERSIST: sessions that end with their connection leave nothing to keep"
#endif
#if MIDGE_AUTH && !MIDGE_V5
#error "MIDGE_AUTH needs MIDGE_V5: AUTH packets exist in MQTT 5.0 only"
#endif
#if MIDGE_ALIAS_OUT && !MIDGE_V5
#error "MIDGE_ALIAS_OUT needs MIDGE_V5: topic aliases exist in MQTT 5.0 only"
#endif
#if MIDGE_BRIDGE && !(MIDGE_V5 && MIDGE_PERSIST)
#error "MIDGE_BRIDGE needs MIDGE_V5 and MIDGE_PERSIST: a bridge is a 5.0 client with a session that stays"
#endif
#if MIDGE_SYS && !MIDGE_RETAIN
#error "MIDGE_SYS needs MIDGE_RETAIN: $SYS topics are retained messages"
#endif
#if (MIDGE_SYS || MIDGE_BOOKS) && !MIDGE_STATS
#error "MIDGE_SYS and MIDGE_BOOKS need MIDGE_STATS"
#endif
#if MIDGE_REASON_STRINGS && !MIDGE_V5
#error "MIDGE_REASON_STRINGS needs MIDGE_V5: 3.x acknowledgements carry no text"
#endif

#endif
