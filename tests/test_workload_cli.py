"""`solver-cli workload`: the commands of the issue, what they write, and what they refuse."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from solver.catalog import default_library, resolve
from solver.catalog.library import with_folder
from solver.catalog.workload_file import read_workload, workload_text
from solver.domain.errors import InvalidProblem
from solver.domain.shape import FIGURES
from solver.domain.workload import Workload
from solver.solve import optimize
from tests.conftest import RunCli
from tests.test_json_docs import KNOWN, keys_of
from tests.test_model_config import LLAMA, written

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIZES = ("--params", "13e9", "--layers", "40", "--hidden", "5120", "--heads", "40", "--vocab", "32000", "--seq", "1024")


def test_list(run_cli: RunCli) -> None:
    """Tests that all workloads are listed, as table, JSON and Markdown."""
    listed = json.loads(run_cli("workload", "list", "--format", "json").out)
    ids = [work["id"] for work in listed["workloads"]]
    assert ids == ["chatglm-6b", "guide-6b", "llama-13b", "llama-7b", "qwen2.5-7b"]
    for form in ("table", "markdown"):
        told = run_cli("workload", "list", "--format", form)
        assert told.code == 0
        assert all(name in told.out for name in ids)


@pytest.mark.parametrize(
    "command",
    [
        ("workload", "list"),
        ("workload", "show", "llama-7b"),
        ("workload", "calibrate", str(EXAMPLES / "guide-steps.csv")),
    ],
    ids=" ".join,
)
def test_keys_are_documented(run_cli: RunCli, command: tuple[str, ...]) -> None:
    """Tests that no key is printed that docs/json.md does not name; those of the record and of figures aside."""
    printed = run_cli(*command, "--format", "json").json
    own = {
        *Workload.model_fields,
        *(key for part in ("workload", "host_ram_gb") for key in keys_of(printed.pop(part, {}))),
    }
    assert keys_of(printed) - KNOWN - own == set()


def test_show(run_cli: RunCli) -> None:
    """Tests that every figure is shown with both ends and its basis; those of the guide's times from its steps."""
    shown = json.loads(run_cli("workload", "show", "llama-7b", "--format", "json").out)
    assert list(shown["figures"]) == list(FIGURES)
    assert shown["figures"]["per_sample_gb"]["basis"] == "estimated"
    assert shown["workload"]["parameters"] == 6_738_415_616
    guide = json.loads(run_cli("workload", "show", "guide-6b", "--format", "json").out)["figures"]["fixed_s"]
    assert (guide["low"], guide["expected"], guide["high"]) == (19.166, 26.5, 27.5)
    told = run_cli("workload", "show", "qwen2.5-7b").out
    assert "4 heads of keys and values" in told
    assert "published: 7,615,616,512, +0.00 %" in told
    assert "## Full-parameter" in run_cli("workload", "show", "guide-6b", "--format", "markdown").out


@pytest.mark.parametrize("length", [512, 2048, 4096])
def test_show_at_a_length(run_cli: RunCli, length: int) -> None:
    """Tests that a ready workload is shown at any length, by parameter."""
    shown = json.loads(run_cli("workload", "show", "llama-7b", "--seq", str(length), "--format", "json").out)
    assert shown["workload"]["seq_len"] == length
    s, h, layers, v = length, 4096, 32, 32000
    sample = (2 * s * h * layers + 34 * s * h + 10 * s * v) / 2**30
    assert shown["figures"]["per_sample_gb"]["expected"] == pytest.approx(sample)


def test_from_a_config(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the issue's first command, and that what it writes is read back, shown, and planned with."""
    config, output = written(tmp_path, LLAMA), tmp_path / "my.yaml"
    arguments = ("--seq", "2048", "--checkpointing", "--offload", "optimizer,param", "--samples", "50000")
    ran = run_cli("workload", "from-model", str(config), *arguments, "-o", str(output))
    assert ran.code == 0, ran.err
    assert "6,738,415,616" in ran.out
    work = read_workload(output)
    assert (work.samples, work.offload, work.checkpointing) == (50_000, "optimizer_and_parameters", True)
    assert work.fixed_s == default_library().workload("llama-7b").fixed_s
    assert str(tmp_path) not in output.read_text()
    assert run_cli("workload", "show", str(output)).code == 0
    # A folder with it is a catalogue, and the workload is planned with like any other.
    output.rename(tmp_path / "workloads.yaml")
    library = with_folder(default_library(), tmp_path)
    result = optimize(resolve({"limits": {"budget_cny": 300_000}, "workload": "my-llama"}, library))
    assert result.plan is not None
    assert result.plan.total_batch > 40


def test_plan_with_a_file(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the issue's last command: --workload takes a file, alone, dumped, and by every command that plans."""
    file = tmp_path / "calibrated.yaml"
    base = ("--base", "llama-7b", "--card", "rtx-a6000", "-o", str(file))
    log = tmp_path / "steps.csv"
    log.write_text("micro_batch,seconds\n1,30\n4,41\n8,55\n")
    assert run_cli("workload", "calibrate", str(log), *base).code == 0
    asked = ("--workload", str(file), "--budget", "300000", "--goal", "epoch", "--format", "json")
    plan = run_cli("optimize", *asked)
    assert plan.code == 0, plan.err
    assert run_cli("explain", *asked).code == 0
    dumped = run_cli("optimize", *asked[:-2], "--dump-problem")
    question = tmp_path / "question.yaml"
    question.write_text(dumped.out)
    again = run_cli("optimize", "--problem", str(question), "--format", "json")
    assert again.json["plan"] == plan.json["plan"]
    assert again.json["fingerprint"] == plan.json["fingerprint"]
    missing = run_cli("optimize", "--workload", str(tmp_path / "nothing.yaml"))
    assert (missing.code, "no such file" in missing.err) == (2, True)


def test_fitted_figures_hold_for_what_was_measured(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that another length or offload of a calibrated workload is refused, not answered with the old figures."""
    log, file = tmp_path / "steps.csv", tmp_path / "calibrated.yaml"
    log.write_text("micro_batch,seconds\n1,30\n4,41\n8,55\n")
    assert run_cli("workload", "calibrate", str(log), "--base", "llama-7b", "-o", str(file)).code == 0
    ran = run_cli("workload", "show", str(file), "--seq", "4096")
    assert (ran.code, "calibrate again" in ran.err, "--seq" in ran.err) == (2, True, True)
    library = default_library()
    library = type(library)(library.catalog, (*library.workloads, read_workload(file)))
    with pytest.raises(InvalidProblem) as caught:
        resolve({"workload": {"id": "llama-7b-calibrated", "offload": "none"}}, library)
    assert [violation.field for violation in caught.value.violations] == ["workload.offload"]
    same = resolve({"workload": {"id": "llama-7b-calibrated", "seq_len": 2048, "samples": 7}}, library)
    assert same.workload.samples == 7
    times = {"fixed_s": 5, "per_sample_s": 3, "optimizer_s": 1}
    stated = resolve({"workload": {"id": "llama-7b-calibrated", "seq_len": 4096, **times}}, library)
    assert stated.workload.seq_len == 4096


def test_catalogue_tells_the_ends(run_cli: RunCli) -> None:
    """Tests that catalog show has both ends and the basis of an estimated figure beside it."""
    told = run_cli("catalog", "show", "llama-7b", "--format", "markdown").out
    assert "| fixed\\_s | 1.838 (1.555 to 3.37) | estimated |" in told
    assert "spreads" not in told


def test_from_sizes(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the issue's second command: the MLP gets what the parameters leave, and the count stays as given."""
    output = tmp_path / "my.yaml"
    assert run_cli("workload", "from-model", *SIZES, "-o", str(output)).code == 0
    work = read_workload(output)
    assert work.parameters == 13_000_000_000
    assert work.model is not None
    assert abs(work.model.ffn - 13_824) < 50  # LLaMA-13B has 13.016e9 parameters
    printed = run_cli("workload", "from-model", *SIZES)
    assert printed.out == output.read_text()


def test_calibrate(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests the issue's third command on a log of everything at once."""
    base, log, output = tmp_path / "my.yaml", tmp_path / "steps.csv", tmp_path / "calibrated.yaml"
    assert run_cli("workload", "from-model", *SIZES, "--id", "mine", "-o", str(base)).code == 0
    lines = ["micro_batch,accumulation,gpus,seconds,gpu_mib,host_gb,card"]
    for b, ga, n in ((1, 1, 1), (2, 1, 2), (4, 1, 1), (2, 4, 1), (4, 8, 1)):
        seconds, mib, gb = ga * (3 + 2 * b) + 20, 9000 + 3000 * b, 320 + 4 * (n - 1)
        lines.append(f"{b},{ga},{n},{seconds},{mib},{gb},rtx-a6000")
    log.write_text("\n".join(lines) + "\n")
    ran = run_cli("workload", "calibrate", str(log), "--base", str(base), "-o", str(output))
    assert ran.code == 0, ran.err
    work = read_workload(output)
    assert [work.fixed_s, work.per_sample_s, work.optimizer_s] == [Decimal(3), Decimal(2), Decimal(20)]
    assert work.reference_card_id == "rtx-a6000"
    assert float(work.weights_gb + work.buffers_gb + work.reserve_gb) == pytest.approx(9000 / 1024)
    assert work.host_ram_per_extra_card_gb == 4
    assert work.id == "mine-calibrated"
    assert work.tag_of("per_sample_s") == work.tag_of("per_sample_gb") == "calibrated"
    # Without -o it only tells, people or programs.
    assert "per_sample_gb" in run_cli("workload", "calibrate", str(log), "--base", str(base)).out
    told = run_cli("workload", "calibrate", str(log), "--base", str(base), "--format", "json").json
    assert [fit["kind"] for fit in told["fits"]] == ["seconds", "gpu_mib", "host_gb"]
    assert told["fits"][0]["figures"]["per_sample_s"]["expected"] == 2
    assert len(told["fits"][1]["residuals"]) == 5


def test_calibrate_the_guide(run_cli: RunCli) -> None:
    """Tests that the shipped rows give the guide's figures and interval on the terminal."""
    told = run_cli("workload", "calibrate", str(EXAMPLES / "guide-steps.csv"))
    assert told.code == 0
    figures = [
        line.split()[:4] for line in told.out.splitlines() if line.split()[:1] in (["fixed_s"], ["per_sample_s"])
    ]
    assert figures == [["fixed_s", "19.166", "26.5", "27.5"], ["per_sample_s", "2.5", "3.5", "5.834"]]


@pytest.mark.parametrize(
    ("log", "options", "said"),
    [
        (
            "micro_batch,seconds\n7,50\n7,51\n",
            (),
            "one batch size only: fixed and per-sample time cannot be told apart",
        ),
        ("micro_batch,seconds\n1,30\n7,51\n", ("--card", "rtx-a600"), "did you mean rtx-a6000"),
        ("micro_batch,seconds,card\n1,30,rtx-3090\n7,51,rtx-a6000\n", (), "steps of one card only"),
        ("micro_batch,seconds,card\n1,30,rtx-3090\n7,51,rtx-3090\n", ("--card", "rtx-a6000"), "but the rows say"),
        ("micro_batch,seconds\n1,30\n7,51\n", ("--base", "guide-6"), "did you mean guide-6b"),
        ("micro_batch,seconds\n1,30\n7,51\n", ("--id", "NO GOOD"), "--id"),
        ("micro_batch,seconds\n1,30\n7,51\n", ("-o", "/nowhere/at/all.yaml"), "cannot be written"),
    ],
)
def test_refused_calibrations(run_cli: RunCli, tmp_path: Path, log: str, options: tuple[str, ...], said: str) -> None:
    """Tests that each fault is one line that names its field, with exit code 2."""
    file = tmp_path / "steps.csv"
    file.write_text(log)
    ran = run_cli("workload", "calibrate", str(file), *options)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_steps_without_a_card_are_told(run_cli: RunCli, tmp_path: Path) -> None:
    """Tests that times over an estimate say which card they are taken to be of."""
    file = tmp_path / "steps.csv"
    file.write_text("micro_batch,seconds\n1,30\n7,51\n")
    ran = run_cli("workload", "calibrate", str(file), "--base", "llama-7b")
    assert "nothing says on which card" in ran.err
    assert "nothing says" not in run_cli("workload", "calibrate", str(file)).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("from-model",), "--layers"),
        (("from-model", "nowhere.json", "--seq", "8"), "nowhere.json: no such file"),
        (("from-model", *SIZES[:-2]), "--seq: is required"),
        (("from-model", *SIZES, "--offload", "nvme"), "--offload"),
        (("from-model", *SIZES, "--zero", "2", "--offload", "optimizer,param"), "offload"),
        (("from-model", *SIZES, "--zero", "1"), "--zero"),
        (("from-model", *SIZES, "--precision", "fp8"), "--precision"),
        (("from-model", *SIZES, "--heads", "39"), "heads"),
        (("from-model", "--params", "1e6", *SIZES[2:]), "--params"),
        (("from-model", "--params", "1.5", *SIZES[2:]), "--params"),
        (("from-model", *SIZES[2:]), "--ffn"),
        (("show", "lama-7b"), "did you mean llama-7b"),
        (("show", "nowhere.yaml"), "no such file"),
        (("show", "guide-6b", "--seq", "4096"), "--seq"),
        (("show", "llama-7b", "--seq", "0"), "--seq"),
    ],
)
def test_refused(run_cli: RunCli, arguments: tuple[str, ...], said: str) -> None:
    """Tests that bad input is one line that names the option, with exit code 2."""
    ran = run_cli("workload", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


@pytest.mark.parametrize("work", default_library().workloads, ids=lambda work: work.id)
def test_files_round_trip(work: Any, tmp_path: Path) -> None:
    """Tests that a workload written to a file is read back the same."""
    file = tmp_path / "work.yaml"
    file.write_text(workload_text(work))
    assert read_workload(file) == work


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold a list of one workload"),
        ("workloads: []\n", "holds 0 workloads"),
        ("cards: []\nworkloads: []\n", "must hold a list of one workload"),
        ("workloads:\n  - id: x\n    name: X\n    samples: 5\n    model: {layers: 3}\n", "work.yaml:5"),
        ("workloads: [&a {id: x}, *a]\n", "anchors"),
    ],
)
def test_faulty_files(text: str, said: str, tmp_path: Path) -> None:
    """Tests that a faulty file is refused with its line."""
    file = tmp_path / "work.yaml"
    file.write_text(text)
    with pytest.raises(InvalidProblem) as caught:
        read_workload(file)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("card", "flags", "base"),
    [("", [], "guide-6b"), ("rtx-6000-ada", [], "llama-7b"), ("", ["--card", "rtx-6000-ada"], "llama-7b")],
)
def test_more_memory_than_the_card_has_is_no_measurement(
    run_cli: RunCli, tmp_path: Path, card: str, flags: list[str], base: str
) -> None:
    """Tests a slip of a digit in a log of an RTX 6000 Ada, and the largest figure its driver can report."""
    log = tmp_path / "steps.csv"

    def fitted(most: int) -> Any:
        log.write_text(f"micro_batch,seconds,gpu_mib,card\n1,30,18000,{card}\n2,33,23200,{card}\n7,51,{most},{card}\n")
        return run_cli("workload", "calibrate", log, "--base", base, *flags)

    told = fitted(90_000)
    assert told.code == 2
    assert "steps.csv:4 gpu_mib = 90000: must be at most 49,140 MiB, the memory of rtx-6000-ada" in told.err
    assert fitted(49_140).code == 0
