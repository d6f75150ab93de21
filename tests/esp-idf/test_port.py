"""test_port.py - the ESP-IDF port with real clients: plain and TLS, calls from other tasks, mosq_broker.h.

The environment variable CHECK_PROGRAM names the program (project/main/check.c), built for ESP-IDF's linux target or
on stubs of its headers.
"""
import itertools
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import paho.mqtt.client
import pytest

TIMEOUT_S = 20  # for what happens at once unless something is broken
CONNECT = bytes.fromhex("100c00044d5154540402003c0000")
CONNACK = bytes.fromhex("20020000")
SUBSCRIBE = bytes.fromhex("82080001000374") + b"/1" + bytes.fromhex("00")  # "t/1", QoS 0
SUBACK = bytes.fromhex("9003000100")
PINGREQ, PINGRESP = bytes.fromhex("c000"), bytes.fromhex("d000")


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True, timeout=TIMEOUT_S)


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """A CA, a server's and a client's certificate of it, and a client's of another CA."""
    d = tmp_path_factory.mktemp("certs")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for ca, names in (("ca", ("server", "client")), ("other", ("stranger",))):
        openssl("req", "-x509", *new_key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}", "-days",
                "30", cwd=d)
        for name in names:
            (d / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
            openssl("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=d)
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                    "-days", "30", "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=d)
    return d


class Check:
    """The running program; what it says is in `lines`."""

    def __init__(self, **env):
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen([os.environ["CHECK_PROGRAM"]], env=os.environ | env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in itertools.chain(self.process.stdout, [b"(end)"]):
            with self.changed:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self.changed.notify_all()

    def wait_line(self, pattern):
        found = []

        def look():
            found[:] = [m for m in map(re.compile(pattern).search, self.lines) if m]
            return found

        with self.changed:
            assert self.changed.wait_for(look, TIMEOUT_S), f"no line like {pattern!r} in:\n" + "\n".join(self.lines)
        return found[0]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait_descriptors(self, n):
        end = time.monotonic() + TIMEOUT_S
        while self.descriptors() != n and time.monotonic() < end:
            time.sleep(0.01)
        assert self.descriptors() == n

    def end(self):
        code = self.process.wait(TIMEOUT_S)
        self.wait_line(r"\(end\)")
        assert not re.search("Sanitizer|runtime error", "\n".join(self.lines)), "\n".join(self.lines)
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start():
    running = []

    def begin(**env):
        check = Check(**env)
        running.append(check)
        return check

    yield begin
    for check in running:
        check.kill()


@pytest.fixture
def own(start):
    """midge_esp.h, plain."""
    check = start(CHECK="own")
    check.port = int(check.wait_line(r"^port (\d+)").group(1))
    return check


@pytest.fixture
def tls(start, certs):
    """midge_esp.h, plain and with TLS."""
    check = start(CHECK="own", CHECK_CERT=str(certs / "server.pem"), CHECK_KEY=str(certs / "server.key"))
    check.port = int(check.wait_line(r"^port (\d+)").group(1))
    check.tls_port = int(check.wait_line(r"^tls (\d+)").group(1))
    check.args = ["--cafile", certs / "ca.pem"]
    check.wait_line(r"^posted")
    return check


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pub(port, *args, code=0):
    done = subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), *map(str, args)], timeout=TIMEOUT_S,
                          capture_output=True, check=False)
    assert done.returncode == code if code is not None else done.returncode != 0, done


def sub(port, *args):
    """Starts a subscriber; returns once it is subscribed."""
    s = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-d", "-W", str(TIMEOUT_S),
                          *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in s.stdout:
        if line.startswith(b"Subscribed"):
            return s
    raise AssertionError("not subscribed")


def rest(s):
    """What it says after `sub`, until it ends (-W)."""
    out = s.stdout.read().decode()
    s.wait()
    return out


def received(s):
    return [line for line in rest(s).split("\n") if line and not re.match(r"(Client|Subscribed) ", line)]


def stop(check, *args, port=None):
    pub(port or check.port, *args, "-t", "app/in", "-m", "stop", "-q", "1")
    return check.end()


def exchange(s, sent, want):
    s.sendall(sent)
    got = b""
    while len(got) < len(want):
        more = s.recv(4096)
        assert more, got
        got += more
    assert got == want


def client(port):
    s = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    exchange(s, CONNECT, CONNACK)
    return s


# ---- midge_esp.h -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["311", "5"])
def test_clients_and_the_application_reach_each_other(own, version):
    s = sub(own.port, "-V", version, "-t", "app/out", "-q", "1", "-C", "1")
    own.wait_line("^posted")
    pub(own.port, "-V", version, "-t", "app/in", "-m", "hello", "-q", "2")
    assert received(s) == ["hello"]
    assert stop(own) == 0


def test_what_another_task_posts_arrives_in_order(own):
    s = sub(own.port, "-t", "task/out", "-q", "1", "-C", "1", "-W", "30")
    assert own.wait_line(r"^posted (\d+)").group(1) == "201"
    values = [int(v) for v in received(s)]
    assert values == sorted(values)
    s = sub(own.port, "-t", "task/out", "-C", "1")  # the last one is retained
    assert received(s) == ["199"]
    assert stop(own) == 0


def test_states_are_told_and_nothing_is_left(own):
    with client(own.port):
        assert stop(own) == 0
    said = [line for line in own.lines if line in ("ready", "stopped")]
    assert said == ["ready", "stopped"]
    events = [int(line.split()[2]) for line in own.lines if line.startswith("event MIDGE_EVENT")]
    if events:  # ready, two clients up and down, stopped; the linux target is built without
        assert events[0] == 0 and events[-1] == 1 and sorted(events[1:-1]) == [2, 2, 3, 3]
    assert own.wait_line(r"sockets (\d+) waiting (\d+)").groups() == ("0", "0")


def test_a_stop_tells_clients_why(own):
    s = sub(own.port, "-V", "5", "-t", "x")
    assert stop(own) == 0
    assert "139" in rest(s)  # DISCONNECT 0x8B


def test_an_idle_broker_does_not_wake_up(own):
    before = int(own.wait_line(r"^posted .* passes (\d+)").group(1))
    time.sleep(3)  # one that polls 10 times a second would pass 30 times
    assert stop(own) == 0
    assert int(own.wait_line(r"^passes (\d+)").group(1)) - before < 20


def test_a_reader_that_stalls_holds_up_nobody(own, tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 8000)
    own.wait_line("^posted")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", own.port))
    slow.settimeout(TIMEOUT_S)
    exchange(slow, CONNECT, CONNACK)
    exchange(slow, SUBSCRIBE, SUBACK)
    for _ in range(40):
        s = sub(own.port, "-t", "t/1", "-C", "1")
        pub(own.port, "-t", "t/1", "-f", tmp_path / "big")
        assert received(s) == ["x" * 8000]
    first = b""
    while len(first) < 8008:  # it reads at last, and whole packets
        first += slow.recv(8008 - len(first))
    assert first == bytes.fromhex("30c53e0003") + b"t/1" + b"x" * 8000
    slow.close()
    assert stop(own) == 0
    assert own.wait_line(r"waiting (\d+)").group(1) == "0"


def test_low_memory_is_told_and_the_broker_goes_on(own):
    own.wait_line("^posted")
    ids = [f"sleeper{i}" for i in range(12)]
    for i in ids:
        s = sub(own.port, "-i", i, "-c", "-q", "1", "-t", i)
        s.terminate()
        s.wait()
    for i in ids:  # more than the block of 96 kB
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(own.port), "-V", "5", "-q", "1", "-t", i, "-l"],
                       input=(b"x" * 1200 + b"\n") * 10, timeout=TIMEOUT_S, stderr=subprocess.DEVNULL, check=False)
    own.wait_line("memory limit is reached")
    if any(line.startswith("event ") for line in own.lines):
        own.wait_line("^event MIDGE_EVENT 4")
    for i in ids:  # who comes and takes his messages makes room
        c = socket.create_connection(("127.0.0.1", own.port), TIMEOUT_S)
        name = i.encode()
        c.sendall(b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c\x00" + bytes([len(name)]) + name)
        assert c.recv(4) == CONNACK
        c.close()
    assert stop(own) == 0


def test_connections_above_the_limit_are_closed(own):
    own.wait_line("^posted")
    full = [client(own.port) for _ in range(24)]
    with socket.create_connection(("127.0.0.1", own.port), TIMEOUT_S) as s:
        assert s.recv(1) == b""
    full.pop().close()
    full.append(None)
    own.wait_line(r"disconnected")
    with client(own.port) as s:
        exchange(s, PINGREQ, PINGRESP)
    for s in full:
        if s:
            s.close()
    assert stop(own) == 0


# ---- NVS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def restart(start, tmp_path):
    """Starts a broker that finds the state of the one before: the stubs' NVS is a file, the linux target's flash too."""
    flash = []

    def begin(**env):
        known = {"CHECK_FLASH": flash[0]} if flash else {}
        check = start(CHECK="own", STUB_NVS=str(tmp_path / "nvs"), **known, **env)
        check.port = int(check.wait_line(r"^port (\d+)").group(1))
        check.wait_line("^posted")
        flash[:] = [line.split()[1] for line in check.lines if line.startswith("flash ")]
        check.flash = pathlib.Path(flash[0] if flash else tmp_path / "nvs")
        return check

    yield begin
    for file in flash:
        os.remove(file)


def leave_state(check):
    s = sub(check.port, "-i", "sleeper", "-c", "-q", "1", "-t", "news/#")
    s.terminate()
    s.wait()
    pub(check.port, "-t", "news/1", "-m", "while you slept", "-q", "1")
    pub(check.port, "-t", "lamp", "-m", "on", "-q", "1", "-r")


def find_state(check):
    # What was queued comes before the subscription to `lamp` is made.
    found = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(check.port), "-W", str(TIMEOUT_S), "-i",
                            "sleeper", "-c", "-q", "1", "-t", "lamp", "-C", "2"], stdout=subprocess.PIPE, check=True)
    assert found.stdout.split(b"\n")[:2] == [b"while you slept", b"on"]


def test_state_outlives_a_stop(restart):
    before = restart(CHECK_NVS="1")
    leave_state(before)
    assert stop(before) == 0
    after = restart(CHECK_NVS="1")
    find_state(after)
    assert stop(after) == 0


def test_state_outlives_a_power_cut_after_the_loss_window(restart):
    before = restart(CHECK_NVS="1")
    leave_state(before)
    end = time.monotonic() + TIMEOUT_S
    while b"lamp" not in before.flash.read_bytes() and time.monotonic() < end:
        time.sleep(0.05)  # it is written behind everything that leave_state did
    time.sleep(0.2)  # the names that go with it
    before.kill()
    after = restart(CHECK_NVS="1")
    find_state(after)
    assert stop(after) == 0


def test_accounts_in_nvs(restart):
    check = restart(CHECK_ACCOUNTS="1")
    sensor, panel = ("-u", "sensor", "-P", "secret"), ("-u", "panel", "-P", "other")
    s = sub(check.port, *panel, "-t", "#", "-q", "1", "-C", "2")
    pub(check.port, *sensor, "-V", "5", "-q", "1", "-t", "from/other/x", "-m", "not its own")
    pub(check.port, *sensor, "-V", "5", "-q", "1", "-t", "from/sensor/raw", "-m", "denied")
    pub(check.port, *sensor, "-q", "1", "-t", "from/sensor/a/b", "-m", "too deep for the panel")
    pub(check.port, *sensor, "-q", "1", "-t", "from/sensor/a", "-m", "20")
    pub(check.port, *panel, "-q", "1", "-t", "app/x", "-m", "21")
    assert received(s) == ["20", "21"]
    for wrong in (("-u", "sensor", "-P", "wrong"), ("-u", "sensor"), ("-u", "nobody", "-P", "secret"),
                  ("-u", "former", "-P", "secret"), ("-u", "wrong", "-P", "x")):
        pub(check.port, *wrong, "-t", "app/x", "-m", "no", code=None)
    s = sub(check.port, *panel, "-t", "app/#", "-C", "1")
    pub(check.port, "-q", "1", "-t", "app/x", "-m", "no")  # without a name: to read only
    pub(check.port, *panel, "-q", "1", "-t", "app/x", "-m", "yes")
    assert received(s) == ["yes"]
    assert stop(check, *panel) == 0


# ---- TLS ---------------------------------------------------------------------------------------------------


def test_tls(tls):
    s = sub(tls.tls_port, *tls.args, "-t", "app/out", "-q", "1", "-C", "1")
    pub(tls.tls_port, *tls.args, "-t", "app/in", "-m", "hello", "-q", "2")
    assert received(s) == ["hello"]
    assert stop(tls, *tls.args, port=tls.tls_port) == 0


def test_tls_large_messages(tls, tmp_path):
    (tmp_path / "big").write_bytes(b"y" * 8000)
    s = sub(tls.tls_port, *tls.args, "-t", "t", "-q", "1", "-C", "3")
    for _ in range(3):
        pub(tls.tls_port, *tls.args, "-t", "t", "-f", tmp_path / "big", "-q", "1")
    assert received(s) == ["y" * 8000] * 3
    assert stop(tls) == 0


def test_tls_clients_need_a_certificate_when_a_ca_is_set(start, certs):
    check = start(CHECK="own", CHECK_CERT=str(certs / "server.pem"), CHECK_KEY=str(certs / "server.key"),
                  CHECK_CA=str(certs / "ca.pem"))
    port = int(check.wait_line(r"^tls (\d+)").group(1))

    def credentials(name):
        return ["--cafile", certs / "ca.pem", "--cert", certs / f"{name}.pem", "--key", certs / f"{name}.key"]

    message = ["-t", "app/in", "-m", "x"]
    pub(port, *credentials("client"), *message)
    pub(port, *credentials("stranger"), *message, code=None)
    pub(port, "--cafile", certs / "ca.pem", *message, code=None)
    assert stop(check, *credentials("client"), port=port) == 0


def test_a_silent_tls_client_holds_up_nobody_and_is_closed(tls):
    n = tls.descriptors()
    with socket.create_connection(("127.0.0.1", tls.tls_port), TIMEOUT_S) as silent:
        pub(tls.tls_port, *tls.args, "-t", "x", "-m", "x", "-q", "1")
        pub(tls.port, "-t", "x", "-m", "x", "-q", "1")
        assert silent.recv(1) == b""  # at limits.hello_ms
    tls.wait_descriptors(n)
    assert stop(tls) == 0


def test_failed_handshakes_leave_nothing_behind(tls):
    n = tls.descriptors()
    for i in range(100):
        with socket.create_connection(("127.0.0.1", tls.tls_port), TIMEOUT_S) as s:
            s.sendall([CONNECT, b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"][i % 3])
            try:
                while s.recv(100):
                    pass
            except ConnectionResetError:
                pass
    tls.wait_descriptors(n)
    pub(tls.tls_port, *tls.args, "-t", "x", "-m", "x", "-q", "1")
    assert stop(tls) == 0
    assert tls.wait_line(r"sockets (\d+)").group(1) == "0"


def test_packets_in_one_tls_record_are_all_answered(tls, certs):
    context = ssl.create_default_context(cafile=certs / "ca.pem")
    with socket.create_connection(("127.0.0.1", tls.tls_port), TIMEOUT_S) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as s:
            exchange(s, CONNECT + SUBSCRIBE, CONNACK + SUBACK)
            exchange(s, PINGREQ * 2000, PINGRESP * 2000)
    assert stop(tls) == 0


# ---- WebSocket ---------------------------------------------------------------------------------------------


def browser(port, cafile=None):
    """A client that has connected and subscribed; what comes is in its `got`."""
    c = paho.mqtt.client.Client(transport="websockets")
    c.ws_set_options(path="/mqtt")
    if cafile:
        c.tls_set(str(cafile))
    c.got, subscribed = [], threading.Event()
    c.arrived = threading.Event()
    c.on_connect = lambda *_: c.subscribe("app/out", 1)
    c.on_subscribe = lambda *_: subscribed.set()

    def on_message(_, __, message):
        c.got.append(message.payload)
        c.arrived.set()

    c.on_message = on_message
    c.connect("127.0.0.1", port)
    c.loop_start()
    assert subscribed.wait(TIMEOUT_S)
    return c


@pytest.mark.parametrize("kind", ["ws", "tls_wss"])
def test_websocket(tls, certs, kind):
    port = int(tls.wait_line(rf"^{kind[-3:].strip('_')} (\d+)").group(1))
    c = browser(port, certs / "ca.pem" if kind == "tls_wss" else None)
    c.publish("app/in", b"z" * 3000, 1).wait_for_publish()
    assert c.arrived.wait(TIMEOUT_S)
    assert c.got == [b"z" * 3000]
    c.disconnect()
    c.loop_stop()
    assert stop(tls) == 0


def test_websocket_refuses_what_is_none(tls):
    port = int(tls.wait_line(r"^ws (\d+)").group(1))
    n = tls.descriptors()
    for request in (b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n", CONNECT + b"\r\n" * 3000):
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as s:
            s.sendall(request)
            assert s.recv(12).startswith(b"HTTP/1.1 4")
    tls.wait_descriptors(n)
    assert stop(tls) == 0


# ---- mosq_broker.h -----------------------------------------------------------------------------------------


def test_facade(start):
    port = free_port()
    check = start(CHECK="facade", CHECK_PORT=str(port))
    check.wait_line(rf"Opening ipv4 listen socket on port {port}\.")
    s = sub(port, "-t", "a", "-q", "1", "-C", "2", "-i", "reader")
    pub(port, "-t", "a", "-m", "one", "-q", "1", "-i", "writer", "-u", "name", "-P", "secret")
    pub(port, "-t", "a", "-n", "-q", "1", "-i", "writer", "-r")
    assert received(s)[0] == "one"
    pub(port, "-t", "a", "-m", "no", "-u", "name", "-P", "wrong!", code=5)
    pub(port, "-t", "a", "-m", "no", "-u", "wrong", code=5)
    pub(port, "-t", "stop", "-m", "x")
    assert check.end() == 0
    check.wait_line(r"^message writer a one 3 1 0$")
    check.wait_line(r"^message writer a \(null\) 0 1 1$")
    check.wait_line(rf"New connection from 127\.0\.0\.1:\d+ on port {port}\.")
    check.wait_line(r"New client connected from 127\.0\.0\.1:\d+ as writer \(p2, c1, k60, u'name'\)\.")
    assert not any(" no " in line for line in check.lines if line.startswith("message"))


def test_facade_publishes_its_counters(start):
    port = free_port()
    check = start(CHECK="facade", CHECK_PORT=str(port))
    check.wait_line("listen socket")
    assert received(sub(port, "-t", "$SYS/broker/version", "-C", "1"))
    pub(port, "-t", "stop", "-m", "x")
    assert check.end() == 0


def test_facade_tls(start, certs):
    port = free_port()
    check = start(CHECK="facade", CHECK_PORT=str(port), CHECK_CERT=str(certs / "server.pem"),
                  CHECK_KEY=str(certs / "server.key"))
    check.wait_line("listen socket")
    pub(port, "--cafile", certs / "ca.pem", "-t", "stop", "-m", "x")
    assert check.end() == 0


def test_facade_says_what_is_wrong(start, certs):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = str(s.getsockname()[1])
        assert start(CHECK="facade", CHECK_PORT=port).end() == 1
    wrong_key = start(CHECK="facade", CHECK_PORT="0", CHECK_CERT=str(certs / "server.pem"),
                      CHECK_KEY=str(certs / "server.csr"))
    assert wrong_key.end() == 8  # MOSQ_ERR_TLS
    assert start(CHECK="facade", CHECK_PORT="70000").end() == 3  # MOSQ_ERR_INVAL
