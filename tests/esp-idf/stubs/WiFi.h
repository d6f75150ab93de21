/* WiFi.h - for compiling the sketch. */
#ifndef STUB_WIFI_H
#define STUB_WIFI_H

enum { WL_CONNECTED };

class WiFiClass {
public:
    void begin(const char *network, const char *passphrase);
    int status();
    const char *localIP();
};
extern WiFiClass WiFi;

#endif
