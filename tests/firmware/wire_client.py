"""wire_client.py - an MQTT 3.1.1 client for asyncio that counts: small, so that hundreds of them disturb nobody."""
import asyncio
import socket
import struct

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xD0


def text(s):
    raw = s.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    assert len(body) < 16384
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return bytes([first]) + size + body


class PlainV5:
    """An MQTT 5.0 connection without a loop: Paho overlooks the reason in a DISCONNECT that has nothing else."""

    def __init__(self, board, client_id, timeout_s):
        self.socket = socket.create_connection((board.host, board.port), timeout_s)
        body = text("MQTT") + bytes([5, 2, 0, 60, 0]) + text(client_id)
        self.socket.sendall(packet(0x10, body))
        assert self.socket.recv(100)[3] == 0

    def publish(self, topic, payload):
        self.socket.sendall(packet(0x30, text(topic) + b"\0" + payload))

    def last_word(self):
        """The reason of the DISCONNECT that comes before the end of the connection; None without one."""
        got = b""
        while more := self.socket.recv(1000):
            got += more
        self.socket.close()
        return got[2] if got[:1] == b"\xE0" and got[1] > 0 else None


class Refused(Exception):
    pass


class Client:
    """One connection. on_message(topic, payload) is called for what arrives, which is then acknowledged."""

    def __init__(self, client_id, on_message=None):
        self.client_id = client_id
        self.on_message = on_message
        self.answers = {}
        self.sent = {}        # packet id -> payload, not yet acknowledged
        self.acknowledged = 0
        self.pid = 0
        self.ended = asyncio.Event()
        self.task = None

    async def connect(self, host, port, clean=True, keepalive=60):
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = 2 if clean else 0
        body = text("MQTT") + bytes([4, flags]) + struct.pack(">H", keepalive) + text(self.client_id)
        self.writer.write(packet(0x10, body))
        first, answer = await self._packet()
        if first != CONNACK or answer[1]:
            self.writer.close()
            raise Refused(f"{self.client_id}: CONNACK {answer.hex()}")
        self.task = asyncio.ensure_future(self._read())
        return bool(answer[0])

    async def _packet(self):
        first = (await self.reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            digit = (await self.reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return first, await self.reader.readexactly(length)

    async def _read(self):
        try:
            while True:
                self._take(*await self._packet())
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.ended.set()
            for waiting in self.answers.values():
                waiting.cancel()

    def _take(self, first, body):
        kind = first & 0xF0
        if kind == PUBLISH:
            at = 2 + struct.unpack_from(">H", body)[0]
            topic = body[2:at].decode()
            if first & 6:
                self.writer.write(packet(PUBACK, body[at:at + 2]))
                at += 2
            if self.on_message:
                self.on_message(topic, body[at:])
        elif kind == PUBACK:
            del self.sent[struct.unpack(">H", body)[0]]
            self.acknowledged += 1
        elif kind == SUBACK:
            self.answers.pop(body[:2]).set_result(body[2:])
        elif kind == PINGRESP:
            waiting = self.answers.pop("ping", None)
            if waiting:
                waiting.set_result(None)

    def _next(self):
        self.pid = self.pid % 65535 + 1
        return struct.pack(">H", self.pid)

    async def subscribe(self, topic, qos=1):
        pid = self._next()
        self.answers[pid] = asyncio.get_running_loop().create_future()
        answer = self.answers[pid]
        self.writer.write(packet(0x82, pid + text(topic) + bytes([qos])))
        codes = await answer
        assert codes == bytes([qos]), codes

    async def ping(self):
        answer = self.answers["ping"] = asyncio.get_running_loop().create_future()
        self.writer.write(packet(0xC0, b""))
        await answer

    def publish(self, topic, payload, qos=1):
        pid = self._next() if qos else b""
        if qos:
            self.sent[self.pid] = payload
        self.writer.write(packet(0x30 | qos << 1, text(topic) + pid + payload))

    def fall_silent(self):
        """It reads and answers nothing any more; the connection stays."""
        self.writer.transport.pause_reading()

    async def disconnect(self):
        self.writer.write(packet(0xE0, b""))
        await self.close()

    async def close(self):
        if not self.writer.is_closing():
            self.writer.transport.resume_reading()
        self.writer.close()
        if self.task:
            await self.task
