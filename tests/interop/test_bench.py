"""test_bench.py - midge-bench: each workload once, small, against the broker; and brokers that it has to see through."""
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest
from conftest import MIDGE, TIMEOUT_S, wait_until
from transports import Transports

BENCH = os.environ.get("MIDGE_BENCH", str(pathlib.Path(MIDGE[-1]).with_name("midge-bench")))
RELAY = str(pathlib.Path(BENCH).with_name("midge_relay"))

# The window of QoS 0 stays below the broker's max_queued_messages: what is over it may be dropped.
SMALL = {
    "W1": ["-n", "5000", "--window", "500"],
    "W2": ["-n", "50", "--subscribers", "100"],
    "W2s": ["-n", "20", "--subscribers", "100"],
    "W3": ["-n", "1000", "--publishers", "50"],
    "W3q1": ["-n", "1000", "--publishers", "50"],
    "W4": ["-n", "2000"],
    "W4p": ["-n", "2000"],
    "W5": ["-n", "1000"],
    "W6": ["-n", "3000", "--subscribers", "30", "--subscriptions", "900", "--window", "500"],
    "W7": ["-s", "1", "--connections", "50"],
    "W8": ["-n", "200"],
    "W9": ["-n", "20"],
    "W10": ["--retained", "2000"],
    "W12": ["--subscribers", "50", "--queued", "10"],
}


def bench(port, *args):
    return subprocess.run(
        [BENCH, "-p", str(port), "--quiet", "--patience", "5", "-j", "-", *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=2 * TIMEOUT_S,
        check=False,
    )


def counts(done):
    report = json.loads(done.stdout)
    return {key: report[key] for key in ("lost", "duplicated", "reordered", "wrong")}


ALL_WELL = {"lost": 0, "duplicated": 0, "reordered": 0, "wrong": 0}


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
@pytest.mark.parametrize("workload", SMALL)
def test_workload(broker, workload, protocol):
    done = bench(
        broker.port, "--protocol", protocol, "--pid", str(broker.process.pid), workload, *SMALL[workload]
    )
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["workload"] == workload and report["protocol"][0] == protocol[0]
    assert counts(done) == ALL_WELL and not report["stalled"]
    assert all(phase["seconds"] > 0 for phase in report["phases"])
    if workload in ("W1", "W3", "W4", "W9"):
        assert report["sent"] == report["delivered"] == int(SMALL[workload][1])


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_the_null_relay_passes_everything_on(qos):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([RELAY, str(port)]) as relay:
        try:
            wait_until(lambda: answers(port), "the relay listens")
            done = bench(port, "W4", "-n", "1000", "-q", qos, "--subscribers", "3")
            assert done.returncode == 0 and counts(done) == ALL_WELL, done.stderr
            assert json.loads(done.stdout)["delivered"] == 3000
        finally:
            relay.kill()


# ---- brokers that lose, repeat, swap and change


class Liar(threading.Thread):
    """Welcomes a subscriber and a publisher; hands on what `twist` makes of the list of all messages."""

    def __init__(self, messages, twist):
        super().__init__(daemon=True)
        self.messages, self.twist = messages, twist
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def talk(self, peer, got):
        """Answers one client; True once all messages have come."""
        data = b""
        while chunk := peer.recv(65536):
            data += chunk
            while len(data) > 1 and len(data) >= 2 + data[1]:
                packet, data = data[: 2 + data[1]], data[2 + data[1] :]
                if packet[0] == 0x10:
                    peer.sendall(b"\x20\x02\x00\x00")
                elif packet[0] == 0x82:
                    self.subscriber = peer
                    peer.sendall(b"\x90\x03" + packet[2:4] + b"\x00")
                elif packet[0] == 0x30:
                    got.append(packet)
                    if len(got) == self.messages:
                        self.subscriber.sendall(b"".join(self.twist(got)))

    def run(self):
        got = []
        for _ in range(2):
            peer, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(peer, got), daemon=True).start()


def changed(packet):
    return packet[:-1] + bytes([packet[-1] ^ 1])


@pytest.mark.parametrize(
    "twist, expected",
    [
        (lambda m: m, {}),
        (lambda m: m[:3] + m[5:], {"lost": 2}),
        (lambda m: m[:-1], {"lost": 1}),
        (lambda m: m + m[2:4], {"duplicated": 2}),
        (lambda m: [m[1], m[0], *m[2:]], {"reordered": 1}),
        (lambda m: [changed(m[0]), *m[1:]], {"lost": 1, "wrong": 1}),
    ],
    ids=["honest", "loses", "loses-the-last", "repeats", "swaps", "changes"],
)
def test_what_a_broker_does_wrong_is_counted(twist, expected):
    liar = Liar(10, twist)
    liar.start()
    done = bench(liar.port, "W1", "-n", "10", "--patience", "1")
    assert counts(done) == {**ALL_WELL, **expected}, done.stderr
    assert done.returncode == (1 if expected else 0)


# ---- options


@pytest.mark.parametrize(
    "args, said",
    [
        ([], "workload"),
        (["W99"], "W99"),
        (["W1", "W2"], "W2"),
        (["W1", "--nonsense"], "--nonsense"),
        (["W1", "-q", "3"], "--qos"),
        (["W1", "-b", "31"], "--payload"),
        (["W1", "--protocol", "4"], "--protocol"),
        (["W1", "--rate"], "--rate"),
    ],
)
def test_wrong_options_are_named_on_one_line(args, said):
    done = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2 and not done.stdout
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_no_broker_is_no_run():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        done = bench(s.getsockname()[1], "W1", "-n", "1")
    assert done.returncode == 3 and "cannot connect" in done.stderr


# ---- transports


@pytest.fixture(scope="module")
def transports(tmp_path_factory):
    t = Transports(tmp_path_factory.mktemp("bench"))
    yield t
    t.broker.stop()


@pytest.mark.parametrize(
    "listener, workload, options",
    [
        ("tls", "W11t", ["-n", "5000", "--window", "500"]),
        ("tls", "W11tq1", ["-n", "2000"]),
        ("ws", "W11w", ["-n", "5000", "--window", "500"]),
        ("ws", "W11wq1", ["-n", "2000"]),
        ("wss", "W9", ["-n", "10", "--tls", "--ws"]),
        ("tls", "W5", ["-n", "500", "--tls", "--cafile", "{ca}", "-H", "localhost"]),
    ],
)
def test_transport(transports, listener, workload, options):
    options = [o.replace("{ca}", transports.path("ca.pem")) for o in options]
    done = bench(transports.at[listener].port, workload, *options)
    assert done.returncode == 0 and counts(done) == ALL_WELL, done.stderr + done.stdout


def test_a_certificate_of_another_authority_is_not_believed(transports):
    args = ["-H", "localhost", "--cafile", transports.path("server.pem"), "-n", "1", "W11t"]
    assert bench(transports.at["tls"].port, *args).returncode == 3
