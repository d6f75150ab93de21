/* Midge.h - a broker in an Arduino sketch: begin, publish, subscribe. All else is midge_esp.h. */
#ifndef MIDGE_ARDUINO_H
#define MIDGE_ARDUINO_H

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#include "midge_esp.h"

#include <string.h>

class MidgeBroker {
public:
    /* After the network is up. Serves in a task of its own, for ever. */
    bool begin(uint16_t port = 1883)
    {
        esp_ = midge_esp_new(NULL);
        if (esp_ && midge_esp_listen(esp_, NULL, port, NULL) == 0 &&
            xTaskCreate(serve, "midge", 4096, esp_, 5, NULL) == pdPASS)
            return true;
        midge_esp_free(esp_);
        esp_ = NULL;
        return false;
    }

    /* From any task. False: not begun, or the broker is busy. */
    bool publish(const char *topic, const char *payload, bool retain = false)
    {
        midge_publication p = {};
        p.topic = text(topic);
        p.payload = text(payload);
        p.retain = retain;
        return esp_ && midge_esp_publish(esp_, NULL, &p, NULL, NULL) == MIDGE_OK;
    }

    /* `on_message` is called on the broker's task. */
    bool subscribe(const char *filter, midge_on_message on_message, void *user = NULL)
    {
        midge_subscription s = {};
        s.filter = text(filter);
        s.on_message = on_message;
        s.user = user;
        return esp_ && midge_esp_subscribe(esp_, NULL, &s, NULL, NULL) == MIDGE_OK;
    }

private:
    static midge_slice text(const char *s)
    {
        midge_slice slice = { reinterpret_cast<const uint8_t *>(s), static_cast<uint32_t>(strlen(s)) };
        return slice;
    }

    static void serve(void *esp)
    {
        midge_esp_run(static_cast<midge_esp *>(esp));
        vTaskDelete(NULL);
    }

    midge_esp *esp_ = NULL;
};

#endif
