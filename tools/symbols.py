#!/usr/bin/python3
"""symbols.py BUILD_DIR - what the compiled core defines and needs.

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


def core_objects(build):
    """The objects that a CMake build made of src/, one for each file of cmake/sources.cmake."""
    with open(os.path.join(ROOT, "cmake/sources.cmake"), encoding="utf-8") as f:
        sources = re.findall(r"^\s+(src/\S+\.c)$", f.read(), re.M)
    return [os.path.join(build, "CMakeFiles/midge.dir", s + ".o") for s in sources]


def lines_of(*command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split() for line in done.stdout.split("\n") if line.strip()]


def main():
    build = sys.argv[1]
    objects = core_objects(build)
    symbols = {path: lines_of("nm", path) for path in objects}
    defined = {s[-1] for lines in symbols.values() for s in lines if len(s) == 3}
    violations = []
    for path, lines in symbols.items():
        name = os.path.relpath(path, os.path.join(build, "CMakeFiles/midge.dir"))[:-2]
        for s in lines:
            if s[0] == "U" and s[1] not in defined | ALLOWED:
                violations.append(f"{name}: needs {s[1]}: ask the host through a hook")
            if len(s) == 3 and s[1].isupper() and not s[2].startswith("midge_"):
                violations.append(f"{name}: gives away {s[2]}: make it static or call it midge_{s[2]}")
        for s in lines_of("size", "-A", "-d", path):
            if re.match(r"\.(data|bss)(?!\.rel\.ro)", s[0]) and int(s[1]) > 0:
                violations.append(f"{name}: {s[1]} bytes of {s[0]}: a variable belongs into struct midge")
    print("\n".join(violations) if violations else f"symbols: {len(objects)} objects of the core are closed")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
