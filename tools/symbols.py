#!/usr/bin/python3
"""symbols.py LIBMIDGE_A - what the compiled core defines and needs.

The core (src/) keeps no global variable, needs nothing of a C library but mem* and str* functions, and gives away only
names that begin with midge_. One line per violation; exit status 1 if there is any.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What a freestanding C11 compiler may call of itself, and strlen for texts of the host.
ALLOWED = {"memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "_GLOBAL_OFFSET_TABLE_"}


def core_objects():
    """Names of the library's members that come from src/."""
    with open(os.path.join(ROOT, "cmake/sources.cmake"), encoding="utf-8") as f:
        return {os.path.basename(p) + ".o" for p in re.findall(r"^\s+(src/\S+\.c)$", f.read(), re.M)}


def members(output):
    """Member name -> lines, from the output of a binutils program on an archive."""
    found, name = {}, None
    for line in output.split("\n"):
        head = re.match(r"^([\w.]+\.o)(?:\s+\(ex .*\))?\s*:", line)
        if head:
            name = head.group(1)
            found[name] = []
        elif name and line.strip():
            found[name].append(line.split())
    return found


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    library = sys.argv[1]
    core = core_objects()
    violations = []
    symbols = {n: s for n, s in members(run("nm", library)).items() if n in core}
    if set(symbols) != core:
        violations.append(f"{library}: lacks {', '.join(sorted(core - set(symbols)))}")
    defined = {s[-1] for lines in symbols.values() for s in lines if len(s) == 3}
    for name, lines in sorted(symbols.items()):
        for s in lines:
            if s[0] == "U" and s[1] not in defined | ALLOWED:
                violations.append(f"{name}: needs {s[1]}: ask the host through a hook")
            if len(s) == 3 and s[1].isupper() and not s[2].startswith("midge_"):
                violations.append(f"{name}: gives away {s[2]}: make it static or call it midge_{s[2]}")
    for name, lines in sorted(members(run("size", "-A", "-d", library)).items()):
        for s in lines if name in core else []:
            if s[0].split(".")[1:2] in (["data"], ["bss"]) and not s[0].startswith(".data.rel.ro") and int(s[1]):
                violations.append(f"{name}: {s[1]} bytes of {s[0]}: a variable belongs into struct midge")
    print("\n".join(violations) if violations else f"symbols: {len(core)} objects of the core are closed")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
