/* broker.c - a broker on the network of an ESP32, through the two functions of the Mosquitto component. */
#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "mosq_broker.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

#include <string.h>

#if CONFIG_EXAMPLE_BROKER_USE_BASIC_AUTH
static int on_connect(const char *client_id, const char *username, const char *password, int password_len)
{
    const char *expected = CONFIG_EXAMPLE_BROKER_PASSWORD;
    (void)client_id;
    return username && password && strcmp(username, CONFIG_EXAMPLE_BROKER_USERNAME) == 0 &&
                   password_len == (int)strlen(expected) && memcmp(password, expected, (size_t)password_len) == 0
               ? 0
               : 1;
}
#endif

static void on_message(char *client, char *topic, char *data, int len, int qos, int retain)
{
    ESP_LOGI("broker", "%s: %s = %.*s (QoS %d, retain %d)", client, topic, len, data ? data : "", qos, retain);
}

#if CONFIG_EXAMPLE_BROKER_WITH_TLS
extern const unsigned char servercert_start[] asm("_binary_servercert_pem_start");
extern const unsigned char servercert_end[] asm("_binary_servercert_pem_end");
extern const unsigned char serverkey_start[] asm("_binary_serverkey_pem_start");
extern const unsigned char serverkey_end[] asm("_binary_serverkey_pem_end");
#endif

void app_main(void)
{
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    ESP_ERROR_CHECK(example_connect());

    struct mosq_broker_config config = {
        .host = CONFIG_EXAMPLE_BROKER_HOST,
        .port = CONFIG_EXAMPLE_BROKER_PORT,
        .handle_message_cb = on_message,
#if CONFIG_EXAMPLE_BROKER_USE_BASIC_AUTH
        .handle_connect_cb = on_connect,
#endif
    };
#if CONFIG_EXAMPLE_BROKER_WITH_TLS
    esp_tls_cfg_server_t tls = {
        .servercert_buf = servercert_start,
        .servercert_bytes = (unsigned)(servercert_end - servercert_start),
        .serverkey_buf = serverkey_start,
        .serverkey_bytes = (unsigned)(serverkey_end - serverkey_start),
    };
    config.tls_cfg = &tls;
#endif
    mosq_broker_run(&config); /* in this task, until mosq_broker_stop */
}
