/* esp_log.h - ESP-IDF's log macros, onto standard error. */
#ifndef STUB_ESP_LOG_H
#define STUB_ESP_LOG_H

#include <stdio.h>

#define STUB_LOG(letter, tag, format, ...) fprintf(stderr, letter " (0) %s: " format "\n", tag, ##__VA_ARGS__)
#define ESP_LOGE(tag, format, ...) STUB_LOG("E", tag, format, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) STUB_LOG("W", tag, format, ##__VA_ARGS__)
#define ESP_LOGI(tag, format, ...) STUB_LOG("I", tag, format, ##__VA_ARGS__)

#endif
