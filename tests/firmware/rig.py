"""rig.py - a board in QEMU with the broker on it: its console, its control socket, its port on the loopback."""
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = str(ROOT / "script/firmware")
BOARDS = ("lm3s6965evb", "riscv32")
TIMEOUT_S = 30


def build(board, *options):
    """The image's path."""
    done = subprocess.run([SCRIPT, board, "--build", *options], stdout=subprocess.PIPE, check=True, text=True)
    return str(ROOT / done.stdout.strip().split("\n")[-1])


class Qmp:
    """QEMU's control socket: one command at a time."""

    def __init__(self, path):
        end = time.monotonic() + TIMEOUT_S
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                assert time.monotonic() < end, "QEMU did not open its control socket"
                time.sleep(0.02)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.stream.close()
        self.socket.close()


class Board:
    """A running board. What its console said is in `lines`; its broker listens on host:port. With layers, `ports` says
    what leads to the board's 8883 and 8080."""

    def __init__(self, board, image, layers=False):
        self.host = "127.0.0.1"
        self.lines = []
        self.changed = threading.Condition()
        self.closed = False
        self.folder = tempfile.TemporaryDirectory()
        self.bad_accesses = pathlib.Path(self.folder.name) / "accesses"
        qmp = f"{self.folder.name}/qmp"
        self.process = subprocess.Popen(
            [SCRIPT, board, "--image", image, "--port", "0", "--qmp", qmp, "--log", str(self.bad_accesses),
             *(["--layers"] if layers else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.qmp = Qmp(qmp)
            self.ready = self.wait_line(r"^ready .*").group(0)
            network = self.qmp("human-monitor-command", **{"command-line": "info usernet"})
            ways = re.findall(r"127\.0\.0\.1\s+(\d+)\s+10\.0\.2\.15\s+(\d+)", network)
            self.ports = {int(inside): int(outside) for outside, inside in ways}
            self.port = self.ports[1883]
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stdout:
            self._note(line.decode("utf-8", "replace").rstrip("\r\n"))
        self._note(None)

    def _note(self, line):
        with self.changed:
            if line is None:
                self.closed = True
            else:
                self.lines.append(line)
            self.changed.notify_all()

    def wait_line(self, pattern, after=0):
        """The match of the first line that fits, after the first `after` lines."""
        found = []

        def look():
            found[:] = [m for m in map(re.compile(pattern).search, self.lines[after:]) if m]
            return found or self.closed

        with self.changed:
            self.changed.wait_for(look, TIMEOUT_S)
            assert found, f"the board did not say {pattern!r}, but: {self.lines[-20:]}"
            return found[0]

    def command(self, letter):
        self.process.stdin.write(letter.encode())
        self.process.stdin.flush()

    def stats(self):
        """What the board counts, as numbers; of a pair a/b, NAME and NAME_size."""
        before = len(self.lines)
        self.command("s")
        found = {}
        for name, value, size in re.findall(r"(\w+)=(\d+)(?:/(\d+))?", self.wait_line(r"^stats .*", before).group(0)):
            found[name] = int(value)
            if size:
                found[name + "_size"] = int(size)
        return found

    def link(self, up):
        self.qmp("set_link", name="n0", up=up)

    def wait_end(self):
        """The exit status."""
        status = self.process.wait(TIMEOUT_S)
        self.reader.join(TIMEOUT_S)
        return status

    def stop(self):
        """Ends in order: every client told, all memory given back, no access to what is not there."""
        if self.process.poll() is None:
            self.command("q")
        status = self.wait_end()
        accesses = self.bad_accesses.read_text() if self.bad_accesses.exists() else ""
        self.kill()
        assert status == 0 and "stopped" in self.lines, (status, self.lines[-20:])
        assert not accesses, accesses[:2000]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if hasattr(self, "qmp"):
            self.qmp.close()
        self.folder.cleanup()
