"""test_keys.py - keys of the configuration that other files do not look at; and SIGHUP with each of them under load."""
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading

import pytest
from conftest import MIDGE, TIMEOUT_S, wait_until, write_conf
from paho_client import V5, V311, Client
from test_config import OPEN, hup, login, run, sha512
from test_inside import rows

HERE_TOO = pathlib.Path(__file__).resolve()
CERTIFICATES = HERE_TOO.parents[1] / "tls/certificates"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def keys():
    """{name: (scope, standing, reload)} of everything but bridges."""
    rows = [line.split("\t") for line in run("--keys").stdout.splitlines()]
    return {row[0]: row[1:4] for row in rows if row[1] != "bridge"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls") / "certificates"
    subprocess.run([CERTIFICATES, folder], check=True, timeout=60)
    return folder


# ---- listeners


def test_port_and_bind_address_are_the_default_listener(start_broker, tmp_path):
    port = free_port()
    path = write_conf(tmp_path, f"port {port}\nbind_address 127.0.0.2\nallow_anonymous true\nmaximum_qos 1\n")
    b = start_broker("-c", str(path), port=port)
    b.port, b.host = port, "127.0.0.2"
    assert login(b, "a")[1].connack["props"].MaximumQoS == 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


@pytest.mark.parametrize(
    "family,there", [("ipv4", {"0.0.0.0"}), ("ipv6", {"[::]"}), ("both", {"0.0.0.0", "[::]"})]
)
def test_socket_domain(start_broker, tmp_path, family, there):
    port = free_port()
    path = write_conf(tmp_path, f"listener {port}\nsocket_domain {family}\nallow_anonymous true\n")
    b = start_broker("-c", str(path), port=port)
    line = b.wait_line("listens on (.*)").group(1)
    assert set(re.findall(rf"(\S+):{port}", line)) == there


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_bind_interface(start_conf):
    b = start_conf(OPEN + "bind_interface lo\n")
    assert login(b, "a")[0] == 0
    b.stop()
    done = run("-c", str(write_conf(b.conf.parent, OPEN + "bind_interface no-such-dev\n")))
    assert done.returncode == 1 and ":1: listener: " in done.stderr


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1883\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x07\x5b",
    ],
)
def test_proxy_protocol(start_conf, header):
    b = start_conf(OPEN + "enable_proxy_protocol 2\n")
    with socket.create_connection((b.host, b.port), TIMEOUT_S) as s:
        s.sendall(header + bytes.fromhex("101000044d5154540402003c000470726f62"))
        assert s.recv(4) == bytes.fromhex("20020000")
        b.wait_line(r"New client connected from 192\.0\.2\.7:4711 as prob")
    with socket.create_connection((b.host, b.port), TIMEOUT_S) as s:
        s.sendall(bytes.fromhex("101000044d5154540402003c000470726f62"))
        assert s.recv(4) == b""


@pytest.mark.parametrize(
    "origin,status", [("https://good.example", 101), ("https://bad.example", 403), (None, 101)]
)
def test_websockets_origin(start_conf, origin, status):
    b = start_conf(OPEN + "protocol websockets\nwebsockets_origin https://good.example\n")
    with socket.create_connection((b.host, b.port), TIMEOUT_S) as s:
        more = f"Origin: {origin}\r\n" if origin else ""
        s.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n"
            + more.encode()
            + b"\r\n"
        )
        assert int(s.recv(100).split()[1]) == status


def test_aliases_towards_a_client(start_conf, name):
    b = start_conf(OPEN + "max_topic_alias_broker 0\n")
    c = Client(b, name, V5, TopicAliasMaximum=10).connect()
    c.subscribe(name)
    c.publish(name, b"1", qos=1)
    c.publish(name, b"2", qos=1)
    assert not [m for m in c.wait_messages(2) if hasattr(m.properties, "TopicAlias")]


def test_anonymous_clients_of_one_listener(start_broker, tmp_path):
    port, path = free_port(), tmp_path / "sock"
    text = f"listener {port} 127.0.0.1\nlistener_allow_anonymous true\nlistener_auto_id_prefix mine-\n"
    b = start_broker("-c", str(write_conf(tmp_path, text + f"listener 0 {path}\n")), port=port)
    code, c = login(b, "")
    assert code == 0 and c.connack["props"].AssignedClientIdentifier.startswith("mine-")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT_S)
        s.connect(str(path))
        s.sendall(bytes.fromhex("101000044d5154540402003c000470726f62"))
        assert s.recv(4) == bytes.fromhex("20020005")


# ---- TLS


def handshake(b, certificates, **settings):
    """The version and cipher that were agreed upon."""
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    if "client" in settings:
        context.load_cert_chain(
            certificates / f"{settings['client']}.pem", certificates / f"{settings['client']}.key"
        )
    if "most" in settings:
        context.maximum_version = settings["most"]
    with socket.create_connection((b.host, b.port), TIMEOUT_S) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(bytes.fromhex("101000044d5154540402003c000470726f62"))
            assert s.recv(4) == bytes.fromhex("20020000")
            return s.version(), s.cipher()[0]


def tls(certificates, more=""):
    return OPEN + f"certfile {certificates}/server.pem\nkeyfile {certificates}/server.key\n" + more


def test_ciphers_and_versions(start_conf, certificates):
    b = start_conf(
        tls(
            certificates,
            "ciphers ECDHE-ECDSA-AES128-GCM-SHA256\nciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256\n",
        )
    )
    assert handshake(b, certificates) == ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256")
    two = ssl.TLSVersion.TLSv1_2
    assert handshake(b, certificates, most=two) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    write_conf(b.conf.parent, tls(certificates, "tls_version tlsv1.3\n"))
    hup(b)
    with pytest.raises(ssl.SSLError):
        handshake(b, certificates, most=two)


def test_a_folder_of_authorities_and_a_list_of_revoked_certificates(start_conf, certificates, tmp_path):
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    subprocess.run(["openssl", "rehash", folder], check=True, timeout=TIMEOUT_S)
    mutual = f"capath {folder}\nrequire_certificate true\n"
    b = start_conf(tls(certificates, mutual))
    for who in ("alice", "mallory"):
        handshake(b, certificates, client=who)
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        handshake(b, certificates)
    write_conf(b.conf.parent, tls(certificates, mutual + f"crlfile {certificates}/crl.pem\n"))
    hup(b)
    handshake(b, certificates, client="alice")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        handshake(b, certificates, client="mallory")


# ---- limits


def test_memory_limit(start_conf, tmp_path):
    b = start_conf(OPEN + "memory_limit 3000000\ncontrol_socket {tmp}/ctl\n")
    assert dict(rows(tmp_path, "limits"))["memory_bytes"] == "3000000"
    write_conf(b.conf.parent, OPEN + "memory_limit 0\ncontrol_socket {tmp}/ctl\n")
    hup(b)
    assert int(dict(rows(tmp_path, "limits"))["memory_bytes"]) > 2**60


@pytest.mark.parametrize("key", ["global_max_connections 2", "max_connections_per_address 2"])
def test_connections_at_once(start_conf, key):
    b = start_conf(OPEN + key + "\n")
    held = [login(b, f"c{i}")[1] for i in range(2)]
    sockets = []

    def is_refused():
        s = socket.create_connection((b.host, b.port), TIMEOUT_S)
        sockets.append(s)
        s.settimeout(0.1)
        try:
            s.sendall(bytes.fromhex("101000044d5154540402003c000470726f62"))
            return s.recv(4) != bytes.fromhex("20020000")
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    wait_until(is_refused, "a connection that is refused")
    for s in sockets:
        s.close()
    held[0].disconnect()


def test_clients_that_are_known(start_conf):
    b = start_conf(OPEN + "global_max_clients 2\n")
    clients = [login(b, f"c{i}", SessionExpiryInterval=1000)[1] for i in range(2)]
    assert login(b, "one-more")[0] == 0x97
    assert all(c.disconnected is None for c in clients)


def test_bytes_in_flight(start_conf, name):
    b = start_conf(OPEN + "max_inflight_bytes 1000\n")
    c = Client(b, name, V5, ReceiveMaximum=100).connect()
    c.subscribe(name, qos=1)
    c.hold()
    pub = Client(b, "pub", V5).connect()
    for _ in range(10):
        pub.publish(name, bytes(900), qos=1)
    c.release()
    assert len(c.wait_messages(10)) == 10


@pytest.mark.parametrize(
    "policy,kept",
    [("drop_new", [b"0", b"1", b"2"]), ("drop_old", [b"3", b"4", b"5"]), ("refuse", [b"0", b"1", b"2"])],
)
def test_what_a_full_queue_does(start_conf, name, policy, kept):
    b = start_conf(OPEN + f"queue_policy {policy}\nmax_queued_messages 2\nmax_inflight_messages 1\n")
    away = Client(b, name, V311, clean=False).connect()
    away.subscribe(name, qos=1)
    away.disconnect()
    pub = Client(b, "pub", V5).connect()
    for i in range(6):
        pub.publish(name, b"%d" % i, qos=1)
    assert Client(b, name, V311, clean=False).connect().payloads(3) == kept


def test_bytes_that_wait(start_conf, name):
    b = start_conf(OPEN + "max_queued_bytes 3000\nqueue_policy end_session\n")
    away = Client(b, name, V311, clean=False).connect()
    away.subscribe(name, qos=1)
    away.disconnect()
    pub = Client(b, "pub", V5).connect()
    for _ in range(6):
        pub.publish(name, bytes(1000), qos=1)
    assert not Client(b, name, V311, clean=False).connect().connack["present"]


# ---- disk, log


def test_names_of_the_store(start_conf, tmp_path, name):
    text = (
        OPEN
        + "retained_persistence true\npersistence_location {tmp}\npersistence_file own.db\nautosave_interval 1\n"
    )
    b = start_conf(text + "durability relaxed\n")
    Client(b, "pub", V5).connect().publish(name, b"kept", qos=1, retain=True)
    b.stop()
    assert (tmp_path / "own.db").exists()
    b = start_conf(text)
    c = Client(b, "sub", V5).connect()
    c.subscribe(name)
    assert c.payloads(1) == [b"kept"]


def test_log_to_standard_output(tmp_path):
    path = write_conf(tmp_path, OPEN + "log_dest stdout\nlog_facility 3\nlog_timestamp false\n")
    p = subprocess.Popen([*MIDGE, "-c", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline().startswith("Opening ipv4 listen socket")
    finally:
        p.terminate()
        _, err = p.communicate(timeout=TIMEOUT_S)
    assert p.returncode == 0 and not err


# ---- SIGHUP with everything

# Other values for every key that SIGHUP changes.
OTHER = {
    "accept_protocol_versions": "4,5",
    "acl_file": "{tmp}/acl",
    "allow_anonymous": "true",
    "allow_duplicate_messages": "true",
    "allow_zero_length_clientid": "false",
    "auto_id_prefix": "other-",
    "autosave_on_changes": "true",
    "cafile": "{c}/ca.pem",
    "capath": "{c}",
    "certfile": "{c}/renewed.pem",
    "check_retain_source": "false",
    "ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ciphers_tls1.3": "TLS_AES_128_GCM_SHA256",
    "clientid_prefixes": "c",
    "connection": "other\naddress 127.0.0.1:1\ntopic nothing out",
    "connection_messages": "false",
    "crlfile": "{c}/crl.pem",
    "global_max_clients": "1000",
    "global_max_connections": "1000",
    "include_dir": "{tmp}/more",
    "keyfile": "{c}/renewed.key",
    "listener": None,  # below
    "listener_allow_anonymous": "true",
    "listener_auto_id_prefix": "listener-",
    "log_dest": "file {tmp}/log\nlog_dest stderr",
    "log_facility": "1",
    "log_timestamp": "false",
    "log_timestamp_format": "%H",
    "log_type": "all",
    "max_connections": "500",
    "max_connections_per_address": "900",
    "max_inflight_bytes": "100000",
    "max_inflight_messages": "7",
    "max_keepalive": "1000",
    "max_packet_size": "100000",
    "max_qos": "1",
    "max_queued_bytes": "1000000",
    "max_queued_messages": "500",
    "max_topic_alias": "7",
    "max_topic_alias_broker": "3",
    "maximum_qos": "1",
    "memory_limit": "100000000",
    "message_size_limit": "100000",
    "password_file": "{tmp}/pw",
    "per_listener_settings": "true",
    "persistent_client_expiration": "1d",
    "psk_file": "{tmp}/psk",
    "queue_policy": "drop_old",
    "queue_qos0_messages": "true",
    "require_certificate": "false",
    "retain_available": "false",
    "retain_expiry_interval": "1",
    "retry_interval": "1",
    "set_tcp_nodelay": "true",
    "store_clean_interval": "1",
    "tls_version": "tlsv1.3",
    "upgrade_outgoing_qos": "false",
    "use_identity_as_username": "false",
    "use_subject_as_username": "false",
    "use_username_as_clientid": "true",
    "websockets_origin": "https://other.example",
}
NEEDS_TLS = {"cafile", "capath", "certfile", "crlfile", "keyfile", "require_certificate", "tls_version"}


def variations(port, tls_port, certificates):
    """(key, configuration): each key in turn, changed alone; the base between them."""
    known = keys()
    reloadable = {
        name for name, (_, standing, reload) in known.items() if standing != "refused" and reload == "reload"
    }
    assert reloadable == set(OTHER), "OTHER has to have every key that SIGHUP changes, and no others"
    base = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    base_tls = f"listener {tls_port} 127.0.0.1\ncertfile {certificates}/server.pem\nkeyfile {certificates}/server.key\n"
    for key, value in OTHER.items():
        if value is None:
            yield key, base + f"listener {free_port()} 127.0.0.1\n" + base_tls
            continue
        line = f"{key} {value}\n".replace("{c}", str(certificates))
        if key in ("certfile", "keyfile"):
            changed = base_tls.replace("server.", "renewed.")
            yield key, base + changed
        elif key == "connection":
            yield key, base + base_tls + line
        elif key in NEEDS_TLS:
            yield key, base + base_tls + (
                f"cafile {certificates}/ca.pem\n" if key == "crlfile" else ""
            ) + line
        elif key == "per_listener_settings":
            yield key, line + base + base_tls
        elif known[key][0] == "listener":
            yield key, base + line + base_tls
        else:
            yield key, line + base + base_tls
        yield "", base + base_tls


def test_sighup_with_each_key_under_load(start_broker, tmp_path, certificates):
    port, tls_port = free_port(), free_port()
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.conf").write_text("max_keepalive 900\n", encoding="utf-8")
    (tmp_path / "acl").write_text("topic #\npattern readwrite #\n", encoding="utf-8")
    (tmp_path / "pw").write_text(f"ann:{sha512('x')}\n", encoding="utf-8")
    (tmp_path / "psk").write_text("a:00ff\n", encoding="utf-8")
    all_of_them = list(variations(port, tls_port, certificates))
    b = start_broker("-c", str(write_conf(tmp_path, all_of_them[1][1])), port=port)
    b.conf = tmp_path / "midge.conf"
    b.port = port
    receiver = Client(b, "c-receiver", V311, clean=False).connect()
    receiver.subscribe("load/#", qos=1)
    senders = [Client(b, f"c-sender{i}", V311).connect() for i in range(3)]
    sent = [0] * len(senders)
    stop = threading.Event()

    def send(i):
        while not stop.is_set():
            senders[i].publish(f"load/{i}", b"%d" % sent[i], qos=1)
            sent[i] += 1

    threads = [threading.Thread(target=send, args=(i,)) for i in range(len(senders))]
    for t in threads:
        t.start()
    try:
        for key, text in all_of_them:
            write_conf(tmp_path, text)
            said = hup(b)
            assert said.endswith("was read again"), f"{key}: {said}"
            assert receiver.disconnected is None, key
    finally:
        stop.set()
        for t in threads:
            t.join(TIMEOUT_S)
    assert min(sent) > 0 and not any(c.disconnected for c in senders)
    receiver.wait(lambda: len(receiver.messages) >= sum(sent), f"{sum(sent)} messages")
    for i in range(len(senders)):
        got = [int(m.payload) for m in receiver.messages if m.topic == f"load/{i}"]
        assert got == list(range(sent[i]))


def test_every_key_that_is_served_is_looked_at_somewhere():
    texts = [p.read_text(encoding="utf-8") for p in HERE_TOO.parent.glob("*.py")]
    text = "".join(texts).replace('\n    "', "")
    looked_at = set(re.findall(r"(?:\\n|[\"'])([a-z_0-9.]+) [^\"']", text))
    served = {name for name, (_, standing, _) in keys().items() if standing == "served"}
    assert served - looked_at == set()
