"""test_bad_input.py - each wrong configuration of tests/bad_input prints one line that names file, line and key."""
import os
import subprocess

import pytest
from conftest import MIDGE, ROOT, TIMEOUT_S

FOLDER = ROOT / "tests/bad_input"
PROGRAM = [os.path.abspath(MIDGE[0]), *MIDGE[1:]] if os.sep in MIDGE[0] else MIDGE
ROWS = [
    line.split("\t")
    for line in (FOLDER / "expected.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize("file,line,says", ROWS, ids=[row[0] for row in ROWS])
def test_one_line_and_status_2(file, line, says):
    start = f"midge: {says}" if line == "-" else f"midge: {file}:{line}: {says}"
    for option in ("--check", "-v"):  # what --check finds, a start finds too
        done = subprocess.run(
            [*PROGRAM, option, "-p", "0", "-c", file],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=FOLDER,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.stderr.startswith(start.replace("@", file)) and done.stderr.count("\n") == 1, done.stderr
        assert done.returncode == 2 and not done.stdout


def test_every_file_is_expected_to_say_something():
    assert sorted(p.name for p in FOLDER.glob("*.conf")) == sorted(row[0] for row in ROWS)
    assert len(ROWS) >= 80


def test_the_file_itself_is_missing():
    done = subprocess.run(
        [*PROGRAM, "-c", "/no/such/file"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stderr) == (2, "midge: /no/such/file: No such file or directory\n")
