"""test_mosquitto_clients.py - mosquitto_sub and mosquitto_pub over 3.1, 3.1.1 and 5.0."""
import os
import re
import signal
import subprocess
import threading

import pytest
from conftest import TIMEOUT_S

VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


class Sub:
    """mosquitto_sub, subscribed. Its debug lines tell when; all others are what came."""

    def __init__(self, broker, version, *args):
        command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            "-h",
            broker.host,
            "-p",
            str(broker.port),
            "-V",
            version,
            "-d",
            *args,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.changed = threading.Condition()
        self.lines, self.debug, self.ended = [], [], False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait(lambda: any("Subscribed" in line for line in self.debug), "Subscribed")

    def _read(self):
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            own = re.match(r"Client \S+ (sending|received) |Subscribed \(mid", line)
            with self.changed:
                (self.debug if own else self.lines).append(line)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            self.changed.wait_for(lambda: condition() or self.ended, TIMEOUT_S)
            assert condition(), f"never came: {what}; but: {self.debug + self.lines}"

    def wait_lines(self, count):
        self.wait(lambda: len(self.lines) >= count, f"{count} lines")
        return self.lines[:count]

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:  # its signal handler locks, and may meet the lock that it interrupted
            self.process.kill()
            self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)


@pytest.fixture
def sub(broker, version):
    """sub(ARGS...): mosquitto_sub of this version, ready."""
    started = []

    def start(*args, speak=version):
        started.append(Sub(broker, speak, *args))
        return started[-1]

    yield start
    for s in started:
        s.end()


@pytest.fixture
def pub(broker, version):
    """pub(ARGS...): mosquitto_pub of this version; it has ended with status 0."""

    def run(*args, speak=version, stdin=None):
        command = ["mosquitto_pub", "-h", broker.host, "-p", str(broker.port), "-V", speak, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert not done.stderr, done.stderr

    return run


v5_only = pytest.mark.parametrize("version", ["mqttv5"], indirect=True)
since_311 = pytest.mark.parametrize("version", ["mqttv311", "mqttv5"], indirect=True)


def test_the_first_thing_that_people_try(sub, pub):
    live = sub("-t", "a/#", "-v")
    pub("-t", "a/b", "-m", "hi", "-q", "2", "-r")
    assert live.wait_lines(1) == ["a/b hi"]
    late = sub("-t", "a/#", "-v")
    assert late.wait_lines(1) == ["a/b hi"]
    pub("-t", "a/b", "-n", "-r", "-q", "1")


@pytest.mark.parametrize("granted", "012")
@pytest.mark.parametrize("qos", "012")
def test_qos_both_ways(sub, pub, name, qos, granted):
    s = sub("-t", name, "-q", granted, "-F", "%t %q %r %p")
    pub("-t", name, "-q", qos, "-m", "hello")
    assert s.wait_lines(1) == [f"{name} {min(qos, granted)} 0 hello"]


@pytest.mark.parametrize("speak", VERSIONS)
def test_every_version_hears_every_other(sub, pub, name, speak):
    s = sub("-t", name, "-q", "2", speak=speak)
    pub("-t", name, "-q", "2", "-m", "across")
    assert s.wait_lines(1) == ["across"]


@pytest.mark.parametrize("qos", "012")
def test_a_thousand_lines(sub, pub, name, qos):
    s = sub("-t", name, "-q", qos)
    lines = [f"line {i}" for i in range(1000)]
    pub("-t", name, "-q", qos, "-l", stdin="".join(line + "\n" for line in lines).encode())
    assert s.wait_lines(1000) == lines


def test_a_big_file(sub, pub, name, tmp_path):
    file = tmp_path / "file"
    data = os.urandom(1 << 20)
    file.write_bytes(data)
    s = sub("-t", name, "-q", "1", "-F", "%l %x")
    pub("-t", name, "-q", "1", "-f", str(file))
    assert s.wait_lines(1) == [f"{len(data)} {data.hex()}"]


def test_retained_only_and_none(sub, pub, name):
    pub("-t", name, "-m", "kept", "-r", "-q", "1")
    s = sub("-t", name, "-F", "%r %p", "--retained-only", "-C", "1")
    assert s.wait_lines(1) == ["1 kept"]
    pub("-t", name, "-r", "-n", "-q", "1")
    s = sub("-t", name, "-F", "%r %p")
    pub("-t", name, "-m", "live", "-r", "-q", "1")
    assert s.wait_lines(1) == ["0 live"]
    pub("-t", name, "-r", "-n", "-q", "1")


def test_a_will_of_a_killed_client(sub, pub, name):
    watcher = sub("-t", name, "-v", "-q", "2")
    mortal = sub("-t", "x", "--will-topic", name, "--will-payload", "bye", "--will-qos", "2", "--will-retain")
    mortal.end(signal.SIGKILL)
    assert watcher.wait_lines(1) == [f"{name} bye"]
    late = sub("-t", name, "-F", "%r %p")
    assert late.wait_lines(1) == ["1 bye"]
    pub("-t", name, "-r", "-n", "-q", "1")


def test_no_will_of_a_client_that_leaves(sub, pub, name):
    watcher = sub("-t", name + "/#", "-v", "-q", "1")
    will = ["--will-topic", name + "/will", "--will-payload", "bye", "--will-qos", "1"]
    polite = sub("-t", name + "/leave", "-C", "1", *will)
    pub("-t", name + "/leave", "-m", "now", "-q", "1")
    polite.wait(lambda: polite.ended, "its end")
    pub("-t", name + "/end", "-m", "end", "-q", "1")
    assert watcher.wait_lines(2) == [f"{name}/leave now", f"{name}/end end"]


def test_a_session_is_kept(sub, pub, name, version):
    keep = ["-x", "3600"] if version == "mqttv5" else []
    args = ["-t", name, "-q", "1", "-i", name[-20:], "-c", *keep]
    sub(*args).end()
    for i in range(20):
        pub("-t", name, "-m", str(i), "-q", "1")
    assert sub(*args).wait_lines(20) == [str(i) for i in range(20)]


def test_unsubscribe(sub, pub, name):
    s = sub("-t", name + "/#", "-U", name + "/#", "-t", name + "/x", "-q", "1")
    pub("-t", name + "/y", "-m", "no", "-q", "1")
    pub("-t", name + "/x", "-m", "yes", "-q", "1")
    assert s.wait_lines(1) == ["yes"]


def test_a_group(sub, pub, name):
    members = [sub("-t", f"$share/g/{name}", "-q", "1") for _ in range(3)]
    pub("-t", name, "-q", "1", "-l", stdin="".join(f"{i}\n" for i in range(30)).encode())
    shares = [m.wait_lines(10) for m in members]
    assert sorted(int(line) for share in shares for line in share) == list(range(30))


def test_ipv6(start_broker, version, name):
    broker = start_broker("-a", "::1", host="::1")
    s = Sub(broker, version, "-t", name)
    subprocess.run(
        ["mosquitto_pub", "-h", "::1", "-p", str(broker.port), "-V", version, "-t", name, "-m", "six"],
        check=True,
        timeout=TIMEOUT_S,
    )
    assert s.wait_lines(1) == ["six"]
    s.end()


@v5_only
def test_properties(sub, pub, name, version):
    s = sub("-t", name, "-q", "1", "-F", "%p|%C|%R|%D|%F|%P")
    pub(
        "-t",
        name,
        "-q",
        "1",
        "-m",
        "m",
        "-D",
        "publish",
        "content-type",
        "text/plain",
        "-D",
        "publish",
        "response-topic",
        "re/ply",
        "-D",
        "publish",
        "correlation-data",
        "abc",
        "-D",
        "publish",
        "payload-format-indicator",
        "1",
        "-D",
        "publish",
        "user-property",
        "b",
        "2",
        "-D",
        "publish",
        "user-property",
        "a",
        "1",
    )
    assert s.wait_lines(1) == ["m|text/plain|re/ply|abc|1|b:2 a:1"]


@v5_only
def test_message_expiry(sub, pub, name, version):
    pub("-t", name, "-q", "1", "-m", "m", "-r", "-D", "publish", "message-expiry-interval", "1000")
    [left] = sub("-t", name, "-q", "1", "-F", "%E").wait_lines(1)
    assert 0 < int(left) <= 1000
    pub("-t", name, "-q", "1", "-n", "-r")


@v5_only
def test_subscription_identifier(sub, pub, name, version):
    s = sub("-t", name, "-q", "1", "-D", "subscribe", "subscription-identifier", "42", "-F", "%S %p")
    pub("-t", name, "-q", "1", "-m", "m")
    assert s.wait_lines(1) == ["42 m"]


@v5_only
def test_alias_of_a_publisher(sub, pub, name, version):
    s = sub("-t", name, "-q", "1")
    pub("-t", name, "-q", "1", "-D", "publish", "topic-alias", "1", "-l", stdin=b"one\ntwo\nthree\n")
    assert s.wait_lines(3) == ["one", "two", "three"]


@v5_only
def test_will_with_delay_and_properties(sub, name, version):
    watcher = sub("-t", name + "/will", "-q", "1", "-F", "%p %C %P")
    mortal = sub(
        "-t",
        name,
        "-x",
        "60",
        "-i",
        name[-20:],
        "-c",
        "--will-topic",
        name + "/will",
        "--will-payload",
        "bye",
        "--will-qos",
        "1",
        "-D",
        "will",
        "will-delay-interval",
        "1",
        "-D",
        "will",
        "content-type",
        "t",
        "-D",
        "will",
        "user-property",
        "k",
        "v",
    )
    mortal.end(signal.SIGKILL)
    assert watcher.wait_lines(1) == ["bye t k:v"]


@since_311  # 3.1 has no way to refuse a filter
def test_a_filter_is_refused(broker, version):
    deep = "/".join("x" * 201)
    done = subprocess.run(
        ["mosquitto_sub", "-h", broker.host, "-p", str(broker.port), "-V", version, "-t", deep],
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert b"All subscription requests were denied" in done.stderr


@v5_only
def test_request_and_response(broker, version, name):
    responder = Sub(broker, version, "-t", name + "/request", "-F", "%R %p")
    rr = subprocess.Popen(
        [
            "mosquitto_rr",
            "-h",
            broker.host,
            "-p",
            str(broker.port),
            "-V",
            version,
            "-t",
            name + "/request",
            "-e",
            name + "/response",
            "-m",
            "question",
            "-q",
            "1",
        ],
        stdout=subprocess.PIPE,
    )
    assert responder.wait_lines(1) == [f"{name}/response question"]
    subprocess.run(
        [
            "mosquitto_pub",
            "-h",
            broker.host,
            "-p",
            str(broker.port),
            "-V",
            version,
            "-t",
            name + "/response",
            "-m",
            "answer",
            "-q",
            "1",
        ],
        check=True,
        timeout=TIMEOUT_S,
    )
    assert rr.communicate(timeout=TIMEOUT_S)[0] == b"answer\n"
    responder.end()
