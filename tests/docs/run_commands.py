#!/usr/bin/python3
"""run_commands.py [FILE...] - does what README.md and docs/*.md tell people to do, and sees whether it works.

A fenced block is run when an HTML comment stands right before it:

    <!-- test -->                            sh: must end with status 0. c: must compile and link with the libraries.
    <!-- test: prints "hello" -->            and its output must contain the words
    <!-- test: background until "words" -->  sh: starts it, goes on once its output has the words, ends it with the
                                             document
    <!-- test: until "words" -->             sh: may run on; ended once its output has the words

All blocks of one document run in the project's root, in order.
"""
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE_S = 300  # for one block; a build may be part of it

BLOCK = re.compile(r"^<!-- test(?:: *([^\n]*?))? *-->\n+```(\w+)\n(.*?)^```$", re.M | re.S)
WISH = re.compile(r'(prints|background until|until) "([^"]*)"')


class Failed(Exception):
    pass


class Running:
    """A block of shell commands in a process group of its own, its output gathered as it comes."""

    def __init__(self, script):
        self.output = b""
        self.ended = False
        self.changed = threading.Condition()
        self.process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            piece = self.process.stdout.read1(65536)
            with self.changed:
                self.output += piece
                self.ended = not piece
                self.changed.notify_all()
            if not piece:
                return

    def text(self):
        return self.output.decode("utf-8", "replace")

    def wait_for(self, words):
        """Returns once the output has the words."""
        with self.changed:
            self.changed.wait_for(lambda: words in self.text() or self.ended, PATIENCE_S)
        if words not in self.text():
            raise Failed(f'never printed "{words}"; printed:\n{self.text()}')

    def finish(self):
        """Waits for its own end; returns what it printed."""
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"still running after {PATIENCE_S} s; printed:\n{self.text()}") from None
        self.reader.join(1)
        if status != 0:
            raise Failed(f"ended with status {status}; printed:\n{self.text()}")
        return self.text()

    def end(self):
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, signal_number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + 5
            while self.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)


def compile_c(code):
    libraries = [os.path.join(ROOT, f"build/release/libmidge{part}.a") for part in ("-compat", "-tls", "")]
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "block.c")
        with open(source, "w", encoding="utf-8") as f:
            f.write(code)
        link = ["-o", os.path.join(folder, "block"), source, *libraries, "-lssl", "-lcrypto",
                "-pthread"] if "main(" in code else ["-c", source,
                "-o", os.path.join(folder, "block.o")]
        done = subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{ROOT}/include",
                               f"-I{ROOT}/ports/compat/include"] + link, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(done.stderr)


def run_block(wish, language, code, background):
    how, words = WISH.fullmatch(wish).groups() if wish else ("", "")
    if language == "c":
        compile_c(code)
        return
    block = Running(code)
    if how == "background until":
        background.append(block)
        block.wait_for(words)
        return
    try:
        if how == "until":
            block.wait_for(words)
        elif words not in block.finish():
            raise Failed(f'did not print "{words}" but:\n{block.text()}')
    finally:
        block.end()


def run_document(path):
    """Returns how many blocks passed; raises Failed at the first that does not."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    background = []
    passed = 0
    try:
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            wish, language, code = found.groups()
            where = f"{os.path.relpath(path, ROOT)}:{line}"
            if wish and not WISH.fullmatch(wish):
                raise Failed(f"{where}: '{wish}' is not understood")
            try:
                run_block(wish, language, code, background)
            except Failed as failure:
                raise Failed(f"{where}: {code}{failure}") from None
            print(f"ok      {where}", flush=True)
            passed += 1
    finally:
        for block in background:
            block.end()
    return passed


def main():
    documents = sys.argv[1:] or [p for p in [os.path.join(ROOT, "README.md")] if os.path.exists(p)] + sorted(
        glob.glob(os.path.join(ROOT, "docs", "*.md")))
    passed = failed = 0
    for path in documents:
        try:
            passed += run_document(path)
        except Failed as failure:
            print(f"FAILED  {failure}")
            failed += 1
    if passed + failed == 0:
        print("run_commands: no block is marked <!-- test -->")
        failed = 1
    print(f"{passed} blocks passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
