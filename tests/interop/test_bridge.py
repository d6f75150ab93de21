"""test_bridge.py - bridges to another Midge and to Mosquitto: cut, killed, reloaded; nothing is lost, nothing doubled."""
import shutil
import signal
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho
import pytest
from conftest import ROOT, TIMEOUT_S, wait_until
from paho_client import V5, V311, Client

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    """A TCP proxy on a port of its own: a line that can be cut and mended."""

    def __init__(self, port):
        self.target = port
        self.is_cut = False
        self.pairs = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            try:
                assert not self.is_cut
                far = socket.create_connection(("127.0.0.1", self.target), 5)
                far.settimeout(None)
            except (AssertionError, OSError):
                near.close()
                continue
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._copy, args=(a, b), daemon=True).start()

    @staticmethod
    def _copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.is_cut = True
        for pair in self.pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def mend(self):
        self.is_cut = False

    def close(self):
        self.server.close()
        self.cut()


class Mosquitto:
    host = "127.0.0.1"

    def __init__(self, folder, more=""):
        self.port = free_port()
        conf = folder / "mosquitto.conf"
        conf.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{more}\n")
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(conf)], stderr=subprocess.DEVNULL)
        wait_until(self._is_there, "mosquitto")

    def _is_there(self):
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(TIMEOUT_S)


@pytest.fixture
def mosquitto(tmp_path):
    if not MOSQUITTO:
        pytest.skip("no mosquitto here")
    m = Mosquitto(tmp_path)
    yield m
    m.close()


@pytest.fixture
def line():
    """line(PORT): a Proxy to it."""
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]

    yield make
    for p in made:
        p.close()


def bridge(port, *lines, name="up", version="mqttv50"):
    return "\n".join(
        [
            f"connection {name}",
            f"address 127.0.0.1:{port}",
            f"bridge_protocol_version {version}",
            "restart_timeout 1",
            *lines,
            "",
        ]
    )


OPEN = "listener {port} 127.0.0.1\nallow_anonymous true\n"


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv50"])
def test_two_midges_share_topics(start_conf, broker, version):
    edge = start_conf(
        OPEN.format(port=0) + bridge(broker.port, f"topic # both 2 l/{version}/ r/{version}/", version=version)
    )
    edge.wait_line("Bridge up: connected")
    here, there = Client(edge, "h").connect(), Client(broker, "t").connect()
    here.subscribe("l/#")
    there.subscribe("r/#")
    for qos in (0, 1, 2):
        here.publish(f"l/{version}/a", f"out {qos}".encode(), qos=qos)
        there.publish(f"r/{version}/b", f"in {qos}".encode(), qos=qos)
    assert sorted((m.topic, m.payload, m.qos) for m in there.wait_messages(6)) == sorted(
        (f"r/{version}/{t}", f"{w} {q}".encode(), q) for t, w in (("a", "out"), ("b", "in")) for q in (0, 1, 2)
    )
    assert sorted((m.topic, m.payload, m.qos) for m in here.wait_messages(6)) == sorted(
        (f"l/{version}/{t}", f"{w} {q}".encode(), q) for t, w in (("a", "out"), ("b", "in")) for q in (0, 1, 2)
    )
    here.close()
    there.close()


def test_properties_and_age_go_along(start_conf, broker, line):
    way = line(broker.port)
    way.cut()
    edge = start_conf(OPEN.format(port=0) + bridge(way.port, "topic age/# out 2"))
    edge.wait_line("Bridge up: no connection")
    here, there = Client(edge, "h").connect(), Client(broker, "t").connect()
    there.subscribe("age/#")
    here.publish("age/x", b"old", qos=2, MessageExpiryInterval=1000, UserProperty=[("k", "v")])
    time.sleep(2.1)  # it waits, and is to say so
    way.mend()
    message = there.wait_messages(1)[0]
    user = dict(message.properties.UserProperty)
    assert user["k"] == "v" and 2 <= int(user["midge-age"]) <= 30 and user["midge-via"]
    assert 960 <= message.properties.MessageExpiryInterval <= 998
    here.close()
    there.close()


class Sender:
    """Publishes numbers at QoS 2 and comes back whatever happens to the broker."""

    def __init__(self, port, client_id, topic, count):
        self.done = set()
        self.changed = threading.Condition()
        self.count = count
        self.paho = paho.Client(client_id, clean_session=False)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.max_queued_messages_set(0)
        self.paho.on_publish = self._on_publish
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        for i in range(count):
            self.paho.publish(topic, str(i).encode(), 2)

    def _on_publish(self, client, user, mid):
        with self.changed:
            self.done.add(mid)
            self.changed.notify_all()

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.done) >= count, 60), len(self.done)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class Receiver:
    def __init__(self, port, client_id, topic):
        self.got = []
        self.changed = threading.Condition()
        self.granted = threading.Event()
        self.paho = paho.Client(client_id, clean_session=False)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = lambda *a: self.granted.set()
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        self.paho.subscribe(topic, 2)
        assert self.granted.wait(TIMEOUT_S)

    def _on_message(self, client, user, message):
        with self.changed:
            self.got.append(int(message.payload))
            self.changed.notify_all()

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, 90), len(self.got)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.mark.parametrize("version", ["mqttv311", "mqttv50"])
def test_cut_and_killed_nothing_is_lost_or_doubled(start_conf, mosquitto, line, version):
    count = 1000
    way = line(mosquitto.port)
    port = free_port()
    text = (
        OPEN.format(port=port)
        + "persistence true\npersistence_location {tmp}\nmax_queued_messages 0\n"
        + bridge(way.port, "topic out out 2", "topic in in 2", version=version)
    )
    edge = start_conf(text)
    edge.wait_line("Bridge up: connected")
    there, here = Receiver(mosquitto.port, "there", "out"), Receiver(port, "here", "in")
    out, back = Sender(port, "out", "out", count), Sender(mosquitto.port, "back", "in", count)
    out.wait(count // 10)
    way.cut()
    out.wait(count // 5)
    way.mend()
    edge.wait_line("Bridge up: connected", count=2)
    there.wait(count // 4)
    edge.kill()  # with messages under way in both directions, and in both brokers
    edge = start_conf(text)
    edge.wait_line("Bridge up: connected")
    way.cut()
    time.sleep(0.2)
    way.mend()
    for each in (out, back):
        each.wait(count)
    for receiver in (there, here):
        receiver.wait(count)
    time.sleep(0.5)  # what comes twice would come now
    assert there.got == list(range(count))
    assert here.got == list(range(count))
    for each in (out, back, there, here):
        each.close()


@pytest.fixture(scope="session")
def certificates():
    folder = ROOT / "build/test/certificates"
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "tests/tls/certificates", str(folder)], check=True, timeout=120)
    return folder


SECURED = "listener {port} 127.0.0.1\nallow_anonymous true\n"


def test_tls_with_certificates(start_conf, certificates):
    c = certificates
    cloud = start_conf(
        SECURED.format(port=0)
        + f"certfile {c}/server.pem\nkeyfile {c}/server.key\ncafile {c}/ca.pem\nrequire_certificate true\n"
        + "use_identity_as_username true\n"
    )
    client = [f"bridge_certfile {c}/alice.pem", f"bridge_keyfile {c}/alice.key"]
    edge = start_conf(
        OPEN.format(port=0)
        + bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/ca.pem", *client, name="good")
        + bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/ca.pem", name="nobody")
        + bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/other-ca.pem", *client, name="stranger")
    )
    edge.wait_line("Bridge good: connected")
    cloud.wait_line("New client connected from .* as good")
    edge.wait_line("Bridge nobody: no connection|Bridge nobody: .*lost")
    edge.wait_line("Bridge stranger: no connection to .*: .*certificate")
    assert not [line for line in edge.lines if "nobody: connected" in line or "stranger: connected" in line]


@pytest.mark.parametrize("secured", [False, True])
def test_websocket(start_conf, certificates, secured):
    c = certificates
    tls = f"certfile {c}/server.pem\nkeyfile {c}/server.key\n" if secured else ""
    plain = free_port()
    cloud = start_conf(SECURED.format(port=0) + "protocol websockets\n" + tls + f"listener {plain} 127.0.0.1\n")
    ca = [f"bridge_cafile {c}/ca.pem"] if secured else []
    edge = start_conf(
        OPEN.format(port=0)
        + bridge(cloud.port, "topic t both 2", "bridge_transport websockets", "bridge_websockets_path /mqtt", *ca)
    )
    edge.wait_line("Bridge up: connected")
    here, there = Client(edge, "here").connect(), Client(cloud, "there")
    there.where = ("127.0.0.1", plain)
    there.connect()
    for each in (here, there):
        each.subscribe("t")
    for size in (0, 1, 100, 126, 70000):
        here.publish("t", b"x" * size, qos=2)
    assert [len(m.payload) for m in here.wait_messages(5)] == [0, 1, 100, 126, 70000]
    assert [len(m.payload) for m in there.wait_messages(5)] == [0, 1, 100, 126, 70000]
    assert not [x for x in edge.lines if "Bridge up: connection" in x]
    here.close()
    there.close()


def test_tls_checks_the_name(start_conf, certificates):
    c = certificates
    cloud = start_conf(
        SECURED.format(port=0).replace("127.0.0.1", "0.0.0.0") + f"certfile {c}/server.pem\nkeyfile {c}/server.key\n"
    )
    way = bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/ca.pem", name="wrong")
    lax = bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/ca.pem", "bridge_insecure true", name="lax")
    by_name = bridge(cloud.port, "topic t out 1", f"bridge_cafile {c}/ca.pem", name="named")
    edge = start_conf(
        OPEN.format(port=0)
        + way.replace("address 127.0.0.1", "address 127.0.0.2")
        + lax.replace("address 127.0.0.1", "address 127.0.0.2")
        + by_name.replace("address 127.0.0.1", "address localhost")
    )
    edge.wait_line("Bridge named: connected")
    edge.wait_line("Bridge lax: connected")
    edge.wait_line("Bridge wrong: no connection to .*: IP address mismatch")


def test_tls_with_a_pre_shared_key(start_conf):
    cloud = start_conf(SECURED.format(port=0) + "psk_hint h\npsk_file {tmp}/psk\n", psk="edge:0badc0de\n")
    edge = start_conf(
        OPEN.format(port=0)
        + bridge(cloud.port, "topic t out 1", "bridge_identity edge", "bridge_psk 0badc0de", name="good")
        + bridge(cloud.port, "topic t out 1", "bridge_identity edge", "bridge_psk 0badc0df", name="bad")
    )
    edge.wait_line("Bridge good: connected")
    edge.wait_line("Bridge bad: no connection")


def test_a_reload_changes_one_bridge_and_leaves_the_other(start_conf, broker):
    port = free_port()
    one = bridge(broker.port, "topic one out 1", name="one")
    edge = start_conf(OPEN.format(port=port) + one + bridge(broker.port, "topic two out 1", name="two"))
    edge.wait_line("Bridge one: connected")
    edge.wait_line("Bridge two: connected")
    there, here = Client(broker, "there").connect(), Client(edge, "here").connect()
    there.subscribe("one", "two", "three")
    text = edge.conf.read_text().replace("topic two out 1", "topic three out 1")
    edge.conf.write_text(text)
    edge.signal(signal.SIGHUP)
    edge.wait_line("was read again")
    edge.wait_line("Bridge two: connected", count=2)
    for topic in ("two", "one", "three"):
        here.publish(topic, topic.encode(), qos=1)
    assert sorted(there.payloads(2)) == [b"one", b"three"]
    assert not [line for line in edge.lines if "Bridge one: connection" in line and "lost" in line]
    edge.conf.write_text(text[: text.index("connection two")] + text[text.index("user ") :])
    edge.signal(signal.SIGHUP)
    edge.wait_line("was read again", count=2)
    here.publish("three", b"nobody", qos=1)
    here.publish("one", b"still", qos=1)
    assert there.payloads(1) == [b"still"]
    here.close()
    there.close()


WRONG = [
    ("address 127.0.0.1", "address: belongs below a 'connection' line"),
    ("connection c", "connection: an address is missing"),
    ("connection c\naddress h", "connection: a topic is missing"),
    ("connection a/b", "connection: 'a/b' has a '+', '#' or '/'"),
    ("connection c\naddress ::1:1883", "address: '::1:1883': an IPv6 address stands in brackets"),
    ("connection c\naddress h:0", "address: 0 is out of range"),
    ("connection c\naddress h\ntopic # sideways", "topic: 'sideways' is none of: out in both"),
    ("connection c\naddress h\ntopic # out 3", "topic: 3 is out of range"),
    ("connection c\naddress h\ntopic # out 1 a b", "topic: a topic's prefix has a wildcard"),
    ('connection c\naddress h\ntopic "" out 1 a ""', "topic: a topic without a pattern needs both prefixes"),
    ("connection c\naddress h\ntopic #\nstart_type manual", "start_type: 'manual' is none of"),
    ("connection c\naddress h\ntopic #\nbridge_require_ocsp true", "bridge_require_ocsp: Midge asks nobody"),
    ("connection c\naddress h\ntopic #\nbridge_psk 00", "bridge_psk: bridge_psk and bridge_identity go"),
    ("connection c\naddress h\ntopic #\nkeepalive_interval 4", "keepalive_interval: 4 is out of range"),
]


@pytest.mark.parametrize("text, why", WRONG)
def test_what_is_wrong_is_said_in_a_line(tmp_path, text, why):
    from test_program import run

    conf = tmp_path / "m.conf"
    conf.write_text(text + "\n")
    done = run("-c", str(conf))
    assert done.returncode == 2
    assert why in done.stderr and str(conf) in done.stderr and done.stderr.count("\n") == 1
