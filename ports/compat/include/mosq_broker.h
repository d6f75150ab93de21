/* mosq_broker.h - the broker behind the two functions of ESP-IDF's Mosquitto component.
 *
 * A program written for that component compiles and runs unchanged. docs/DROP_IN.md tells what differs, and
 * midge/midge.h is the way to everything that these two functions do not offer.
 */
#ifndef MIDGE_COMPAT_MOSQ_BROKER_H
#define MIDGE_COMPAT_MOSQ_BROKER_H

#include "mosquitto.h"

#ifdef __has_include
#if __has_include("esp_tls.h")
#define MIDGE_COMPAT_HAS_ESP_TLS 1
#endif
#endif
#ifdef MIDGE_COMPAT_HAS_ESP_TLS
#include "esp_tls.h"
#else
#include "midge_esp_tls.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A client published. `client` and `topic` are text, `data` is `len` bytes and a NUL, or NULL when len is 0;
 * all of it is a copy that lives until the callback returns. Not called for wills. */
typedef void (*mosq_message_cb_t)(char *client, char *topic, char *data, int len, int qos, int retain);

/* A client wants to connect. `username` and `password` are NULL when it sent none; the password is followed
 * by a NUL that password_len does not count. 0 = welcome, else it is told "not authorized" (code 5, 5.0:
 * 0x87). */
typedef int (*mosq_connect_cb_t)(const char *client_id, const char *username, const char *password,
                                 int password_len);

/* Callbacks run on the thread that called mosq_broker_run. */
struct mosq_broker_config {
    const char *host;              /* address or name to listen on; NULL = every address, IPv4 and IPv6 */
    int port;                      /* 0 = one the system chooses: see the log */
    esp_tls_cfg_server_t *tls_cfg; /* NULL = plain TCP */
    /* As mosq_message_cb_t; may be NULL. */
    void (*handle_message_cb)(char *client, char *topic, char *data, int len, int qos, int retain);
    mosq_connect_cb_t handle_connect_cb; /* NULL = everybody is welcome */
};

/* Runs a broker until mosq_broker_stop. `config` and what it points to is used until then.
 * 0: it was stopped. 1: it could not listen, or no memory. MOSQ_ERR_INVAL: no config, or port out of range.
 * MOSQ_ERR_TLS: tls_cfg cannot be used. MOSQ_ERR_ALREADY_EXISTS: a broker runs already. MOSQ_ERR_ERRNO: the system
 * failed. The log, on standard error, says which. */
int mosq_broker_run(struct mosq_broker_config *config);

/* Ends the run, from any thread, callback or signal handler; it returns at once, the run when all are told.
 * When no run has begun, it is kept for one that begins within a second, as a thread that was just started
 * does. */
void mosq_broker_stop(void);

#ifdef __cplusplus
}
#endif
#endif
