"""bystanders.py - well-behaved clients, on a thread: each publishes at QoS 1 and gets what all of them publish."""
import selectors
import threading
import time

from wire import Client, ack, packet, parse_publish, publish, subscribe

PERIOD_S = 0.1
ROUNDS = 10  # at least


class One:
    def __init__(self, port, number):
        self.c = Client(port)
        assert self.c.connect(f"bystander {number}", user="user", password="pass", keepalive=600) == 0
        self.c.send(subscribe(["bystanders/#"]))
        self.c.expect(9)
        self.c.s.settimeout(None)
        self.number, self.sent, self.acked, self.got = number, 0, 0, {}

    def speak(self):
        self.sent += 1
        self.c.send(publish(f"bystanders/{self.number}", f"{self.number} {self.sent}".encode(), 1, self.sent % 65535 + 1))

    def hear(self):
        data = self.c.s.recv(65536)
        assert data, f"bystander {self.number} was disconnected"
        for first, body in self.c.parser.feed(data):
            if first >> 4 == 3:
                _, payload, pid = parse_publish(first, body)
                who, n = map(int, payload.split())
                assert n == self.got.get(who, 0) + 1, f"bystander {self.number} lost or got twice: {who} {n}"
                self.got[who] = n
                self.c.send(ack(0x40, pid))
            elif first == 0x40:
                self.acked += 1
            else:
                assert first == 0xD0, first


class Bystanders:
    def __init__(self, port, count):
        self.all = [One(port, i) for i in range(count)]
        self.failure, self.speaking, self.running = None, True, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            self._talk()
        except (AssertionError, OSError) as failure:
            self.failure = failure

    def _talk(self):
        selector = selectors.DefaultSelector()
        for one in self.all:
            selector.register(one.c.s, selectors.EVENT_READ, one)
        due = time.monotonic()
        while self.running:
            for key, _ in selector.select(0.02):
                key.data.hear()
            if self.speaking and time.monotonic() >= due:
                due += PERIOD_S
                for one in self.all:
                    one.speak()

    def complete(self):
        want = {one.number: one.sent for one in self.all}
        return all(one.got == want and one.acked == one.sent for one in self.all)

    def finish(self, patience_s):
        """They have heard all of each other; how many deliveries that were."""
        end = time.monotonic() + patience_s
        while min(one.sent for one in self.all) < ROUNDS and not self.failure and time.monotonic() < end:
            time.sleep(0.02)
        self.speaking = False
        time.sleep(2 * PERIOD_S)
        end = time.monotonic() + patience_s
        while not self.complete() and not self.failure and time.monotonic() < end:
            time.sleep(0.02)
        assert not self.failure, self.failure
        assert self.complete(), [(one.number, one.sent, one.acked, one.got) for one in self.all]
        for one in self.all:
            one.c.send(packet(0xC0))
        return sum(sum(one.got.values()) for one in self.all)

    def stop(self):
        self.running = False
        self.thread.join(10)
        for one in self.all:
            one.c.close()
