"""test_config.py - midge -c FILE: what each key of the configuration does, seen from outside."""
import base64
import hashlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess

import pytest
from conftest import MIDGE, ROOT, TIMEOUT_S, wait_until, write_conf
from paho_client import V5, V31, V311, Client

HERE = "listener 0 127.0.0.1\n"
OPEN = HERE + "allow_anonymous true\n"


def sha512(password, salt=b"saltsalt1234"):
    digest = hashlib.sha512(password.encode() + salt).digest()
    return f"$6${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def pbkdf2(password, rounds=101, salt=b"saltsalt1234"):
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def login(b, client_id, user=None, password=None, version=V5, **more):
    """The CONNACK's code, and the client."""
    c = Client(b, client_id, version, **more)
    if user is not None:
        c.paho.username_pw_set(user, password)
    c.try_connect()
    return c.connack["code"], c


def rewrite(b, text):
    """Another configuration, taken over while it runs."""
    folder = b.conf.parent
    write_conf(folder, text)
    hup(b)


def hup(b):
    count = len([line for line in b.lines if "SIGHUP: " in line])
    b.signal(signal.SIGHUP)
    return b.wait_line(r"SIGHUP: (.*)", count + 1).group(1)


def run(*args):
    return subprocess.run(
        [*MIDGE, *args],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )


# ---- listeners


def test_without_allow_anonymous_nobody_is_let_in_and_it_says_so(start_conf):
    b = start_conf(HERE)
    b.wait_line("nobody is let in here")
    assert login(b, "a")[0] == 0x87
    assert login(b, "b", "user", "pw", version=V311)[0] == 5


def test_a_file_without_a_listener_is_loopback_and_open(start_conf):
    b = start_conf("max_keepalive 100\n")
    b.wait_line("loopback only")
    code, c = login(b, "a", keepalive=600)
    assert code == 0 and c.connack["props"].ServerKeepAlive == 100


def test_windows_line_ends_and_a_byte_order_mark(start_conf):
    b = start_conf("\ufeff# x\r\n" + OPEN.replace("\n", "\r\n") + "\t max_keepalive\t 99 \r\n\r\n")
    code, c = login(b, "a", keepalive=600)
    assert code == 0 and c.connack["props"].ServerKeepAlive == 99


def test_the_same_port_on_the_command_line_is_one_listener(start_broker, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    path = write_conf(tmp_path, f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    b = start_broker("-c", str(path), "-v", port=port)
    assert re.search(rf"listens on 127\.0\.0\.1:{port}$", b.wait_line(".*listens on.*").group(0))
    login(b, "shown")
    b.wait_line("Session of client|New client connected.* as shown")


def test_include_dir_is_read_in_order(start_conf, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "b.conf").write_text("max_keepalive 7\n", encoding="utf-8")
    (folder / "A.conf").write_text("max_keepalive 8\n", encoding="utf-8")
    (folder / "z.conf~").write_text("nonsense\n", encoding="utf-8")
    b = start_conf(OPEN + "include_dir {tmp}/d\n")
    assert login(b, "a", keepalive=60)[1].connack["props"].ServerKeepAlive == 7


def test_listeners_with_accounts_of_their_own(start_broker, tmp_path):
    sock = tmp_path / "s"
    text = (
        "per_listener_settings true\n" + OPEN + f"max_qos 1\nlistener 0 {sock}\n"
        "allow_anonymous false\npassword_file {tmp}/pw\n"
    )
    path = write_conf(tmp_path, text, pw=f"ann:{pbkdf2('secret')}\n")
    b = start_broker("-c", str(path))
    code, c = login(b, "a")
    assert code == 0 and c.connack["props"].MaximumQoS == 1

    def through_socket(user, password):
        head = b"\0\4MQTT\4" + bytes([0xC2]) + b"\0\x3c"
        body = head + b"".join(len(x).to_bytes(2, "big") + x for x in (b"u", user, password))
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(TIMEOUT_S)
            s.connect(str(sock))
            s.sendall(b"\x10" + bytes([len(body)]) + body)
            return s.recv(4)

    assert through_socket(b"ann", b"secret") == bytes.fromhex("20020000")
    assert through_socket(b"ann", b"wrong") == bytes.fromhex("20020004")


def test_max_connections_of_a_listener(start_conf):
    b = start_conf(OPEN + "max_connections 2\n")
    clients = [login(b, f"c{i}")[1] for i in range(2)]
    with socket.create_connection((b.host, b.port), TIMEOUT_S) as s:
        assert s.recv(1) == b""
    clients[0].disconnect()
    wait_until(lambda: len([line for line in b.lines if "c0 disconnected" in line]) == 1, "room")
    assert login(b, "c3")[0] == 0


def test_versions_that_a_listener_serves(start_conf):
    b = start_conf(OPEN + "accept_protocol_versions 4, 5\n")
    assert login(b, "a", version=V31)[0] == 1
    assert login(b, "b", version=V311)[0] == 0
    assert login(b, "c", version=V5)[0] == 0


def test_limits_of_a_listener_are_told(start_conf):
    b = start_conf(OPEN + "max_topic_alias 3\nmax_qos 0\nmax_packet_size 1000\nretain_available false\n")
    props = login(b, "a")[1].connack["props"]
    assert (props.TopicAliasMaximum, props.MaximumQoS, props.MaximumPacketSize) == (3, 0, 1000)
    assert props.RetainAvailable == 0


# ---- clients


def test_client_ids(start_conf):
    b = start_conf(OPEN + "auto_id_prefix box-\nclientid_prefixes box-\nclientid_prefixes dev\n")
    code, c = login(b, "")
    assert code == 0 and c.connack["props"].AssignedClientIdentifier.startswith("box-")
    assert login(b, "dev1")[0] == 0
    assert login(b, "other")[0] == 0x85
    assert login(b, "other", version=V311)[0] == 2


def test_no_empty_client_ids(start_conf):
    b = start_conf(OPEN + "allow_zero_length_clientid false\n")
    assert login(b, "")[0] == 0x85
    assert login(b, "a")[0] == 0


def test_the_user_name_as_client_id(start_conf):
    b = start_conf(OPEN + "use_username_as_clientid true\n")
    assert login(b, "ignored", "ann")[0] == 0
    b.wait_line(r"as ann \(")
    assert login(b, "x")[0] == 0x87


def test_session_expiry(start_conf):
    b = start_conf(OPEN + "persistent_client_expiration 2h\n")
    _, c = login(b, "a", SessionExpiryInterval=100000)
    assert c.connack["props"].SessionExpiryInterval == 7200
    _, c = login(b, "b", SessionExpiryInterval=100)
    assert not hasattr(c.connack["props"], "SessionExpiryInterval")


def test_the_number_in_flight_and_the_queue(start_conf, name):
    b = start_conf(OPEN + "max_inflight_messages 1\nmax_queued_messages 3\n")
    sub = Client(b, name, V311, clean=False).connect()
    sub.subscribe(name, qos=1)
    sub.disconnect()
    pub = Client(b, "pub", V5).connect()
    for i in range(9):
        pub.publish(name, b"%d" % i, qos=1)
    again = Client(b, name, V311, clean=False).connect()
    assert again.payloads(4) == [b"0", b"1", b"2", b"3"]  # one on its way, three that wait


def test_qos0_waits_where_it_is_told_to(start_conf, name):
    b = start_conf(OPEN + "queue_qos0_messages true\n")
    sub = Client(b, name, V311, clean=False).connect()
    sub.subscribe(name, qos=1)
    sub.disconnect()
    pub = Client(b, "pub", V311).connect()
    pub.publish(name, b"zero", qos=0)
    pub.publish(name, b"one", qos=1)
    again = Client(b, name, V311, clean=False).connect()
    assert sorted(again.payloads(2)) == [b"one", b"zero"]


def test_the_largest_payload(start_conf, name):
    b = start_conf(OPEN + "message_size_limit 10\n")
    sub = Client(b, name, V5).connect()
    sub.subscribe(name)
    pub = Client(b, "pub", V311).connect()
    pub.publish(name, b"12345678901", qos=1)
    pub.publish(name, b"1234567890", qos=1)
    assert sub.payloads(1) == [b"1234567890"]


# ---- accounts


def accounts(name):
    return f"# people\nann:{sha512('old')}\n\nbob:{pbkdf2('new')}\n"


def test_hashes_of_mosquitto(start_conf):
    b = start_conf(HERE + "password_file {tmp}/pw\n", pw=accounts("x"))
    assert login(b, "a", "ann", "old")[0] == 0
    assert login(b, "b", "bob", "new")[0] == 0
    assert login(b, "c", "bob", "old")[0] == 0x86
    assert login(b, "d", "carl", "new", version=V311)[0] == 4
    assert login(b, "e", "bob")[0] == 0x86
    assert login(b, "f")[0] == 0x87
    assert not [line for line in b.lines if "old" in line]


def test_a_wrong_password_is_wrong_again_and_slower(start_conf):
    b = start_conf(HERE + "password_file {tmp}/pw\n", pw=accounts("x"))
    for i in range(5):
        assert login(b, f"bad{i}", "bob", "guess")[0] == 0x86
    assert login(b, "good", "bob", "new")[0] == 0


def knock_with(b, user, password, source="127.0.0.1"):
    """A socket that has sent CONNECT (3.1.1)."""
    s = socket.create_connection((b.host, b.port), TIMEOUT_S, (source, 0))
    body = b"\0\4MQTT\4\xc2\0\x3c" + b"".join(
        len(x).to_bytes(2, "big") + x
        for x in (f"{user}{s.getsockname()[1]}".encode(), user.encode(), password.encode())
    )
    s.sendall(b"\x10" + bytes([len(body)]) + body)
    return s


def test_hashing_stalls_nobody(start_conf, name):
    b = start_conf(OPEN + "password_file {tmp}/pw\n", pw=f"slow:{pbkdf2('x', 400000)}\n")
    c = Client(b, name, V5).connect()
    c.subscribe(name)
    with knock_with(b, "slow", "x") as s:
        for i in range(5):
            c.publish(name, b"%d" % i, qos=1)
        assert c.payloads(5) == [b"%d" % i for i in range(5)]
        assert not select.select([s], [], [], 0)[0]  # it is still being hashed
        assert s.recv(4) == bytes.fromhex("20020000")


def test_who_guesses_waits_and_nobody_else_does(start_conf):
    b = start_conf(HERE + "password_file {tmp}/pw\n", pw=accounts("x"))
    for _ in range(5):  # the fourth and fifth have waited
        with knock_with(b, "bob", "guess") as s:
            assert s.recv(4) == bytes.fromhex("20020004")
    with knock_with(b, "bob", "guess") as guesser, knock_with(b, "bob", "new", "127.0.0.2") as other:
        assert other.recv(4) == bytes.fromhex("20020000")  # it came later, and goes first
        assert not select.select([guesser], [], [], 0)[0]
        assert guesser.recv(4) == bytes.fromhex("20020004")


def test_who_comes_back_is_known_again(start_conf, tmp_path):
    b = start_conf(HERE + "password_file {tmp}/pw\n", pw=f"slow:{pbkdf2('x', 200000)}\nbob:{pbkdf2('new')}\n")
    for i in range(200):  # two hundred times the hash would take a while
        with knock_with(b, "slow", "x") as s:
            assert s.recv(4) == bytes.fromhex("20020000")
        if i == 100:
            with knock_with(b, "slow", "y") as s:
                assert s.recv(4) == bytes.fromhex("20020004")
    (tmp_path / "pw").write_text(f"slow:{pbkdf2('other')}\n", encoding="utf-8")
    hup(b)
    with knock_with(b, "slow", "x") as s:
        assert s.recv(4) == bytes.fromhex("20020004")


def test_a_login_that_is_given_up_is_no_matter(start_conf, name):
    b = start_conf(HERE + "password_file {tmp}/pw\n", pw=accounts("x") + f"slow:{pbkdf2('x', 1000)}\n")
    for _ in range(10):
        knock_with(b, "slow", "x").close()
    assert login(b, name, "bob", "new")[0] == 0


def test_rights(start_conf, name):
    acl = "user ann\ntopic read out/#\ntopic write in/#\npattern readwrite own/%u/%c\n"
    b = start_conf(HERE + "password_file {tmp}/pw\nacl_file {tmp}/acl\n", pw=accounts(name), acl=acl)
    ann, bob = login(b, "a", "ann", "old")[1], login(b, "b", "bob", "new")[1]
    assert ann.subscribe("out/#", "in/#", "own/ann/a", "own/bob/b") == [2, 0x87, 2, 0x87]
    assert bob.subscribe("out/#", "own/bob/b") == [0x87, 2]
    bob.publish("own/bob/b", b"mine", qos=1)
    bob.publish("out/x", b"not mine", qos=1)
    ann.publish("own/ann/a", b"hers", qos=1)
    assert bob.payloads(1) == [b"mine"]
    assert ann.payloads(1) == [b"hers"]


def test_a_will_needs_the_right_to_be_published(start_conf):
    b = start_conf(OPEN + "acl_file {tmp}/acl\n", acl="topic write ok\n")
    assert login(b, "a", will={"topic": "ok", "payload": b"x"})[0] == 0
    assert login(b, "b", will={"topic": "no", "payload": b"x"})[0] == 0x87


def test_rights_that_change_reach_clients_that_are_connected(start_conf, tmp_path, name):
    b = start_conf(OPEN + "acl_file {tmp}/acl\n", acl="topic #\n")
    sub, pub = Client(b, name, V5).connect(), Client(b, "pub", V5).connect()
    sub.subscribe("a", "b")
    pub.publish("a", b"1", qos=1)
    assert sub.payloads(1) == [b"1"]
    (tmp_path / "acl").write_text("topic write a\ntopic b\n", encoding="utf-8")
    assert "was read again" in hup(b)
    pub.publish("a", b"2", qos=1)
    pub.publish("b", b"3", qos=1)
    assert sub.payloads(1) == [b"3"]


def test_whose_account_is_gone_or_changed_is_sent_away(start_conf, tmp_path):
    pw = f"ann:{sha512('a')}\nbob:{sha512('b')}\ncarl:{sha512('c')}\n"
    b = start_conf(OPEN + "password_file {tmp}/pw\n", pw=pw)
    clients = {user: login(b, f"of-{user}", user, user[0])[1] for user in ("ann", "bob", "carl")}
    nobody = login(b, "of-nobody")[1]
    (tmp_path / "pw").write_text(f"ann:{sha512('a')}\nbob:{sha512('new')}\n", encoding="utf-8")
    hup(b)
    assert clients["bob"].wait_disconnected() == 0x87
    assert clients["carl"].wait_disconnected() == 0x87
    rewrite(b, HERE + "password_file {tmp}/pw\n")
    assert nobody.wait_disconnected() == 0x87
    clients["ann"].subscribe("still/here")
    clients["ann"].expect_nothing_else()


# ---- SIGHUP


def test_a_wrong_file_changes_nothing(start_conf, tmp_path):
    b = start_conf(OPEN + "max_keepalive 10\n")
    path = b.conf
    path.write_text(OPEN + "max_keepalive ten\n", encoding="utf-8")
    said = hup(b)
    assert (
        said
        == f"{path}:3: max_keepalive: 'ten' is not a number; give a whole number from 0 to 65535; everything stays as it was"
    )
    assert login(b, "a", keepalive=60)[1].connack["props"].ServerKeepAlive == 10
    path.unlink()
    assert "No such file" in hup(b)
    assert login(b, "b")[0] == 0


def test_limits_and_listeners_change_and_clients_stay(start_conf, tmp_path, name):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    b = start_conf(OPEN)
    first = Client(b, name, V5).connect()
    first.subscribe(name)
    # the port that was free is now a fixed one; the old listener goes, who came through it stays
    rewrite(b, f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_keepalive 5\nsys_interval 3\n")
    b.wait_line("sys_interval changes with the next start only")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((b.host, b.port))
    b.port = port
    code, c = login(b, "new", keepalive=100)
    assert code == 0 and c.connack["props"].ServerKeepAlive == 5
    c.publish(name, b"x", qos=1)
    assert first.payloads(1) == [b"x"]


def test_what_of_a_listener_waits_for_the_next_start_is_said(start_conf):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    text = f"listener {port} 127.0.0.1\nallow_anonymous true\n"
    b = start_conf(text)
    rewrite(b, text + "protocol websockets\n")
    b.wait_line("protocol changes with the next start only")
    b.port = port
    assert login(b, "a")[0] == 0


def test_a_listener_that_cannot_open_leaves_all_as_it_was(start_conf):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        b = start_conf(OPEN)
        rewrite_text = OPEN + "max_keepalive 5\n" + f"listener {port} 127.0.0.1\n"
        write_conf(b.conf.parent, rewrite_text)
        assert re.search(r":4: listener: .*in use; everything stays", hup(b))
    assert not hasattr(login(b, "a", keepalive=60)[1].connack["props"], "ServerKeepAlive")


# ---- log, files


def test_log_to_a_file_that_is_moved_away(start_conf, tmp_path):
    b = start_conf(OPEN + "log_dest stderr\nlog_dest file {tmp}/log\nlog_timestamp_format %Y-%m-%dT\n")
    log = tmp_path / "log"
    assert re.match(r"\d{4}-\d\d-\d\dT: Opening", log.read_text(encoding="utf-8"))
    log.rename(tmp_path / "log.1")
    hup(b)
    login(b, "after")
    wait_until(lambda: log.exists() and "as after" in log.read_text(encoding="utf-8"), "the new file")


def test_log_types_and_connection_messages(start_conf, name):
    b = start_conf(
        OPEN + "log_type notice\nlog_type subscribe\nlog_timestamp false\nconnection_messages false\n"
    )
    c = Client(b, name, V5).connect()
    c.subscribe(name)
    c.unsubscribe(name)
    c.disconnect()
    b.wait_line(f"^Client {name} subscribed to {name}")
    assert not [line for line in b.lines if "unsubscribed" in line or "New client" in line]


def test_log_to_topics(start_conf, name):
    b = start_conf(OPEN + "log_dest topic\nlog_dest stderr\nlog_type all\nlog_timestamp false\n")
    c = Client(b, name, V5).connect()
    c.subscribe("$SYS/broker/log/N", "$SYS/broker/log/M/#")
    Client(b, "other", V5).connect().subscribe("x")
    c.wait(
        lambda: {m.topic for m in c.messages} >= {"$SYS/broker/log/N", "$SYS/broker/log/M/subscribe"},
        "lines as messages",
    )


def test_a_pid_file(start_conf, tmp_path):
    b = start_conf(OPEN + "pid_file {tmp}/pid\n")
    assert int((tmp_path / "pid").read_text(encoding="ascii")) == b.process.pid
    b.stop()
    assert not (tmp_path / "pid").exists()


def test_the_pid_file_of_another_is_left_alone(start_conf, tmp_path):
    b = start_conf(OPEN + "pid_file {tmp}/pid\n")
    path = write_conf(tmp_path, f"listener {b.port} 127.0.0.1\nallow_anonymous true\npid_file {{tmp}}/pid\n")
    assert run("-c", str(path)).returncode == 1
    assert (tmp_path / "pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_is_left(start_broker, tmp_path):
    path = tmp_path / "midge.conf"
    path.write_text(OPEN + "user nobody\n", encoding="utf-8")
    b = start_broker("-c", str(path))
    status = pathlib.Path(f"/proc/{b.process.pid}/status").read_text(encoding="ascii")
    assert "0" not in re.search(r"Uid:\s*(.*)", status).group(1).split()
    assert "0" not in re.search(r"Gid:\s*(.*)", status).group(1).split()


# ---- state that outlives it


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_state_outlives_the_broker(start_conf, name, durability):
    text = OPEN + f"persistence true\npersistence_location {{tmp}}\ndurability {durability}\n"
    b = start_conf(text)
    sub = Client(b, name, V311, clean=False).connect()
    sub.subscribe(name, qos=1)
    sub.disconnect()
    Client(b, "pub", V5).connect().publish(name, b"kept", qos=1, retain=True)
    b.stop()
    b = start_conf(text)
    again = Client(b, name, V311, clean=False).connect()
    assert again.connack["present"]
    assert again.payloads(1) == [b"kept"]


def test_a_file_of_another_program_is_left_as_it_is(tmp_path):
    (tmp_path / "mosquitto.db").write_bytes(b"\x00\xb5\x00mosquitto db" + bytes(100))
    before = (tmp_path / "mosquitto.db").read_bytes()
    text = OPEN + "persistence true\npersistence_location {tmp}\npersistence_file mosquitto.db\n"
    done = run("-c", str(write_conf(tmp_path, text)))
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "mosquitto.db" in done.stderr
    assert (tmp_path / "mosquitto.db").read_bytes() == before


# ---- --check


def test_check(tmp_path):
    path = write_conf(tmp_path, OPEN + "acl_file {tmp}/acl\n", acl="topic a\n")
    done = run("--check", "-c", str(path))
    assert done.returncode == 0 and "is in order" in done.stdout and not done.stderr
    (tmp_path / "acl").write_text("topic a\nnonsense\n", encoding="utf-8")
    done = run("-c", str(path), "--check")
    assert done.returncode == 2 and not done.stdout
    assert (
        done.stderr
        == f"midge: {path}:3: acl_file: {tmp_path}/acl:2: 'nonsense' is none of: topic user pattern\n"
    )


# ---- documents


def test_documents_that_are_made_from_the_tables_are_fresh():
    program = os.path.abspath(MIDGE[0]) if os.sep in MIDGE[0] else shutil.which(MIDGE[0])
    done = subprocess.run(
        [ROOT / "tools/keys.py", "--check", program],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# ---- midge passwd


def passwd(*args, stdin=""):
    return subprocess.run(
        [*MIDGE, "passwd", *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_accounts_are_made_changed_and_removed(start_conf, tmp_path):
    file = tmp_path / "pw"
    assert passwd("-c", file, "ann", stdin="first\n").returncode == 0
    assert (file.stat().st_mode & 0o777) == 0o600
    assert passwd("-b", file, "bob", "pass word").returncode == 0
    assert passwd("-H", "sha512-pbkdf2", "-I", "1000", file, "carl", stdin="c").returncode == 0
    assert passwd("-b", "-H", "sha512", file, "dora", "d").returncode == 0
    assert passwd("-b", file, "ann", "second").returncode == 0
    b = start_conf(HERE + "password_file {tmp}/pw\n")
    for user, password, code in [
        ("ann", "second", 0),
        ("ann", "first", 0x86),
        ("bob", "pass word", 0),
        ("carl", "c", 0),
        ("dora", "d", 0),
    ]:
        assert login(b, f"c-{user}-{password}", user, password)[0] == code, user
    assert passwd("-D", file, "bob").returncode == 0
    hup(b)
    assert login(b, "gone", "bob", "pass word")[0] == 0x86


def test_passwords_in_plain_text_are_hashed(tmp_path):
    file = tmp_path / "pw"
    file.write_text(f"# people\nann:plain\n\nbob:{sha512('x')}\n", encoding="utf-8")
    file.chmod(0o640)
    assert passwd("-U", file).returncode == 0
    comment, ann, blank, bob = file.read_text(encoding="utf-8").splitlines()
    assert re.match(r"ann:\$(argon2id|7)\$", ann) and bob == f"bob:{sha512('x')}"
    assert comment == "# people" and not blank
    assert (file.stat().st_mode & 0o777) == 0o640
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "args,status,says",
    [
        (["-b", "FILE", "a"], 2, "three are wanted: FILE USER PASSWORD"),
        (["-x"], 2, "lists them all"),
        (["-H", "md5", "FILE", "a"], 2, "is none of: argon2id"),
        (["-I", "0", "FILE", "a"], 2, "is no number"),
        (["-b", "FILE", "a:b", "c"], 2, "has no colon"),
        (["FILE", "a"], 2, "none was given"),
        (["-b", "FILE/none", "a", "b"], 1, "none"),
        (["-c", "-b", "FILE", "a", "b"], 1, "is there already"),
        (["-D", "FILE", "nobody"], 1, "there is no user 'nobody'"),
    ],
    ids=lambda x: "-".join(x) if isinstance(x, list) else "",
)
def test_what_passwd_will_not_do(tmp_path, args, status, says):
    file = tmp_path / "pw"
    file.write_text(f"ann:{sha512('x')}\n", encoding="utf-8")
    done = passwd(*[a.replace("FILE", str(file)) for a in args])
    assert done.returncode == status and says in done.stderr and done.stderr.count("\n") == 1
    assert file.read_text(encoding="utf-8") == f"ann:{sha512('x')}\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not shutil.which("mosquitto_passwd"), reason="no mosquitto_passwd here")
def test_files_of_mosquitto_passwd(start_conf, tmp_path):
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", tmp_path / "pw", "ann", "x y"], check=True, timeout=TIMEOUT_S
    )
    b = start_conf(HERE + "password_file {tmp}/pw\n")
    assert login(b, "a", "ann", "x y")[0] == 0
    assert login(b, "b", "ann", "x")[0] == 0x86
