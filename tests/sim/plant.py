#!/usr/bin/python3
"""plant.py NAME|all - does the simulator see it? Builds the core with a known bug and runs worlds until one diverges.

Says after how many steps each bug was caught; the status is 0 if all were, within LIMIT steps.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS = 10000  # of a world
LIMIT = 2_000_000

# name: what is wrong, and (file, text that stands there, text of the bug)
PLANTS = {
    "lost-ack": (
        "one PUBACK in 64 is not sent",
        [("src/broker/on_publish.c", "    midge_send_ack(c, pk->qos == 1",
          "    if (pk->pid % 64 == 63 && pk->qos == 1)\n        return MIDGE_RC_SUCCESS;\n    midge_send_ack(c, pk->qos == 1")],
    ),
    "dup-qos2": (
        "one QoS 2 packet id in 8 is not recognized when it comes again",
        [("src/broker/on_publish.c", "pk.qos == 2 && midge_ids_has(c->session->received, pk.pid))",
          "pk.qos == 2 && pk.pid % 8 != 7 && midge_ids_has(c->session->received, pk.pid))")],
    ),
    "stale-retained": (
        "one message in 16 does not replace the retained one",
        [("src/broker/route.c", "    if (msg->payload_len == 0) {",
          "    if (msg->payload_len % 16 == 3 && midge_retain_get(&m->retain, midge_msg_topic(msg)))\n"
          "        return true;\n    if (msg->payload_len == 0) {")],
    ),
    "leak": (
        "a message keeps a reference when packet id 11 is acknowledged",
        [("src/broker/deliver.c", "    midge_book(m, s, e->qos, BOOK_ACKNOWLEDGED, 1);\n",
          "    midge_book(m, s, e->qos, BOOK_ACKNOWLEDGED, 1);\n    if (e->pid == 11)\n        (void)midge_msg_hold(e->msg);\n")],
    ),
    "use-after-takeover": (
        "a connection that was taken over still has its session",
        [("src/broker/conn.c", "    c->state = (uint8_t)state;",
          "    c->state = reason == MIDGE_RC_SESSION_TAKEN_OVER ? CONN_UP : (uint8_t)state;"),
         ("src/broker/conn.c", "    c->session = NULL;\n    midge_session_leave(c->m, s);",
          "    c->session = c->reason == MIDGE_RC_SESSION_TAKEN_OVER ? s : NULL;\n    midge_session_leave(c->m, s);")],
    ),
    "store-early-ack": (
        "a message is acknowledged before its record is synced",
        [("src/broker/durable.c", "    d->dirty |= must && !store->relaxed_ms;", "    (void)must;")],
    ),
    "store-lost-record": (
        "one queued message in 32 has no record",
        [("src/broker/durable.c", "    write_message(m, message_record(m, e->msg));\n    t->written = true;",
          "    if (t->id % 32 == 7)\n        return;\n    write_message(m, message_record(m, e->msg));\n    t->written = true;")],
    ),
    "store-qos2-twice": (
        "the packet ids of QoS 2 that came in have no record",
        [("src/broker/durable.c", "    struct draft *d = begin_of(m, RECEIVED, session_id(s));",
          "    if (pid)\n        return;\n    struct draft *d = begin_of(m, RECEIVED, session_id(s));")],
    ),
    "store-old-retained": (
        "one retained message in four that was replaced keeps its record",
        [("src/broker/durable.c", "    begin_at(m, RETAINED, t->id);\n    finish(m, DEL, must);",
          "    begin_at(m, RETAINED, t->id);\n    if (t->id % 4)\n        finish(m, DEL, must);")],
    ),
}


def sources():
    with open(os.path.join(ROOT, "cmake/sources.cmake"), encoding="utf-8") as f:
        text = f.read()
    lists = re.findall(r"^set\(MIDGE_(?:BASE|CODEC|STATE|BROKER|CLIENT)_SOURCES\n(.*?)^\)", text, re.M | re.S)
    return [path for block in lists for path in block.split()]


def apply(scratch, edits):
    for path, old, new in edits:
        full = os.path.join(scratch, path)
        with open(full, encoding="utf-8") as f:
            text = f.read()
        if text.count(old) != 1:
            sys.exit(f"plant.py: {path} has changed: the text to replace is there {text.count(old)} times:\n{old}")
        with open(full, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))


def build(scratch):
    sim = sorted(os.path.join("tests/sim", n) for n in os.listdir(os.path.join(ROOT, "tests/sim")) if n.endswith(".c"))
    program = os.path.join(scratch, "sim")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Iinclude", "-Isrc", *sources(), *sim, "-o", program],
                   cwd=scratch, check=True)
    return program


def steps_until_caught(program):
    """(steps, what it said), or (None, '')."""
    for seed in range(1, LIMIT // STEPS + 1):
        run = subprocess.run([program, "--seed", str(seed), "--steps", str(STEPS), "--no-shrink"],
                             stdout=subprocess.PIPE, text=True, check=False)
        found = re.search(r"^seed \d+ diverges at step (\d+): (.*)$", run.stdout, re.M)
        if found:
            return (seed - 1) * STEPS + int(found.group(1)), found.group(2)
    return None, ""


def plant(name):
    about, edits = PLANTS[name]
    with tempfile.TemporaryDirectory() as scratch:
        for folder in ("src", "include", "tests/sim"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(scratch, folder))
        apply(scratch, edits)
        steps, said = steps_until_caught(build(scratch))
    print(f"{name}: {about}: " + (f"caught after {steps} steps: {said}" if steps else "NOT caught"), flush=True)
    return steps is not None


def main():
    names = sys.argv[1:] or ["all"]
    names = list(PLANTS) if names == ["all"] else names
    unknown = [n for n in names if n not in PLANTS]
    if unknown:
        sys.exit(f"plant.py: no plant {unknown[0]}; there are: {', '.join(PLANTS)}")
    caught = sum(plant(n) for n in names)
    print(f"{caught} passed, {len(names) - caught} failed")
    sys.exit(caught != len(names))


main()
