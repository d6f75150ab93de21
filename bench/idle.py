#!/usr/bin/python3
"""idle.py [CLIENTS [SECONDS]] - what idle clients cost: memory each, and wake-ups of the broker for nothing.

CLIENTS (1000) connect with keep alive 0 and say nothing for SECONDS (10). The program is that of the
environment variable MIDGE, otherwise build/release/midge; what follows -- goes to it, such as

    idle.py -- --sys-interval 0

Wake-ups are the waits that returned, as strace counts them, or else how often the process gave up the processor.
"""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def start(arguments):
    program = os.environ.get("MIDGE", os.path.join(ROOT, "build/release/midge"))
    broker = subprocess.Popen(
        [program, "-p", "0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in broker.stdout:
        found = re.search(r"listens on [^ ,;]+:(\d+)", line)
        if found:
            return broker, int(found.group(1))
    sys.exit(f"{program} does not listen")


def status(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(rf"^{field}:\s+(\d+)", f.read(), re.M).group(1))


def connect(port, number):
    name = b"client-%06d" % number
    s = socket.create_connection(("127.0.0.1", port), 30)
    s.sendall(bytes([0x10, 12 + len(name)]) + b"\0\4MQTT\4\2\0\0" + len(name).to_bytes(2, "big") + name)
    assert s.recv(4) == b"\x20\2\0\0"
    return s


def traced(pid, seconds):
    """System calls in `seconds`, by name."""
    done = subprocess.run(
        ["timeout", "-s", "INT", str(seconds), "strace", "-c", "-f", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", done.stderr, re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}


def main():
    arguments, options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1 :]
    clients, seconds = (int(arguments[i]) if i < len(arguments) else n for i, n in enumerate((1000, 10)))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    broker, port = start(options)
    os.set_blocking(broker.stdout.fileno(), False)  # its log is not read: that must not matter
    warm = [connect(port, 0)]
    before = status(broker.pid, "VmRSS")
    idle = [connect(port, i + 1) for i in range(clients)]
    after = status(broker.pid, "VmRSS")
    print(
        f"{clients} idle clients: {(after - before) * 1024 / clients:.0f} bytes of RSS each "
        f"({before} kB before, {after} kB with them)"
    )

    switches, began = status(broker.pid, "voluntary_ctxt_switches"), time.monotonic()
    if shutil.which("strace"):
        calls = traced(broker.pid, seconds)
        waits = sum(n for name, n in calls.items() if name.startswith("epoll"))
        # the wait that strace breaks off at its end is not one of the broker's
        print(
            f"strace -c -f for {seconds} s: {sum(calls.values())} system calls {calls}; "
            f"{waits / seconds:.2f} waits a second"
        )
    else:
        time.sleep(seconds)
        switches = status(broker.pid, "voluntary_ctxt_switches") - switches
        print(f"{switches / (time.monotonic() - began):.2f} wake-ups a second")
    for s in warm + idle:
        s.close()
    broker.send_signal(signal.SIGTERM)
    sys.exit(broker.wait(30))


main()
