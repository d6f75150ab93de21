"""test_browser.py - a headless Chromium publishes and subscribes through MQTT.js, on ws and wss."""
import base64
import hashlib
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import threading

import pytest
from test_mqttjs import packages  # noqa: F401  (a fixture)
from transports import Transports

HERE = pathlib.Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TIMEOUT_S = 120
FILES = {
    "/": (HERE / "browser/page.html", "text/html"),
    "/mqtt.min.js": (HERE / "node_modules/mqtt/dist/mqtt.min.js", "text/javascript"),
}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here")


class Pages(http.server.ThreadingHTTPServer):
    """Serves the page, tells it where to connect, and takes its results."""

    def __init__(self, places):
        super().__init__(("127.0.0.1", 0), Handler)
        self.places = places
        self.results = queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):  # noqa: N802
        if self.path == "/places":
            self.answer(json.dumps(self.server.places).encode(), "application/json")
        elif self.path in FILES:
            path, kind = FILES[self.path]
            self.answer(path.read_bytes(), kind)
        else:
            self.send_error(404)

    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"", "text/plain")
        self.server.results.put(json.loads(body))

    def log_message(self, *_):
        pass


def fingerprint(certificate):
    """How Chromium is told to trust this one key: of its public key, SHA-256, in base64."""
    pem = subprocess.run(["openssl", "x509", "-in", certificate, "-pubkey", "-noout"], capture_output=True, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.stdout, capture_output=True, check=True)
    return base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()


def test_chromium(tmp_path):
    t = Transports(tmp_path)
    ways = [("ws", "ws"), ("wss", "wss"), ("ws", "any"), ("wss", "any")]
    allowed = [f"{scheme}://localhost:{t.at[place].port}/mqtt" for scheme, place in ways]
    refused = [f"ws://localhost:{t.at['ws-elsewhere'].port}/mqtt"]  # another origin's
    pages = Pages({"allowed": allowed, "refused": refused})
    # Started as root it wants no sandbox; its log is of no use to a passing test.
    browser = subprocess.Popen(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        + ["--no-proxy-server", "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
        + [f"--ignore-certificate-errors-spki-list={fingerprint(t.path('server.pem'))}"]
        + [f"http://127.0.0.1:{pages.server_address[1]}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        results = pages.results.get(timeout=TIMEOUT_S)
        assert {r for r in results if results[r] == "ok"} == {f"{u} {v}" for u in allowed for v in (4, 5)}, results
        assert {f"{u} {v}" for u in refused for v in (4, 5)} <= results.keys()
        t.broker.wait_line("failed: this origin is not let in")
        t.broker.stop()
    finally:
        browser.kill()
        browser.wait()
        pages.shutdown()
        t.broker.kill()
