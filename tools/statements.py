#!/usr/bin/python3
"""statements.py [--check] - each statement of the standards, the code that obeys it, the test that shows it.

Reads tests/spec/mqtt/*.tsv, the marks `[MQTT-3.3.2-6]` in include/, src/, net/, plug/ and ports/, and `SPEC("MQTT-3.3.2-6")` in
tests/spec and tests/unit; writes docs/CONFORMANCE.md. With --check it writes nothing and fails if that file is stale.

Always an error, one line each: a mark with an id that no standard has, a statement with neither test nor exception,
an exception that says nothing.
"""
import collections
import csv
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STATEMENTS = "tests/spec/mqtt"
EXCEPTIONS = STATEMENTS + "/exceptions.tsv"
REPORT = "docs/CONFORMANCE.md"

# File, title, and how its ids read in our marks.
STANDARDS = [
    ("mqtt5.tsv", "MQTT 5.0", lambda i: i),
    ("mqtt5_unnumbered.tsv", "MQTT 5.0, rules without a number", lambda i: i),
    ("mqtt311.tsv", "MQTT 3.1.1", lambda i: i.replace("MQTT-", "MQTT311-", 1)),
    ("mqtt31_differences.tsv", "MQTT 3.1, where it differs", lambda i: i),
]
STANDINGS = {
    "client": "concerns clients only",
    "restart": "waits for durable storage",
    "not-broker": "concerns neither broker nor client",
}

ID = r"(?:MQTT311|MQTT|U5|V31)-[A-Za-z0-9.\-]+"
MARK = re.compile(r"\[(%s(?:[,;]? %s)*)\]" % (ID, ID))
BROKEN_MARK = re.compile(r"\[(?:MQTT311|MQTT|U5|V31)-[^\]]*\]?")
SPEC = re.compile(r"^[ \t]*((?:SPEC\([^)]*\)\s*)+)(?:\w+\((\w+)|static void (\w+))?", re.M)

Statement = collections.namedtuple("Statement", "id concerns area what")
Place = collections.namedtuple("Place", "path line name")


def read_rows(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_standards():
    """Title -> statements in the order of the standard."""
    return {
        title: [
            Statement(mark(r["id"]), r["applies_to"], r["area"], r["what_a_broker_must_do"])
            for r in read_rows(f"{STATEMENTS}/{name}")
        ]
        for name, title, mark in STANDARDS
    }


def c_files(*tops):
    for top in tops:
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as f:
                        yield os.path.relpath(path, ROOT), f.read()


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def read_marks(errors):
    """Id -> places in the code."""
    places = collections.defaultdict(list)
    for path, text in c_files("include", "src", "net", "plug", "ports"):
        for found in BROKEN_MARK.finditer(text):
            whole = MARK.fullmatch(found.group(0))
            line = line_of(text, found.start())
            if not whole:
                errors.append(f"{path}:{line}: '{found.group(0)}' is no mark: one id in its own brackets, on one line")
                continue
            for statement in re.findall(ID, whole.group(1)):
                places[statement].append(Place(path, line, None))
    return places


def read_tests():
    """Id -> places of tests."""
    places = collections.defaultdict(list)
    for path, text in c_files("tests/spec", "tests/unit"):
        for found in SPEC.finditer(text):
            name = found.group(2) or found.group(3)
            for statement in re.findall(r'"([^"]*)"', found.group(1)):
                places[statement].append(Place(path, line_of(text, found.start()), name))
    return places


def read_exceptions(errors):
    exceptions = {}
    for number, row in enumerate(read_rows(EXCEPTIONS), 2):
        if row["standing"] not in STANDINGS:
            errors.append(f"{EXCEPTIONS}:{number}: standing '{row['standing']}' is none of {', '.join(STANDINGS)}")
        if not (row["reason"] or "").strip():
            errors.append(f"{EXCEPTIONS}:{number}: {row['id']} without a reason")
        exceptions[row["id"]] = (row["standing"], row["reason"] or "", number)
    return exceptions


def check(standards, marks, tests, exceptions, errors):
    known = {s.id for statements in standards.values() for s in statements}
    for places in (marks, tests):
        for statement, where in places.items():
            if statement not in known:
                errors.extend(f"{p.path}:{p.line}: no statement {statement} in {STATEMENTS}" for p in where)
    for statement, (_, _, number) in exceptions.items():
        if statement not in known:
            errors.append(f"{EXCEPTIONS}:{number}: no statement {statement}")
    for statements in standards.values():
        for s in statements:
            if s.id not in tests and s.id not in exceptions:
                errors.append(f"{s.id}: neither a test nor an exception: {s.what}")


def link(place):
    text = os.path.basename(place.path) + f":{place.line}" if not place.name else place.name
    return f"[{text}](../{place.path}#L{place.line})"


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def counts_table(standards, marks, tests, exceptions):
    yield "| standard | statements | tested | excepted | neither | marked in the code |"
    yield "|---|---|---|---|---|---|"
    for title, statements in standards.items():
        tested = sum(s.id in tests for s in statements)
        excepted = sum(s.id not in tests and s.id in exceptions for s in statements)
        marked = sum(s.id in marks for s in statements)
        yield (f"| {title} | {len(statements)} | {tested} | {excepted} | {len(statements) - tested - excepted} "
               f"| {marked} |")


def report(standards, marks, tests, exceptions):
    yield "# Conformance"
    yield ""
    yield "Written by `tools/statements.py`; do not edit. Each statement of the standards as a broker has to obey it, the"
    yield "code that does, the test that shows it. Every test runs with its bytes cut in several ways (tests/CMakeLists.txt)."
    yield ""
    yield from counts_table(standards, marks, tests, exceptions)
    yield ""
    yield "Exceptions: " + "; ".join(f"*{k}* {v}" for k, v in STANDINGS.items()) + "."
    for title, statements in standards.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield "| statement | area | what | code | tests | exception |"
        yield "|---|---|---|---|---|---|"
        for s in statements:
            standing, reason, _ = exceptions.get(s.id, ("", "", 0))
            code = ", ".join(link(p) for p in marks.get(s.id, []))
            shown = ", ".join(link(p) for p in tests.get(s.id, []))
            why = f"*{standing}*: {cell(reason)}" if standing else ""
            yield f"| {s.id} | {s.area} | {cell(s.what)} | {code} | {shown} | {why} |"


def main():
    errors = []
    standards = read_standards()
    marks, tests, exceptions = read_marks(errors), read_tests(), read_exceptions(errors)
    check(standards, marks, tests, exceptions, errors)
    text = "\n".join(report(standards, marks, tests, exceptions)) + "\n"
    path = os.path.join(ROOT, REPORT)
    if "--check" in sys.argv[1:]:
        try:
            with open(path, encoding="utf-8") as f:
                stale = f.read() != text
        except FileNotFoundError:
            stale = True
        if stale:
            errors.append(f"{REPORT}: stale: run tools/statements.py")
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    print("\n".join(errors + list(counts_table(standards, marks, tests, exceptions))))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
