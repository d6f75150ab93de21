"""test_mqttjs.py - MQTT.js over 3.1, 3.1.1 and 5.0; the scenarios are in mqttjs/client.js."""
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
SCRIPT = HERE / "mqttjs/client.js"
ALL = [
    "qos",
    "order",
    "retained",
    "will",
    "session",
    "takeover",
    "sizes",
    "topics",
    "wildcards",
    "unsubscribe",
    "shared",
    "ping",
    "reconnect",
]
ONLY_5 = ["properties", "options", "aliases", "reasons", "assigned"]
NAMES = {3: "3.1", 4: "3.1.1", 5: "5.0"}
CASES = [(v, s) for v in NAMES for s in ALL + (ONLY_5 if v == 5 else [])]


@pytest.fixture(scope="module", autouse=True)
def packages():
    """script/bootstrap installs them; here for those who run pytest by hand."""
    if not (HERE / "node_modules/mqtt").is_dir():
        subprocess.run(["npm", "--prefix", HERE, "ci", "--no-audit", "--no-fund"], check=True, timeout=300)


@pytest.mark.parametrize("version, scenario", CASES, ids=[f"{NAMES[v]}-{s}" for v, s in CASES])
def test_mqttjs(broker, version, scenario):
    done = subprocess.run(
        ["node", SCRIPT, str(broker.port), str(version), scenario],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_scenario_is_run():
    listed = subprocess.run(
        ["node", SCRIPT, "0", "0", "--list"], capture_output=True, text=True, check=True, timeout=60
    )
    assert sorted(listed.stdout.split()) == sorted(ALL + ONLY_5)
