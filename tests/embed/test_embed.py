"""test_embed.py - builds embed.c with the libmidge.a beside the program that MIDGE names, and plays it."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = pathlib.Path(os.environ.get("MIDGE", ROOT / "build/release/midge")).with_name("libmidge.a")
SCENARIOS = [
    "both_sides",
    "from_a_callback",
    "subscribe_from_a_callback",
    "from_threads",
    "memory_limit",
    "two_brokers",
    "start_and_stop",
]


@pytest.fixture(scope="module")
def embed(tmp_path_factory):
    program = tmp_path_factory.mktemp("embed") / "embed"
    symbols = subprocess.run(["nm", LIBRARY], capture_output=True, text=True, check=True).stdout
    checked = ["-fsanitize=address,undefined"] if "__asan_" in symbols else []
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-g",
            *checked,
            f"-I{ROOT}/include",
            str(pathlib.Path(__file__).with_name("embed.c")),
            LIBRARY,
            "-pthread",
            "-o",
            program,
        ],
        check=True,
    )
    return program


def test_every_scenario_is_played(embed):
    assert subprocess.run([embed], capture_output=True, text=True, check=True).stdout.split() == SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_embed(embed, scenario):
    done = subprocess.run([embed, scenario], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0 and not done.stderr, f"status {done.returncode}: {done.stderr}"
