/* mosq_broker.c - mosq_broker_run and mosq_broker_stop on the posix port; a library of its own, midge-compat. */
#include "posix.h"

#include "log.h"
#include "mosq_broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCRATCH_KEPT 65536u /* a larger copy is freed after its callback */

/* One call of mosq_broker_run: nothing outlives it, callbacks least of all. */
struct run {
    const struct mosq_broker_config *config;
    struct midge_loop *loop;
    struct midge_log log;
    char *scratch; /* for what callbacks are shown, NUL-terminated */
    size_t scratch_size;
    char *key_password; /* NUL-terminated; NULL = none */
    char alpn[64];      /* names with commas between them; "" = the usual one */
};

/* ---- stopping ------------------------------------------------------------------------------------------ */

/* The two functions carry no handle, so there is one broker, and this is how a stop finds it. Atomics and no
 * lock: a stop may come from a signal handler.
 *
 * A stop that finds no run is either early (its thread has not got as far) or late (the run has ended, or
 * somebody stops "to be sure"). Losing an early one leaves a caller waiting for ever; keeping a late one ends
 * a broker that is started an hour after. So it is kept for as long as a thread may take to begin. */
#define EARLY_STOP_MS 1000

static atomic_bool running;                       /* from the beginning to the end of a run */
static _Atomic(struct midge_loop *) loop_to_stop; /* NULL: not yet, or no longer */
static atomic_int stoppers;                       /* in mosq_broker_stop: the loop is not freed meanwhile */
static atomic_uint stop_asked;                    /* when, as 32-bit ms; 0 = nobody did */

static unsigned clock_ms32(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned)t.tv_sec * 1000u + (unsigned)(t.tv_nsec / 1000000);
}

void mosq_broker_stop(void)
{
    atomic_fetch_add(&stoppers, 1);
    atomic_store(&stop_asked, clock_ms32() | 1);
    struct midge_loop *loop = atomic_load(&loop_to_stop);
    if (loop)
        midge_loop_stop(loop);
    atomic_fetch_sub(&stoppers, 1);
}

/* False: a run has begun already. From here on every stop is for this run. */
static bool begin_run(void)
{
    if (atomic_exchange(&running, true))
        return false;
    unsigned asked = atomic_load(&stop_asked);
    if (asked && clock_ms32() + 1 - asked > EARLY_STOP_MS) /* + 1: the mark above may be that far ahead */
        atomic_compare_exchange_strong(&stop_asked, &asked, 0); /* unless a new one came in between */
    return true;
}

static void let_stop(struct midge_loop *loop)
{
    atomic_store(&loop_to_stop, loop);
    if (atomic_load(&stop_asked)) /* it came before it could find the loop */
        midge_loop_stop(loop);
}

/* Afterwards nobody knows the loop. */
static void hide_from_stop(void)
{
    const struct timespec moment = { .tv_nsec = 100000 };
    atomic_store(&loop_to_stop, NULL);
    while (atomic_load(&stoppers)) /* a few instructions long */
        nanosleep(&moment, NULL);
}

static void end_run(void)
{
    atomic_store(&stop_asked, 0);
    atomic_store(&running, false);
}

/* ---- callbacks ----------------------------------------------------------------------------------------- */

/* Room for n bytes; NULL: no memory, and the log says what that did. */
static char *scratch(struct run *run, size_t n, const char *consequence)
{
    if (n <= run->scratch_size)
        return run->scratch;
    free(run->scratch);
    run->scratch = malloc(n);
    run->scratch_size = run->scratch ? n : 0;
    if (!run->scratch)
        midge_log_line(&run->log, MIDGE_LOG_ERROR, consequence);
    return run->scratch;
}

static void trim_scratch(struct run *run)
{
    if (run->scratch_size <= SCRATCH_KEPT)
        return;
    free(run->scratch);
    run->scratch = NULL;
    run->scratch_size = 0;
}

/* A copy with a NUL behind it; NULL stays NULL. Moves *at on. */
static char *copy(struct midge_slice s, char **at)
{
    if (!s.data)
        return NULL;
    char *out = *at;
    if (s.len)
        memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    *at += s.len + 1;
    return out;
}

static void tell_message(struct run *run, const struct midge_event *e)
{
    const struct midge_message *m = e->message;
    size_t n = (size_t)e->who.client_id.len + m->topic.len + m->payload.len + 3;
    char *at = scratch(run, n, "No memory: handle_message_cb is not told of a message.");
    if (!at)
        return;
    char *client = copy(e->who.client_id, &at);
    char *topic = copy(m->topic, &at);
    char *data = m->payload.len ? copy(m->payload, &at) : NULL;
    run->config->handle_message_cb(client, topic, data, (int)m->payload.len, m->qos, m->retain);
    trim_scratch(run);
}

static void on_event(void *user, const struct midge_event *e)
{
    struct run *run = user;
    midge_log_event(midge_log_line, &run->log, run->log.kinds, e);
    if (e->kind == MIDGE_EV_MESSAGE && run->config->handle_message_cb)
        tell_message(run, e);
}

static int ask_connect(struct run *run, const struct midge_login *in)
{
    size_t n = (size_t)in->who.client_id.len + in->who.username.len + in->password.len + 3;
    char *at = scratch(run, n, "No memory: handle_connect_cb cannot be asked, a client is refused.");
    if (!at)
        return -1;
    const char *client = copy(in->who.client_id, &at);
    const char *username = copy(in->who.username, &at);
    const char *password = copy(in->password, &at);
    int len = (int)in->password.len;
    int refused = run->config->handle_connect_cb(client ? client : "", username, password, len);
    explicit_bzero(run->scratch, n); /* no password stays behind */
    trim_scratch(run);
    return refused;
}

static void on_login(void *user, const struct midge_login *in, struct midge_login_answer *out)
{
    if (in->step != MIDGE_LOGIN_CONNECT || in->method.data) {
        out->answer = MIDGE_DENY; /* there is no callback for enhanced authentication */
        out->reason = MIDGE_RC_BAD_AUTHENTICATION_METHOD;
    } else if (ask_connect(user, in)) {
        out->answer = MIDGE_DENY;
        out->reason = MIDGE_RC_NOT_AUTHORIZED;
    }
}

/* ---- running ------------------------------------------------------------------------------------------- */

static struct midge_slice bytes(const unsigned char *data, unsigned int len)
{
    return (struct midge_slice){ .data = data, .len = len };
}

/* As ESP-TLS reads it: a CA means that clients must have a certificate of it. */
static int listen_on_it(struct run *run, char *why, size_t why_size)
{
    const struct mosq_broker_config *c = run->config;
    struct midge_listen what = { .host = c->host, .port = (uint16_t)c->port };
    const esp_tls_cfg_server_t *tls = c->tls_cfg;
    if (tls) {
        what.transport = MIDGE_TRANSPORT_TLS;
        what.tls.certificate = bytes(tls->servercert_buf, tls->servercert_bytes);
        what.tls.key = bytes(tls->serverkey_buf, tls->serverkey_bytes);
        what.tls.ca = bytes(tls->cacert_buf, tls->cacert_bytes);
        what.tls.require_certificate = tls->cacert_buf != NULL;
        what.tls.key_password = run->key_password;
        what.tls.alpn = *run->alpn ? run->alpn : NULL;
    }
    return midge_loop_open(run->loop, &what, NULL, why, why_size);
}

static int serve(struct run *run)
{
    const struct midge_hooks hooks = {
        .user = run,
        .login = run->config->handle_connect_cb ? on_login : NULL,
        .event = on_event,
    };
    const struct midge_loop_config config = {
        .hooks = &hooks, .tls = &midge_tls_openssl, .say = midge_log_line, .say_user = &run->log
    };
    char why[256];
    run->loop = midge_loop_new(&config);
    if (!run->loop) {
        midge_log_line(&run->log, MIDGE_LOG_ERROR, "Error: no memory or descriptors for a broker.");
        return MOSQ_ERR_NOMEM;
    }
    midge_log_attach(&run->log, run->loop);
    int rc = MOSQ_ERR_NOMEM; /* 1, which the reference returns for a port in use as well */
    int err = listen_on_it(run, why, sizeof why);
    if (err) {
        midge_say(run->loop, MIDGE_LOG_ERROR, "Error: %s.", why);
        rc = err == EPROTO || err == EPROTONOSUPPORT ? MOSQ_ERR_TLS : rc;
    } else {
        let_stop(run->loop);
        rc = midge_loop_run(run->loop) ? MOSQ_ERR_ERRNO : MOSQ_ERR_SUCCESS;
    }
    return rc;
}

/* 0, or why this configuration cannot be served. */
/* False: too long. */
static bool join_alpn(struct run *run, const char *const *names)
{
    size_t n = 0;
    for (; names && *names && n < sizeof run->alpn; names++)
        n += (size_t)snprintf(run->alpn + n, sizeof run->alpn - n, "%s%s", n ? "," : "", *names);
    return n < sizeof run->alpn;
}

static int check(struct run *run)
{
    if (run->config->port < 0 || run->config->port > UINT16_MAX) {
        midge_log_line(&run->log, MIDGE_LOG_ERROR, "Error: port is not 0..65535.");
        return MOSQ_ERR_INVAL;
    }
    const esp_tls_cfg_server_t *tls = run->config->tls_cfg;
    if (tls && (!tls->servercert_buf || !tls->serverkey_buf)) {
        midge_log_line(&run->log, MIDGE_LOG_ERROR, "Error: tls_cfg has no servercert_buf or no serverkey_buf.");
        return MOSQ_ERR_TLS;
    }
    if (tls && !join_alpn(run, tls->alpn_protos)) {
        midge_log_line(&run->log, MIDGE_LOG_ERROR, "Error: the names in tls_cfg's alpn_protos are too long.");
        return MOSQ_ERR_TLS;
    }
    if (tls && tls->serverkey_password) {
        run->key_password = strndup((const char *)tls->serverkey_password, tls->serverkey_password_len);
        return run->key_password ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
    }
    return MOSQ_ERR_SUCCESS;
}

static void free_run(struct run *run)
{
    midge_log_attach(&run->log, NULL);
    midge_loop_free(run->loop);
    midge_log_free(&run->log);
    free(run->scratch);
    free(run->key_password);
    free(run);
}

int mosq_broker_run(struct mosq_broker_config *config)
{
    if (!config)
        return MOSQ_ERR_INVAL;
    if (!begin_run())
        return MOSQ_ERR_ALREADY_EXISTS;
    int rc = MOSQ_ERR_NOMEM;
    struct run *run = calloc(1, sizeof *run);
    if (run) {
        run->config = config;
        midge_log_init(&run->log, STDERR_FILENO, MIDGE_LOG_UP_TO(MIDGE_LOG_NOTICE));
        midge_log_line(&run->log, MIDGE_LOG_NOTICE, "midge version " MIDGE_VERSION " starting");
        rc = check(run);
        if (!rc)
            rc = serve(run);
        midge_log_line(&run->log, MIDGE_LOG_NOTICE, "midge version " MIDGE_VERSION " terminating");
    }
    hide_from_stop();
    if (run)
        free_run(run);
    end_run();
    return rc;
}
