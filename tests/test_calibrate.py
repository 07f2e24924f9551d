"""Calibration: what rows tell comes back, what they cannot tell is said, and intervals keep their promise."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solver.catalog import default_library
from solver.catalog.step_file import read_steps
from solver.domain.errors import InvalidProblem
from solver.domain.physics import epoch_us, paces, rig_step_us
from solver.domain.workload import Workload
from solver.estimate import completed
from solver.estimate.calibrate import Calibration, calibrated
from solver.estimate.fits import CONFIDENCE
from solver.estimate.least_squares import fit, rank, t_quantile
from solver.estimate.measured import Row

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
GUIDE = default_library().workload("guide-6b")
LLAMA = default_library().workload("llama-7b")


def rows(*measured: tuple[int, float], **same: Any) -> list[Row]:
    """Rows of (micro-batch, seconds)."""
    return [
        Row(place=f"log:{i}", micro_batch=b, seconds=Decimal(str(s)), **same) for i, (b, s) in enumerate(measured, 2)
    ]


def made(base: Workload, log: list[Row], **more: Any) -> tuple[Workload, Calibration]:
    """The calibrated workload, valid, and how it came about."""
    found = calibrated(base, log, "log", **more)
    return Workload.model_validate(found.fields), found


def test_guide_rows() -> None:
    """Tests that the shipped rows of the guide give 26.5 s and 3.5 s, and its interval, as the catalogue has them."""
    log, unread = read_steps(EXAMPLES / "guide-steps.csv")
    assert unread == ()
    assert len(log) == 5
    work, _ = made(GUIDE, list(log))
    assert (work.fixed_s, work.per_sample_s) == (Decimal("26.5"), Decimal("3.5"))
    for end in ("low", "expected", "high"):
        assert set(paces(work, end)) == set(paces(GUIDE, end))
    lows, highs = paces(work, "low"), paces(work, "high")
    assert min(p.fixed_ms for p in lows) / 1000 == pytest.approx(19.2, abs=0.05)
    assert max(p.fixed_ms for p in highs) / 1000 == pytest.approx(27.5, abs=0.05)
    assert min(p.per_sample_ms for p in lows) / 1000 == pytest.approx(2.5, abs=0.05)
    assert max(p.per_sample_ms for p in highs) / 1000 == pytest.approx(5.8, abs=0.05)
    assert work.tag_of("fixed_s") == "measured"
    card = default_library().catalog.card_by_id["rtx-6000-ada"]
    platform = default_library().catalog.platforms[0]
    for batch, days in ((1, 8.7), (7, 2.1)):
        step = rig_step_us(card, platform, work, 1, card.tdp_w, batch)
        assert epoch_us(25_000, batch, step) / 86_400e6 == pytest.approx(days, abs=0.05)


def test_chatglm_host() -> None:
    """Tests that the published host RAM of ChatGLM-6B gives about 27 bytes a parameter and 5 GB a further card."""
    log, _ = read_steps(EXAMPLES / "chatglm-6b-host.csv")
    work, _ = made(default_library().workload("chatglm-6b"), list(log))
    assert float(work.host_ram_bytes_per_parameter) == pytest.approx(27, abs=0.5)
    assert float(work.host_ram_per_extra_card_gb) == pytest.approx(5, abs=0.1)
    assert work.figure("host_ram_per_extra_card_gb", "low") < 5 < work.figure("host_ram_per_extra_card_gb", "high")


exact = st.decimals(min_value=Decimal("0.001"), max_value=1000, places=3)


@settings(max_examples=60, deadline=None)
@given(exact, exact, exact, st.sampled_from([1, 2]))
def test_synthetic_steps_return(fixed: Decimal, sample: Decimal, optimizer: Decimal, cards: int) -> None:
    """Tests that steps made from known times give exactly these back, the optimizer's told apart by accumulation."""
    log = [
        Row("log", b, ga, cards, seconds=ga * (fixed + b * sample) + optimizer)
        for b, ga in ((1, 1), (4, 1), (2, 3), (8, 16))
    ]
    work, found = made(GUIDE, log)
    assert (work.fixed_s, work.per_sample_s, work.optimizer_s) == (fixed, sample, optimizer)
    assert all(residual.measured == pytest.approx(residual.fitted) for residual in found.parts[0].residuals)


@settings(max_examples=60, deadline=None)
@given(exact, exact, st.integers(0, 100))
def test_synthetic_memory_returns(own: Decimal, sample: Decimal, sharded: int) -> None:
    """Tests that memory made from known figures gives these back; what cards share where their number varies."""
    fields = {**dict(LLAMA), "offload": "optimizer"} if sharded else dict(LLAMA)
    base = Workload.model_validate(completed(fields))
    log = [
        Row("log", b, 1, n, gpu_mib=1024 * (own + b * sample) + Decimal(1024 * sharded) / n)
        for b, n in ((1, 1), (4, 2), (2, 4), (8, 1))
    ]
    work, _ = made(base, log)
    close = Decimal("0.00001")
    assert abs(work.weights_gb + work.buffers_gb + work.reserve_gb - own) < close
    assert abs(work.per_sample_gb - sample) < close
    assert abs(work.sharded_gb - sharded) < close
    assert work.tag_of("per_sample_gb") == "calibrated"


def test_calibrated_model_keeps_following() -> None:
    """Tests that of a workload from a shape only the fitted figures stop following; it says for which length."""
    work, _ = made(LLAMA, rows((1, 30), (4, 40), (8, 53)), card=("rtx-a6000", Decimal("154.8")))
    assert {"fixed_s", "per_sample_s", "reference_card_id"}.isdisjoint(work.estimated)
    assert {"optimizer_s", "per_sample_gb"} <= set(work.estimated)
    assert (work.reference_card_id, work.reference_tflops) == ("rtx-a6000", Decimal("154.8"))
    assert "2,048 tokens" in (work.notes or "")
    again = Workload.model_validate(completed(dict(work)))
    assert again == work


def test_every_fitted_figure_has_its_source() -> None:
    """Tests that a fitted figure has one source, the log and what its rows say, and a kept one that of the base."""
    log = [Row("log:2", 1, seconds=Decimal(30), source="my notebook"), *rows((7, 52), (8, 55))]
    work, _ = made(GUIDE, log)
    covered = [field for origin in work.provenance for field in origin.fields]
    assert len(covered) == len(set(covered))
    (origin,) = (origin for origin in work.provenance if "fixed_s" in origin.fields)
    assert origin.basis == "calibrated"
    assert origin.source == "least squares on 3 rows of log: my notebook"
    assert "weights_gb" in covered


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (rows((7, 50), (7, 52), (7, 51)), "one batch size only: fixed and per-sample time cannot be told apart"),
        (rows((7, 50)), "one batch size only: fixed and per-sample time cannot be told apart"),
        (rows((1, 50), (7, 40)), "which cannot be; kept from the base"),
        (rows((1, 1), (7, 40)), "which cannot be; kept from the base"),
        ([Row("log", 3, gpu_mib=Decimal(9000))], "fixed and per-sample memory cannot be told apart"),
        ([Row("log", b, gpu_mib=Decimal(9000 - b)) for b in (1, 2)], "which cannot be; kept from the base"),
    ],
)
def test_what_cannot_be_told(log: list[Row], said: str) -> None:
    """Tests that what the rows cannot tell is kept from the base, and named."""
    found = calibrated(GUIDE, log, "log")
    assert not found.fitted
    notes = [note for part in found.parts for note in part.notes]
    assert any(said in note for note in notes)
    same = Workload.model_validate(found.fields)
    assert (same.fixed_s, same.per_sample_s, same.per_sample_gb) == (
        GUIDE.fixed_s,
        GUIDE.per_sample_s,
        GUIDE.per_sample_gb,
    )


def test_optimizer_and_fixed_time() -> None:
    """Tests that with one accumulation the optimizer's time is the base's, or, where that is too long, inside."""
    _, kept = made(LLAMA, rows((1, 30), (4, 40), (8, 53)))
    assert any("kept from the base" in note for note in kept.parts[0].notes)
    work, inside = made(LLAMA, rows((1, 10), (4, 20), (8, 33)))
    assert any("inside the fixed time" in note for note in inside.parts[0].notes)
    assert work.optimizer_s == 0
    assert float(work.fixed_s) == pytest.approx(6.7, abs=0.1)


def test_two_rows_say_nothing_of_their_spread() -> None:
    """Tests that an exact fit is told as such, and keeps the base's spread in proportion."""
    work, found = made(GUIDE, rows((1, 60), (7, 102)))
    assert (work.fixed_s, work.per_sample_s) == (Decimal(53), Decimal(7))
    assert any("as many rows as unknowns" in note for note in found.parts[0].notes)
    assert float(work.figure("fixed_s", "high")) == pytest.approx(2 * 27.5, abs=0.01)
    assert float(work.figure("per_sample_s", "low")) == pytest.approx(2 * 2.5, abs=0.01)


def test_outliers_are_flagged() -> None:
    """Tests that the one row that is off is flagged, and none where all scatter alike."""
    log = rows((1, 30.1), (2, 33.4), (3, 37.1), (4, 40.4), (5, 44.1), (6, 47.4), (7, 51.1), (8, 74.0))
    _, found = made(GUIDE, log)
    assert [residual.place for residual in found.parts[0].residuals if residual.outlier] == ["log:9"]
    _, found = made(GUIDE, log[:-1])
    assert not any(residual.outlier for residual in found.parts[0].residuals)


def test_one_wrong_row_among_exact_ones() -> None:
    """Tests that a row off by anything is an outlier where all others fit exactly."""
    _, found = made(GUIDE, rows((1, 30), (2, 33.5), (3, 37), (4, 40.5), (5, 44.01)))
    assert [residual.outlier for residual in found.parts[0].residuals] == [False, False, False, False, True]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Tests in simulation that the 95 % intervals of time and memory hold the truth 95 times of 100.

    2,000 logs: the share of an interval of exact coverage is within 0.0147 of 0.95 with probability 0.9973 (3 sigma).
    """
    rng = random.Random(9)
    logs, truth = 2000, {"fixed_s": 26.5, "per_sample_s": 3.5, "optimizer_s": 8.0, "per_sample_gb": 5.0}
    plan = [(1, 1), (3, 1), (7, 1), (7, 4), (2, 8), (5, 2)]
    held = dict.fromkeys(truth, 0)
    for _ in range(logs):
        log = [
            Row(
                "log",
                b,
                ga,
                seconds=Decimal(str(round(ga * (26.5 + 3.5 * b) + 8 + rng.gauss(0, 2), 4))),
                gpu_mib=Decimal(str(round(1024 * (13.5 + 5 * b) + rng.gauss(0, 300), 4))),
            )
            for b, ga in plan
        ]
        figures = {name: f for part in calibrated(GUIDE, log, "log").parts for name, f in part.figures.items()}
        for name, value in truth.items():
            # Clipped at 0 where the fit has no optimizer of its own: no interval, no claim.
            held[name] += name in figures and float(figures[name].low) <= value <= float(figures[name].high)
    sigma = math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / logs)
    for name, times in held.items():
        assert abs(times / logs - CONFIDENCE) < 3 * sigma, (name, times / logs)


def test_student_t() -> None:
    """Tests the quantiles against tables."""
    for freedom, t in ((1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (30, 2.0423)):
        assert t_quantile(0.95, freedom) == pytest.approx(t, abs=0.0001)
    assert t_quantile(0.99, 7) == pytest.approx(3.4995, abs=0.0001)
    assert t_quantile(0.95, 100_000) == pytest.approx(1.96, abs=0.001)


def test_least_squares() -> None:
    """Tests a textbook line, its standard errors, and the rank of columns."""
    x, y = [1, 2, 3, 4, 5], [2, 4, 5, 4, 5]
    solution = fit([[Fraction(1), Fraction(v)] for v in x], [Fraction(v) for v in y])
    assert solution.values == (Fraction(11, 5), Fraction(3, 5))
    assert solution.errors == pytest.approx((0.9380832, 0.2828427))
    assert rank([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]]) == 1
    assert rank([]) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no row names the columns"),
        ("a,b\n1,2\n", "no row names the columns"),
        ("micro_batch,seconds\n", "holds no row"),
        ("micro_batch,seconds\n1,fast\n", 'log.csv:2 seconds = "fast"'),
        ("micro_batch,seconds\n1,-3\n", "above 0"),
        ("micro_batch,seconds\n1,nan\n", "above 0"),
        ("micro_batch,seconds\n1,1e999\n", "above 0"),
        ("micro_batch,seconds\n1.5,3\n", "micro_batch"),
        ("micro_batch,seconds\n0,3\n", "1 to 100,000"),
        ("micro_batch,seconds\n,3\n", "is required beside"),
        ("micro_batch,seconds,use\n1,3,maybe\n", "must be one of fit, range, no"),
        ("micro_batch,micro_batch,seconds\n1,1,3\n", "given twice"),
        ("micro_batch,seconds\n" + "1,3\n" * 5001, "more than 5,000 rows"),
    ],
)
def test_faulty_logs(text: str, said: str, tmp_path: Path) -> None:
    """Tests that a faulty log is refused with its line."""
    file = tmp_path / "log.csv"
    file.write_text(text)
    with pytest.raises(InvalidProblem) as caught:
        read_steps(file)
    assert said in str(caught.value)


def test_columns_in_any_order(tmp_path: Path) -> None:
    """Tests that any subset of the columns is read, in any order, below a title, and others are named."""
    file = tmp_path / "log.csv"
    file.write_text("my run,,,\nloss,Host GB,GPUs,use\n2.1,154,1,\n2.0,158,2,no\n")
    log, unread = read_steps(file)
    assert unread == ("loss",)
    assert log[0] == Row("log.csv:3", host_gb=Decimal(154))
    assert (log[1].cards, log[1].used) == (2, "no")
