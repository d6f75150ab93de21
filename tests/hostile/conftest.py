"""conftest.py - a broker among hostile peers, ten bystanders who must not notice, and a newcomer who must get in."""
import base64
import hashlib
import importlib.util
import pathlib
import sys
import threading
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
_spec = importlib.util.spec_from_file_location("interop", HERE.parent / "interop/conftest.py")
interop = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(interop)

from bystanders import Bystanders  # noqa: E402  # needs the path above
from wire import Client  # noqa: E402

MEMORY_LIMIT = 24_000_000
# A process is more than what it counts: code, libraries, a page table, sockets' buffers of its own.
OTHER_MEMORY = 16_000_000
PATIENCE_S = 60  # for a machine that is busy; what a newcomer really took is reported
CONF = f"""
listener 0 127.0.0.1
allow_anonymous false
password_file {{tmp}}/passwords
global_max_connections 200
max_connections_per_address 150
global_max_clients 500
memory_limit {MEMORY_LIMIT}
max_queued_messages 1000
sys_interval 1
"""


def hashed(password, salt=b"saltsalt1234"):
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def memory_peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


@pytest.fixture
def start(tmp_path):
    """start(CONF_TEXT, NAME=CONTENT...): a broker; ended in order."""
    brokers = []

    def begin(text, **files):
        files.setdefault("passwords", f"user:{hashed('pass')}\n")
        b = interop.Broker("-c", str(interop.write_conf(tmp_path, text, **files)))
        brokers.append(b)
        return b

    try:
        yield begin
        for b in brokers:
            if b.process.poll() is None:
                b.stop()
    finally:
        for b in brokers:
            b.kill()


class Scene:
    def __init__(self, broker, bystanders):
        self.broker, self.port, self.bystanders = broker, broker.port, bystanders
        self.guests = []

    def guest(self, client_id="", address="127.0.0.2", **options):
        """A client that got in, from an address of its own."""
        options.setdefault("user", "user")
        options.setdefault("password", "pass")
        c = Client(self.port, address)
        self.guests.append(c)
        assert c.connect(client_id, **options) == 0
        return c

    def stranger(self, data=b"", address="127.0.0.2"):
        """A connection that has said this much. None: it was not let in."""
        c = Client(self.port, address)
        self.guests.append(c)
        return c if c.try_send(data) else None

    def newcomer_gets_in(self):
        """Tries as long as it has patience; how long it took."""
        begin = time.monotonic()
        while time.monotonic() < begin + PATIENCE_S:
            c = Client(self.port, "127.0.0.3")
            try:
                if c.connect("newcomer", user="user", password="pass", timeout_s=5) == 0:
                    c.close()
                    return time.monotonic() - begin
            except OSError:
                pass
            c.close()
            time.sleep(0.05)
        raise AssertionError("a newcomer with the right credentials did not get in")


@pytest.fixture
def scene(start, request, capsys):
    """Ten bystanders talk to each other all the while; at the end they have lost nothing, a newcomer gets in, and the
    memory never was above the limit."""
    broker = start(CONF)
    bystanders = Bystanders(broker.port, 10)
    s = Scene(broker, bystanders)
    try:
        yield s
        took = s.newcomer_gets_in()
        for c in s.guests:
            c.close()
        exchanged = bystanders.finish(PATIENCE_S)
        peak = memory_peak(broker.process.pid)
        with capsys.disabled():
            print(f"\n  {request.node.name}: peak {peak / 1e6:.1f} MB, newcomer {took * 1000:.0f} ms, "
                  f"bystanders {exchanged} deliveries, 0 lost", end="")
        assert peak < MEMORY_LIMIT + OTHER_MEMORY
    finally:
        bystanders.stop()
        for c in s.guests:
            c.close()
    assert threading.active_count() < 50
