"""conftest.py - builds the firmware of each board once, and starts boards for the tests.

FIRMWARE_BOARDS names the boards (default: all); IMAGE_<board> an image that is built already.
"""
import os
import pathlib
import re
import sys
import time
import zlib

import pytest
import rig

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "interop"))  # paho_client.py

TIMEOUT_S = rig.TIMEOUT_S
BOARDS = os.environ.get("FIRMWARE_BOARDS", " ".join(rig.BOARDS)).split()


@pytest.fixture(scope="session", params=BOARDS)
def board_name(request):
    return request.param


@pytest.fixture(scope="session")
def image(board_name):
    return os.environ.get(f"IMAGE_{board_name}") or rig.build(board_name)


@pytest.fixture(scope="module")
def board(board_name, image):
    """One board for the tests of a file; it has to end in order."""
    b = rig.Board(board_name, image)
    try:
        yield b
        b.stop()
    finally:
        b.kill()


@pytest.fixture
def own_board(board_name, image):
    """A board that one test has for itself, and ends as it likes."""
    b = rig.Board(board_name, image)
    try:
        yield b
    finally:
        b.kill()


@pytest.fixture
def name(request):
    """A short word for client ids and topics that no other test uses."""
    return re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[5:25] + f"-{zlib.crc32(request.node.name.encode()):08x}"


def wait_stats(board, condition, what):
    """The statistics, once they are so."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        stats = board.stats()
        if condition(stats):
            return stats
        assert time.monotonic() < end, f"never came: {what}: {stats}"
        time.sleep(0.05)
