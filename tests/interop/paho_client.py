"""paho_client.py - Debian's paho-mqtt with everything that arrives in lists that a test can wait on."""
import socket
import threading

import paho.mqtt.client as paho
from conftest import TIMEOUT_S
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5


def properties(packet, **values):
    """properties("PUBLISH", TopicAlias=1), named as in paho."""
    p = Properties(getattr(PacketTypes, packet))
    for key, value in values.items():
        setattr(p, key, value)
    return p


class Client:
    """One client, connected by connect(). What it gets goes to .messages."""

    def __init__(
        self,
        broker,
        client_id,
        version=V5,
        clean=True,
        will=None,
        keepalive=60,
        host=None,
        transport="tcp",
        **connect_props,
    ):
        self.version = version
        self.clean = clean
        self.keepalive = keepalive
        self.where = (host or broker.host, broker.port)
        self.connect_props = connect_props
        self.changed = threading.Condition()
        self.messages, self.granted, self.unsubscribed, self.published = [], {}, {}, set()
        self.connack = self.disconnected = None
        self.pongs = 0
        self.silent = False
        self.go = threading.Event()
        self.go.set()
        early = {} if version == V5 else {"clean_session": clean}
        self.paho = paho.Client(
            client_id, protocol=version, reconnect_on_failure=False, transport=transport, **early
        )
        self.paho.max_queued_messages_set(0)
        self.paho.on_connect = self._on_connect
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = lambda c, u, mid, granted, *p: self._note(self.granted, mid, granted)
        self.paho.on_unsubscribe = lambda c, u, mid, *p: self._note(self.unsubscribed, mid, p[1:] or None)
        self.paho.on_publish = lambda c, u, mid: self._note(self.published, mid)
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_log = self._on_log
        if will:
            self.paho.will_set(**will)

    # ---- what paho calls

    def _note(self, to, key, value=None):
        with self.changed:
            if isinstance(to, set):
                to.add(key)
            else:
                to[key] = value
            self.changed.notify_all()

    def _on_connect(self, client, user, flags, code, props=None):
        with self.changed:
            self.connack = {
                "present": bool(flags["session present"]),
                "props": props,
                "code": code.value if self.version == V5 else code,
            }
            self.changed.notify_all()

    def _on_disconnect(self, client, user, code, props=None):
        with self.changed:
            # paho hands over a ReasonCodes for a DISCONNECT that came, a number of its own otherwise
            self.disconnected = {"reason": getattr(code, "value", None), "props": props}
            self.changed.notify_all()

    def _on_message(self, client, user, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()
        self.go.wait(TIMEOUT_S)

    def _on_log(self, client, user, level, text):
        if "PINGRESP" in text:
            with self.changed:
                self.pongs += 1
                self.changed.notify_all()

    # ---- what tests call

    def wait(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT_S), f"never came: {what}"

    def try_connect(self):
        """Connects, whatever the answer; it is in .connack."""
        if self.version == V5:
            # a fresh id means clean start here, whatever paho would do at a second connect
            self.paho.connect(
                *self.where,
                self.keepalive,
                clean_start=self.clean,
                properties=properties("CONNECT", **self.connect_props),
            )
        else:
            self.paho.connect(*self.where, self.keepalive)
        # paho leaves Nagle on: a PUBACK after a PUBREC would wait for the broker's delayed ACK
        s = self.paho.socket()
        getattr(s, "_socket", s).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.paho.loop_start()
        self.wait(lambda: self.connack or self.disconnected, "CONNACK")
        return self

    def connect(self):
        self.try_connect()
        assert self.connack and self.connack["code"] == 0, f"refused: {self.connack}"
        return self

    def subscribe(self, *filters, qos=2, options=None, **props):
        """The codes that were granted, as numbers."""
        if self.version == V5:
            options = options or paho.SubscribeOptions(qos=qos)
            wanted = [(f, options) for f in filters]
            _, mid = self.paho.subscribe(wanted, properties=properties("SUBSCRIBE", **props))
        else:
            _, mid = self.paho.subscribe([(f, qos) for f in filters])
        self.wait(lambda: mid in self.granted, "SUBACK")
        return [getattr(code, "value", code) for code in self.granted[mid]]

    def unsubscribe(self, *filters):
        _, mid = self.paho.unsubscribe(list(filters))
        self.wait(lambda: mid in self.unsubscribed, "UNSUBACK")
        codes = self.unsubscribed[mid]
        if not codes:
            return None
        codes = codes[0] if isinstance(codes[0], list) else [codes[0]]
        return [code.value for code in codes]

    def send(self, topic, payload=b"", qos=0, retain=False, **props):
        """Publishes without waiting. Returns paho's packet id."""
        p = properties("PUBLISH", **props) if self.version == V5 else None
        return self.paho.publish(topic, payload, qos, retain, p).mid

    def publish(self, *args, **kwargs):
        """Publishes and waits until it is acknowledged (QoS 0: sent)."""
        mid = self.send(*args, **kwargs)
        self.wait(lambda: mid in self.published, "the acknowledgement")

    def wait_messages(self, count):
        """The first `count` messages; takes them out of the list."""
        self.wait(lambda: len(self.messages) >= count, f"{count} messages (came: {len(self.messages)})")
        with self.changed:
            first, self.messages[:] = self.messages[:count], self.messages[count:]
        return first

    def payloads(self, count):
        return [m.payload for m in self.wait_messages(count)]

    def expect_nothing_else(self):
        """What was sent to it before would be here by now: a message of its own comes behind it."""
        marker = f"marker/{id(self)}"
        self.subscribe(marker)
        self.publish(marker, b"marker", qos=1)
        self.wait(lambda: any(m.topic == marker for m in self.messages), "the marker")
        self.unsubscribe(marker)
        others = [m for m in self.messages if m.topic != marker]
        assert not others, [(m.topic, m.payload[:40]) for m in others]
        self.messages.clear()

    def hold(self):
        """From now on a message is not acknowledged (QoS 1), and no further one is read, until release()."""
        self.go.clear()

    def release(self):
        self.go.set()

    def disconnect(self, reason=0, **props):
        reason = ReasonCodes(PacketTypes.DISCONNECT, identifier=reason) if self.version == V5 else None
        self.paho.disconnect(reason, properties("DISCONNECT", **props) if self.version == V5 else None)
        self.wait(lambda: self.disconnected, "the end of the connection")
        self.paho.loop_stop()

    def vanish(self):
        """The connection breaks, without DISCONNECT."""
        s = self.paho.socket()
        if s:
            s.shutdown(socket.SHUT_RDWR)
        self.release()
        self.wait(lambda: self.disconnected, "the end of the connection")
        self.paho.loop_stop()

    def fall_silent(self):
        """It sends and reads nothing any more; the connection stays."""
        self.paho.loop_stop()
        self.silent = True

    def wait_disconnected(self):
        """The reason that the broker gave, None without one."""
        self.wait(lambda: self.disconnected, "the end of the connection")
        self.paho.loop_stop()
        return self.disconnected["reason"]

    def close(self):
        if self.silent:
            self.paho.socket().close()
        elif self.paho.socket():
            self.vanish()
        self.paho.loop_stop()
