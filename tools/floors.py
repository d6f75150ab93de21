#!/usr/bin/python3
"""floors.py - checks who includes whom, and the few rules of layout that a compiler does not.

One line per violation, `file:line: what is wrong: how to mend it`; exit status 1 if there is any.
A file of over 600 lines is reported and does not fail. docs/ARCHITECTURE.md draws the floors.
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Floor (by folder, longest match first) -> folders it may include from, besides its own.
DOOR = ["include/midge"]
FLOORS = {
    "include/midge": [],
    "src/base": DOOR,
    "src/codec": ["src/base"] + DOOR,
    "src/state": ["src/base"] + DOOR,
    "src/broker": ["src/codec", "src/state", "src/base"] + DOOR,
    "src/client": ["src/codec", "src/base"] + DOOR,
    "net": ["src/base"] + DOOR,
    "plug": ["net/layer.h"] + DOOR,
    "ports/compat": DOOR,
    "ports": ["ports/compat", "net", "plug"] + DOOR,  # each port is a floor of its own, see floor_of()
    "app": ["ports", "plug", "net/layer.h"] + DOOR,
    "examples": ["ports", "plug", "net/layer.h"] + DOOR,
}
# Where an include is looked for, after the folder of the file that has it.
INCLUDE_PATH = ["include", "src", "ports/compat/include", "ports", "."]
# All that the core may ask of a C library: no stdio, no heap, no clock, no locale, no thread.
CORE_HEADERS = {"limits.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
# src/broker/internal.h belongs to src/broker alone.
PRIVATE = {"src/broker/internal.h": "src/broker"}
# A profile is a list of #defines, included once by midge_config.h.
WITHOUT_GUARD = "include/midge/profiles/"
LONG_FILE = 600
COLUMNS = 120

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b\s*(\w*)")


def sources():
    for top in ("include", "src", "net", "plug", "ports", "app", "examples"):
        for folder, folders, names in os.walk(os.path.join(ROOT, top)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def floor_of(path):
    """The folder that stands for the file's floor; None for a file on no floor."""
    for floor in sorted(FLOORS, key=len, reverse=True):
        if path.startswith(floor + "/"):
            return "/".join(path.split("/")[:2]) if floor == "ports" else floor
    return None


def may_include(path, target):
    floor = floor_of(path)
    if floor is None or floor_of(target) == floor:
        return True
    allowed = FLOORS.get(floor, FLOORS["ports"])
    return any(target == a or target.startswith(a + "/") for a in allowed)


def resolve(path, name):
    """The project's file that an include names, or None."""
    for folder in [os.path.dirname(path)] + INCLUDE_PATH:
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(ROOT, candidate)):
            return candidate
    return None


def include_guard(lines):
    """Numbers of the lines that are the header's guard: #ifndef X, #define X, ..., #endif."""
    found = [(n, m) for n, m in ((n, CONDITIONAL.match(t)) for n, t in enumerate(lines, 1)) if m]
    if not found or found[0][1].group(1) != "ifndef" or found[-1][1].group(1) != "endif":
        return set()
    first = found[0][0]
    if first >= len(lines) or not re.match(r"\s*#\s*define\s+%s\b" % found[0][1].group(2), lines[first]):
        return set()
    return {first, found[-1][0]}


def check_include(path, number, quote, name, say):
    """Says what is wrong with one include; returns the project's file that it names, if any."""
    target = resolve(path, name)
    if target is None:
        # A port may well quote its platform's headers.
        if quote == '"' and not path.startswith(("ports/", "examples/esp-idf/")):
            say(path, number, f'"{name}" is not in this tree: name it from {", ".join(INCLUDE_PATH[:2])} or the '
                              "own folder")
        elif path.startswith("src/") and name not in CORE_HEADERS:
            say(path, number, f"<{name}> in the core: it may use only {', '.join(sorted(CORE_HEADERS))}; ask the "
                              "host through a hook")
        return None
    if target in PRIVATE and not path.startswith(PRIVATE[target] + "/"):
        say(path, number, f"{target} is private to {PRIVATE[target]}: use a header of that floor")
    elif not may_include(path, target):
        say(path, number, f"{floor_of(path)} must not know {floor_of(target)} ({name}): move the code up, or what "
                          "it needs down")
    return target


def check_file(path, say, includes):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    if not re.match(r"/\* (\S+/)?%s - " % re.escape(os.path.basename(path)), lines[0]):
        say(path, 1, f"the first line does not say what the file is for: /* {os.path.basename(path)} - ... */")
    guard = include_guard(lines) if path.endswith(".h") else set()
    if path.endswith(".h") and not guard and not path.startswith(WITHOUT_GUARD):
        say(path, 1, "no include guard around the whole header: #ifndef, #define, ..., #endif")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            say(path, number, f"{len(line)} columns: break the line, {COLUMNS} is the end")
        if "\t" in line:
            say(path, number, "a tab: use spaces")
        found = INCLUDE.match(line)
        if found:
            target = check_include(path, number, found.group(1), found.group(2), say)
            if target:
                includes.setdefault(path, []).append((number, target))
        elif path.startswith("src/") and number not in guard:
            found = CONDITIONAL.match(line)
            if found and found.group(1) not in ("else", "endif"):
                say(path, number, f"#{found.group(1)} in the core: use a number of midge_config.h in an ordinary "
                                  "condition")
    if len(lines) > LONG_FILE:
        print(f"{path}: {len(lines)} lines: is there a second file in it?")


def check_cycles(includes, say):
    """Says each cycle among headers once, at the include that closes it."""
    state = {}
    for start in sorted(includes):
        if start in state:
            continue
        state[start] = "open"
        stack = [(start, iter(includes[start]))]
        while stack:
            path, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[path] = "done"
                stack.pop()
                continue
            number, target = step
            if state.get(target) == "open":
                ring = [p for p, _ in stack]
                ring = ring[ring.index(target):] + [target]
                say(path, number, "headers include each other in a ring: " + " -> ".join(ring))
            elif target not in state:
                state[target] = "open"
                stack.append((target, iter(includes.get(target, []))))


def main():
    violations = []
    includes = {}

    def say(path, number, what):
        violations.append(f"{path}:{number}: {what}")

    files = list(sources())
    for path in files:
        check_file(path, say, includes)
    check_cycles({p: i for p, i in includes.items() if p.endswith(".h")}, say)
    print("\n".join(violations) if violations else f"floors: {len(files)} files keep the rules")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
