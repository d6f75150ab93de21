"""test_clients.py - Mosquitto's and Paho's clients against the broker on a chip."""
import subprocess

import pytest
from conftest import TIMEOUT_S, wait_stats
from paho_client import V5, V311, Client
from wire_client import PlainV5


def mosquitto(program, board, *options):
    return [program, "-h", board.host, "-p", str(board.port), *options]


@pytest.fixture
def connect(board):
    """connect(ID, ...): clients that are closed after the test."""
    clients = []

    def new(client_id, version=V5, **options):
        clients.append(Client(board, client_id, version, **options))
        return clients[-1].connect()

    yield new
    for client in clients:
        client.close()


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquitto_pub_reaches_mosquitto_sub(board, name, version, qos):
    with subprocess.Popen(mosquitto("mosquitto_sub", board, "-V", version, "-t", f"{name}/#", "-q", qos, "-C", "2",
                                    "-W", str(TIMEOUT_S)), stdout=subprocess.PIPE, text=True) as sub:
        wait_stats(board, lambda s: s["subscriptions"] == 1, "the subscription")
        subprocess.run(mosquitto("mosquitto_pub", board, "-V", version, "-t", f"{name}/a", "-q", qos, "-l"),
                       input="one\ntwo\n", text=True, check=True, timeout=TIMEOUT_S)
        assert sub.communicate(timeout=TIMEOUT_S)[0] == "one\ntwo\n"
        assert sub.returncode == 0


def test_retained_message_comes_to_a_later_subscriber_and_can_be_removed(board, name):
    pub = mosquitto("mosquitto_pub", board, "-t", name, "-q", "1", "-r")
    sub = mosquitto("mosquitto_sub", board, "-t", name, "-C", "1", "-F", "%r %p")
    subprocess.run([*pub, "-m", "kept"], check=True, timeout=TIMEOUT_S)
    got = subprocess.run([*sub, "-W", str(TIMEOUT_S)], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert got.stdout == "1 kept\n"
    subprocess.run([*pub, "-n"], check=True, timeout=TIMEOUT_S)
    assert board.stats()["retained"] == 0


@pytest.mark.parametrize("version", [V311, V5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_gets_every_message_in_order(connect, name, version, qos):
    sub, pub = connect(name + "-s", version), connect(name + "-p", version)
    assert sub.subscribe(name, qos=qos) == [qos]
    count = 50 if qos else 20  # what a queue holds, as nothing slows down QoS 0
    for i in range(count):
        pub.publish(name, b"%d" % i, qos)
    assert sub.payloads(count) == [b"%d" % i for i in range(count)]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("size", [535, 536, 537, 1072, 4000, 8000])
def test_payloads_of_many_segments_arrive_whole(connect, name, qos, size):
    sub, pub = connect(name + "-s"), connect(name + "-p")
    sub.subscribe(name, qos=qos)
    payloads = [bytes((i * 7 + k) % 251 for k in range(size)) for i in range(3)]
    for payload in payloads:
        pub.publish(name, payload, qos)
        assert sub.payloads(1) == [payload]


def test_will_is_published_when_a_client_vanishes(connect, name):
    sub = connect(name + "-s")
    sub.subscribe(name)
    connect(name, will={"topic": name, "payload": b"gone", "qos": 1}).vanish()
    assert sub.payloads(1) == [b"gone"]


def test_takeover_tells_the_older_connection(board, connect, name):
    old = PlainV5(board, name, TIMEOUT_S)
    connect(name).publish(name, b"mine", 2)
    assert old.last_word() == 0x8E


def test_takeover_resumes_the_session(connect, name):
    connect(name, clean=False, SessionExpiryInterval=60).subscribe(name)
    new = connect(name, clean=False, SessionExpiryInterval=60)
    assert new.connack["present"]
    new.publish(name, b"mine", 2)
    assert new.payloads(1) == [b"mine"]
    new.disconnect(SessionExpiryInterval=0)


def test_session_keeps_messages_for_a_client_that_is_away(connect, name):
    away = connect(name, clean=False, SessionExpiryInterval=60)
    away.subscribe(name, qos=1)
    away.disconnect()
    pub = connect(name + "-p")
    for i in range(10):
        pub.publish(name, b"%d" % i, 1)
    back = connect(name, clean=False, SessionExpiryInterval=60)
    assert back.payloads(10) == [b"%d" % i for i in range(10)]
    back.disconnect(SessionExpiryInterval=0)


def test_last_word_reaches_a_client_that_is_put_out(board, name):
    c = PlainV5(board, name, TIMEOUT_S)
    c.publish(name, b"x" * 12000)  # still on its way when the broker says no
    assert c.last_word() == 0x95


def test_clients_that_come_and_go_leave_nothing_behind(board, name):
    before = wait_stats(board, lambda s: s["sockets"] == 0, "nobody is connected")
    for i in range(40):
        c = Client(board, f"{name}-{i}", will={"topic": name, "payload": b"w", "qos": 1}).connect()
        c.subscribe(f"{name}/{i}/+")
        c.publish(f"{name}/{i}/a", b"p", 1)
        if i % 2:
            c.disconnect()
        else:
            c.vanish()
    after = wait_stats(board, lambda s: s["sockets"] == 0 and s["sessions"] == 0 and s["heap"] == 0, "all are gone")
    assert after["used"] == before["used"]
