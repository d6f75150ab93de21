/* Arduino.h - for compiling the sketch: Arduino's builder puts it in front. */
#ifndef STUB_ARDUINO_H
#define STUB_ARDUINO_H

#include <stdint.h>

class String {
public:
    explicit String(unsigned long n);
    const char *c_str() const;
};

class HardwareSerial {
public:
    void begin(unsigned long baud);
    int printf(const char *format, ...) __attribute__((format(printf, 2, 3)));
    void println(const char *text);
};
extern HardwareSerial Serial;

void delay(uint32_t ms);
unsigned long millis();

#endif
