"""test_transports.py - paho, mosquitto_pub/sub and MQTT.js over TLS 1.2 and 1.3, with certificates and pre-shared keys,
over WebSocket with and without TLS, over Unix sockets, and all of them on one port."""
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess

import pytest
from conftest import TIMEOUT_S
from paho_client import V5, V31, V311, Client
from test_mosquitto_clients import Sub
from test_mqttjs import SCRIPT, packages  # noqa: F401  (a fixture)
from transports import PSK, Transports

BIG = bytes(range(256)) * 4096  # 1 MB, more than any buffer on the way


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    t = Transports(tmp_path_factory.mktemp("transports"))
    try:
        yield t
        t.broker.stop()
    finally:
        t.broker.kill()


# ---- paho


def tls(places, version=None, who=None):
    context = ssl.create_default_context(cafile=places.path("ca.pem"))
    if version:
        context.minimum_version = context.maximum_version = version
    if who:
        context.load_cert_chain(places.path(f"{who}.pem"), places.path(f"{who}.key"))
    return context


def paho(places, where, client_id, version=V5, who=None, at_version=None, secured=None, **more):
    c = Client(
        places.at[where],
        client_id,
        version,
        transport="websockets" if where in ("ws", "wss") or more.pop("websocket", False) else "tcp",
        **more,
    )
    if secured or (secured is None and where not in ("tcp", "ws", "any")):
        c.paho.tls_set_context(tls(places, at_version, who))
    return c


def exchange(one, other, topic):
    """Both publish to both, at each QoS, small and large and empty."""
    for c in (one, other):
        c.subscribe(topic)
    for qos in (0, 1, 2):
        for payload in (b"x", b"", b"y" * 125, b"z" * 126, b"w" * 65536, BIG):
            for sender in (one, other):
                sender.publish(topic, payload, qos)
                for receiver in (one, other):
                    (m,) = receiver.wait_messages(1)
                    assert (m.topic, m.payload, m.qos) == (topic, payload, qos)


PAHO = {
    "tls-1.2": {"where": "tls", "at_version": ssl.TLSVersion.TLSv1_2},
    "tls-1.3": {"where": "tls13", "at_version": ssl.TLSVersion.TLSv1_3},
    "mutual": {"where": "mutual", "who": "alice"},
    "ws": {"where": "ws"},
    "wss": {"where": "wss"},
    "any": {"where": "any"},
    "any-tls": {"where": "any", "secured": True},
    "any-ws": {"where": "any", "websocket": True},
    "any-wss": {"where": "any", "websocket": True, "secured": True},
}


@pytest.mark.parametrize("version", [V31, V311, V5], ids=["3.1", "3.1.1", "5.0"])
@pytest.mark.parametrize("way", PAHO)
def test_paho(places, name, way, version):
    here = paho(places, client_id=f"{name}-1"[-23:], version=version, **PAHO[way]).connect()
    there = Client(places.at["tcp"], f"{name}-2"[-23:], version).connect()
    exchange(here, there, name)
    for c in (here, there):
        c.disconnect()


@pytest.mark.parametrize("where, user", [("named", "alice"), ("subject", "O=Midge,CN=alice")])
def test_what_a_certificate_names_is_the_user_name(places, name, where, user):
    paho(places, where, name, who="alice").connect().disconnect()
    places.broker.wait_line(f" as {user} ")


@pytest.mark.parametrize("who", [None, "mallory", "stranger", "expired"])
def test_whose_certificate_is_not_good_is_not_let_in(places, name, who):
    context = tls(places, ssl.TLSVersion.TLSv1_2, who)  # in 1.3 a client learns of it later
    with socket.create_connection(("127.0.0.1", places.at["mutual"].port), TIMEOUT_S) as s:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(s, server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_alpn_mqtt_is_chosen(places, version):
    context = tls(places, version)
    context.set_alpn_protocols(["x-amzn-mqtt-ca", "mqtt"])
    with socket.create_connection(("127.0.0.1", places.at["tls"].port), TIMEOUT_S) as s:
        with context.wrap_socket(s, server_hostname="localhost") as t:
            assert t.selected_alpn_protocol() == "mqtt"


# ---- mosquitto_pub, mosquitto_sub

MOSQUITTO = {
    "tls-1.2": ("tls", "--cafile {c}/ca.pem --tls-version tlsv1.2"),
    "tls-1.3": ("tls13", "--cafile {c}/ca.pem --tls-version tlsv1.3"),
    "alpn": ("tls", "--cafile {c}/ca.pem --tls-alpn mqtt"),
    "mutual": ("mutual", "--cafile {c}/ca.pem --cert {c}/alice.pem --key {c}/alice.key"),
    "psk-1.2": ("psk", "--psk-identity sensor --psk {psk} --tls-version tlsv1.2"),
    "psk-1.3": ("psk", "--psk-identity sensor --psk {psk} --tls-version tlsv1.3"),
    "any": ("any", ""),
    "any-tls": ("any", "--cafile {c}/ca.pem"),
    "unix": ("unix", "--unix {unix}"),
}


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("way", MOSQUITTO)
def test_mosquitto(places, name, way, version):
    where, how = MOSQUITTO[way]
    how = how.format(c=places.certificates, unix=places.unix, psk=PSK[1]).split()
    at = places.at.get(where, places.at["tcp"])
    to = [] if where == "unix" else ["-h", "localhost", "-p", str(at.port)]
    sub = Sub(at, version, "-q", "2", "-t", name, "-F", "%q %l %p", *how)
    try:
        for qos in "012":
            for payload in ("", "hello", "m" * 100000):
                given = ["-m", payload] if payload else ["-n"]
                done = subprocess.run(
                    ["mosquitto_pub", *to, "-V", version, "-q", qos, "-t", name, *given, *how],
                    capture_output=True,
                    timeout=TIMEOUT_S,
                    check=False,
                )
                assert done.returncode == 0 and not done.stderr, done
        sub.wait_lines(9)
        expected = [f"{q} {len(p)} {p}" for q in "012" for p in ("", "hello", "m" * 100000)]
        assert sub.lines == expected
    finally:
        sub.end()


def pub_by_psk(places, where, identity, key):
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(places.at[where].port), "-t", "t", "-m", "x"]
    command += ["--psk-identity", identity, "--psk", key]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False).returncode


def test_a_psk_identity_is_the_user_name(places):
    assert pub_by_psk(places, "named-psk", *PSK) == 0
    places.broker.wait_line(f" as {PSK[0]} ")


@pytest.mark.parametrize("identity, key", [("sensor", "00" * 16), ("nobody", PSK[1])])
def test_who_has_no_key_is_not_let_in(places, identity, key):
    assert pub_by_psk(places, "psk", identity, key) != 0


# ---- MQTT.js

MQTTJS = {
    "tls-1.2": ("tls", {"protocol": "mqtts", "maxVersion": "TLSv1.2"}),
    "tls-1.3": ("tls13", {"protocol": "mqtts", "minVersion": "TLSv1.3"}),
    "mutual": ("mutual", {"protocol": "mqtts", "cert": "alice.pem", "key": "alice.key"}),
    "psk": ("psk", {"protocol": "mqtts", "maxVersion": "TLSv1.2", "psk": {"identity": PSK[0], "key": PSK[1]}}),
    "wss": ("wss", {"protocol": "wss"}),
    "any": ("any", {"protocol": "mqtt"}),
    "any-tls": ("any", {"protocol": "mqtts"}),
    "any-ws": ("any", {"protocol": "ws"}),
    "any-wss": ("any", {"protocol": "wss"}),
}
EVERYTHING = ["qos", "order", "retained", "will", "session", "takeover", "sizes", "topics", "ping", "reconnect"]


def run_mqttjs(places, way, version, scenario):
    where, options = MQTTJS.get(way, (way, {"protocol": way}))
    files = {
        key: pathlib.Path(places.path(options[key])).read_text(encoding="ascii")
        for key in ("cert", "key")
        if key in options
    }
    ca = pathlib.Path(places.path("ca.pem")).read_text(encoding="ascii")
    more = {"host": "localhost", "family": 4, "ca": ca, **options, **files}
    done = subprocess.run(
        ["node", SCRIPT, str(places.at[where].port), str(version), scenario],
        env={**os.environ, "MQTTJS_OPTIONS": json.dumps(more)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("scenario", ["qos", "sizes"])
@pytest.mark.parametrize("way", MQTTJS)
def test_mqttjs(places, way, scenario):
    run_mqttjs(places, way, 5, scenario)


@pytest.mark.parametrize("version, scenario", [(3, "qos"), (4, "qos"), *[(5, s) for s in EVERYTHING]])
def test_mqttjs_on_websocket(places, version, scenario):
    run_mqttjs(places, "ws", version, scenario)


# ---- renewal


def test_certificates_are_replaced_and_nobody_notices(tmp_path, name):
    t = Transports(tmp_path)
    try:
        inside = [paho(t, "tls", f"{name}-1").connect(), paho(t, "wss", f"{name}-2").connect()]
        assert subject(t, "tls") == [("commonName", "localhost")]
        for kind in ("pem", "key"):
            os.replace(t.path(f"renewed.{kind}"), t.path(f"server.{kind}"))
        t.broker.signal(signal.SIGHUP)
        t.broker.wait_line("SIGHUP: ")
        assert ("organizationName", "Renewed") in subject(t, "tls")
        assert ("organizationName", "Renewed") in subject(t, "wss")
        exchange(*inside, name)
        t.broker.stop()
    finally:
        t.broker.kill()


def subject(places, where):
    with socket.create_connection(("127.0.0.1", places.at[where].port), TIMEOUT_S) as s:
        with tls(places).wrap_socket(s, server_hostname="localhost") as t:
            return [pair for part in t.getpeercert()["subject"] for pair in part]
