#!/usr/bin/env python3
"""Runs each command of docs/TOUR.md, in order, and checks the results that the tour describes.

usage: tools/tour.py    in the repository, with Prometheus and jq in the PATH; nothing may listen on the demo's ports
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# The demo is built first, which takes minutes on a cold machine.
PATIENCE = 900


def fail(message):
    sys.exit(f"error: {message}")


def commands():
    """The blocks of shell commands, each with the heading of its section."""
    heading, blocks = "", []
    text = (REPOSITORY / "docs/TOUR.md").read_text()
    for part in re.finditer(r"^## (?P<heading>[^\n]+)$|^```sh\n(?P<block>.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if part["heading"]:
            heading = part["heading"]
        else:
            blocks.append((heading, part["block"]))
    return blocks


class Terminal:
    """A program of the tour that runs until Ctrl-C."""

    def __init__(self, block):
        self.output = tempfile.NamedTemporaryFile(mode="w+", suffix=".txt")
        self.process = subprocess.Popen(
            ["bash", "-ec", block],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def text(self):
        return Path(self.output.name).read_text()

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


def run(block):
    done = subprocess.run(["bash", "-ec", block], cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        fail(f"exit code {done.returncode} of:\n{block}{done.stderr}")
    return done.stdout


def eventually(what, condition, terminals):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        for terminal in terminals:
            if terminal.process.poll() is not None:
                fail(f"a program of the tour ended too early:\n{terminal.text()[-4000:]}")
        time.sleep(0.5)
    fail(f"this did not become true within {PATIENCE} s: {what}")


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def split(block, marker):
    """The commands before a line that begins so, and those from it on."""
    lines = block.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith(marker))
    return "".join(lines[:at]), "".join(lines[at:])


def walk(blocks, terminals):
    def begin(block):
        terminals.append(Terminal(block))
        return terminals[-1]

    def waits_for(what, condition):
        eventually(what, condition, terminals)
        print(f"ok: {what}", flush=True)

    rules, demo, breakage, alert, counter, runbook, request, repair, cleanup = (block for _, block in blocks)
    prometheus = begin(rules)
    waits_for("Prometheus is ready", lambda: answers("http://127.0.0.1:9090/-/ready"))
    demo = begin(demo)
    waits_for("the demo is ready", lambda: answers("http://127.0.0.1:9464/health/ready"))
    mail = REPOSITORY / ".demo/mail"
    waits_for("the demo sends e-mails", lambda: any(mail.iterdir()))

    once, health = split(breakage, "curl")
    run(once)
    waits_for("email is down", lambda: re.search(r'"email",\s*"state": "down"', run(health)))
    waits_for("the alert fires", lambda: '"firing"' in run(alert))
    if not re.search(r"socialize_email_messages_total\S+ [1-9]", run(counter)):
        fail("the counter did not change")
    if '"error.cause":"io"' not in run(runbook):
        fail("the log lines of deliveries have another cause")
    waits_for(
        "the request of a failed job is found",
        lambda: '"event": "http.server.request"' in run(request),
    )

    once, state = split(repair, "curl")
    run(once)
    waits_for("the alert resolves", lambda: not run(state).strip())
    if demo.interrupt() != 0:
        fail(f"the demo ended with an error:\n{demo.text()[-4000:]}")
    prometheus.interrupt()
    run(cleanup)


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        sys.exit(0 if sys.argv[1] in ("-h", "--help") else 2)
    if (REPOSITORY / ".demo").exists():
        fail(f"{REPOSITORY / '.demo'} is there already: the tour deletes it at its end, so move it away first")
    terminals = []
    try:
        walk(commands(), terminals)
    finally:
        for terminal in terminals:
            terminal.kill()
    print("All commands of the tour have the described results.")


if __name__ == "__main__":
    main()
