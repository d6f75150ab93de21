#!/usr/bin/python3
"""mutate_statements.py [--check] - do the specification tests bite? Breaks the code for 40 statements, one at a time.

Draws 40 of the statements that are marked in the broker's code by a seed (the ids in the order of SHA-256 of
"seed:id": a new mark moves few of them). tests/mutants/statements.tsv says for each drawn one how to break the rule:
id, file, old text, new text ("\\n" = a new line); several rows of one id are one mutant. Each is applied to a copy
of the tree and compiled, and the tests that name the statement run; if they all pass, the others do.

Fails if a drawn statement has no row, an old text is not in its file exactly once, or a mutant survives. With
--check it looks at the table only.
"""
import collections
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

import statements

SEED = 2026
COUNT = 40
TABLE = "tests/mutants/statements.tsv"
CORE = ("src/base", "src/codec", "src/state", "src/broker")
CC = os.environ.get("CC", "cc")
FLAGS = ["-std=c11", "-O1", "-w", "-Iinclude", "-Isrc", "-I.", "-Itests/spec"]
TIMEOUT_S = 60

Edit = collections.namedtuple("Edit", "number path old new")


def draw():
    marks = statements.read_marks([])
    ids = [i for i, places in marks.items() if any(p.path.startswith(CORE) for p in places)]
    return sorted(ids, key=lambda i: hashlib.sha256(f"{SEED}:{i}".encode()).hexdigest())[:COUNT]


def read_table():
    """Id -> edits."""
    edits = collections.defaultdict(list)
    with open(os.path.join(statements.ROOT, TABLE), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            row = line.rstrip("\n").split("\t")
            if len(row) != 4:
                sys.exit(f"{TABLE}:{number}: {len(row)} columns, not 4")
            if row[0] != "id":
                edits[row[0]].append(Edit(number, row[1], row[2].replace("\\n", "\n"), row[3].replace("\\n", "\n")))
    return edits


def check_table(drawn, table):
    errors = [f"{TABLE}: no row for {i}, which seed {SEED} draws" for i in drawn if i not in table]
    for statement in drawn:
        for e in table[statement]:
            with open(os.path.join(statements.ROOT, e.path), encoding="utf-8") as f:
                times = f.read().count(e.old)
            if times != 1:
                errors.append(f"{TABLE}:{e.number}: {statement}: the old text is {times} times in {e.path}, not once")
    return errors


def names_of(statement):
    """Tests of tests/spec that say that they show it."""
    return [p.name for p in statements.read_tests()[statement] if p.path.startswith("tests/spec") and p.name]


class Tree:
    """A copy of what the specification tests are built from, and its objects."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("include", "src", "tests/spec"):
            shutil.copytree(os.path.join(statements.ROOT, part), os.path.join(folder, part))
        self.sources = sorted(
            os.path.join(top, name)
            for top in CORE + ("tests/spec",)
            for name in os.listdir(os.path.join(folder, top))
            if name.endswith(".c")
        )
        for source in self.sources:
            if not self.compile(source):
                sys.exit(f"{source}: does not compile")
        if not self.link():
            sys.exit("the specification tests do not link")

    def run(self, *command):
        return subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT_S, check=False, text=True, errors="replace")

    def compile(self, source):
        return self.run(CC, *FLAGS, "-c", source, "-o", source[:-2] + ".o").returncode == 0

    def link(self):
        return self.run(CC, "-o", "spec", *(s[:-2] + ".o" for s in self.sources)).returncode == 0

    def fails(self, *arguments):
        """What a run of the tests says when they do not pass; "" = they do."""
        try:
            done = self.run("./spec", *arguments)
        except subprocess.TimeoutExpired:
            return "timeout"
        return "" if done.returncode == 0 else done.stdout or f"signal {-done.returncode}"


def failing_name(output):
    """The first test that a run of all of them names as failed."""
    for line in output.splitlines():
        if line.startswith("    in "):
            return line.split()[1]
    return output.strip().splitlines()[-1] if output.strip() else "a crash"


def apply(tree, edits):
    """Breaks the copy; returns what undoes it."""
    before = {}
    for e in edits:
        path = os.path.join(tree.folder, e.path)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        before.setdefault(path, text)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(e.old, e.new))
    return before


def build(tree, edits):
    sources = {e.path for e in edits if e.path.endswith(".c")}
    if any(e.path.endswith(".h") for e in edits):
        sources = tree.sources
    return all(tree.compile(s) for s in sources) and tree.link()


def caught_by(tree, statement):
    """(the test, does it name the statement); (None, False) = the mutant survives."""
    for name in names_of(statement):
        if tree.fails("--filter", name):
            return name, True
    output = tree.fails()
    return (failing_name(output), False) if output else (None, False)


def try_one(tree, statement, edits):
    before = apply(tree, edits)
    if not build(tree, edits):
        sys.exit(f"{TABLE}:{edits[0].number}: the mutant of {statement} does not compile")
    result = caught_by(tree, statement)
    for path, text in before.items():
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    build(tree, edits)
    return result


def main():
    drawn, table = draw(), read_table()
    errors = check_table(drawn, table)
    if errors or "--check" in sys.argv[1:]:
        print("\n".join(errors) or f"{TABLE}: all {len(drawn)} drawn statements have a mutant")
        return 1 if errors else 0
    caught = by_name = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        if tree.fails():
            sys.exit("the specification tests fail without any mutant:\n" + tree.fails())
        for statement in drawn:
            name, named = try_one(tree, statement, table[statement])
            caught += name is not None
            by_name += named
            how = "" if named else " (which does not name it)" if name else ""
            print(f"{statement:18} {table[statement][0].path:24} {name or 'SURVIVES'}{how}", flush=True)
    print(f"seed {SEED}: {len(drawn)} broken, {caught} caught, {by_name} of them by a test that names the statement")
    return 0 if caught == len(drawn) else 1


if __name__ == "__main__":
    sys.exit(main())
