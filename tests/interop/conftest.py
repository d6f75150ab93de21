"""conftest.py - starts the broker under test on a free port of the loopback, and sees that it ends in order.

The environment variable MIDGE names the program; it is build/release/midge otherwise.
"""
import os
import pathlib
import pwd
import re
import shlex
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIDGE = shlex.split(os.environ.get("MIDGE", str(ROOT / "build/release/midge")))
TIMEOUT_S = 30  # for what happens at once unless something is broken
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehavior|runtime error:|==\d+==")


class Broker:
    """A running broker; what it says is in `lines`."""

    def __init__(self, *args, host="127.0.0.1", port=0):
        self.host = host
        self.lines = []
        self.changed = threading.Condition()
        self.closed = False
        self.process = subprocess.Popen(
            [*MIDGE, "-p", str(port), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = int(self.wait_line(r"listens on [^ ,;]+:(\d+)").group(1))

    def _read(self):
        for line in self.process.stdout:
            self._note(line.decode("utf-8", "replace").rstrip("\n"))
        self._note(None)

    def _note(self, line):
        with self.changed:
            if line is None:
                self.closed = True
            else:
                self.lines.append(line)
            self.changed.notify_all()

    def wait_line(self, pattern, count=1):
        """The match of the count-th line that fits, said already or still to come."""
        found = []

        def look():
            found[:] = [m for m in map(re.compile(pattern).search, self.lines) if m]
            return len(found) >= count or self.closed

        with self.changed:
            self.changed.wait_for(look, TIMEOUT_S)
            assert (
                len(found) >= count
            ), f"the broker did not say {pattern!r} {count} times, but: {self.lines[-20:]}"
            return found[count - 1]

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self):
        """The exit status; all lines have come."""
        status = self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        assert not [line for line in self.lines if SANITIZER.search(line)], "\n".join(self.lines)
        return status

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        assert self.wait_end() == 0, "\n".join(self.lines[-50:])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def broker():
    """One broker for the tests of a file: they use topics and client ids of their own."""
    b = Broker()
    try:
        yield b
        b.stop()
    finally:
        b.kill()


@pytest.fixture
def start_broker():
    """start_broker(ARGS...): a broker that one test has for itself; it is ended in order."""
    started = []

    def start(*args, **where):
        started.append(Broker(*args, **where))
        return started[-1]

    try:
        yield start
        for b in started:
            if b.process.poll() is None:
                b.stop()
    finally:
        for b in started:
            b.kill()


@pytest.fixture
def start_conf(start_broker, tmp_path):
    """start_conf(TEXT, ARGS..., NAME=CONTENT...): a broker with a configuration of its own, whose path is .conf.

    {tmp} in TEXT is a folder where the files NAME are. A 'listener 0 127.0.0.1' is where the tests find it."""

    def start(text, *args, **files):
        path = write_conf(tmp_path, text, **files)
        b = start_broker("-c", str(path), *args)
        b.conf = path
        start.last = b
        return b

    return start


def write_conf(folder, text, **files):
    for file, content in files.items():
        (folder / file).write_text(content, encoding="utf-8")
    path = folder / "midge.conf"
    # started as root, the broker would leave it, and could not read what pytest made
    user = pwd.getpwuid(os.geteuid()).pw_name
    path.write_text(text.replace("{tmp}", str(folder)) + f"\nuser {user}\n", encoding="utf-8")
    return path


@pytest.fixture
def name(request):
    """A word for client ids and topics that no other test uses."""
    return re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")


def wait_until(condition, what):
    """For states without an event to wait for: asks until it is so."""
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)
