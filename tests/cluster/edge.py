#!/usr/bin/python3
"""edge.py [nats|rabbitmq|mosquitto] [--messages N] [--cut S] - two Midges with a cluster between them, under fire.

    publisher -> Midge A == bridge == cluster == bridge == Midge B -> subscriber        and the other way round

While N messages go each way, a node of the cluster (the broker, where there is only one: not at all) is killed with -9
and brought back, the uplink of A is cut for S seconds, and A is killed with -9 and started again with its store. In the
end: what was lost (has to be 0), what came twice, what overtook another one.

QoS 1 with nats and rabbitmq, which know no more; QoS 2, and so no message twice, with mosquitto.
Exit status 77: the broker is not installed.
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

import paho.mqtt.client as paho  # noqa: E402
from conftest import Broker, write_conf  # noqa: E402
from test_bridge import Mosquitto, Proxy, free_port  # noqa: E402

SKIP = 77


def program(name, package):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/rabbitmq/bin")
    if not found:
        print(f"skipped: {name} is not here (Debian's package {package})")
        sys.exit(SKIP)
    return found


def wait_port(port, seconds=90):
    import socket

    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.1)


# ---- what stands between the two


class Nats:
    """Three servers with JetStream: sessions and messages are in all of them."""

    qos = 1

    def __init__(self, folder):
        self.program = program("nats-server", "nats-server")
        self.folder = folder
        self.ports = [free_port() for _ in range(3)]
        self.routes = [free_port() for _ in range(3)]
        self.nodes = [self._start(i) for i in range(3)]
        for port in self.ports:
            wait_port(port)
        self._settle()

    def _start(self, i):
        conf = self.folder / f"n{i}.conf"
        routes = ", ".join(f'"nats://127.0.0.1:{p}"' for p in self.routes)
        conf.write_text(
            f'server_name: n{i}\nlisten: "127.0.0.1:{free_port()}"\n'
            f'jetstream {{ store_dir: "{self.folder}/n{i}" }}\n'
            f'cluster {{ name: c, listen: "127.0.0.1:{self.routes[i]}", routes: [{routes}] }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.ports[i]}", ack_wait: "5s", max_ack_pending: 100 }}\n'
        )
        log = open(self.folder / f"n{i}.log", "ab")
        return subprocess.Popen([self.program, "-c", str(conf)], stdout=log, stderr=log)

    def _settle(self):
        """Until the three have a leader, and take a session that stays."""
        end = time.monotonic() + 60
        while True:
            done = threading.Event()
            c = paho.Client("probe", clean_session=False)
            c.on_connect = lambda c, u, f, code: code or done.set()
            try:
                c.connect("127.0.0.1", self.ports[0])
                c.loop_start()
                ok = done.wait(10)
                c.loop_stop()
                c.disconnect()
            except OSError:
                ok = False
            if ok:
                return
            assert time.monotonic() < end, "the cluster does not come up"
            time.sleep(1)

    def kill(self):
        self.nodes[0].kill()
        self.nodes[0].wait()

    def bring_back(self):
        self.nodes[0] = self._start(0)

    def close(self):
        for n in self.nodes:
            n.terminate()
        for n in self.nodes:
            n.wait()


class Rabbit:
    qos = 1

    def __init__(self, folder):
        self.program = program("rabbitmq-server", "rabbitmq-server")
        self.ports = [free_port()]
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{free_port()}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.ports[0]}\n"
            "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
            "mqtt.prefetch = 100\n"
        )
        env = os.environ | {
            "RABBITMQ_NODENAME": f"midge{self.ports[0]}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "HOME": str(folder),
        }
        if os.geteuid() == 0:
            shutil.chown(folder, "rabbitmq")
            for path in folder.rglob("*"):
                shutil.chown(path, "rabbitmq")
        log = open(folder / "rabbitmq.out", "ab")
        self.process = subprocess.Popen([self.program], env=env, stdout=log, stderr=log, start_new_session=True)
        wait_port(self.ports[0], 180)

    def kill(self):
        pass

    def bring_back(self):
        pass

    def close(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


class Single(Mosquitto):
    qos = 2

    def __init__(self, folder):
        program("mosquitto", "mosquitto")
        super().__init__(folder, "max_inflight_messages 100")
        self.ports = [self.port]

    def kill(self):
        pass

    def bring_back(self):
        pass


CLUSTERS = {"nats": Nats, "rabbitmq": Rabbit, "mosquitto": Single}

# ---- who publishes and who counts


class Publisher:
    """Numbers to ten topics in turn; it comes back whatever happens to its broker."""

    def __init__(self, port, client_id, prefix, count, qos):
        self.prefix, self.count, self.qos = prefix, count, qos
        self.done = 0
        self.room = threading.Semaphore(200)
        self.paho = paho.Client(client_id, clean_session=False)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.max_queued_messages_set(0)
        self.paho.max_inflight_messages_set(100)
        self.paho.on_publish = self._on_publish
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _on_publish(self, client, user, mid):
        self.done += 1
        self.room.release()

    def _run(self):
        for i in range(self.count):
            self.room.acquire()
            self.paho.publish(f"{self.prefix}/{i % 10}", str(i).encode(), self.qos)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


class Subscriber:
    def __init__(self, port, client_id, prefix, qos):
        self.got = []
        granted = threading.Event()
        self.paho = paho.Client(client_id, clean_session=False)
        self.paho.reconnect_delay_set(1, 1)
        self.paho.on_message = lambda c, u, m: self.got.append(int(m.payload))
        self.paho.on_subscribe = lambda *a: granted.set()
        self.paho.on_connect = lambda c, *a: c.subscribe(prefix + "/#", qos)
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()
        assert granted.wait(30)

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def judge(name, got, count):
    """True: nothing was lost. NATS sends again, after its ack_wait, behind what is newer: that is counted, not judged."""
    seen, last, overtaken = set(), {}, 0
    for n in got:
        if n not in seen:
            overtaken += n < last.get(n % 10, -1)  # first occurrences, of one topic
            last[n % 10] = max(n, last.get(n % 10, -1))
        seen.add(n)
    lost = count - len(seen)
    print(f"{name}: {count} published, {lost} lost, {len(got) - len(seen)} twice, {overtaken} out of order")
    return lost == 0


def midge(folder, name, port, addresses, qos, maps):
    home = folder / name
    home.mkdir(exist_ok=True)
    text = (
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {{tmp}}\n"
        "max_queued_messages 0\nmax_queued_bytes 0\nlog_type error\nlog_type warning\nlog_type notice\n"
        f"connection {name}\naddress {' '.join(f'127.0.0.1:{p}' for p in addresses)}\n"
        "restart_timeout 1\nround_robin true\nnotifications false\n"
        + "".join(f"topic {t} {d} {qos}\n" for t, d in maps)
    )
    return Broker("-c", str(write_conf(home, text)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cluster", choices=CLUSTERS, nargs="?", default="nats")
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--cut", type=float, default=60)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="midge-edge-"))
    os.chmod(folder, 0o755)
    (folder / "cluster").mkdir()
    cluster = CLUSTERS[args.cluster](folder / "cluster")
    lines = [Proxy(p) for p in cluster.ports]
    qos = cluster.qos
    a_port, b_port = free_port(), free_port()
    a_maps, b_maps = [("a/#", "out"), ("b/#", "in")], [("a/#", "in"), ("b/#", "out")]

    def start_a():
        return midge(folder, "a", a_port, [p.port for p in lines], qos, a_maps)

    a, b = start_a(), midge(folder, "b", b_port, cluster.ports[::-1], qos, b_maps)
    a.wait_line("Bridge a: connected")
    b.wait_line("Bridge b: connected")
    at_a, at_b = Subscriber(a_port, "at-a", "b", qos), Subscriber(b_port, "at-b", "a", qos)
    start = time.monotonic()

    def say(what):
        print(f"{time.monotonic() - start:6.1f} s  {what}; arrived {len(at_a.got)} and {len(at_b.got)}", flush=True)

    from_a = Publisher(a_port, "from-a", "a", args.messages, qos)
    from_b = Publisher(b_port, "from-b", "b", args.messages, qos)

    def wait(part):
        while min(len(at_a.got), len(at_b.got)) < args.messages * part and time.monotonic() - start < 900:
            time.sleep(0.02)

    wait(0.1)
    say("a node of the cluster is killed")
    cluster.kill()
    wait(0.2)
    cluster.bring_back()
    say("it is back")
    wait(0.3)
    say(f"A's uplink is cut for {args.cut} s")
    for line in lines:
        line.cut()
    time.sleep(args.cut)
    for line in lines:
        line.mend()
    say("it is mended")
    while len(at_b.got) < args.messages * 0.5 and time.monotonic() - start < 900:
        time.sleep(0.02)
    say("A is killed with -9")
    a.kill()
    a = start_a()
    say("it is back")

    def complete(s):
        return len(set(s.got)) >= args.messages

    end = time.monotonic() + 300
    while not (complete(at_a) and complete(at_b)) and time.monotonic() < end:
        time.sleep(0.2)
    say("everything is here" if time.monotonic() < end else "given up")
    time.sleep(2)
    good = judge("A to B", at_b.got, args.messages)
    good &= judge("B to A", at_a.got, args.messages)
    if qos == 2:
        good &= len(at_a.got) == len(at_b.got) == args.messages
    for each in (from_a, from_b, at_a, at_b):
        each.close()
    a.kill()
    b.kill()
    for line in lines:
        line.close()
    cluster.close()
    shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
