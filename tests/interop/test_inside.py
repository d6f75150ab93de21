"""test_inside.py - seeing inside a running broker: midge ctl, the admin listener, topics below $SYS."""
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from conftest import MIDGE, TIMEOUT_S
from paho_client import V5, V311, Client, properties

OPEN = "listener 0 127.0.0.1\nallow_anonymous true\ncontrol_socket {tmp}/ctl\n"


def ctl(tmp_path, *args, stdin=None):
    return subprocess.run(
        [*MIDGE, "ctl", "-s", str(tmp_path / "ctl"), *args],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def rows(tmp_path, *args):
    done = ctl(tmp_path, *args)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_clients_their_queues_and_why_they_left(start_conf, tmp_path, name):
    b = start_conf(OPEN)
    here = Client(b, "here now", V5).connect()
    here.subscribe("a", "b")
    away = Client(b, "away", V311, clean=False)
    away.paho.username_pw_set("ann")
    away.connect().subscribe(name, qos=1)
    away.vanish()
    b.wait_line("Client away disconnected")
    here.publish(name, b"12345", qos=1)
    head, *lines = rows(tmp_path, "clients")
    clients = {line[0]: dict(zip(head, line)) for line in lines}
    assert clients["here%20now"]["STATE"] == "connected" and clients["here%20now"]["SUBSCRIPTIONS"] == "2"
    assert re.fullmatch(r"127\.0\.0\.1:\d+", clients["here%20now"]["ADDRESS"])
    assert (clients["away"]["STATE"], clients["away"]["QUEUED"], clients["away"]["USER"]) == (
        "away",
        "1",
        "-",
    )
    assert clients["away"]["LAST LEFT"].endswith("connection lost")


def test_kick(start_conf, tmp_path):
    b = start_conf(OPEN)
    c = Client(b, "odd %=\u00e9 id", V5, clean=False, SessionExpiryInterval=100).connect()
    assert ctl(tmp_path, "kick", "odd %=\u00e9 id").returncode == 0
    assert c.wait_disconnected() == 0x98
    assert len(rows(tmp_path, "clients")) == 2  # its session stays
    assert ctl(tmp_path, "kick", "odd %=\u00e9 id", "session").returncode == 0
    assert len(rows(tmp_path, "clients")) == 1
    done = ctl(tmp_path, "kick", "nobody")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "midge ctl: there is no such client\n")


def test_limits_and_numbers(start_conf, tmp_path, name):
    b = start_conf(OPEN + "max_queued_messages 5\nmax_inflight_messages 2\n")
    assert dict(rows(tmp_path, "limits"))["queue_msgs"] == "7"
    Client(b, name, V5).connect().publish(name, b"x", qos=1)
    numbers = dict(rows(tmp_path, "numbers"))
    assert numbers["clients"] == "1" and numbers["publish_received_total"] == "1"
    assert int(numbers["memory_by_kind_bytes connections"]) > 0


def test_retained_messages_move_to_another_broker(start_conf, tmp_path):
    b = start_conf(OPEN)
    c = Client(b, "source", V5).connect()
    binary = bytes(range(256))
    c.publish("plain", b"text", qos=1, retain=True)
    c.publish("a b/\u00fc=%", binary, qos=2, retain=True)
    p = properties(
        "PUBLISH",
        MessageExpiryInterval=1000,
        ContentType="x/y",
        ResponseTopic="r",
        CorrelationData=b"\x00=\t",
        PayloadFormatIndicator=1,
        UserProperty=[("k=1", "v\t2"), ("k", "")],
    )
    c.paho.publish("full", b"p", 1, True, p).wait_for_publish(TIMEOUT_S)
    dump = ctl(tmp_path, "dump").stdout
    assert len(dump.splitlines()) == 3
    c.disconnect()
    b.stop()

    b = start_conf(OPEN)
    assert ctl(tmp_path, "import", stdin=dump).returncode == 0
    assert [line for line in ctl(tmp_path, "dump").stdout.splitlines() if "full" not in line] == [
        line for line in dump.splitlines() if "full" not in line
    ]
    c = Client(b, "target", V5).connect()
    c.subscribe("#")
    got = {m.topic: m for m in c.wait_messages(3)}
    assert got["plain"].payload == b"text" and got["a b/\u00fc=%"].payload == binary
    props = got["full"].properties
    assert 990 < props.MessageExpiryInterval <= 1000 and props.PayloadFormatIndicator == 1
    assert (props.ContentType, props.ResponseTopic, props.CorrelationData) == ("x/y", "r", b"\x00=\t")
    assert props.UserProperty == [("k=1", "v\t2"), ("k", "")]


@pytest.mark.parametrize(
    "lines",
    [
        "nonsense\n",
        "retain\ta\n",
        "retain\ta\t3\tx\n",
        "retain\ta/#\t0\tx\n",
        "retain\ta\t0\tx\tno=1\n",
        "retain\ta\t0\tx",
    ],
)
def test_what_is_no_dump_is_not_imported(start_conf, tmp_path, lines):
    start_conf(OPEN)
    done = ctl(tmp_path, "import", stdin=lines)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert not ctl(tmp_path, "dump").stdout


def test_wrong_use_of_ctl(tmp_path):
    assert ctl(tmp_path, "clients").returncode == 1  # nobody listens there
    for args in ([], ["nonsense"], ["kick"], ["clients", "all"], ["-x"]):
        done = ctl(tmp_path, *args)
        assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_the_control_socket_is_the_owners(start_conf, tmp_path):
    start_conf(OPEN)
    assert ((tmp_path / "ctl").stat().st_mode & 0o777) == 0o600
    talks = [socket.socket(socket.AF_UNIX) for _ in range(20)]  # more than it talks to at once
    for s in talks:
        s.connect(str(tmp_path / "ctl"))
    talks[-1].sendall(b"x" * 1000 + b"\nlimits\nlim")
    assert talks[-1].recv(100).startswith(b"error: ")
    assert rows(tmp_path, "limits")
    for s in talks:
        s.close()
    start_conf.last.stop()
    assert not (tmp_path / "ctl").exists()


# ---- the admin listener


@pytest.fixture
def admin(start_conf):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    start_conf(OPEN + f"admin_listener {port}\n")
    return f"http://127.0.0.1:{port}"


def get(url, **more):
    return urllib.request.urlopen(urllib.request.Request(url, **more), timeout=TIMEOUT_S)


def test_prometheus(admin, start_conf, name):
    Client(start_conf.last, name, V5).connect().publish(name, b"x", qos=1)
    with get(admin + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["midge_clients"] == "1" and values["midge_publish_received_total"] == "1"
    assert 'midge_messages_dropped_total{reason="queue_messages"}' in values
    names = re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", text, re.M)
    assert len(names) == len(set(names))  # Prometheus refuses a name that is explained twice
    assert {re.split(r"[{]", v)[0] for v in values} == set(names)


def test_health(admin):
    with get(admin + "/health") as answer:
        assert answer.read() == b"ok\n"
    with get(admin + "/metrics?x=1", method="HEAD") as answer:
        assert answer.read() == b""


@pytest.mark.parametrize(
    "path,method,status", [("/", "GET", 404), ("/metricsx", "GET", 404), ("/health", "POST", 405)]
)
def test_what_the_admin_listener_does_not_serve(admin, path, method, status):
    with pytest.raises(urllib.error.HTTPError) as e:
        get(admin + path, method=method)
    assert e.value.code == status


def test_a_long_request_is_cut_off(admin):
    port = int(admin.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as s:
        try:
            s.sendall(b"GET /" + b"x" * 1000000)
            assert s.recv(1) == b""
        except ConnectionError:
            pass
    with get(admin + "/health") as answer:
        assert answer.status == 200


# ---- $SYS


def test_topics_below_sys(start_conf):
    start_conf(OPEN + "sys_interval 1\n")
    c = Client(start_conf.last, "watcher", V5).connect()
    c.subscribe("$SYS/#")
    wanted = {
        "$SYS/broker/version",
        "$SYS/broker/clients/maximum",
        "$SYS/broker/load/bytes/received/1min",
        "$SYS/broker/load/connections/15min",
        "$SYS/broker/midge/memory_by_kind_bytes/sessions",
        "$SYS/broker/midge/messages_dropped_total/queue_bytes",
        "$SYS/broker/midge/wakeups_total",
        "$SYS/broker/midge/slowest",
    }
    c.wait(lambda: {m.topic for m in c.messages} >= wanted, f"{wanted}")
    maximum = "$SYS/broker/clients/maximum"
    c.wait(lambda: [m for m in c.messages if m.topic == maximum and m.payload == b"1"], "a renewal")
