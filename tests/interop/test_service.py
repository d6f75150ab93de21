"""test_service.py - under a service manager: a small stand-in speaks systemd's protocols to the broker."""
import os
import re
import signal
import socket
import subprocess

import pytest
from conftest import MIDGE, ROOT, TIMEOUT_S, write_conf
from paho_client import V5, Client

OPEN = "listener 0 127.0.0.1\nallow_anonymous true\n"


class Manager:
    """Listens at $NOTIFY_SOCKET, starts the broker with it, and reads what it says about itself."""

    def __init__(self, folder, name):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(TIMEOUT_S)
        self.notify.bind(name if name.startswith("\0") else str(folder / name))
        self.environment = dict(
            os.environ, NOTIFY_SOCKET=name.replace("\0", "@") if name[0] == "\0" else str(folder / name)
        )
        self.process = None

    def start(self, conf, sockets=(), **environment):
        self.environment.update(environment)
        # the pid is the shell's, which becomes the broker
        script = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"'
        if sockets:
            self.environment["LISTEN_FDS"] = str(len(sockets))
            script = "".join(f"exec {3 + i}<&{s.fileno()}; " for i, s in enumerate(sockets)) + script
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *MIDGE, "-c", str(conf)],
            env=self.environment,
            pass_fds=[s.fileno() for s in sockets],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self):
        return dict(line.split("=", 1) for line in self.notify.recv(4096).decode().splitlines())

    def wait_told(self, key):
        while key not in (state := self.told()):
            pass
        return state

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        self.notify.close()


@pytest.fixture
def manager(tmp_path):
    m = Manager(tmp_path, "notify")
    yield m
    m.end()


def test_ready_reload_stop(manager, tmp_path):
    conf = write_conf(tmp_path, OPEN)
    manager.start(conf)
    assert manager.told()["READY"] == "1"
    manager.process.send_signal(signal.SIGHUP)
    state = manager.told()
    assert state["RELOADING"] == "1" and int(state["MONOTONIC_USEC"]) > 0
    assert manager.told()["READY"] == "1"
    conf.write_text("nonsense\n", encoding="utf-8")
    manager.process.send_signal(signal.SIGHUP)
    assert "RELOADING" in manager.told()
    state = manager.told()
    assert state["READY"] == "1" and "wrong" in state["STATUS"]
    manager.process.send_signal(signal.SIGTERM)
    assert manager.told()["STOPPING"] == "1"
    assert manager.process.wait(TIMEOUT_S) == 0


def test_a_name_in_the_abstract(tmp_path):
    m = Manager(tmp_path, f"\0midge-test-{os.getpid()}")
    try:
        m.start(write_conf(tmp_path, OPEN))
        assert m.told()["READY"] == "1"
        m.process.send_signal(signal.SIGTERM)
        assert m.process.wait(TIMEOUT_S) == 0
    finally:
        m.end()


def test_watchdog(manager, tmp_path):
    manager.start(write_conf(tmp_path, OPEN), WATCHDOG_USEC="100000")
    assert "READY" in manager.told()
    for _ in range(3):
        assert manager.told() == {"WATCHDOG": "1"}


def test_sockets_that_were_opened_for_it(manager, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        conf = write_conf(tmp_path, f"listener {port}\nallow_anonymous true\nmax_qos 1\n")
        manager.start(conf, sockets=[s])
    assert "READY" in manager.told()
    manager.host, manager.port = "127.0.0.1", port
    c = Client(manager, "a", V5).connect()
    assert c.connack["props"].MaximumQoS == 1
    # it listens on nothing else
    with open(f"/proc/{manager.process.pid}/net/tcp", encoding="ascii") as f:
        assert len([line for line in f if re.search(rf":{port:04X} .* 0A ", line)]) == 1
    manager.process.send_signal(signal.SIGHUP)  # and keeps it
    assert "READY" in manager.wait_told("READY")
    Client(manager, "b", V5).connect().disconnect()
    c.disconnect()
    manager.process.send_signal(signal.SIGTERM)
    assert manager.process.wait(TIMEOUT_S) == 0


def test_sockets_for_another_process_are_not_ours(manager, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        manager.start(write_conf(tmp_path, f"listener {port} 127.0.0.1\nallow_anonymous true\n"))
        assert manager.process.wait(TIMEOUT_S) == 1  # the port is taken, and nobody handed it over
        assert "in use" in manager.process.stderr.read()


def test_the_unit_file_names_what_there_is():
    unit = (ROOT / "packaging/midge.service").read_text(encoding="utf-8")
    assert "Type=notify\n" in unit and "ExecStart=/usr/bin/midge -c /etc/midge/midge.conf" in unit
    assert "ExecReload=/bin/kill -HUP $MAINPID" in unit
