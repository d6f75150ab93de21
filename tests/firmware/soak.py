#!/usr/bin/python3
"""soak.py - many clients on an emulated chip for a long time: nothing lost, memory flat, and where the memory goes.

    soak.py [--board lm3s6965evb] [--clients 64] [--minutes 30] [--qos 1] [--workload ring|all|suspend] [--image F]
    soak.py --most          the largest number of clients that fit

ring      each client is subscribed to its neighbour's topic and publishes once a second
all       every client gets what every other publishes
suspend   as `all`, and every few seconds one client goes away for a while, its session stays, and comes back
The board's clock runs with the wall's. The last line says PASSED or FAILED; the status tells the same.
"""
import argparse
import asyncio
import random
import struct
import sys
import time

import rig
from wire_client import Client, Refused

AWAY_S = 5
SETTLE_S = 10


class Load:
    """The clients, what they sent and what they got."""

    def __init__(self, board, arguments):
        self.board = board
        self.arguments = arguments
        self.count = arguments.clients
        self.clients = [None] * self.count
        self.sequence = [0] * self.count
        self.got = [{} for _ in range(self.count)]  # per receiver: sender -> highest number
        self.received = self.repeated = 0
        self.gaps = []
        self.away = set()
        self.stopping = False

    def topic(self, i):
        return f"soak/{i % self.count}/value"

    def take(self, i, payload):
        """Numbers of one sender come in order, none is left out; repeats are lawful after a reconnection."""
        sender, number = struct.unpack_from(">II", payload)
        last = self.got[i].get(sender)
        self.received += 1
        if last is not None and number <= last:
            self.repeated += 1
            return
        if last is not None and number != last + 1:
            self.gaps.append((i, sender, last, number))
        self.got[i][sender] = number

    async def join(self, i):
        client = Client(f"c{i:03}", lambda topic, payload: self.take(i, payload))
        clean = self.arguments.workload != "suspend"
        present = await client.connect(self.board.host, self.board.port, clean=clean)
        self.clients[i] = client
        if present:
            return
        if self.arguments.workload == "ring":
            await client.subscribe(self.topic(i + 1), self.arguments.qos)
        else:
            await client.subscribe("soak/+/value", self.arguments.qos)

    def publish(self, i):
        self.sequence[i] += 1
        payload = struct.pack(">II", i, self.sequence[i]).ljust(self.arguments.payload, b".")
        self.clients[i].publish(self.topic(i), payload, self.arguments.qos)

    async def publisher(self, i):
        await asyncio.sleep(random.random())
        due = time.monotonic()
        while not self.stopping:
            if i not in self.away:
                assert not self.clients[i].ended.is_set(), f"client {i} was put out"
                self.publish(i)
            due += 1
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def suspender(self):
        while not self.stopping:
            await asyncio.sleep(AWAY_S)
            i = random.randrange(self.count)
            self.away.add(i)
            while self.clients[i].sent:  # what it has sent is acknowledged
                await asyncio.sleep(0.05)
            await self.clients[i].disconnect()
            await asyncio.sleep(AWAY_S)
            await self.join(i)
            self.away.discard(i)

    def expected(self):
        each = sum(self.sequence)
        return each if self.arguments.workload == "ring" else each * self.count

    async def settle(self):
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and (any(c.sent for c in self.clients) or
                                          self.received - self.repeated < self.expected()):
            await asyncio.sleep(0.1)

    async def run(self):
        for i in range(self.count):
            await self.join(i)
        tasks = [asyncio.ensure_future(self.publisher(i)) for i in range(self.count)]
        if self.arguments.workload == "suspend":
            tasks.append(asyncio.ensure_future(self.suspender()))
        samples = []
        end = time.monotonic() + 60 * self.arguments.minutes
        while time.monotonic() < end and not any(t.done() for t in tasks):
            await asyncio.sleep(min(self.arguments.sample, max(0, end - time.monotonic())))
            samples.append(await asyncio.to_thread(self.board.stats))
            print(f"{samples[-1]['ms'] / 1000:8.0f} s  " + " ".join(
                f"{k}={samples[-1][k]}" for k in ("clients", "received", "sent", "used", "peak", "largest", "heap",
                                                  "stack")), flush=True)
        self.stopping = True
        await asyncio.gather(*tasks)
        await self.settle()
        samples.append(await asyncio.to_thread(self.board.stats))
        for client in self.clients:
            await client.disconnect()
        return samples


def report_memory(s):
    print(f"arena     {s['peak']} of {s['arena']} B at most, {s['used']} now, largest free block {s['largest']}")
    print(f"lwIP      heap {s['heap_max']} of {s['heap_max_size']} B at most; pcbs {s['pcb']} of {s['pcb_size']}, segments "
          f"{s['segment']} of {s['segment_size']}, buffers in {s['pbuf']} of {s['pbuf_size']}, frames dropped "
          f"{s['rx_drop']}")
    print(f"stack     {s['stack']} of {s['stack_size']} B, lwIP and the main loop counted")


def judge(load, samples):
    """What went wrong, as lines."""
    lost = load.expected() - (load.received - load.repeated)
    unacknowledged = sum(len(c.sent) for c in load.clients)
    print(f"published {sum(load.sequence)}, to be delivered {load.expected()}, received "
          f"{load.received - load.repeated}, repeated {load.repeated}")
    report_memory(samples[-1])
    if lost or load.gaps:
        yield f"{lost} messages did not come; gaps {load.gaps[:5]}"
    if unacknowledged:
        yield f"{unacknowledged} messages were not acknowledged"
    if samples[-1]["refused"]:
        yield f"{samples[-1]['refused']} messages were refused"
    quarter = len(samples) // 4
    if quarter:
        early = max(s["used"] for s in samples[:2 * quarter])
        late = min(s["used"] for s in samples[-quarter:])
        if late > early:
            yield f"memory grows: {late} bytes at least in the last quarter, {early} at most in the first half"


def soak(arguments):
    image = arguments.image or rig.build(arguments.board, "--clients", str(arguments.clients))
    board = rig.Board(arguments.board, image)
    try:
        print(board.ready, flush=True)
        load = Load(board, arguments)
        samples = asyncio.run(load.run())
        wrong = list(judge(load, samples))
        board.stop()
    finally:
        board.kill()
    print("\n".join(wrong))
    return not wrong


async def fill(board, most):
    """How many clients, each with a topic of its own, come in before one is refused; then all still get messages."""
    clients = []
    got = set()
    try:
        for i in range(most):
            client = Client(f"c{i:03}", lambda topic, payload: got.add(topic))
            await asyncio.wait_for(client.connect(board.host, board.port), 10)
            await asyncio.wait_for(client.subscribe(f"soak/{i}/value"), 10)
            clients.append(client)
    except (Refused, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError, OSError) as e:
        print(f"after {len(clients)}: {e!r}")
    for turn in range(3):
        for i, client in enumerate(clients):
            client.publish(f"soak/{(i + 1) % len(clients)}/value", b"x" * 16)
        await asyncio.sleep(3)
    return len(clients) if len(got) == len(clients) and not any(c.sent for c in clients) else 0


def fits(arguments, clients):
    try:
        image = rig.build(arguments.board, "--clients", str(clients))
    except Exception as e:  # the linker says that RAM is full
        print(f"{clients}: not linked: {e}")
        return False
    board = None
    try:
        board = rig.Board(arguments.board, image)
        n = asyncio.run(fill(board, clients))
        s = board.stats()
        print(f"built for {clients}: {n} came in and are served; arena {s['peak']} of {s['arena']}, "
              f"lwIP heap {s['heap_max']} of {s['heap_max_size']}", flush=True)
        return n == clients
    except AssertionError as e:
        print(f"built for {clients}: {e}")
        return False
    finally:
        if board:
            board.kill()


def find_most(arguments):
    low, high = 1, 256
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(arguments, middle) else (low, middle)
    print(f"the largest number of clients on {arguments.board}: {low}")
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--board", default="lm3s6965evb", choices=rig.BOARDS)
    p.add_argument("--clients", type=int, default=64)
    p.add_argument("--minutes", type=float, default=30)
    p.add_argument("--qos", type=int, default=1, choices=(0, 1))
    p.add_argument("--payload", type=int, default=32)
    p.add_argument("--workload", default="ring", choices=("ring", "all", "suspend"))
    p.add_argument("--sample", type=float, default=10, help="seconds between two looks at the board")
    p.add_argument("--image")
    p.add_argument("--most", action="store_true")
    arguments = p.parse_args()
    ok = find_most(arguments) if arguments.most else soak(arguments)
    print("PASSED" if ok else "FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
