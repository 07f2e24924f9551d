"""Ctrl-C at any moment of `solver-cli`: exit code 130 or the answer's own, no traceback, no death by the signal.

What is not held here: the start of Python itself, before the first line of ours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

IN_EVERY_LINE = """
import json, os, signal, sys
import solver.cli
from solver.__main__ import run as program

def run(moment, told):
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename != solver.cli.__file__:
            return None
        if event == "line":
            lines += 1
            if lines == moment:
                os.write(told, b"x")
                os.kill(os.getpid(), signal.SIGINT)
        return trace

    sys.settrace(trace)
    program()

codes, sent = [], True
while sent:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run(len(codes) + 1, writer)
    os.close(writer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sent = bool(os.read(reader, 1))
    os.close(reader)
    codes.append(code)
print(json.dumps(codes))
"""

IN_AN_IMPORT = """
import os, signal, sys
from solver.__main__ import run

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_IMPORT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
        return None

sys.meta_path.insert(0, Interrupting())
run()
"""


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, timeout=100, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["--frobnicate"], 2)])
def test_in_every_line(arguments: list[str], code: int) -> None:
    """Tests one SIGINT in every line of `main` and `run` in turn: before, around and after the work."""
    ran = python(IN_EVERY_LINE, *arguments)
    assert "Traceback" not in ran.stderr
    *interrupted, undisturbed = json.loads(ran.stdout)
    assert undisturbed == code
    assert len(interrupted) > 15
    assert set(interrupted) <= {130, code}
    assert interrupted.count(130) > 10


@pytest.mark.parametrize("module", ["solver.cli", "click", "solver.domain.problem", "pydantic_core", "numpy"])
def test_while_loading(module: str) -> None:
    """Tests a SIGINT in the middle of an import, of which OR-Tools makes an ImportError."""
    ran = python(IN_AN_IMPORT, "optimize", "--budget", "300000", INTERRUPTED_IMPORT=module)
    assert (ran.returncode, ran.stdout) == (130, "")
    assert ran.stderr.strip() == "Error: interrupted"


def test_right_after_the_answer() -> None:
    """Tests SIGINTs in the last milliseconds, when all is printed and the program is about to end."""
    codes = []
    for attempt in range(12):
        program = [sys.executable, "-m", "solver", "catalog", "list"]
        process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        time.sleep(attempt * 0.0003)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        codes.append(process.returncode)
        assert b"Traceback" not in err
    assert set(codes) <= {0, 130}


def test_ignored_where_it_was_ignored() -> None:
    """Tests that a program started with SIGINT ignored, as by `nohup` or in the background of a script, ignores it."""
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ran = python(IN_AN_IMPORT, "optimize", "--budget", "300000", INTERRUPTED_IMPORT="click")
    finally:
        signal.signal(signal.SIGINT, held)
    assert ran.returncode == 0
    assert ran.stdout
