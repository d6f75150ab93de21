"""test_run_commands.py - the runner of the documents fails where a document does not tell the truth."""
import os
import subprocess

import pytest

RUNNER = os.path.join(os.path.dirname(__file__), "../docs/run_commands.py")


@pytest.fixture
def document(tmp_path):
    def run(text):
        path = tmp_path / "doc.md"
        path.write_text(text)
        done = subprocess.run(["/usr/bin/python3", RUNNER, path], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout
    return run


def block(wish, script, language="sh"):
    return f"<!-- test{wish} -->\n```{language}\n{script}\n```\n"


@pytest.mark.parametrize("text", [
    block("", "true"),
    block(': prints "hello"', "echo hello there"),
    block(': until "tick"', "echo tick; sleep 1000"),
    block(': background until "up"', "echo up; sleep 1000") + block("", "true"),
    block("", "#include <midge/midge.h>\nstruct midge *m;", "c"),
    "```sh\nfalse\n```\n" + block("", "true"),  # not marked: not run
])
def test_true_documents_pass(document, text):
    status, out = document(text)
    assert (status, "0 failed" in out) == (0, True), out


@pytest.mark.parametrize("text, says", [
    (block("", "false; true"), "status 1"),
    (block(': prints "hello"', "echo goodbye"), 'did not print "hello"'),
    (block(': until "tick"', "echo tock"), 'never printed "tick"'),
    (block(': until "x', "true"), "not understood"),
    (block("", "no_such_type x;", "c"), "no_such_type"),
    ("```sh\ntrue\n```\n", "no block is marked"),
])
def test_false_documents_fail(document, text, says):
    status, out = document(text)
    assert status == 1
    assert says in out
