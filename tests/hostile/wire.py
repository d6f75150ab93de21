"""wire.py - MQTT in a few lines, so that a peer can say what no client library would."""
import socket
import struct
import time


def varint(n):
    out = b""
    while True:
        out += bytes([n % 128 | (0x80 if n > 127 else 0)])
        n //= 128
        if not n:
            return out


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">H", len(data)) + data


def packet(first, body=b""):
    return bytes([first]) + varint(len(body)) + body


def connect(client_id, version=4, clean=True, keepalive=0, user=None, password=None, props=b"", will=None):
    """will: (topic, payload, qos, properties)"""
    flags = (2 if clean else 0) | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    v5 = version == 5
    body = text("MQTT") + bytes([version])
    tail = (varint(len(props)) + props if v5 else b"") + text(client_id)
    if will:
        flags |= 4 | will[2] << 3
        tail += (varint(len(will[3])) + will[3] if v5 else b"") + text(will[0]) + text(will[1])
    tail += text(user) if user is not None else b""
    tail += text(password) if password is not None else b""
    return packet(0x10, body + bytes([flags]) + struct.pack(">H", keepalive) + tail)


def publish(topic, payload=b"", qos=0, pid=1, retain=False, dup=False, props=None):
    body = text(topic) + (struct.pack(">H", pid) if qos else b"")
    body += varint(len(props)) + props if props is not None else b""
    return packet(0x30 | qos << 1 | retain | dup << 3, body + payload)


def subscribe(filters, qos=1, pid=1, props=None, first=0x82):
    body = struct.pack(">H", pid) + (varint(len(props)) + props if props is not None else b"")
    return packet(first, body + b"".join(text(f) + (bytes([qos]) if first == 0x82 else b"") for f in filters))


def unsubscribe(filters, pid=1, props=None):
    return subscribe(filters, pid=pid, props=props, first=0xA2)


def ack(first, pid):
    return packet(first, struct.pack(">H", pid))


class Parser:
    """Bytes in, (first byte, body) out."""

    def __init__(self):
        self.data = b""

    def feed(self, data):
        self.data += data
        while True:
            n, shift, at = 0, 0, 1
            while at < len(self.data) and at < 5:
                n |= (self.data[at] & 0x7F) << shift
                shift += 7
                at += 1
                if not self.data[at - 1] & 0x80:
                    break
            else:
                return
            if len(self.data) < at + n:
                return
            yield self.data[0], self.data[at:at + n]
            self.data = self.data[at + n:]


def parse_publish(first, body, version=4):
    """topic, payload, pid"""
    n = struct.unpack(">H", body[:2])[0]
    topic, at, pid = body[2:2 + n], 2 + n, 0
    if first & 6:
        pid = struct.unpack(">H", body[at:at + 2])[0]
        at += 2
    if version == 5:
        at += 1 + body[at]
    return topic, body[at:], pid


class Client:
    """A blocking peer. OSError where the other side has gone."""

    def __init__(self, port, address="127.0.0.1", receive_window=None):
        self.s = socket.socket()
        if receive_window:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_window)
        self.s.bind((address, 0))
        self.s.settimeout(30)
        self.s.connect(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.parser = Parser()
        self.packets = []

    def send(self, data):
        self.s.sendall(data)

    def try_send(self, data):
        """False: the other side has closed, or takes no more."""
        try:
            self.s.sendall(data)
            return True
        except OSError:
            return False

    def next(self, timeout_s=30):
        """The next packet; None: closed."""
        end = time.monotonic() + timeout_s
        while not self.packets:
            self.s.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.s.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.packets += self.parser.feed(data)
        return self.packets.pop(0)

    def expect(self, kind):
        """The body of the next packet, which is of this type."""
        got = self.next()
        assert got and got[0] >> 4 == kind, f"packet type {kind} was expected, not {got}"
        return got[1]

    def connect(self, client_id, timeout_s=30, **options):
        """The CONNACK's code; 255: closed."""
        try:
            self.send(connect(client_id, **options))
        except ConnectionError:
            return 255
        got = self.next(timeout_s)
        return got[1][1] if got and got[0] == 0x20 else 255

    def is_closed(self, timeout_s=30):
        """Reads all there is until the other side closes."""
        try:
            while self.next(timeout_s):
                pass
            return True
        except TimeoutError:
            return False

    def ping(self):
        """What came before the answer is dropped."""
        self.send(packet(0xC0))
        while True:
            got = self.next()
            assert got, "closed"
            if got[0] == 0xD0:
                return

    def close(self):
        self.s.close()
