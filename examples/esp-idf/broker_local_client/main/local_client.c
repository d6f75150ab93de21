/* local_client.c - the application publishes and subscribes on its own broker: no loopback client, no socket. */
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#include "esp_event.h"
#include "esp_log.h"
#include "esp_netif.h"
#include "midge_esp.h"
#include "nvs_flash.h"
#include "protocol_examples_common.h"

#include <stdio.h>
#include <string.h>

static const char *const TAG = "local_client";

static struct midge_slice text(const char *s)
{
    return (struct midge_slice){ .data = (const uint8_t *)s, .len = (uint32_t)strlen(s) };
}

/* On the broker's task. */
static void on_command(void *user, const struct midge_message *m)
{
    (void)user;
    ESP_LOGI(TAG, "command: %.*s", (int)m->payload.len, (const char *)m->payload.data);
}

static void serve(void *broker)
{
    midge_esp_run(broker);
    vTaskDelete(NULL);
}

static void publish_uptime(struct midge_esp *broker)
{
    char payload[16];
    snprintf(payload, sizeof payload, "%u", (unsigned)(xTaskGetTickCount() / configTICK_RATE_HZ));
    const struct midge_publication p = { .topic = text("device/uptime"), .payload = text(payload), .retain = true };
    if (midge_esp_publish(broker, NULL, &p, NULL, NULL) != MIDGE_OK)
        ESP_LOGW(TAG, "not published: the broker is busy");
}

void app_main(void)
{
    ESP_ERROR_CHECK(nvs_flash_init());
    ESP_ERROR_CHECK(esp_netif_init());
    ESP_ERROR_CHECK(esp_event_loop_create_default());
    ESP_ERROR_CHECK(example_connect());

    struct midge_esp *broker = midge_esp_new(NULL);
    const struct midge_subscription s = { .filter = text("device/command"), .qos = 1, .on_message = on_command };
    if (!broker || midge_esp_listen(broker, NULL, 1883, NULL) ||
        midge_esp_subscribe(broker, NULL, &s, NULL, NULL) != MIDGE_OK ||
        xTaskCreate(serve, "broker", 4096, broker, 5, NULL) != pdPASS) {
        ESP_LOGE(TAG, "no broker");
        return;
    }
    for (;;) {
        publish_uptime(broker);
        vTaskDelay(pdMS_TO_TICKS(10000));
    }
}
