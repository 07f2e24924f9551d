"""The command line: exit codes, streams, JSON, errors, interruption, and what a wheel brings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import RunCli

REPO = Path(__file__).resolve().parents[1]

BAD = [
    (["optimize", "--budget", "abc"], "--budget"),
    (["optimize", "--budget", "-5"], "--budget"),
    (["optimize", "--budget", "0.001"], "--budget"),
    (["optimize", "--budget", "1e400"], "--budget"),
    (["optimize", "--budget", "nan"], "--budget"),
    (["optimize", "--goal", "speed"], "--goal"),
    (["optimize", "--max-cards", "9"], "--max-cards"),
    (["optimize", "--max-cards", "0"], "--max-cards"),
    (["optimize", "--samples", "1.5"], "--samples"),
    (["optimize", "--derating", "0"], "--derating"),
    (["optimize", "--derating", "inf"], "--derating"),
    (["optimize", "--socket-amps", ""], "--socket-amps"),
    (["optimize", "--include", "rtx-a600"], "did you mean rtx-a6000"),
    (["optimize", "--price", "rtx-a6000"], "ID=CNY"),
    (["optimize", "--price", "nothing=5"], "nothing"),
    (["optimize", "--price", "rtx-a6000=5", "--price", "rtx-a6000=6"], "twice"),
    (["optimize", "--price", "rtx-a6000=1.234"], "--price rtx-a6000"),
    (["optimize", "--time-limit", "-1"], "--time-limit"),
    (["optimize", "--format", "xml"], "--format"),
    (["optimize", "--nonsense"], "--nonsense"),
    (["check"], "--card"),
    (["check", "--card", "rtx-a600"], "did you mean rtx-a6000"),
    (["check", "--card", "rtx-a6000", "--count", "65"], "between 1 and 64"),
    (["check", "--card", "rtx-a6000", "--power-limit", "301"], "between 100 and 300 W"),
    (["check", "--card", "rtx-a6000", "--platform", "guide"], "platform"),
    (["nonsense"], "nonsense"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_input_is_one_line(run_cli: RunCli, arguments: list[str], named: str) -> None:
    """Tests that bad input is exit 2 and one line on stderr that names the field, and nothing on stdout."""
    ran = run_cli(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    assert named in lines[-1]
    assert "Traceback" not in ran.err


def test_infeasible_is_exit_3(run_cli: RunCli) -> None:
    """Tests that a question without a plan is proved so and exits 3."""
    ran = run_cli("optimize", "--min-batch", "1000", "--goal", "cost", "--format", "json")
    assert ran.code == 3
    assert ran.json["status"] == "infeasible"
    assert ran.json["plan"] is None
    for form in ("table", "markdown"):
        told = run_cli("optimize", "--budget", "0", "--format", form)
        assert told.code == 3
        assert "solver-cli explain" in told.out


def test_no_answer_is_exit_4(run_cli: RunCli) -> None:
    """Tests that no time means no answer and exit 4."""
    ran = run_cli("optimize", "--time-limit", "0", "--format", "json")
    assert (ran.code, ran.json["status"]) == (4, "no_answer")


@pytest.mark.parametrize("amount", ["300000", "300,000", "30万", "￥30万", "30 万元", "３０万", "300000.00"])
def test_amounts_as_people_write_them(run_cli: RunCli, amount: str) -> None:
    """Tests that one amount in different habits is one question."""
    plain = run_cli("optimize", "--budget", "300000", "--format", "json").json
    ran = run_cli("optimize", "--budget", amount, "--format", "json")
    assert ran.code == 0
    assert ran.json["fingerprint"] == plain["fingerprint"]


def test_json_has_what_is_documented(run_cli: RunCli) -> None:
    """Tests the keys of the JSON object that programs rely on."""
    answer = run_cli("optimize", "--budget", "300000", "--format", "json").json
    assert {"schema_version", "status", "objective", "bound", "plan", "usage", "warnings", "fingerprint"} <= set(answer)
    plan = "card_id card_count power_limit_w platform_id micro_batch total_batch cost_cny epoch_hours training_hours"
    assert set(f"{plan} wall_power_w heat_w host_ram_gb".split()) <= set(answer["plan"])
    assert set(answer["plan"]["epoch_hours"]) == {"low", "expected", "high", "basis"}
    for row in answer["usage"]:
        assert {"limit", "unit", "used", "capacity"} <= set(row)
    assert [row["limit"] for row in answer["usage"]].count("wall_power") == 1


def test_table_tells_what_a_buyer_needs(run_cli: RunCli) -> None:
    """Tests that the table names card, money, batch, watts, headroom and the age of the price, without colour codes."""
    ran = run_cli("optimize", "--budget", "300000")
    for text in ("2x A100 80GB PCIe", "232,000", "26 samples", "1,012", "68,000", "more than a year old"):
        assert text in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("arguments", [["--help"], ["optimize", "--help"], ["check", "--help"]])
def test_help(run_cli: RunCli, arguments: list[str]) -> None:
    """Tests that help is there, with an example."""
    ran = run_cli(*arguments)
    assert ran.code == 0
    assert "Example" in ran.out


def run_python(code: str, *, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    """Run a line of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [["--help"], ["optimize", "--budget", "abc"], ["optimize", "--help"]])
def test_start_up_does_not_load_the_solver(arguments: list[str]) -> None:
    """Tests that help and bad input load neither OR-Tools nor NumPy."""
    code = (
        "import sys\nfrom solver.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit: pass\n"
        "heavy = ('ortools', 'numpy', 'pandas', 'grpc', 'openpyxl', 'rich')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    assert run_python(code).stderr.strip().splitlines()[-1] == "[]"


def test_optimize_does_not_load_pandas() -> None:
    """Tests that a whole optimize runs without pandas, most of the import time of OR-Tools' public API."""
    code = (
        "import sys\nfrom solver.cli import main\n"
        "try:\n    main(['optimize', '--format', 'json'])\nexcept SystemExit: pass\n"
        "print('pandas' in sys.modules, file=sys.stderr)"
    )
    assert run_python(code).stderr.strip().splitlines()[-1] == "False"


def test_interrupt_keeps_the_answer() -> None:
    """Tests that Ctrl-C during a solve ends with exit 130 and no traceback."""
    code = (
        "import solver.solve as s, time\n"
        "real = s._solve\n"
        "def slow(wrapper, model):\n"
        "    print('searching', flush=True)\n    time.sleep(1.5)\n    return real(wrapper, model)\n"
        "s._solve = slow\nfrom solver.cli import main\nmain(['optimize', '--budget', '300000'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPO
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "searching"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "optimal" in out or "no answer" in out or "a plan" in out


def test_closed_pipe_is_quiet() -> None:
    """Tests that a reader that goes away causes no traceback."""
    command = f'"{sys.executable}" -c "from solver.cli import main; main([\'optimize\'])" | head -c 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=REPO, timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_wheel_brings_its_catalogue(tmp_path: Path) -> None:
    """Tests that a wheel has the catalogue, and that an installed one answers alone, in Chinese too."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPO)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    wheel = next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        assert "solver/_catalog/cards.yaml" in archive.namelist()
        assert not [name for name in archive.namelist() if name.startswith(("tests/", "catalog/"))]
    # An empty environment that sees the dependencies of this one, but not the repository.
    place = tmp_path / "env"
    venv.create(place, with_pip=False)
    packages = next(place.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    here = [path for path in sys.path if path.endswith("site-packages")]
    code = (
        f"import sys; sys.path.extend({here!r}); import solver; "
        f"assert solver.__file__.startswith({str(place)!r}), solver.__file__; "
        "from solver.cli import main; main(['optimize', '--budget', '300000', '--lang', 'zh'])"
    )
    done = subprocess.run(
        [str(place / "bin" / "python"), "-I", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2x A100 80GB PCIe" in done.stdout
    assert "总成本" in done.stdout


def test_an_error_that_is_its_own_cause_is_told(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that the search for Ctrl-C among an error's causes ends; it once went round for ever."""

    def fail(*_: object, **__: object) -> None:
        error = OSError("a")
        error.__cause__ = error
        raise error

    monkeypatch.setattr("solver.cli.optimize.seconds", fail)
    ran = run_cli("optimize", "--budget", 300000)
    assert ran.code == 1
    assert "internal: OSError" in ran.err
