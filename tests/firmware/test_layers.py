"""test_layers.py - TLS and WebSocket on a chip: clients, memory, and those who never finish a handshake."""
import pathlib
import socket
import ssl
import subprocess
import threading

import paho.mqtt.client
import pytest
import rig
from conftest import TIMEOUT_S, wait_stats

CA = str(pathlib.Path(rig.ROOT) / "build/firmware/keys/ca.pem")
TLS, WS = 8883, 8080
AT_ONCE = 4  # LAYERED_CLIENTS
CONNECT = bytes.fromhex("100d00044d5154540402003c000178")
CONNACK = bytes.fromhex("20020000")


@pytest.fixture(scope="module")
def layered(board_name):
    b = rig.Board(board_name, rig.build(board_name, "--layers", "--clients", "12"), layers=True)
    try:
        yield b
        b.stop()  # all memory given back
    finally:
        b.kill()


@pytest.fixture(autouse=True)
def nothing_is_left(layered):
    """What TLS held before a test it holds after it."""
    before = wait_stats(layered, lambda s: s["layered"] == 0 and s["sockets"] == 0, "all closed")
    yield
    wait_stats(layered, lambda s: s["layered"] == 0 and s["tls"] == before["tls"], "TLS has given all back")


def mosquitto(program, board, *options, tls=True):
    where = ["-p", str(board.ports[TLS]), "--cafile", CA] if tls else ["-p", str(board.port)]
    return [program, "-h", "127.0.0.1", *where, *options]


def publish(board, topic, *options, tls=True):
    subprocess.run(mosquitto("mosquitto_pub", board, "-q", "1", "-t", topic, *options, tls=tls), check=True,
                   timeout=TIMEOUT_S)


def test_tls_and_plain_clients_reach_each_other(layered, name):
    with subprocess.Popen(mosquitto("mosquitto_sub", layered, "-t", name, "-q", "1", "-C", "2", "-W", str(TIMEOUT_S)),
                          stdout=subprocess.PIPE) as sub:
        wait_stats(layered, lambda s: s["subscriptions"] == 1, "the subscription")
        publish(layered, name, "-m", "by tls")
        publish(layered, name, "-m", "plain" * 300, tls=False)
        assert sub.communicate(timeout=TIMEOUT_S)[0] == b"by tls\n" + b"plain" * 300 + b"\n"


def tls_client(board):
    context = ssl.create_default_context(cafile=CA)
    plain = socket.create_connection(("127.0.0.1", board.ports[TLS]), TIMEOUT_S)
    return context.wrap_socket(plain, server_hostname="localhost")


def test_memory_of_tls_connections(layered, record_property):
    """Figures for docs/CHIP.md, and a bound that they keep."""
    idle = layered.stats()
    clients = []
    for _ in range(AT_ONCE):
        s = tls_client(layered)
        clients.append(s)
        s.sendall(CONNECT.replace(b"x", b"%d" % len(clients)))
        assert s.recv(4) == CONNACK
    four = wait_stats(layered, lambda s: s["clients"] == AT_ONCE, "all in")
    each = (four["tls"] - idle["tls"]) / AT_ONCE
    print(f"listener {idle['tls']} B, a connection {each:.0f} B, at most {four['tls_peak']} B with {AT_ONCE}, stack "
          f"{four['stack']} of {four['stack_size']} B")
    assert each < 6000
    with pytest.raises(OSError):  # no more of these, but of plain ones
        tls_client(layered)
    publish(layered, "x", "-m", "x", tls=False)
    for s in clients:
        s.close()


def test_silent_tls_clients_hold_up_nobody_and_are_closed(layered, name):
    silent = [socket.create_connection(("127.0.0.1", layered.ports[TLS]), TIMEOUT_S) for _ in range(AT_ONCE - 1)]
    silent[0].sendall(bytes.fromhex("1603010200"))  # a record that never goes on
    wait_stats(layered, lambda s: s["layered"] == len(silent), "they are there")
    publish(layered, name, "-m", "x")
    publish(layered, name, "-m", "x", tls=False)
    for s in silent:
        assert s.recv(1) == b""  # at limits.hello_ms
        s.close()


def test_failed_handshakes_leave_nothing_behind(layered, name):
    for i in range(100):
        with socket.create_connection(("127.0.0.1", layered.ports[TLS]), TIMEOUT_S) as s:
            s.sendall([CONNECT, b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n"][i % 3])
            while s.recv(100):
                pass
    publish(layered, name, "-m", "x")


def test_websocket(layered, name):
    c = paho.mqtt.client.Client(transport="websockets")
    c.ws_set_options(path="/mqtt")
    got, subscribed, arrived = [], threading.Event(), threading.Event()
    c.on_connect = lambda *_: c.subscribe(name, 1)
    c.on_subscribe = lambda *_: subscribed.set()
    c.on_message = lambda _, __, message: (got.append(message.payload), arrived.set())
    c.connect("127.0.0.1", layered.ports[WS])
    c.loop_start()
    assert subscribed.wait(TIMEOUT_S)
    publish(layered, name, "-m", "z" * 1000)
    assert arrived.wait(TIMEOUT_S) and got == [b"z" * 1000]
    c.disconnect()
    c.loop_stop()
