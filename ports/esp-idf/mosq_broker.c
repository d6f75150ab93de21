/* mosq_broker.c - mosq_broker_run and mosq_broker_stop on the ESP-IDF port. */
#include "esp.h"

#include "mosq_broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- stopping ------------------------------------------------------------------------------------------ */

/* The two functions carry no handle, so there is one broker, and this is how a stop finds it.
 *
 * A stop that finds no run is either early (its task has not got as far) or late (the run has ended, or somebody stops
 * "to be sure"). Losing an early one leaves a caller waiting for ever; keeping a late one ends a broker that is
 * started an hour after. So it is kept for as long as a task may take to begin. */
#define EARLY_STOP_MS 1000u

static atomic_bool running;                     /* from the beginning to the end of a run */
static _Atomic(struct midge_esp *) esp_to_stop; /* NULL: not yet, or no longer */
static atomic_int stoppers;                     /* in mosq_broker_stop: the broker is not freed meanwhile */
static atomic_uint stop_asked;                  /* when, as 32-bit ms; 0 = nobody did */

static unsigned clock_ms32(void)
{
    return (unsigned)midge_esp_clock();
}

void mosq_broker_stop(void)
{
    atomic_fetch_add(&stoppers, 1);
    atomic_store(&stop_asked, clock_ms32() | 1);
    struct midge_esp *e = atomic_load(&esp_to_stop);
    if (e)
        midge_esp_stop(e);
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

static void let_stop(struct midge_esp *e)
{
    atomic_store(&esp_to_stop, e);
    if (atomic_load(&stop_asked)) /* it came before it could find the broker */
        midge_esp_stop(e);
}

/* Afterwards nobody knows the broker. */
static void hide_from_stop(void)
{
    atomic_store(&esp_to_stop, NULL);
    while (atomic_load(&stoppers)) /* a few instructions long, but perhaps of a task with less priority */
        usleep(10000);
}

static void end_run(void)
{
    atomic_store(&stop_asked, 0);
    atomic_store(&running, false);
}

/* ---- callbacks ----------------------------------------------------------------------------------------- */

/* A copy with a NUL behind it; NULL stays NULL. Moves *at on. */
static char *copy(struct midge_slice s, char **at)
{
    if (!s.data)
        return NULL;
    char *out = *at;
    memcpy(out, s.data, s.len);
    out[s.len] = '\0';
    *at += s.len + 1;
    return out;
}

/* Room for three slices, NUL-terminated; NULL: no memory, and the log says so. */
static char *room_for(struct midge_slice a, struct midge_slice b, struct midge_slice c)
{
    char *room = malloc((size_t)a.len + b.len + c.len + 3);
    if (!room)
        ESP_LOGE(MIDGE_TAG, "No memory to call the application back.");
    return room;
}

static void tell_message(const struct mosq_broker_config *config, const struct midge_event *e)
{
    const struct midge_message *m = e->message;
    char *room = room_for(e->who.client_id, m->topic, m->payload), *at = room;
    if (!room)
        return;
    char *client = copy(e->who.client_id, &at);
    char *topic = copy(m->topic, &at);
    char *data = m->payload.len ? copy(m->payload, &at) : NULL;
    config->handle_message_cb(client, topic, data, (int)m->payload.len, m->qos, m->retain);
    free(room);
}

static void on_event(void *user, const struct midge_event *e)
{
    const struct mosq_broker_config *config = user;
    midge_esp_report(NULL, e);
    if (e->kind == MIDGE_EV_MESSAGE && config->handle_message_cb)
        tell_message(config, e);
}

static int ask_connect(const struct mosq_broker_config *config, const struct midge_login *in)
{
    char *room = room_for(in->who.client_id, in->who.username, in->password), *at = room;
    if (!room)
        return -1;
    const char *client = copy(in->who.client_id, &at);
    const char *username = copy(in->who.username, &at);
    char *password = copy(in->password, &at);
    int refused = config->handle_connect_cb(client ? client : "", username, password, (int)in->password.len);
    if (password)
        explicit_bzero(password, in->password.len); /* it does not stay behind */
    free(room);
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

static int serve(struct mosq_broker_config *config, struct midge_esp *e)
{
    int err = midge_esp_listen(e, config->host, (uint16_t)config->port, config->tls_cfg);
    if (err) {
        ESP_LOGE(MIDGE_TAG, "Error: cannot listen on %s, port %d: errno %d.", config->host ? config->host : "*",
                 config->port, err);
        return err == ENOTSUP  ? MOSQ_ERR_NOT_SUPPORTED
               : err == EPROTO ? MOSQ_ERR_TLS
                               : MOSQ_ERR_NOMEM; /* 1, which the reference returns for a port in use as well */
    }
    let_stop(e);
    return midge_esp_run(e) ? MOSQ_ERR_ERRNO : MOSQ_ERR_SUCCESS;
}

int mosq_broker_run(struct mosq_broker_config *config)
{
    if (!config || config->port < 0 || config->port > UINT16_MAX)
        return MOSQ_ERR_INVAL;
    if (!begin_run())
        return MOSQ_ERR_ALREADY_EXISTS;
    const struct midge_hooks hooks = {
        .user = config,
        .login = config->handle_connect_cb ? on_login : NULL,
        .event = on_event,
    };
    static const struct midge_esp_nvs_config nvs = {
        .relaxed_ms = MIDGE_ESP_NVS_RELAXED_MS,
        .entries_per_hour = MIDGE_ESP_NVS_ENTRIES_PER_HOUR,
        .entries = MIDGE_ESP_NVS_ENTRIES,
        .pending_bytes = MIDGE_ESP_NVS_PENDING_BYTES,
    };
    const struct midge_esp_config esp_config = {
        .hooks = &hooks,
        .sys_interval_s = MIDGE_ESP_SYS_S,
        .nvs = MIDGE_ESP_NVS ? &nvs : NULL,
    };
    struct midge_esp *e = midge_esp_new(&esp_config);
    int rc = e ? serve(config, e) : MOSQ_ERR_NOMEM;
    hide_from_stop();
    midge_esp_free(e);
    end_run();
    return rc;
}
