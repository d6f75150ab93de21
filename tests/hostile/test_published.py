"""test_published.py - a test for each class of bug that was published about MQTT brokers and can be asked of this one.

What is asked of the core alone (properties, packets, sessions) is asked there: tests/spec, tests/oom, tests/fuzz.
"""
import os
import resource
import signal
import socket
import stat
import subprocess
import time

import pytest
from conftest import CONF, hashed, interop
from wire import Client, ack, connect, packet, parse_publish, publish, subscribe, text, unsubscribe, varint

GOOD = {"user": "user", "password": "pass"}
OPEN = "listener 0 127.0.0.1\nallow_anonymous true\n"


@pytest.fixture
def open_broker(start):
    return start(OPEN)


def still_serves(b):
    c = Client(b.port)
    assert c.connect("still") == 0
    c.send(subscribe(["still"]) + publish("still", b"here", 1, 2))
    kinds = {c.next()[0] >> 4 for _ in range(3)}
    assert kinds == {9, 4, 3}
    c.close()


def cpu_s(b):
    with open(f"/proc/{b.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(b):
    with open(f"/proc/{b.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grows(b, attempt, rounds):
    """Bytes by which the process has grown between the first half of the rounds and the second."""
    for i in range(rounds):
        attempt(i)
    before = resident(b)
    for i in range(rounds):
        attempt(i)
    return resident(b) - before


# ---- packets (CVE-2021-28166, -2021-34432, -2018-12543, -2019-11778, NanoMQ 2026-21888 and 2025-68699, sol)

EVIL = {
    "a server's packets": [packet(first, b"\0\0") for first in (0x20, 0x90, 0xB0, 0xD0)],
    "no type at all": [b"\x00\x00", b"\xf0\x00"],
    "five bytes of length": [b"\x30\xff\xff\xff\xff\xff\x01"],
    "an empty topic": [publish("")],
    "a topic with $": [publish("$x", b"y"), publish("$SYS/broker/x", b"y"), publish("$", b"", retain=True)],
    "65,000 levels": [subscribe(["/" * 65_000]), publish("/" * 65_000, retain=True)],
    "a share without an end": [subscribe(["$share/ab"]), subscribe(["$share/"]), subscribe(["$share//x"]), publish("ab")],
    "no filters": [packet(0x82, b"\0\1"), packet(0xA2, b"\0\1")],
    "half a string": [packet(0x82, b"\0\1\0\5ab"), packet(0x30, b"\xff\xffx")],
    "packet id 0": [subscribe(["x"], pid=0), publish("x", b"", 1, 0)],
    "QoS 3": [publish("x", b"", 3)],
    "bad UTF-8": [publish(b"\xc0\x80"), publish(b"\xed\xa0\x80"), publish(b"a\0b")],
    "CONNECT again": [connect("again")],
}


@pytest.mark.parametrize("what", EVIL)
def test_packets_that_broke_others(open_broker, what):
    for version in (3, 4, 5):
        for evil in EVIL[what]:
            for before in (b"", connect("evil", version=version) if version > 3 else connect("evil")):
                c = Client(open_broker.port)
                c.try_send(before + evil)
                c.try_send(packet(0xC0))
                c.s.settimeout(0.05)
                try:
                    c.s.recv(4096)
                except OSError:
                    pass
                c.close()
    still_serves(open_broker)


def test_a_packet_before_connect_is_the_end(open_broker):
    for evil in (ack(0x40, 1), publish("x"), subscribe(["#"]), packet(0xC0)):
        c = Client(open_broker.port)
        c.send(evil)
        assert c.is_closed()
    still_serves(open_broker)


# ---- leaks (CVE-2017-7654, -2021-34431, -2023-3592, -2023-28366, 2.0.21)


def test_refused_connects_leak_nothing(open_broker):
    doubled = b"\x18\0\0\0\1" * 2  # Will Delay Interval twice
    bad = [
        connect("x", version=5, will=("t", b"p", 1, doubled)),
        connect("x", version=5, props=b"\x15" + text("m") + b"\x15" + text("m")),
        connect("x", version=5, props=b"\x26" + text("a") + text("b") + b"\x00"),
        connect("x", version=4, will=("a/#", b"p" * 500, 1, b"")),
        connect(b"\xff\xfe", version=4),
    ]

    def attempt(i):
        c = Client(open_broker.port)
        c.send(bad[i % len(bad)])
        c.is_closed()
        c.close()

    assert grows(open_broker, attempt, 400) < 300_000
    still_serves(open_broker)


def test_qos_2_with_one_id_and_no_answers_leaks_nothing(open_broker):
    c = Client(open_broker.port)
    assert c.connect("two") == 0

    def attempt(i):
        c.send(b"".join(publish("x", bytes(100), 2, 1 + i % 3) for _ in range(50)))
        for _ in range(50):
            c.expect(5)

    assert grows(open_broker, attempt, 100) < 300_000


def test_shared_and_plain_subscriptions_mixed(open_broker):
    c = Client(open_broker.port)
    assert c.connect("mix") == 0
    filters = ["a/b", "$share/g/a/b", "$share/h/a/b", "a/#", "$share/g/a/#", "+/b"]

    def attempt(i):
        first, second = filters[i % 6], filters[i * 5 % 6]
        c.send(subscribe([first, second, first], pid=1) + unsubscribe([second, first, second], pid=2))
        c.send(subscribe([second]) + unsubscribe([f"$share/x/{i}"]) + publish("a/b", b"x"))
        c.ping()

    assert grows(open_broker, attempt, 500) < 300_000
    still_serves(open_broker)


# ---- time (CVE-2021-41039, -2023-5632)


def test_user_properties_take_time_in_proportion_to_their_bytes(open_broker):
    c = Client(open_broker.port)
    assert c.connect("many", version=5) == 0

    def took(count, packets):
        props = (b"\x26" + text("a") + text("b")) * count
        before = cpu_s(open_broker)
        for i in range(packets):
            c.send(publish("x", b"", 1, i % 1000 + 1, props=props))
            assert c.expect(4)
        return cpu_s(open_broker) - before

    took(10, 100)
    few, many = took(10, 2000), took(1000, 20)  # as many properties
    assert many < 3 * few + 0.1


def test_connections_that_say_nothing_cost_no_time(open_broker):
    silent = [Client(open_broker.port) for _ in range(20)]
    half = Client(open_broker.port)
    half.s.shutdown(socket.SHUT_WR)
    time.sleep(0.3)
    before = cpu_s(open_broker)
    time.sleep(1)
    assert cpu_s(open_broker) - before <= 0.05
    for c in silent:
        c.close()


# ---- rights (CVE-2017-7650, -2018-12550, -2018-12551, -2018-12546, -2021-34434, -2018-20145)


def test_an_empty_acl_file_allows_nothing(start):
    b = start(CONF + "acl_file {tmp}/acl\n", acl="")
    c = Client(b.port)
    assert c.connect("x", **GOOD) == 0
    c.send(subscribe(["#"]))
    assert c.expect(9)[2] == 0x80


def test_wildcards_in_names_do_not_widen_patterns(start):
    b = start(CONF + "acl_file {tmp}/acl\n", acl="pattern readwrite own/%c\n")
    for client_id in ("+", "#", "+/+", "a/b"):
        c = Client(b.port)
        assert c.connect(client_id, **GOOD) == 0
        c.send(subscribe(["own/someone"]) + subscribe(["own/#"], pid=2))
        assert {c.expect(9)[2], c.expect(9)[2]} == {0x80}
        c.close()


@pytest.mark.parametrize("line", ["user", "user:", "user:pass", ":x", "user:$7$x$y$z"])
def test_malformed_password_lines_let_nobody_in(tmp_path, line):
    path = interop.write_conf(tmp_path, CONF, passwords=line + "\n")
    done = subprocess.run([*interop.MIDGE, "-c", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0 and done.stderr.count("\n") == 1


def test_a_right_that_was_taken_away_holds_for_what_was_retained_and_subscribed(start, tmp_path):
    b = start(CONF + "acl_file {tmp}/acl\n", acl="pattern readwrite #\n")
    c = Client(b.port)
    assert c.connect("durable", clean=False, **GOOD) == 0
    c.send(subscribe(["secret/#"]) + publish("secret/kept", b"x", 1, 2, retain=True))
    assert {c.next()[0] >> 4 for _ in range(3)} == {9, 4, 3}
    c.send(ack(0x40, 1))
    c.ping()
    c.close()
    (tmp_path / "acl").write_text("pattern readwrite open/#\npattern write secret/#\n", encoding="utf-8")
    b.signal(signal.SIGHUP)
    b.wait_line("SIGHUP: ")
    other = Client(b.port)
    assert other.connect("other", **GOOD) == 0
    other.send(publish("secret/new", b"y", 1, 1) + publish("open/new", b"z", 1, 2))
    assert other.expect(4) and other.expect(4)
    c = Client(b.port)
    assert c.connect("durable", clean=False, **GOOD) == 0
    c.send(subscribe(["secret/kept"], pid=9) + subscribe(["open/#"], pid=10))
    c.send(packet(0xC0))
    while (got := c.next())[0] != 0xD0:
        assert got[0] >> 4 != 3 or not parse_publish(*got)[0].startswith(b"secret")


# ---- files and descriptors (CVE-2017-9868, -2017-7652, 2.0.23)


def test_a_reload_without_descriptors_changes_nothing(start):
    b = start(CONF)
    soft, hard = resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE, (4, hard))
    b.signal(signal.SIGHUP)
    b.wait_line("SIGHUP: ")
    resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    c = Client(b.port)
    assert c.connect("stranger") != 0  # still nobody without a password


def test_a_store_is_nobody_elses_to_read_and_a_damaged_one_is_refused(start, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    conf = OPEN + f"persistence true\npersistence_location {folder}/\n"
    b = start(conf)
    c = Client(b.port)
    assert c.connect("kept", clean=False) == 0
    c.send(subscribe(["x"]) + publish("x", b"y", 1, 2, retain=True))
    c.ping()
    b.stop()
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert files
    for f in files:
        assert not stat.S_IMODE(f.stat().st_mode) & 0o077, f
        f.write_bytes(b"\0" * 100 + f.read_bytes()[100:])
    done = subprocess.run(
        [*interop.MIDGE, "-c", str(tmp_path / "midge.conf")], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode > 0 and "state" in done.stderr


# ---- WebSocket (NanoMQ 2026-25627)


def test_a_packet_longer_than_its_frame(start):
    b = start("listener 0 127.0.0.1\nprotocol websockets\nallow_anonymous true\n")
    request = ("GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Protocol: mqtt\r\n\r\n").encode()

    def frame(data):
        return b"\x82" + bytes([0x80 | len(data)]) + bytes(4) + data

    c = Client(b.port)
    c.send(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += c.s.recv(4096)
    assert b" 101 " in answer
    c.send(frame(connect("ws")[:7]) + frame(connect("ws")[7:]))
    assert c.s.recv(100).endswith(bytes.fromhex("20020000"))
    c.send(frame(b"\x30" + varint(1_000_000) + text("t") + b"only so much"))
    c.s.shutdown(socket.SHUT_WR)
    while c.s.recv(4096):
        pass
    d = Client(b.port)
    d.send(request)
    assert b" 101 " in d.s.recv(4096)
