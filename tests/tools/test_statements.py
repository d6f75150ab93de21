"""test_statements.py - tools/statements.py finds unknown, untested and stale statements, and links the others."""
import os
import shutil
import subprocess

import pytest

TOOL = os.path.join(os.path.dirname(__file__), "../../tools/statements.py")
HEAD = "id\tapplies_to\tarea\twhat_a_broker_must_do\thow_to_test\tcertain\tnote\n"


def row(statement):
    return f"{statement}\tserver\tconnect\tDo | it.\tSee.\tyes\t\n"


@pytest.fixture
def tree(tmp_path):
    """A tree with two statements that share an id, both obeyed and tested."""
    class Tree:
        def write(self, path, text):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        def read(self, path):
            return (tmp_path / path).read_text()

        def run(self, *arguments):
            done = subprocess.run(["/usr/bin/python3", tmp_path / "tools/statements.py", *arguments],
                                  capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

    t = Tree()
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOL, tmp_path / "tools")
    t.write("tests/spec/mqtt/mqtt5.tsv", HEAD + row("MQTT-1.2.3-4"))
    t.write("tests/spec/mqtt/mqtt311.tsv", HEAD + row("MQTT-1.2.3-4"))
    t.write("tests/spec/mqtt/mqtt5_unnumbered.tsv", HEAD)
    t.write("tests/spec/mqtt/mqtt31_differences.tsv", HEAD)
    t.write("tests/spec/mqtt/exceptions.tsv", "id\tstanding\treason\n")
    t.write("src/codec/x.c", "int x; /* [MQTT-1.2.3-4] */\nint y; /* [MQTT311-1.2.3-4] */\n")
    t.write("tests/spec/x.c", '#define SPEC(...)\n/*\n * SPEC("MQTT-0-0") */\nSPEC("MQTT-1.2.3-4", "MQTT311-1.2.3-4")\nTEST(does_it)\n')
    return t


def test_all_obeyed_and_tested_passes_and_links_code_and_test(tree):
    status, out = tree.run()
    assert status == 0
    assert "| MQTT 5.0 | 1 | 1 | 0 | 0 | 1 |" in out
    report = tree.read("docs/CONFORMANCE.md")
    assert ("| MQTT-1.2.3-4 | connect | Do \\| it. | [x.c:1](../src/codec/x.c#L1) | [does_it](../tests/spec/x.c#L4) |"
            in report)
    assert "| MQTT311-1.2.3-4 | connect | Do \\| it. | [x.c:2](../src/codec/x.c#L2) |" in report


def test_a_fresh_report_passes_the_check_and_a_stale_one_fails_it(tree):
    assert tree.run("--check")[0] == 1
    tree.run()
    assert tree.run("--check")[0] == 0
    tree.write("src/codec/x.c", "\n" + tree.read("src/codec/x.c"))
    status, out = tree.run("--check")
    assert status == 1
    assert "docs/CONFORMANCE.md: stale" in out


@pytest.mark.parametrize("path, text, complaint", [
    ("src/codec/y.c", "\n/* [MQTT-9.9.9-9] */\n", "src/codec/y.c:2: no statement MQTT-9.9.9-9"),
    ("src/codec/y.c", "/* [MQTT-1.2.3-4 to -6] */\n", "src/codec/y.c:1: '[MQTT-1.2.3-4 to -6]' is no mark"),
    ("tests/spec/y.c", '\nSPEC("V31-none") TEST(x)\n', "tests/spec/y.c:2: no statement V31-none"),
    ("tests/spec/x.c", "", "MQTT311-1.2.3-4: neither a test nor an exception"),
    ("tests/spec/mqtt/exceptions.tsv", "id\tstanding\treason\nMQTT-1.2.3-4\tlazy\tr\n", "standing 'lazy' is none of"),
    ("tests/spec/mqtt/exceptions.tsv", "id\tstanding\treason\nMQTT-1.2.3-4\tclient\t\n", "MQTT-1.2.3-4 without a reason"),
    ("tests/spec/mqtt/exceptions.tsv", "id\tstanding\treason\nX-1\tclient\tr\n", ":2: no statement X-1"),
])
def test_an_error_is_named(tree, path, text, complaint):
    tree.write(path, text)
    status, out = tree.run()
    assert status == 1
    assert complaint in out


def test_an_exception_stands_for_a_test(tree):
    tree.write("tests/spec/x.c", 'SPEC("MQTT-1.2.3-4") TEST(x)\n')
    tree.write("tests/spec/mqtt/exceptions.tsv", "id\tstanding\treason\nMQTT311-1.2.3-4\tclient\tbecause\n")
    status, out = tree.run()
    assert status == 0
    assert "| MQTT 3.1.1 | 1 | 0 | 1 | 0 | 1 |" in out
