#!/usr/bin/python3
"""kill.py [--cycles N] [--seed N] [--midge PROGRAM] [--relaxed] - kill -9 at random moments under load.

Publishers of QoS 1 and 2 and persistent subscribers work on a midge with persistence; it is killed and started again,
N times. Counted at the end: what was acknowledged to a publisher and did not come (lost), QoS 2 messages that came twice,
messages out of order, retained values older than the last one acknowledged, sessions that were gone. All have to be 0.
"""
import argparse
import asyncio
import getpass
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WINDOW = 20       # unacknowledged messages of a publisher
BACKLOG = 300     # messages that a publisher may be ahead of the slowest subscriber
PATIENCE_S = 60   # for what happens at once unless something is broken
RETAINED = 10     # topics


def text(s):
    return struct.pack(">H", len(s)) + s


def packet(first, body):
    size, n = b"", len(body)
    while True:
        size += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return bytes([first]) + size + body


class Client:
    """An MQTT 3.1.1 client whose state outlives its connections, as the standard wants it of a client."""

    def __init__(self, name, port):
        self.name, self.port = name, port
        self.pid = 0
        self.out = {}            # packet id -> (packet without DUP, acknowledged())
        self.released = {}       # packet id -> released(): PUBREC has come, PUBCOMP has not
        self.received = set()    # QoS 2 ids of the broker's, not yet released
        self.was_up = False
        self.sessions_gone = 0
        self.writer = None
        self.up = asyncio.Event()
        self.suback = asyncio.Event()

    async def run(self):
        """Connects again and again, for ever."""
        while True:
            try:
                reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.send(packet(0x10, text(b"MQTT") + bytes([4, 0, 0, 60]) + text(self.name.encode())))
                while True:
                    first = (await reader.readexactly(1))[0]
                    n, shift = 0, 0
                    while True:
                        digit = (await reader.readexactly(1))[0]
                        n |= (digit & 127) << shift
                        shift += 7
                        if digit < 128:
                            break
                    self.take(first, await reader.readexactly(n))
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                self.up.clear()
                if self.writer:
                    self.writer.transport.abort()
            await asyncio.sleep(0.005)

    def take(self, first, body):
        kind = first >> 4
        if kind == 2:
            self.connected(body)
        elif kind == 3:
            self.publish_came(first, body)
        elif kind == 4:
            self.acknowledged(struct.unpack(">H", body)[0])
        elif kind == 5:
            pid = struct.unpack(">H", body)[0]
            self.released[pid] = True
            self.acknowledged(pid)
            self.send(packet(0x62, body))
        elif kind == 6:
            self.received.discard(body)
            self.send(packet(0x70, body))
        elif kind == 7:
            self.released.pop(struct.unpack(">H", body)[0], None)
            self.more()
        elif kind == 9:
            self.suback.set()

    def connected(self, body):
        assert body[1] == 0, f"{self.name}: CONNACK {body.hex()}"
        if self.was_up and not body[0]:  # Session Present
            self.sessions_gone += 1
        self.was_up = True
        for pid in self.released:
            self.send(packet(0x62, struct.pack(">H", pid)))
        for first, rest, _ in list(self.out.values()):
            self.send(packet(first | 8, rest))
        self.up.set()
        self.more()

    def acknowledged(self, pid):
        entry = self.out.pop(pid, None)
        if entry:
            entry[2]()
        self.more()

    def publish_came(self, first, body):
        at = 2 + struct.unpack_from(">H", body)[0]
        topic, qos = body[2:at].decode(), first >> 1 & 3
        pid = body[at:at + 2]
        if qos == 1:
            self.send(packet(0x40, pid))
        elif qos == 2:
            self.send(packet(0x50, pid))
            if pid in self.received:
                return
            self.received.add(pid)
        self.message(topic, body[at + 2 if qos else at:].decode(), qos)

    def send(self, data):
        if not self.writer.transport.is_closing():
            self.writer.write(data)

    def message(self, topic, payload, qos):
        pass

    def more(self):
        pass

    def publish(self, topic, payload, qos, done, retain=False):
        while True:
            self.pid = self.pid % 65535 + 1
            if self.pid not in self.out and self.pid not in self.released:
                break
        rest = text(topic.encode()) + struct.pack(">H", self.pid) + payload.encode()
        first = 0x30 | qos << 1 | retain
        self.out[self.pid] = (first, rest, done)
        self.send(packet(first, rest))

    async def subscribe(self, topic, qos):
        await self.up.wait()
        self.suback.clear()
        self.send(packet(0x82, struct.pack(">H", 1) + text(topic.encode()) + bytes([qos])))
        await self.suback.wait()


class Publisher(Client):
    def __init__(self, name, port, qos):
        super().__init__(name, port)
        self.qos, self.sent, self.acked = qos, 0, set()
        self.stopped = False
        self.subscribers = []

    def ahead(self):
        return self.sent - min(len(s.seen.get(f"m/{self.name}", ())) for s in self.subscribers)

    def more(self):
        while (not self.stopped and self.up.is_set() and len(self.out) + len(self.released) < WINDOW
               and self.ahead() < BACKLOG):
            n = self.sent
            self.sent += 1
            self.publish(f"m/{self.name}", str(n), self.qos, lambda n=n: self.acked.add(n))


class Retainer(Client):
    """One value after the other on each topic."""

    def __init__(self, name, port):
        super().__init__(name, port)
        self.sent, self.acked = [0] * RETAINED, [0] * RETAINED
        self.stopped = False

    def more(self):
        for i in range(RETAINED):
            if not self.stopped and self.up.is_set() and self.sent[i] == self.acked[i]:
                self.sent[i] += 1
                self.publish(f"r/{i}", str(self.sent[i]), 1, lambda i=i: self.note(i), retain=True)

    def note(self, i):
        self.acked[i] = self.sent[i]


class Subscriber(Client):
    def __init__(self, name, port):
        super().__init__(name, port)
        self.seen = {}           # topic -> {number: times}
        self.publishers = []
        self.highest = {}
        self.disordered = 0

    def message(self, topic, payload, qos):
        n, seen = int(payload), self.seen.setdefault(topic, {})
        if n not in seen and n < self.highest.get(topic, -1):
            self.disordered += 1
        self.highest[topic] = max(n, self.highest.get(topic, -1))
        seen[n] = seen.get(n, 0) + 1
        for p in self.publishers:
            p.more()


class Midge:
    def __init__(self, program, folder, port, relaxed):
        self.program, self.log = program, open(folder / "midge.log", "ab")
        self.conf = folder / "midge.conf"
        self.conf.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nuser {getpass.getuser()}\npersistence true\npersistence_location {folder}/\n"
            f"max_queued_messages 0\nmax_inflight_messages 20\n{'durability relaxed' if relaxed else ''}\n")
        self.port = port
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", self.conf], stdout=self.log, stderr=self.log)

    def kill(self):
        assert self.process.poll() is None, f"midge ended by itself, status {self.process.returncode}"
        self.process.kill()
        self.process.wait()


def retained_now(port, count):
    """topic -> value, by a client of its own, once there are `count`. They come, or the test has found something."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as s:
        s.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 60]) + text(b"looker")) +
                  packet(0x82, b"\0\1" + text(b"r/#") + b"\0"))
        got, f = {}, s.makefile("rb")
        try:
            while len(got) < count:
                first, n = f.read(2)
                body = f.read(n)
                if first >> 4 == 3:
                    at = 2 + struct.unpack_from(">H", body)[0]
                    got[body[2:at].decode()] = int(body[at:])
        except OSError:
            pass
        return got


async def all_up(clients):
    await asyncio.wait_for(asyncio.gather(*(c.up.wait() for c in clients)), PATIENCE_S)


async def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            print(f"kill.py: waited in vain until {what}")
            return
        await asyncio.sleep(0.01)


async def run(options, folder):
    rng = random.Random(options.seed)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    midge = Midge(options.midge, folder, port, options.relaxed)
    publishers = [Publisher(f"p{i}q{1 + i % 2}", port, 1 + i % 2) for i in range(4)]
    subscribers = [Subscriber(f"s{i}", port) for i in range(3)]
    retainer = Retainer("retainer", port)
    clients = [*subscribers, *publishers, retainer]
    for s in subscribers:
        s.publishers = publishers
    for p in publishers:
        p.subscribers = subscribers
    stale = 0
    midge.start()
    tasks = [asyncio.ensure_future(c.run()) for c in subscribers]
    for s in subscribers:
        await asyncio.wait_for(s.subscribe("m/#", 2), PATIENCE_S)
    tasks += [asyncio.ensure_future(c.run()) for c in [*publishers, retainer]]
    for cycle in range(options.cycles):
        await all_up(clients)
        await asyncio.sleep(rng.uniform(0.005, 0.15))
        midge.kill()
        for c in clients:
            c.up.clear()
        floor = list(retainer.acked)
        midge.start()
        await until(lambda: port_open(port), "midge listens again")
        now = await asyncio.get_running_loop().run_in_executor(None, retained_now, port,
                                                                  sum(n > 0 for n in floor))
        stale += sum(now.get(f"r/{i}", 0) < floor[i] for i in range(RETAINED))
        if cycle % 100 == 99:
            print(f"{cycle + 1} cycles, {sum(len(p.acked) for p in publishers)} messages acknowledged", flush=True)
    await all_up(clients)
    for p in [*publishers, retainer]:
        p.stopped = True
    await until(lambda: not any(p.out or p.released for p in publishers), "all is acknowledged")
    await until(lambda: all(missing(s, p) == 0 for s in subscribers for p in publishers), "all has come")
    for t in tasks:
        t.cancel()
    midge.process.terminate()
    status = midge.process.wait()
    acked = {q: sum(len(p.acked) for p in publishers if p.qos == q) for q in (1, 2)}
    lost = sum(missing(s, p) for s in subscribers for p in publishers)
    twice = {q: sum(times - 1 for s in subscribers for p in publishers if p.qos == q
                    for times in s.seen.get(f"m/{p.name}", {}).values()) for q in (1, 2)}
    disordered = sum(s.disordered for s in subscribers)
    gone = sum(c.sessions_gone for c in clients)
    print(f"seed {options.seed}: {options.cycles} kills, acknowledged {acked[1]} at QoS 1 and {acked[2]} at QoS 2 "
          f"to {len(subscribers)} subscribers: lost {lost}, QoS 2 twice {twice[2]}, QoS 1 again {twice[1]}, "
          f"out of order {disordered}, retained stale {stale}, sessions gone {gone}")
    return not (lost or twice[2] or disordered or stale or gone or status)


def missing(subscriber, publisher):
    return len(publisher.acked - subscriber.seen.get(f"m/{publisher.name}", {}).keys())


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--midge", default=ROOT / "build/release/midge")
    parser.add_argument("--relaxed", action="store_true", help="counts what the loss window costs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="midge-kill-") as folder:
        ok = asyncio.run(run(options, pathlib.Path(folder)))
        if not ok:
            print((pathlib.Path(folder) / "midge.log").read_text()[-2000:])
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
