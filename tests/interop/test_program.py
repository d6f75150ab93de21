"""test_program.py - the program itself: options, what it listens on, its log, and how it ends."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest
from conftest import MIDGE, TIMEOUT_S, wait_until
from paho_client import V5, V31, V311, Client

PLAIN_311 = bytes.fromhex(
    "101000044d5154540402003c000470726f62"
)  # CONNECT, clean session, keep alive 60, id "prob"
CONNACK_311 = bytes.fromhex("20020000")


def run(*args):
    return subprocess.run(
        [*MIDGE, *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )


def knock(host, port, data=PLAIN_311):
    """A plain connection that has been welcomed."""
    s = socket.create_connection((host, port), TIMEOUT_S)
    s.sendall(data)
    assert s.recv(4) == CONNACK_311
    return s


def read_all(s):
    """Everything until the other side closes."""
    data = b""
    while chunk := s.recv(4096):
        data += chunk
    return data


# ---- options


def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0 and not done.stderr
    for option in ("-p", "-a", "-v", "-d", "--help", "--version"):
        assert option in done.stdout
    done = run("--version")
    assert done.returncode == 0 and re.fullmatch(r"midge \d+\.\d+\.\d+\n", done.stdout) and not done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--nonsense"],
        ["-x"],
        ["-p"],
        ["-p", "70000"],
        ["-p", "1x"],
        ["-p", "-1"],
        ["-a"],
        ["stray"],
        ["-a", ""],
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_one_line_and_status_2(args):
    done = run(*args)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("midge: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid", "2001:db8::1"])
def test_an_address_that_is_not_ours_is_one_line(address):
    done = run("-p", "0", "-a", address)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and address in done.stderr


def test_a_port_in_use_is_one_line(start_broker):
    port = str(start_broker().port)
    done = run("-p", port)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and port in done.stderr


# ---- listening


def test_loopback_of_both_families_and_nothing_else(start_broker):
    b = start_broker()
    knock("127.0.0.1", b.port).close()
    knock("::1", b.port).close()
    hexport = f"{b.port:04X}"
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and local.endswith(":" + hexport):
                listening.add(local.split(":")[0])
    assert listening == {"0100007F", "00000000000000000000000001000000"}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost", "*", "127.3.2.1"])
def test_listens_where_it_is_told(start_broker, address):
    host = {"*": "127.0.0.1", "localhost": "127.0.0.1"}.get(address, address)
    b = start_broker("-a", address)
    knock(host, b.port).close()
    if address in ("::1", "127.3.2.1"):
        with pytest.raises(ConnectionRefusedError):
            knock("127.0.0.1", b.port)


def test_several_addresses(start_broker):
    b = start_broker("-a", "127.0.0.2", "-a", "::1", "-a", "127.0.0.3")
    [line] = [line for line in b.lines if "listens on" in line]
    where = re.findall(r"([0-9.]+|\[[0-9a-f:]+\]):(\d+)[,;]", line)
    assert [host for host, _ in where] == ["127.0.0.2", "[::1]", "127.0.0.3"]
    for host, port in where:
        knock(host.strip("[]"), int(port)).close()


def test_in_the_background(tmp_path):
    log = tmp_path / "log"
    with open(log, "wb") as f:
        subprocess.run(
            [*MIDGE, "-d", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=f,
            stderr=f,
            timeout=TIMEOUT_S,
            check=True,
        )
    # the port is open once it has returned
    port = int(re.search(r"listens on [^ ,;]+:(\d+)", log.read_text(encoding="utf-8")).group(1))
    s = knock("127.0.0.1", port)
    pid = listener(port)
    assert os.getsid(pid) == pid or os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGTERM)
    assert read_all(s) == b""
    wait_until(lambda: " ended" in log.read_text(encoding="utf-8"), "the last line")


def listener(port):
    """The process that listens on 127.0.0.1:port."""
    wanted = f"0100007F:{port:04X}"
    inode = next(
        line.split()[9]
        for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        if line.split()[1] == wanted and line.split()[3] == "0A"
    )
    for fd in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(fd) == f"socket:[{inode}]":
                return int(fd.parts[2])
        except OSError:
            pass
    raise AssertionError("nobody listens")


# ---- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(start_broker, name, number):
    b = start_broker()
    five, four = Client(b, name + "5", V5).connect(), Client(b, name + "4", V311).connect()
    unfinished = socket.create_connection((b.host, b.port))
    b.signal(number)
    assert five.wait_disconnected() == 0x8B
    assert four.wait_disconnected() is None
    assert read_all(unfinished) == b""
    assert b.wait_end() == 0
    unfinished.close()


def test_wills_are_sent_at_the_end(start_broker, name):
    b = start_broker()
    watcher = Client(b, name + "-watcher", V311).connect()
    watcher.subscribe(name)
    Client(b, name + "-mortal", V311, will={"topic": name, "payload": b"broker ends"}).connect()
    b.signal(signal.SIGTERM)
    assert watcher.payloads(1) == [b"broker ends"]
    assert b.wait_end() == 0


def test_a_client_that_does_not_read_cannot_keep_it(start_broker, name):
    b = start_broker()
    deaf = Client(b, name + "-deaf", V5).connect()
    deaf.subscribe(name)
    deaf.fall_silent()
    pub = Client(b, name + "-pub", V5).connect()
    for _ in range(40):
        pub.publish(name, bytes(1 << 20), qos=1)
    b.signal(signal.SIGTERM)
    assert b.wait_end() == 0
    deaf.close()


def test_two_signals_are_as_good_as_one(start_broker):
    b = start_broker()
    knock(b.host, b.port)
    b.signal(signal.SIGTERM)
    b.signal(signal.SIGINT)
    assert b.wait_end() == 0


def test_a_signal_right_after_the_line(start_broker):
    for _ in range(20):
        b = start_broker()
        b.signal(signal.SIGTERM)
        assert b.wait_end() == 0


def test_sighup_does_not_end_it(start_broker):
    b = start_broker()
    b.signal(signal.SIGHUP)
    b.wait_line("SIGHUP")
    knock(b.host, b.port).close()


def test_the_port_can_be_used_again_at_once(start_broker):
    b = start_broker()
    s = knock(b.host, b.port)
    b.stop()
    again = start_broker(port=b.port)
    knock(again.host, again.port).close()
    s.close()


# ---- the log


def test_connects_and_disconnects_are_logged(start_broker, name):
    b = start_broker()
    for version, letter in ((V31, 1), (V311, 2), (V5, 5)):
        client_id = f"log{letter}"
        c = Client(b, client_id, version, keepalive=120).connect()
        peer = r"127\.0\.0\.1:\d+"
        b.wait_line(rf"^\d+: New client connected from {peer} as {client_id} \(p{letter}, c1, k120\)\.$")
        c.disconnect()
        b.wait_line(rf"^\d+: Client {client_id} disconnected\.$")
    kept = Client(b, "kept", V311, clean=False)
    kept.paho.username_pw_set("somebody", "secret")
    kept.connect()
    b.wait_line(r"as kept \(p2, c0, k60, u'somebody'\)\.$")
    kept.vanish()
    b.wait_line(r"Client kept disconnected: .+")
    assert not [line for line in b.lines if "secret" in line]


def test_reasons_are_logged(start_broker):
    b = start_broker()
    old = Client(b, "same", V5).connect()
    Client(b, "same", V5).connect().disconnect()
    old.wait_disconnected()
    b.wait_line(r"Client same disconnected: .*0x8e")
    late = Client(b, "late", V311, keepalive=1).connect()
    late.fall_silent()
    b.wait_line(r"Client late disconnected: .*0x8d")
    late.close()
    s = socket.create_connection((b.host, b.port))
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    read_all(s)
    b.wait_line(r"refused: .*0x8[0-9a-f]")
    s.close()
    c = Client(b, "five-with-a-method", V5, AuthenticationMethod="X").try_connect()
    assert c.connack["code"] == 0x8C
    b.wait_line(r"refused: .*0x8c")


def test_verbose_tells_more(start_broker, name):
    quiet, verbose = start_broker(), start_broker("-v")
    for b in (quiet, verbose):
        c = Client(b, name, V5).connect()
        c.subscribe(name + "/#")
        c.publish(name + "/x", b"12345", qos=1)
        c.wait_messages(1)
        c.unsubscribe(name + "/#")
        c.disconnect()
        b.wait_line("disconnected")
    for pattern in (r"subscribed to .*/#", r"unsubscribed from .*/#", r"PUBLISH from .*/x', 5 bytes"):
        verbose.wait_line(pattern)
        assert not [line for line in quiet.lines if re.search(pattern, line)]


def test_a_peer_cannot_forge_a_line(start_broker):
    b = start_broker()
    Client(b, "evil\n123: New client connected\x1b[2J\u009b2J", V5).connect().disconnect()
    b.wait_line(r"as evil\\x0a123: ")
    assert not [line for line in b.lines if "\x1b" in line or "\u009b" in line or line.startswith("123:")]


class Piped:
    """midge -v whose log goes to a pipe that the test holds."""

    def __init__(self):
        self.read_fd, write_fd = os.pipe()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.host = "127.0.0.1"
        self.process = subprocess.Popen(
            [*MIDGE, "-v", "-p", str(self.port)], stdin=subprocess.DEVNULL, stdout=write_fd, stderr=write_fd
        )
        os.close(write_fd)
        assert os.read(self.read_fd, 1)  # it listens, or has said why not

    def serve_many(self):
        """More log lines than a pipe and the broker's own ring hold."""
        wait_until(self._reachable, "the port")
        c = Client(self, "talker", V311).connect()
        c.subscribe("t", qos=1)
        for _ in range(4000):
            c.send("t", b"x", qos=1)
        assert len(c.wait_messages(4000)) == 4000
        c.disconnect()

    def _reachable(self):
        try:
            socket.create_connection((self.host, self.port)).close()
            return True
        except OSError:
            return False

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT_S)
        finally:
            self.process.kill()


def test_a_log_that_nobody_reads_does_not_stop_it():
    b = Piped()
    try:
        b.serve_many()
    finally:
        status = b.end()
        os.close(b.read_fd)
    assert status == 0


def test_a_log_whose_reader_left_does_not_stop_it():
    b = Piped()
    os.close(b.read_fd)
    try:
        b.serve_many()
    finally:
        status = b.end()
    assert status == 0


def test_lost_log_lines_are_counted():
    b = Piped()
    try:
        b.serve_many()
        text = bytearray()

        def drain():
            while chunk := os.read(b.read_fd, 65536):
                text.extend(chunk)

        reader = threading.Thread(target=drain)
        reader.start()
        Client(b, "after", V311).connect().disconnect()
        wait_until(lambda: b"Client after disconnected" in text, "lines after the jam")
    finally:
        status = b.end()
    reader.join(TIMEOUT_S)
    os.close(b.read_fd)
    assert status == 0
    assert re.search(rb"\d+: \d+ log lines lost\n", text)


def test_without_any_descriptor_to_log_to():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    p = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *MIDGE, "-p", str(port)])

    def reachable():
        try:
            knock("127.0.0.1", port).close()
            return True
        except OSError:
            return False

    try:
        wait_until(reachable, "the port")
    finally:
        p.send_signal(signal.SIGTERM)
        status = p.wait(TIMEOUT_S)
    assert status == 0


# ---- descriptors


def test_out_of_descriptors_it_goes_on_serving():
    script = 'ulimit -n 64; exec "$@"'
    p = subprocess.Popen(
        ["sh", "-c", script, "sh", *MIDGE, "-p", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    held = []
    try:
        port = None
        while port is None:
            found = re.search(rb"listens on [^ ,;]+:(\d+)", p.stdout.readline())
            port = int(found.group(1)) if found else None
        threading.Thread(target=p.stdout.read, daemon=True).start()
        first = knock("127.0.0.1", port)
        for i in range(100):
            held.append(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))
        first.sendall(bytes.fromhex("c000"))
        assert first.recv(2) == bytes.fromhex("d000")  # who is in is served
        for s in held:
            s.close()
        first.close()

        def welcomed():
            try:
                knock("127.0.0.1", port).close()
                return True
            except (AssertionError, OSError):
                return False

        wait_until(welcomed, "room for a new client")
    finally:
        p.send_signal(signal.SIGTERM)
        status = p.wait(TIMEOUT_S)
    assert status == 0
