#!/usr/bin/python3
"""soak.py - many clients on an emulated chip for a long time: nothing lost, memory flat, and where the memory goes.

    soak.py [--board lm3s6965evb] [--clients 64] [--minutes 30] [--qos 1] [--workload ring|all|suspend] [--image F]
    soak.py --most          the largest number of clients that fit

ring      each client is subscribed to its neighbour's topic and publishes once a second
all       every client gets what every other publishes
suspend   as `all`, and time and again a client falls silent for 10 seconds, its connection left open, then connects
          anew and takes itself over: what was queued for the silent one ends with its session, nothing else is lost
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

SILENT_S = 10
BETWEEN_S = 5
SETTLE_S = 10
ROUNDS = 5


class Load:
    """The clients, what they sent and what they got."""

    def __init__(self, board, arguments):
        self.board = board
        self.arguments = arguments
        self.count = arguments.clients
        self.clients = [None] * self.count
        self.sequence = [0] * self.count  # the last number that each has sent
        self.last = [{} for _ in range(self.count)]  # per receiver: sender -> the last number that came
        self.received = self.repeated = self.missed = self.suspensions = 0
        self.silent = set()
        self.stopping = False

    def topic(self, i):
        return f"soak/{i % self.count}/value"

    def senders(self, i):
        return [(i + 1) % self.count] if self.arguments.workload == "ring" else range(self.count)

    def take(self, i, payload):
        """Numbers of one sender come in order, and none is left out."""
        sender, number = struct.unpack_from(">II", payload)
        self.received += 1
        last = self.last[i].get(sender)
        if last is None or number <= last:
            self.repeated += 1
            return
        self.missed += number - last - 1
        self.last[i][sender] = number

    def missing(self, i):
        return sum(self.sequence[sender] - last for sender, last in self.last[i].items())

    async def join(self, i):
        """Connects and subscribes. What is sent after that has to come."""
        self.last[i] = {}
        client = Client(f"c{i:03}", lambda topic, payload: self.take(i, payload))
        await client.connect(self.board.host, self.board.port)
        self.clients[i] = client
        await client.subscribe(self.topic(i + 1) if self.arguments.workload == "ring" else "soak/+/value",
                               self.arguments.qos)
        self.last[i] = {sender: self.sequence[sender] for sender in self.senders(i)}

    def publish(self, i):
        self.sequence[i] += 1
        payload = struct.pack(">II", i, self.sequence[i]).ljust(self.arguments.payload, b".")
        self.clients[i].publish(self.topic(i), payload, self.arguments.qos)

    async def publisher(self, i):
        await asyncio.sleep(random.random())
        due = time.monotonic()
        while not self.stopping:
            if i not in self.silent:
                assert not self.clients[i].ended.is_set(), f"client {i} was put out"
                self.publish(i)
            due = max(due + 1, time.monotonic())  # a machine that stood still is no reason for a burst
            await asyncio.sleep(max(0, due - time.monotonic()))

    async def suspender(self):
        while not self.stopping:
            await asyncio.sleep(BETWEEN_S)
            i = random.randrange(self.count)
            old = self.clients[i]
            self.silent.add(i)
            while old.sent:  # what it has sent is acknowledged
                await asyncio.sleep(0.02)
            old.fall_silent()
            await asyncio.sleep(SILENT_S)
            await self.join(i)
            self.silent.discard(i)
            self.suspensions += 1
            await old.close()

    async def settle(self):
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and (any(c.sent for c in self.clients) or
                                          any(self.missing(i) for i in range(self.count))):
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
    print(f"lwIP      heap {s['heap_max']} of {s['heap_max_size']} B at most; pcbs {s['pcb']} of {s['pcb_size']}, "
          f"segments {s['segment']} of {s['segment_size']}, buffers in {s['pbuf']} of {s['pbuf_size']}, frames "
          f"dropped {s['rx_drop']}")
    print(f"stack     {s['stack']} of {s['stack_size']} B, lwIP and the main loop counted")


def judge(load, samples):
    """What went wrong, as lines."""
    lost = load.missed + sum(load.missing(i) for i in range(load.count))
    unacknowledged = sum(len(c.sent) for c in load.clients)
    print(f"published {sum(load.sequence)}, received {load.received - load.repeated}, again or early "
          f"{load.repeated}, lost {lost}, suspensions {load.suspensions}")
    report_memory(samples[-1])
    if lost:
        yield f"{lost} messages did not come"
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


def build(arguments, clients):
    return rig.build(arguments.board, "--clients", str(clients), "--profile", arguments.profile, "--defines",
                     arguments.defines)


def soak(arguments):
    image = arguments.image or build(arguments, arguments.clients)
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
    """How many clients, each with a topic of its own, come in before one is refused; 0 if they are not served then, each
    publishing once a second."""
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
    for _ in range(ROUNDS):
        for i, client in enumerate(clients):
            client.publish(f"soak/{(i + 1) % len(clients)}/value", b"x" * 32)
            await asyncio.sleep(1 / len(clients))
    await asyncio.sleep(1)
    return len(clients) if len(got) == len(clients) and not any(c.sent for c in clients) else 0


def fits(arguments, clients):
    try:
        image = build(arguments, clients)
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
    low, high = 32, 160
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
    p.add_argument("--profile", default="mcu")
    p.add_argument("--defines", default="", help="further -D... for the build, such as -DMEM_SIZE=4096")
    p.add_argument("--image")
    p.add_argument("--most", action="store_true")
    arguments = p.parse_args()
    ok = find_most(arguments) if arguments.most else soak(arguments)
    print("PASSED" if ok else "FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
