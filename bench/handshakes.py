#!/usr/bin/python3
"""handshakes.py [--realtime] [CLIENTS [SECONDS [STRANGERS]]] - what TLS clients notice of a flood of handshakes.

Makes certificates, starts build/release/midge (or the program that the environment variable MIDGE names) on a free port
and runs bench/handshakes.c, which it compiles, against it: 200 clients, 10 seconds, 8 strangers. --realtime puts the broker and the clients,
not the strangers, above everything else on the machine (chrt -r): for machines that have other things to do.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIGURATION = """allow_anonymous true
log_type error
log_type notice
listener {port} 127.0.0.1
certfile {folder}/server.pem
keyfile {folder}/server.key
user {user}
"""


def start(command, folder):
    path = os.path.join(folder, "midge.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONFIGURATION.format(port=0, folder=folder, user=os.environ.get("USER") or "root"))
    broker = subprocess.Popen([*command, "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in broker.stdout:
        found = re.search(r"listens on [^ ,;]+:(\d+)", line)
        if found:
            subprocess.Popen(["cat"], stdin=broker.stdout, stdout=subprocess.DEVNULL)
            return broker, found.group(1)
    sys.exit("the broker does not listen")


def main(arguments):
    above = ["chrt", "-r", "5"] if "--realtime" in arguments else []
    numbers = [a for a in arguments if a != "--realtime"]
    numbers += ["200", "10", "8"][len(numbers) :]
    program = os.environ.get("MIDGE", os.path.join(ROOT, "build/release/midge"))
    with tempfile.TemporaryDirectory() as tmp:
        folder = os.path.join(tmp, "certificates")
        subprocess.run([os.path.join(ROOT, "tests/tls/certificates"), folder], check=True)
        flood = os.path.join(tmp, "handshakes")
        source = os.path.join(ROOT, "bench/handshakes.c")
        subprocess.run(["cc", "-std=c11", "-O2", "-o", flood, source, "-lssl", "-lcrypto"], check=True)
        broker, port = start([*above, program], folder)
        try:
            subprocess.run([*above, flood, port, *numbers], check=True)
        finally:
            broker.terminate()
            broker.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
