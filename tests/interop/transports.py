"""transports.py - a broker that listens in every way there is, each on a port of its own."""
import pathlib
import socket
import subprocess
from types import SimpleNamespace

from conftest import Broker, write_conf

CERTIFICATES = pathlib.Path(__file__).resolve().parents[1] / "tls/certificates"
PSK = ("sensor", "0123456789abcdef0123456789abcdef")

MUTUAL = (
    "certfile {c}/server.pem\nkeyfile {c}/server.key\ncafile {c}/ca.pem\ncrlfile {c}/crl.pem\n"
    "require_certificate true\n"
)
LISTENERS = {
    "tcp": "",
    "tls": "certfile {c}/server.pem\nkeyfile {c}/server.key\n",
    "tls13": "certfile {c}/server.pem\nkeyfile {c}/server.key\ntls_version tlsv1.3\n",
    "mutual": MUTUAL,
    "named": MUTUAL + "use_identity_as_username true\nuse_username_as_clientid true\n",
    "subject": MUTUAL + "use_subject_as_username true\nuse_username_as_clientid true\n",
    "psk": "psk_hint midge\n",
    "named-psk": "psk_hint midge\nuse_identity_as_username true\nuse_username_as_clientid true\n",
    "ws": "protocol websockets\n",
    "ws-elsewhere": "protocol websockets\nwebsockets_origin https://elsewhere.example\n",
    "wss": "protocol websockets\ncertfile {c}/server.pem\nkeyfile {c}/server.key\n",
    "any": "protocol any\ncertfile {c}/server.pem\nkeyfile {c}/server.key\n",
}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Transports:
    """The broker; .at["ws"].port and so on, .unix is a path, .certificates a folder."""

    def __init__(self, folder):
        self.certificates = folder / "certificates"
        subprocess.run([CERTIFICATES, self.certificates], check=True, timeout=60)
        self.unix = folder / "midge.sock"
        ports = dict(zip(LISTENERS, free_ports(len(LISTENERS))))
        text = "allow_anonymous true\npsk_file {tmp}/psk\nlog_type all\n"
        for name, keys in LISTENERS.items():
            text += f"listener {ports[name]} 127.0.0.1\n" + keys.replace("{c}", str(self.certificates))
        text += f"listener 0 {self.unix}\n"
        self.broker = Broker("-c", str(write_conf(folder, text, psk=":".join(PSK) + "\n")))
        self.at = {name: SimpleNamespace(host="localhost", port=port) for name, port in ports.items()}

    def path(self, name):
        return str(self.certificates / name)
