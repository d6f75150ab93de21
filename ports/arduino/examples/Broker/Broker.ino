// Broker.ino - the ESP32 is the broker: it tells its uptime and prints what arrives below "to/".
#include <Midge.h>
#include <WiFi.h>

MidgeBroker broker;

static void onMessage(void *, const midge_message *m) {
  Serial.printf("%.*s\n", (int)m->payload.len, (const char *)m->payload.data);
}

void setup() {
  Serial.begin(115200);
  WiFi.begin("network", "passphrase");
  while (WiFi.status() != WL_CONNECTED) {
    delay(100);
  }
  Serial.println(WiFi.localIP());
  if (!broker.begin() || !broker.subscribe("to/#", onMessage)) {
    Serial.println("no broker");
  }
}

void loop() {
  broker.publish("uptime", String(millis() / 1000).c_str(), true);
  delay(10000);
}
