"""test_floors.py - tools/floors.py names each violation at its file and line, and nothing else."""
import os
import shutil
import subprocess

import pytest

TOOL = os.path.join(os.path.dirname(__file__), "../../tools/floors.py")

# A small tree that keeps all rules.
TREE = {
    "include/midge/midge.h": "/* midge.h - door. */\n#ifndef A\n#define A\n#endif\n",
    "src/base/mem.h": '/* mem.h - memory. */\n#ifndef B\n#define B\n#include "midge/midge.h"\n#endif\n',
    "src/codec/frame.h": '/* frame.h - frames. */\n#ifndef C\n#define C\n#include "base/mem.h"\n#endif\n',
    "src/state/msg.h": '/* msg.h - messages. */\n#ifndef D\n#define D\n#include "base/mem.h"\n#endif\n',
    "src/broker/internal.h": '/* internal.h - all. */\n#ifndef E\n#define E\n#include "codec/frame.h"\n#endif\n',
    "src/broker/conn.c": '/* conn.c - connections. */\n#include "broker/internal.h"\n#include "state/msg.h"\n',
    "ports/posix/loop.c": '/* loop.c - loop. */\n#include <stdio.h>\n#include "midge/midge.h"\n',
}


@pytest.fixture
def floors(tmp_path):
    (tmp_path / "tools").mkdir()
    shutil.copy(TOOL, tmp_path / "tools")

    def run(**changes):
        files = dict(TREE)
        files.update({path.replace("__", "/").replace("_dot_", "."): text for path, text in changes.items()})
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        done = subprocess.run(["/usr/bin/python3", tmp_path / "tools/floors.py"], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout.strip().split("\n")
    return run


def test_a_tree_that_keeps_the_rules_passes(floors):
    status, lines = floors()
    assert status == 0
    assert lines == [f"floors: {len(TREE)} files keep the rules"]


@pytest.mark.parametrize("path, line", [
    ("src__codec__frame_dot_c", '#include "state/msg.h"'),       # codec and state are strangers
    ("src__state__msg_dot_c", '#include "codec/frame.h"'),
    ("src__base__map_dot_c", '#include "codec/frame.h"'),        # nobody looks up
    ("src__codec__frame_dot_c", '#include "broker/internal.h"'),
    ("src__client__client_dot_c", '#include "broker/internal.h"'),
    ("ports__posix__sock_dot_c", '#include "base/mem.h"'),       # ports use the door
    ("app__midge__main_dot_c", '#include "../../src/base/mem.h"'),
    ("src__base__map_dot_c", "#include <stdio.h>"),
    ("src__base__map_dot_c", "#include <stdlib.h>"),
    ("src__base__map_dot_c", '#include "base/gone.h"'),
    ("src__base__map_dot_c", "#if MIDGE_WILL"),
    ("src__base__map_dot_c", "#ifdef __GNUC__"),
    ("src__base__map_dot_c", "\tint x;"),
    ("src__base__map_dot_c", "int x; /* " + "long " * 30 + "*/"),
])
def test_a_violation_is_named_at_its_line(floors, path, line):
    name = path.replace("__", "/").replace("_dot_", ".")
    status, lines = floors(**{path: f"/* {os.path.basename(name)} - here. */\n\n{line}\n"})
    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}:3: ")


def test_a_file_without_its_first_line_is_named(floors):
    status, lines = floors(src__base__map_dot_c="int x;\n")
    assert status == 1
    assert [text.split(": ")[0] for text in lines] == ["src/base/map.c:1"]


def test_a_header_without_guard_is_named(floors):
    status, lines = floors(src__base__map_dot_h="/* map.h - map. */\n")
    assert status == 1
    assert [text.split(": ")[0] for text in lines] == ["src/base/map.h:1"]


def test_a_ring_of_headers_is_named_once(floors):
    guard = "/* {0}.h - {0}. */\n#ifndef {0}\n#define {0}\n#include \"base/{1}.h\"\n#endif\n"
    status, lines = floors(src__base__a_dot_h=guard.format("a", "b"), src__base__b_dot_h=guard.format("b", "a"))
    assert status == 1
    assert len(lines) == 1
    assert "src/base/a.h -> src/base/b.h -> src/base/a.h" in lines[0]


def test_a_long_file_is_reported_and_passes(floors):
    status, lines = floors(src__base__map_dot_c="/* map.c - map. */\n" + "int x;\n" * 700)
    assert status == 0
    assert lines[0].startswith("src/base/map.c: 70")
