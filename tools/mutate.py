#!/usr/bin/python3
"""mutate.py [--count N] [--seed N] [--minutes N] [--only TEXT] [--again] [--report] - do the unit and specification tests bite?

Breaks src/ in one place at a time: a comparison flipped, a condition fixed, a statement dropped, a constant changed.
All such places are listed, an order is drawn by the seed, and the first N (2,000) that compile to other code are
tried: the changed file is compiled, the library linked anew, and the tests run until one fails, crashes or takes more
than its CPU time.

Results stand in build/mutate/SEED-FINGERPRINT.tsv (of src/), which a later run goes on with. --report says what is in
it. --only takes the mutants whose "file:line" has TEXT in it. --again begins with those that survived: the tests may have grown.
"""
import argparse
import collections
import glob
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CC = os.environ.get("CC", "cc")
UNIT_CPU_S, SPEC_CPU_S = 10, 30  # of CPU, so that a busy machine kills no mutant
MODES = [], ["--durable"]
SLOWEST = 24  # specification tests that most of the time goes to: only for mutants that the others let live

ABOVE = {"base": {"base", "codec", "state", "client"}, "codec": {"codec", "client"}, "state": {"state"},
         "client": {"client"}, "broker": set()}  # floors whose unit tests may notice

Mutant = collections.namedtuple("Mutant", "path line column length new kind")


# ---- where src/ can be broken ---------------------------------------------------------------------------------

def blank(text):
    """The same text with spaces for comments, strings, characters and preprocessor lines."""
    pattern = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|^[ \t]*#(?:\\\n|[^\n])*", re.S | re.M)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def inside_functions(text):
    """True for each character that is in a function's body."""
    mask, depth, begin, body = bytearray(len(text)), 0, 0, False
    for at, c in enumerate(text):
        if c == "{":
            if depth == 0:
                body = text[begin:at].rstrip().endswith(")")
            depth += 1
        elif c == "}":
            depth -= 1
            if depth == 0:
                begin = at + 1
        elif c == ";" and depth == 0:
            begin = at + 1
        mask[at] = body and depth > 0
    return mask


FLIPS = {"==": ["!="], "!=": ["=="], "<=": ["<", ">"], ">=": [">", "<"], "<": ["<=", ">="], ">": [">=", "<="],
         "&&": ["||"], "||": ["&&"], "+=": ["-="], "-=": ["+="], "++": ["--"], "--": ["++"], "<<": [">>"], ">>": ["<<"],
         "|=": ["&="], "&=": ["|="]}
OPERATOR = re.compile(r"->|\+\+|--|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[-+*/%<>!&|^~?:=]")
NUMBER = re.compile(r"(?<![\w.])(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)(?![\w.])")
WORD = re.compile(r"\b(true|false|MIDGE_RC_[A-Z_0-9]+)\b")
CONDITION = re.compile(r"\b(if|while)\b *(?=\()")
STATEMENT = re.compile(r"^[ \t]+(?!return\b|goto\b|else\b|case\b|default\b|struct\b|enum\b|static\b|const\b|typedef\b)"
                       r"(?:[A-Za-z_*(+-][^;{}]*?);[ \t]*$", re.M)
DECLARATION = re.compile(r"^\s*(?:const\s+|unsigned\s+|struct\s+\w+\s+|enum\s+\w+\s+)*[A-Za-z_]\w*\s+\**[A-Za-z_]\w*(?:\[[^\]]*\])?\s*(?:=|;)")


def closing(text, at):
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i + 1
    return at


def binary(text, at):
    """Is the + or - here between two operands?"""
    before = text[:at].rstrip()
    return bool(before) and (before[-1].isalnum() or before[-1] in "_)]") and not before.endswith("return")


def places(text):
    """(offset, length, new text, kind) of each change."""
    code = blank(text)
    for m in OPERATOR.finditer(code):
        op = m.group()
        if op in FLIPS:
            for new in FLIPS[op]:
                yield m.start(), len(op), new, "operator"
        elif op in "+-" and binary(code, m.start()):
            yield m.start(), 1, "-" if op == "+" else "+", "operator"
        elif op == "!":
            yield m.start(), 1, "", "negation"
    for m in NUMBER.finditer(code):
        value, suffix = int(m.group(1), 0), m.group(2)
        yield m.start(), len(m.group()), f"{value + 1}{suffix}", "constant"
        if value:
            yield m.start(), len(m.group()), f"{value - 1}{suffix}", "constant"
    for m in WORD.finditer(code):
        word = m.group()
        new = {"true": "false", "false": "true", "MIDGE_RC_SUCCESS": "MIDGE_RC_UNSPECIFIED",
               "MIDGE_RC_UNSPECIFIED": "MIDGE_RC_SUCCESS"}.get(word, "MIDGE_RC_UNSPECIFIED")
        yield m.start(), len(word), new, "constant"
    for m in CONDITION.finditer(code):
        end = closing(code, m.end())
        yield m.end(), end - m.end(), "(0)", "condition"
        if m.group(1) == "if":
            yield m.end(), end - m.end(), "(1)", "condition"
    for m in STATEMENT.finditer(code):
        if not DECLARATION.match(m.group()):
            start = m.start() + len(m.group()) - len(m.group().lstrip())
            yield start, m.end() - start, ";", "statement"


def all_mutants():
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, "src/*/*.[ch]"))):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        mask = inside_functions(blank(text))
        whole = path.endswith(".c")  # tables too
        for at, length, new, kind in places(text):
            tables = whole and kind == "constant"
            if not mask[at] and not tables:
                continue
            line = text.count("\n", 0, at) + 1
            found.append((Mutant(os.path.relpath(path, ROOT), line, at - text.rfind("\n", 0, at), length, new, kind), at))
    return sorted(set(found))


# ---- building and running -------------------------------------------------------------------------------------

class Tree:
    """A copy of the tree with a library and test programs; one for each way to compile."""

    def __init__(self, name, flags):
        self.dir = os.path.join(ROOT, "build/mutate", name)
        self.flags = ["-std=c11", "-w", "-fPIC", *flags, "-Iinclude", "-Isrc", "-I.", "-Iports/compat/include"]
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir + "/obj")
        for folder in ("src", "include", "tests/unit", "tests/spec", "tests/support"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(self.dir, folder))
        self.sources = sorted(glob.glob("src/*/*.c", root_dir=self.dir))
        self.objects = {s: "obj/" + s.replace("/", "_")[:-2] + ".o" for s in self.sources}
        for s in self.sources:
            self.must(self.compile_command(s))
        self.original = {s: self.read(o) for s, o in self.objects.items()}
        self.must(self.link_command())
        self.units = []
        for path in sorted(glob.glob("tests/unit/test_*.c", root_dir=self.dir)):
            name = os.path.basename(path)[:-2]
            # Tests of what is above the core do not link, and are left out.
            if not self.run([CC, *self.flags, path, "-o", name, *self.link_options(), "-lcmocka"]):
                self.units.append(name)
        self.must([CC, *self.flags, *sorted(glob.glob("tests/spec/*.c", root_dir=self.dir)), "-o", "spec", *self.link_options()])
        self.slow = self.slowest()
        self.includers = {h: self.who_includes(h) for h in glob.glob("src/*/*.h", root_dir=self.dir)}

    def link_options(self):
        return ["-L.", "-lmidge_mutant", "-Wl,-rpath,$ORIGIN"]

    def compile_command(self, source):
        return [CC, *self.flags, "-c", source, "-o", self.objects[source]]

    def link_command(self):
        return [CC, *self.flags, "-shared", *self.objects.values(), "-o", "libmidge_mutant.so"]

    def run(self, command):
        return subprocess.run(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode

    def must(self, command):
        subprocess.run(command, cwd=self.dir, check=True)

    def read(self, path):
        with open(os.path.join(self.dir, path), "rb") as f:
            return f.read()

    def who_includes(self, header):
        found = []
        for s in self.sources:
            listed = subprocess.run([CC, *self.flags, "-MM", s], cwd=self.dir, stdout=subprocess.PIPE, text=True, check=True).stdout
            if header in listed.replace("\\\n", " ").split():
                found.append(s)
        return found

    def apply(self, mutant, at):
        """'' = applied and linked, 'invalid' = does not compile, 'same' = compiles to the same code."""
        path = os.path.join(self.dir, mutant.path)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text[:at] + mutant.new + text[at + mutant.length:])
        try:
            touched = [mutant.path] if mutant.path.endswith(".c") else self.includers[mutant.path]
            if any(self.run(self.compile_command(s)) for s in touched):
                return "invalid"
            if all(self.read(self.objects[s]) == self.original[s] for s in touched):
                return "same"
            return "invalid" if self.run(self.link_command()) else ""
        finally:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

    def restore(self, mutant):
        touched = [mutant.path] if mutant.path.endswith(".c") else self.includers[mutant.path]
        for s in touched:
            with open(os.path.join(self.dir, self.objects[s]), "wb") as f:
                f.write(self.original[s])

    def fails(self, program, cpu_s, *args):
        """spec goes on after a failure: the first line on its stderr is enough."""
        shell = f'ulimit -c 0; ulimit -v 4000000; ulimit -t {cpu_s}; exec ./{program} "$@"'
        with subprocess.Popen(["timeout", "600", "bash", "-c", shell, program, *args], cwd=self.dir,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
            said = program == "spec" and child.stderr.readline()
            if said:
                child.terminate()
            else:
                child.stderr.read()
            return bool(said) or child.wait() != 0

    def killer(self, mutant):
        """The first test program that fails, '' = none."""
        floor, stem = mutant.path.split("/")[1], os.path.basename(mutant.path)[:-2]
        near = [u for u in self.units if u == "test_" + stem]
        far = [u for u in self.units if u not in near and self.floor_of(u) in ABOVE[floor]]
        quick = [("spec", [*mode, *self.slow]) for mode in MODES]
        units = [(u, []) for u in far]
        for program, args in [*[(u, []) for u in near], quick[0], *units, *quick[1:], ("spec", [])]:
            if self.fails(program, SPEC_CPU_S if program == "spec" else UNIT_CPU_S, *args):
                return program
        return ""

    def floor_of(self, unit):
        """Of the file that a unit test is named after."""
        return next((s.split("/")[1] for s in self.sources if s.endswith("/" + unit[len("test_"):] + ".c")), "base")

    def slowest(self):
        """--but options for the tests that take longest."""
        took = []
        names = subprocess.run(["./spec", "--list"], cwd=self.dir, stdout=subprocess.PIPE, text=True, check=True).stdout
        for name in names.split():
            before = os.times()
            self.run(["./spec", "--filter", name])
            after = os.times()
            took.append((after.children_user - before.children_user, name))
        return [arg for _, name in sorted(took)[-SLOWEST:] for arg in ("--but", name)]


# ---- the run --------------------------------------------------------------------------------------------------

def name_of(mutant):
    return f"{mutant.path}:{mutant.line}:{mutant.column}:{mutant.length}:{mutant.new or '-'}"


def read_results(path):
    """name -> (verdict, killer)"""
    results = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                name, verdict, killer, *_ = line.rstrip("\n").split("\t")
                results[name] = verdict, killer
    return results


def line_of(mutant):
    with open(os.path.join(ROOT, mutant.path), encoding="utf-8") as f:
        return f.read().split("\n")[mutant.line - 1].strip()


def report(mutants, results, seed, count):
    verdicts = collections.Counter(v for v, _ in results.values())
    tried = verdicts["killed"] + verdicts["survived"]
    by_name = {name_of(m): m for m, _ in mutants}
    for name, (verdict, _) in sorted(results.items()):
        if verdict == "survived" and name in by_name:
            m = by_name[name]
            print(f"survived  {m.path}:{m.line}:{m.column}  {m.kind}: {m.new or 'dropped'}    | {line_of(m)}")
    print(f"{len(mutants)} places; seed {seed}: {tried} of {count} tried, {verdicts['killed']} killed, "
          f"{verdicts['survived']} survived ({100 * verdicts['killed'] / max(tried, 1):.1f} % killed); besides "
          f"{verdicts['invalid']} that do not compile, {verdicts['same']} that compile to the same code")


def fingerprint():
    """Of src/: results hold for one state of it."""
    total = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(ROOT, "src/*/*.[ch]"))):
        with open(path, "rb") as f:
            total.update(f.read())
    return total.hexdigest()[:8]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=2000)
    options.add_argument("--seed", type=int, default=2026)
    options.add_argument("--minutes", type=float, default=1e9)
    options.add_argument("--only", default="")
    options.add_argument("--again", action="store_true")
    options.add_argument("--report", action="store_true")
    o = options.parse_args()
    mutants = all_mutants()
    order = list(mutants)
    random.Random(o.seed).shuffle(order)
    order = [m for m in order if o.only in f"{m[0].path}:{m[0].line}"]
    table = os.path.join(ROOT, f"build/mutate/{o.seed}-{fingerprint()}.tsv")
    os.makedirs(os.path.dirname(table), exist_ok=True)
    results = read_results(table)
    if o.again:
        survived = {name for name, (verdict, _) in results.items() if verdict == "survived"}
        order.sort(key=lambda m: name_of(m[0]) not in survived)
        results = {name: result for name, result in results.items() if name not in survived}
    if not o.report:
        run(order, results, table, o)
    report(mutants, results, o.seed, o.count)


def run(order, results, table, o):
    end = time.time() + o.minutes * 60
    tree = Tree("tree", ["-O1"])
    broken = tree.killer(Mutant("src/base/none.c", 0, 0, 0, "", ""))
    if broken:
        sys.exit(f"mutate.py: a test fails without any mutant: {broken} in {tree.dir}")
    done = sum(results.get(name_of(m), ("",))[0] in ("killed", "survived") for m, _ in order)
    with open(table, "a", encoding="utf-8") as f:
        for mutant, at in order:
            if done >= o.count or time.time() > end:
                break
            if name_of(mutant) in results:
                continue
            verdict, killer = tree.apply(mutant, at), ""
            if not verdict:
                killer = tree.killer(mutant)
                verdict = "killed" if killer else "survived"
                done += 1
            tree.restore(mutant)
            results[name_of(mutant)] = verdict, killer
            f.write(f"{name_of(mutant)}\t{verdict}\t{killer}\t{mutant.kind}\n")
            f.flush()


main()
