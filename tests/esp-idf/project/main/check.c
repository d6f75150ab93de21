/* check.c - what the tests of the ESP-IDF port talk to, on IDF's linux target or on stubs of its headers.
 *
 * CHECK is "facade" (mosq_broker.h) or "own" (midge_esp.h). CHECK_CERT, CHECK_KEY and CHECK_CA are PEM files for TLS,
 * the last one for clients with certificates. With CHECK_NVS state is kept in NVS and written each second; with
 * CHECK_ACCOUNTS clients need an account there. Prints "port N", "tls N", "ws N" and "wss N" when it
 * serves.
 */
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#include "esp_tls.h"
#include "midge_esp.h"
#include "midge_esp_accounts.h"
#include "midge_esp_nvs.h"
#include "mosq_broker.h"
#include "nvs_flash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

/* ---- TLS ----------------------------------------------------------------------------------------------- */

/* A file with a NUL behind it, which counts; NULL: no such variable or file. */
static unsigned char *read_file(const char *variable, unsigned *n)
{
    const char *path = getenv(variable);
    FILE *f = path ? fopen(path, "rb") : NULL;
    unsigned char *bytes = f ? calloc(1, 8192) : NULL;
    *n = bytes ? (unsigned)fread(bytes, 1, 8191, f) + 1 : 0;
    if (f)
        fclose(f);
    return bytes;
}

/* False: plain TCP is wanted. */
static bool read_tls(esp_tls_cfg_server_t *tls)
{
    memset(tls, 0, sizeof *tls);
    tls->servercert_buf = read_file("CHECK_CERT", &tls->servercert_bytes);
    tls->serverkey_buf = read_file("CHECK_KEY", &tls->serverkey_bytes);
    tls->cacert_buf = read_file("CHECK_CA", &tls->cacert_bytes);
    return tls->servercert_buf != NULL;
}

/* ---- the two functions --------------------------------------------------------------------------------- */

static int on_connect(const char *client_id, const char *username, const char *password, int password_len)
{
    (void)client_id;
    if (username && strcmp(username, "wrong") == 0)
        return 1;
    return password && (password_len != 6 || strcmp(password, "secret") != 0);
}

static void on_message(char *client, char *topic, char *data, int len, int qos, int retain)
{
    printf("message %s %s %s %d %d %d\n", client, topic, data ? data : "(null)", len, qos, retain);
    if (strcmp(topic, "stop") == 0)
        mosq_broker_stop();
}

static int run_facade(void)
{
    static esp_tls_cfg_server_t tls;
    struct mosq_broker_config config = {
        .host = "127.0.0.1",
        .port = atoi(getenv("CHECK_PORT")),
        .handle_message_cb = on_message,
        .handle_connect_cb = on_connect,
    };
    if (read_tls(&tls))
        config.tls_cfg = &tls;
    int rc = mosq_broker_run(&config);
    return rc ? rc : mosq_broker_run(NULL) == MOSQ_ERR_INVAL ? 0 : 99;
}

/* ---- the port's own interface -------------------------------------------------------------------------- */

static struct midge_esp *broker;
static bool task_done;

/* From the application: what arrives at app/in comes back at app/out. "stop" ends the broker. */
static void answer(void *user, const struct midge_message *message)
{
    (void)user;
    const struct midge_publication p = { .topic = text("app/out"), .payload = message->payload, .qos = 1 };
    if (message->payload.len == 4 && memcmp(message->payload.data, "stop", 4) == 0)
        midge_esp_stop(broker);
    else if (midge_publish(midge_esp_broker(broker), NULL, &p, midge_esp_now(broker)) != MIDGE_OK)
        abort();
}

static void count_posted(void *user, enum midge_err result)
{
    if (result == MIDGE_OK)
        ++*(int *)user;
}

static void report_posted(void *user, struct midge *m, midge_ms now)
{
    struct midge_esp_stats stats;
    (void)m;
    (void)now;
    midge_esp_get_stats(broker, &stats);
    printf("posted %d passes %u\n", *(int *)user, (unsigned)stats.passes);
}

/* Another task: posts faster than the broker takes, so that the box is full at times. */
static void other_task(void *unused)
{
    static int posted;
    const struct midge_subscription s = { .filter = text("app/in"), .qos = 1, .on_message = answer };
    (void)unused;
    if (midge_esp_subscribe(broker, NULL, &s, count_posted, &posted) != MIDGE_OK)
        abort();
    for (int i = 0; i < 200;) {
        char payload[12];
        snprintf(payload, sizeof payload, "%d", i);
        const struct midge_user_property property = { .name = text("n"), .value = text(payload) };
        const struct midge_publication p = {
            .topic = text("task/out"),
            .payload = text(payload),
            .qos = 1,
            .retain = i == 199,
            .user_properties = &property,
            .user_property_count = 1,
        };
        const enum midge_err err = midge_esp_publish(broker, NULL, &p, count_posted, &posted);
        if (err == MIDGE_OK)
            i++;
        else if (err == MIDGE_ERR_NOT_FOUND)
            break; /* stopped */
        else
            vTaskDelay(1);
    }
    while (midge_esp_call(broker, report_posted, &posted) == MIDGE_ERR_FULL)
        vTaskDelay(1);
    task_done = true;
    vTaskDelete(NULL);
}

static void on_state(void *user, bool running)
{
    (void)user;
    printf("%s\n", running ? "ready" : "stopped");
}

/* The linux target's flash is a file, which the next run can be given. */
#ifdef CONFIG_IDF_TARGET_LINUX
#include "esp_private/partition_linux.h"

static int open_flash(void)
{
    const char *file = getenv("CHECK_FLASH");
    if (file)
        snprintf(esp_partition_get_file_mmap_ctrl_input()->flash_file_name, PATH_MAX, "%s", file);
    int err = nvs_flash_init();
    printf("flash %s\n", esp_partition_get_file_mmap_ctrl_act()->flash_file_name);
    return err;
}
#else
static int open_flash(void)
{
    return nvs_flash_init();
}
#endif

/* NULL: not wanted. */
static struct midge_esp_accounts *open_accounts(void)
{
    if (!getenv("CHECK_ACCOUNTS"))
        return NULL;
    struct midge_esp_accounts *a = midge_esp_accounts_open(NULL, NULL);
    if (!a || midge_esp_accounts_set(a, "wrong", "x", "reed everything") != MIDGE_ERR_INVALID ||
        midge_esp_accounts_set(a, "sensor", "secret", "write from/%u/#\nread time\ndeny from/+/raw") != MIDGE_OK ||
        midge_esp_accounts_set(a, "panel", "other", "read from/+/+\nreadwrite app/#") != MIDGE_OK ||
        midge_esp_accounts_set(a, "former", "secret", NULL) != MIDGE_OK ||
        midge_esp_accounts_remove(a, "former") != MIDGE_OK ||
        midge_esp_accounts_set(a, NULL, NULL, "read time") != MIDGE_OK)
        abort();
    return a;
}

static int run_own(void)
{
    static _Alignas(16) unsigned char block[96 * 1024];
    struct midge_memory memory;
    struct midge_esp_stats stats;
    static esp_tls_cfg_server_t tls;
    if (!midge_arena_memory(block, sizeof block, &memory))
        return 90;
    if (open_flash())
        return 89;
    static const struct midge_esp_nvs_config nvs = { .relaxed_ms = 1000 };
    struct midge_esp_accounts *accounts = open_accounts();
    const struct midge_hooks hooks = { .user = accounts,
                                       .login = midge_esp_accounts_login,
                                       .allow = midge_esp_accounts_allow,
                                       .event = midge_esp_report };
    const struct midge_esp_config config = { .memory = &memory,
                                             .hooks = accounts ? &hooks : NULL,
                                             .state = on_state,
                                             .nvs = getenv("CHECK_NVS") ? &nvs : NULL,
                                             .sockets = 24 };
    broker = midge_esp_new(&config);
    if (!broker || midge_esp_listen(broker, "127.0.0.1", 0, NULL))
        return 91;
    if (midge_esp_listen(broker, "127.0.0.1", midge_esp_port(broker), NULL) == 0)
        return 92;
    printf("port %u\n", midge_esp_port(broker));
    if (read_tls(&tls)) {
        if (midge_esp_listen(broker, "127.0.0.1", 0, &tls))
            return 93;
        printf("tls %u\n", midge_esp_port(broker));
        if (midge_esp_listen_ws(broker, "127.0.0.1", 0, &tls, NULL))
            return 94;
        printf("wss %u\n", midge_esp_port(broker));
    }
    if (midge_esp_listen_ws(broker, "127.0.0.1", 0, NULL, "/mqtt") == 0)
        printf("ws %u\n", midge_esp_port(broker));
    xTaskCreate(other_task, "other", 4096, NULL, 2, NULL);
    int rc = midge_esp_run(broker);
    while (!task_done)
        vTaskDelay(1);
    midge_esp_get_stats(broker, &stats);
    printf("passes %u accepted %u refused %u sockets %u waiting %u\n", (unsigned)stats.passes,
           (unsigned)stats.accepted, (unsigned)stats.refused, (unsigned)stats.sockets, (unsigned)stats.waiting_bytes);
    midge_esp_free(broker);
    midge_esp_accounts_close(accounts);
    return rc;
}

void app_main(void)
{
    const char *check = getenv("CHECK");
    setvbuf(stdout, NULL, _IOLBF, 0);
    int rc = check && strcmp(check, "own") == 0 ? run_own() : run_facade();
    printf("rc %d\n", rc);
    exit(rc);
}
