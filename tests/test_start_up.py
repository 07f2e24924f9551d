"""Start-up: what is not loaded; completion in a real shell; the fuzzer, briefly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from solver.model import ahead
from tests.conftest import RunCli

ROOT = Path(__file__).resolve().parents[1]
SOLVER = ("ortools", "numpy", "pandas", "grpc", "openpyxl", "google.protobuf")
RECORDS = ("pydantic", "yaml", "rich")
UNUSED = ("pandas", "openpyxl", "grpc", "google.protobuf", "sqlite3", "solver.domain.explanation", "email.feedparser")
"""What an answer has no use for: tables of other files, servers, explanations, the metadata of packages."""
QUIET_COMMANDS: list[tuple[list[str], tuple[str, ...]]] = [
    (["--help"], SOLVER + RECORDS),
    (["optimize", "--help"], SOLVER + RECORDS),
    (["check", "--help"], SOLVER + RECORDS),
    (["explain", "--help"], SOLVER + RECORDS),
    (["frontier", "--help"], SOLVER + RECORDS),
    (["catalog", "--help"], SOLVER + RECORDS),
    (["catalog", "list", "--help"], SOLVER + RECORDS),
    (["optimize", "--budget", "300000"], UNUSED),
    (["optimize", "--budget", "abc"], SOLVER + RECORDS),
    (["optimize", "--nonsense"], SOLVER + RECORDS),
    (["completion", "bash"], SOLVER + RECORDS),
    (["optimize", "--goal", "speed"], SOLVER),
    (["optimize", "--include", "rtx-a600"], SOLVER),
    (["optimize", "--catalog", "nowhere"], SOLVER),
    (["optimize", "--problem", "nowhere"], SOLVER),
    (["optimize", "--quotes", "nowhere"], SOLVER),
    (["optimize", "--dump-problem"], SOLVER),
    (["optimize", "--budget", "300000", "--format", "json"], UNUSED),
    (["catalog", "list"], SOLVER),
    (["catalog", "show", "rtx-a6000"], SOLVER),
    (["catalog", "validate", "examples/my-catalog"], SOLVER),
    (["schema"], SOLVER),
    (["workload", "--help"], SOLVER + RECORDS),
    (["workload", "from-model", "--help"], SOLVER + RECORDS),
    (["workload", "calibrate", "--help"], SOLVER + RECORDS),
    (["workload", "list"], SOLVER),
    (["workload", "show", "llama-7b", "--seq", "4096"], SOLVER),
    (["workload", "show", "nothing"], SOLVER),
    (["workload", "from-model", "nowhere.json", "--seq", "8"], SOLVER),
    (["workload", "calibrate", "examples/guide-steps.csv"], SOLVER),
]


@pytest.mark.parametrize(("arguments", "unwanted"), QUIET_COMMANDS, ids=lambda part: " ".join(part)[:40])
def test_does_not_load(arguments: list[str], unwanted: tuple[str, ...]) -> None:
    """Tests that help, the catalogue and bad input load no solver, and help not even the records."""
    code = (
        "import sys\nfrom solver.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit: pass\n"
        f"print([name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert ran.stderr.strip().splitlines()[-1] == "[]"


def test_run_ends_with_the_code_and_all_output() -> None:
    """Tests that the program's quick way out loses neither exit code nor output, to a file or to a closed pipe."""
    program = [sys.executable, "-c", "from solver.cli import run; run()"]
    for arguments, code in (
        (["catalog", "list"], 0),
        (["optimize", "--nonsense"], 2),
        (["optimize", "--budget", "0"], 3),
    ):
        assert subprocess.run([*program, *arguments], capture_output=True, cwd=ROOT, check=False).returncode == code
    listed = subprocess.run([*program, "catalog", "list"], capture_output=True, text=True, cwd=ROOT, check=False).stdout
    assert "guide-6b" in listed
    piped = subprocess.Popen([*program, "catalog", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert piped.stdout is not None
    assert piped.stderr is not None
    piped.stdout.close()
    assert b"Traceback" not in piped.stderr.read()
    piped.stderr.close()
    piped.wait()


BASH = """
set -e
eval "$(solver-cli completion bash)"
complete -p solver-cli | grep -q _solver_cli_completion
answers() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _solver_cli_completion solver-cli
    echo "${COMPREPLY[*]}"
}
answers solver-cli opt
answers solver-cli optimize --max-
answers solver-cli optimize --goal e
answers solver-cli check --card rtx-40
answers solver-cli catalog ""
"""


def shell(name: str, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a shell that finds solver-cli."""
    program = tmp_path / "solver-cli"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from solver.cli import run; run()" "$@"\n')
    program.chmod(0o755)
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [name, "-c", script], capture_output=True, text=True, env={**os.environ, **paths}, timeout=60, check=False
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_completion_in_bash(tmp_path: Path) -> None:
    """Tests that the script loads in bash and completes commands, options, goals and card ids."""
    ran = shell("bash", BASH, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "optimize",
        "--max-cards --max-epoch-days",
        "epoch",
        "rtx-4090 rtx-4090-blower rtx-4090-d",
        "list show validate",
    ]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_completion_in_zsh(tmp_path: Path) -> None:
    """Tests that the script loads in zsh and registers its function."""
    script = 'autoload -U compinit; compinit -D; eval "$(solver-cli completion zsh)"; print -r -- $_comps[solver-cli]'
    ran = shell("zsh", script, tmp_path)
    assert (ran.returncode, ran.stdout.strip()) == (0, "_solver_cli_completion"), ran.stderr


def test_completion_scripts(run_cli: RunCli) -> None:
    """Tests that there is a script for each shell, and none for others."""
    for name in ("bash", "zsh", "fish"):
        assert f"_SOLVER_CLI_COMPLETE={name}_complete" in run_cli("completion", name).out
    assert run_cli("completion", "csh").code == 2


def test_fuzzer_finds_nothing() -> None:
    """Tests that some hundred odd questions, quotes, folders and options end as they should (more: `make fuzz`)."""
    started = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_cli", "--examples", "50"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(": ok") == 8, f"after {time.perf_counter() - started:.0f} s"


def test_the_library_is_loaded_ahead_of_its_import() -> None:
    """Tests that the compiled part is mapped before any of OR-Tools is imported, and that its import then works."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom solver.model.ahead import load_ahead\n"
        "mapped = lambda: 'cp_model_helper' in Path('/proc/self/maps').read_text()\n"
        "before = mapped()\nload_ahead().join()\n"
        "print(before, mapped(), 'ortools' in sys.modules)\n"
        "from solver.solve import optimize\nfrom solver.catalog import default_problem\n"
        "print(load_ahead(), optimize(default_problem(limits={'budget_cny': 300_000})).status)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert ran.stdout.splitlines() == ["False True False", "None optimal"]


def test_what_cannot_be_loaded_ahead_is_left_to_the_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests that neither a package that is not there nor a file that is no library does any harm."""
    for name in ("no_such_package.compiled", "solver.model.no_such_library"):
        monkeypatch.setattr(ahead, "COMPILED", name)
        assert ahead.load_ahead() is None
    package = tmp_path / "damaged_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"compiled{EXTENSION_SUFFIXES[0]}").write_bytes(b"no library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ahead, "COMPILED", "damaged_package.compiled")
    thread = ahead.load_ahead()
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()
