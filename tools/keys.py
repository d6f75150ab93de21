#!/usr/bin/python3
"""keys.py [--check] [PROGRAM] - documents made from the tables inside the program.

Writes docs/man/midge.1, docs/man/midge.conf.5 and the table in docs/COMING_FROM_MOSQUITTO.md from what `midge --help` and
`midge --keys` print; --check says which of them is stale instead, and ends with status 1 if one is. PROGRAM is
build/release/midge if it is not given.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MAN = os.path.join(ROOT, "docs/man")
PAGE = os.path.join(ROOT, "docs/COMING_FROM_MOSQUITTO.md")
TABLE = re.compile(r"(<!-- keys -->\n).*?(<!-- end of keys -->)", re.S)

# The first key of each part of the manual.
PARTS = {
    "include_dir": "FILES AND PROCESS",
    "listener": "LISTENERS",
    "certfile": "TLS",
    "per_listener_settings": "ACCOUNTS AND RIGHTS",
    "memory_limit": "LIMITS",
    "persistence": "STATE ON DISK",
    "set_tcp_nodelay": "PROTOCOL",
    "log_dest": "LOG",
    "control_socket": "SEEING INSIDE",
    "connection": "BRIDGES",
}
FIELDS = "name scope standing reload words span unset part help".split()
OWN = "Midge's own key"


def ask(program, option):
    return subprocess.run([program, option], check=True, capture_output=True, text=True).stdout


def read_keys(program):
    return [dict(zip(FIELDS, line.split("\t"))) for line in ask(program, "--keys").splitlines()]


# ---- manual


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def value(k):
    """How it looks: words to choose from have bars between them."""
    return k["words"].replace(" ", "|") if re.fullmatch(r"[a-z0-9_.]+( [a-z0-9_.]+)+", k["words"]) else k["words"]


def key_entry(k):
    lines = [".TP", f".B {k['name']} {roff(value(k))}".rstrip()]
    text = k["help"][0].upper() + k["help"][1:]
    if k["span"]:
        least, most = k["span"].split("..")
        text += f" ({least} to {most})"
    text += "."
    if k["unset"]:
        text += f" Without it: {k['unset']}."
    lines.append(roff(text))
    marks = ["at start" if k["reload"] == "restart" else "", f"needs a build with {k['part']}" if k["part"] else ""]
    if any(marks):
        lines.append(".I " + ", ".join(m for m in marks if m))
    return lines


def manual_keys(keys):
    lines = []
    for k in keys:
        if k["name"] in PARTS and any(o["standing"] != "refused" for o in keys if o is k):
            lines.append(f".SH {PARTS[k['name']]}")
        if k["standing"] != "refused":
            lines += key_entry(k)
    return "\n".join(lines)


def manual_options(text):
    lines = []
    for line in text.splitlines():
        m = re.match(r"  (?:(-\w), |    )(--[\w-]+) ?([A-Z]*) +(.*)$", line)
        if not m:
            continue
        letter, name, argument, words = m.groups()
        names = ", ".join(f"\\fB{roff(n)}\\fR" for n in (letter, name) if n)
        lines += [".TP", names + (f" \\fI{argument}\\fR" if argument else ""), roff(words[0].upper() + words[1:]) + "."]
    return "\n".join(lines)


# ---- the page for people who have a mosquitto.conf


def standing(k):
    if k["standing"] == "refused":
        return "refused: " + k["help"]
    if k["standing"] == "same":
        return "taken; nothing changes: " + k["help"]
    if k["standing"] == "part":
        return f"only `{k['words']}`: " + k["help"]
    return "served" + (": " + k["help"] if OWN in k["help"] else "")


def table(keys):
    rows = ["| key | where | on SIGHUP | standing |", "|---|---|---|---|"]
    for k in sorted(keys, key=lambda k: k["name"]):
        when = "" if k["standing"] == "refused" else "yes" if k["reload"] == "reload" else "at start"
        name = k["name"].replace("*", "\\*")
        rows.append(f"| `{name}` | {k['scope']} | {when} | {standing(k).replace('|', '/')} |".replace("\\*", "*"))
    count = {s: sum(k["standing"] == s for k in keys) for s in ("served", "same", "part", "refused")}
    rows.append("")
    rows.append(
        f"{len(keys)} keys: {count['served']} served, {count['same']} taken without effect, {count['part']} in part, "
        f"{count['refused']} refused."
    )
    return "\n".join(rows) + "\n"


# ---- files


def make(program):
    """Each file and what should be in it."""
    keys = read_keys(program)
    made = {}
    for name, mark, text in (
        ("midge.1", "@OPTIONS@", manual_options(ask(program, "--help"))),
        ("midge.conf.5", "@KEYS@", manual_keys(keys)),
    ):
        with open(os.path.join(MAN, name + ".in"), encoding="utf-8") as f:
            made[os.path.join(MAN, name)] = f.read().replace(mark, text)
    with open(PAGE, encoding="utf-8") as f:
        made[PAGE] = TABLE.sub(lambda m: m.group(1) + table(keys) + m.group(2), f.read())
    return made


def main():
    args = sys.argv[1:]
    check = "--check" in args
    args = [a for a in args if a != "--check"]
    stale = 0
    for path, text in make(args[0] if args else os.path.join(ROOT, "build/release/midge")).items():
        old = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                old = f.read()
        if old == text:
            continue
        stale += 1
        if check:
            print(f"{os.path.relpath(path, ROOT)}: is stale: run tools/keys.py")
        else:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
