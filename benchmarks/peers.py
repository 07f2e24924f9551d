"""Benches of peers, on what a peer can be asked: ftuneai's budget optimizer, DeepSpeed's estimator, a sum of TDPs.

ftuneai is installed into an environment of its own beside these files, never into ours.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.catalogues import catalogue
from benchmarks.report import Report, Row, Table
from benchmarks.timing import Timing, interleave
from solver.catalog import default_library, resolve
from solver.domain import physics
from solver.domain.catalog import Platform
from solver.domain.problem import MAX_OPTION_CARDS
from solver.solve import optimize

PEER, PEER_VERSION = "ftuneai", "0.4.1"
_ENVIRONMENT = Path(__file__).parent / ".peers"
_SCRIPT = Path(__file__).parent / "ask_ftune.py"
MODEL, WORKLOAD = "Qwen/Qwen2.5-7B", "qwen2.5-7b"
CARDS = {"RTX-3090-24GB": ("rtx-3090", "rtx-3090-blower"), "RTX-4090-24GB": ("rtx-4090", "rtx-4090-blower")}
BUDGET_CNY, CNY_PER_USD = 150_000, Decimal("7.2")
"""The rate of 2023-06-29 behind the catalogue's A100 price is 6.9; a richer dollar gives the peer more to spend."""
SEQ_LEN = 512


def full_fine_tuning(quick: bool) -> Report:
    """Does it find a full fine-tuning answer for a 7B model on 24 GB cards under a budget, and how fast?"""
    report = Report(f"peer: {PEER} {PEER_VERSION}, full fine-tuning of a 7B model on 24 GB cards")
    python = _peer_python()
    rows: list[list[str]] = []
    for theirs, ours in CARDS.items():
        cold, told = _cold([str(python), str(_SCRIPT), MODEL, theirs, str(int(BUDGET_CNY / CNY_PER_USD)), str(SEQ_LEN)])
        for count, found in told["found"].items():
            full = found["full"]
            said = f"full, {full['memory_gb']:.1f} GB" if full else f"none; {found['others']} LoRA and QLoRA answers"
            rows.append([PEER, f"{count}x {theirs}", said])
        fits = ", ".join(f"{name} {gb:.1f}" for name, gb in told["full_gb"].items())
        report.notes.append(
            f"{PEER} says a card of 4x {theirs} needs, for full fine-tuning at micro-batch 1, GB: {fits}."
        )
        report.rows.append(Row(theirs, f"{PEER}, 3 questions in its process", _times(told["ms"])))
        report.rows.append(Row(theirs, f"{PEER}, process start to end", cold))
        limits = {"budget_cny": BUDGET_CNY, "include": [*ours, "guide-base"]}
        asked: dict[str, Any] = {"limits": limits, "workload": {"id": WORKLOAD, "seq_len": SEQ_LEN}}
        question = resolve(asked, default_library())
        timings, answers = interleave([question] * (8 if quick else 32), {"ours": optimize})
        report.rows.append(Row(theirs, "ours, in process, proven", timings["ours"]))
        command = ["optimize", "--budget", str(BUDGET_CNY), "--workload", WORKLOAD, "--seq-len", str(SEQ_LEN)]
        command += [part for name in limits["include"] for part in ("--include", name)]  # type: ignore[attr-defined]
        start = "from solver.cli import run; run()"
        cold, _ = _cold([sys.executable, "-c", start, *command, "--format", "json"])
        report.rows.append(Row(theirs, "ours, process start to end", cold))
        plan = answers[0]["ours"].plan
        assert answers[0]["ours"].status in ("optimal", "infeasible")
        words = "proven: no rig" if plan is None else (
            f"full, {plan.card_count}x {plan.card_id} at {plan.power_limit_w} W, total batch {plan.total_batch}, "
            f"{plan.cost_cny:,.0f} CNY"
        )  # fmt: skip
        rows.append(["ours", f"up to 4x {theirs}", words])
    report.tables.append(Table(f"{BUDGET_CNY:,} CNY, {SEQ_LEN} tokens", ("who", "asked", "full fine-tuning"), rows))
    report.notes.append(
        f"{PEER} rents: its budget is {int(BUDGET_CNY / CNY_PER_USD):,} USD of rent. It tries full fine-tuning of a 7B "
        "model on four cards or more only, without ZeRO, and knows no CPU offload; ours buys, with offload."
    )
    return report


def _peer_python() -> Path:
    """The interpreter of the peers' environment, which is made at the first run."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
    installed = subprocess.run(
        [str(python), "-c", f"from importlib.metadata import version; print(version('{PEER}'))"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    if installed != PEER_VERSION:
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{PEER}=={PEER_VERSION}"]
        subprocess.run(install, check=True)
    return python


def _cold(command: list[str]) -> tuple[Timing, Any]:
    """Process start to end, the first, uncounted, to write byte code; and the JSON it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    wall: list[float] = []
    for _ in range(4):
        began = time.perf_counter()
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        wall.append(1000 * (time.perf_counter() - began))
        if ran.returncode not in (0, 3):
            raise RuntimeError(ran.stderr)
    return _times(wall[1:]), json.loads(ran.stdout)


def _times(ms: list[float]) -> Timing:
    return Timing(tuple(ms), tuple(ms))


MEASURED_HOST_GB = {1: 154, 2: 158, 4: 168, 8: 189}
"""Host RAM of ChatGLM-6B with ZeRO-3 and both offloaded, by number of GPUs: shared with docs/model.md."""
CHATGLM_PARAMETERS = 6.0e9
CHATGLM_LARGEST_LAYER = 130_528 * 4_096
"""Its embedding: vocabulary times hidden size of its published configuration."""


def deepspeed_formulas(_quick: bool) -> Report:
    """DeepSpeed's estimate of host and card memory, with and without zero_init, beside what was measured."""
    report = Report("peer: DeepSpeed's estimator, ChatGLM-6B, ZeRO-3 with optimizer and parameters offloaded")
    work = default_library().workload("guide-6b")
    rows = []
    for count, measured in MEASURED_HOST_GB.items():
        said = {
            "with": CHATGLM_PARAMETERS * 18 * 1.5 / 2**30,
            "without": CHATGLM_PARAMETERS * max(4 * count, 18) * 1.5 / 2**30,
            "ours": physics.host_ram_mib(work, count) / 1024,
        }
        rows.append([str(count), str(measured), *(f"{gb:.0f} ({gb / measured - 1:+.0%})" for gb in said.values())])
    head = ("GPUs", "measured", "estimator, zero_init", "estimator, without", "ours")
    report.tables.append(Table("Host RAM, GB", head, rows))
    card = 4 * CHATGLM_LARGEST_LAYER / 2**30
    weights, buffers, sample = float(work.weights_gb), float(work.buffers_gb), float(work.per_sample_gb)
    report.tables.append(
        Table(
            "Memory of a card, GB",
            ("micro-batch", "in use (guide)", "estimator", "ours, with the reserve"),
            [
                [str(b), f"{weights + buffers + b * sample:.0f}", f"{card:.1f}",
                 f"{weights + buffers + b * sample + float(work.reserve_gb):.1f}"]
                for b in (1, 7)
            ],
        )
    )  # fmt: skip
    report.notes.append(
        "The estimator counts model states only: no activations, no buffers, no context. Taken as what a card needs, "
        f"it would put this model on a card of {card:.1f} GB. Ours starts from the same 18 bytes x 1.5 for the host; "
        "the 5 GB for each further GPU are fitted to these four measurements, so they are no test of it."
    )
    return report


RIGS = 10_000
SOCKET_W = 2_200


def sum_of_tdps(_quick: bool) -> Report:
    """How many random rigs a sum of TDPs calls safe that trip a 10 A socket or overload the power supply."""
    report = Report(f"peer: a sum of TDPs, {RIGS:,} random rigs on a 10 A socket (2,200 W)")
    rng = random.Random(10)
    catalog = catalogue(500, 60, "market")
    tallies = {"cards only": [0] * 5, "cards and host": [0] * 5}
    for _ in range(RIGS):
        card, platform = rng.choice(catalog.cards), rng.choice(catalog.platforms)
        count = rng.randint(1, min(MAX_OPTION_CARDS, platform.pcie_x16_slots))
        trips, overloads = _truth(platform, count, card.tdp_w)
        lowest = card.power_limit_min_w or card.tdp_w
        can_be_limited = not any(_truth(platform, count, lowest))
        for name, host_w in (("cards only", 0), ("cards and host", platform.host_draw_w)):
            total_w = count * card.tdp_w + host_w
            tally = tallies[name]
            if total_w <= min(SOCKET_W, platform.psu.rated_w):
                tally[0] += 1
                tally[1] += trips
                tally[2] += overloads
                tally[3] += trips or overloads
            else:
                tally[4] += can_be_limited
    rows = [
        [
            name,
            *(f"{each:,}" for each in tally[:3]),
            f"{tally[3]:,} ({tally[3] / max(1, tally[0]):.0%})",
            f"{tally[4]:,}",
        ]
        for name, tally in tallies.items()
    ]
    head = (
        "TDPs summed",
        "called safe",
        "trip the socket",
        "overload the PSU",
        "unsafe after all",
        "refused, yet fit at a power limit",
    )
    report.tables.append(Table("Each rig at its cards' TDP", head, rows))
    assert all(tally[3] > 0 for tally in tallies.values())
    report.notes.append(
        "Ours: wall power through the supply's efficiency at its load, and the supply's headroom for transients "
        "(docs/model.md). Cards and platforms are generated, market-like; every count that has a slot is as likely."
    )
    return report


def _truth(platform: Platform, count: int, watts: int) -> tuple[bool, bool]:
    """Whether the rig draws more than the socket gives, and whether it overloads its power supply."""
    psu, load_w = platform.psu, count * watts + platform.host_draw_w
    needed_w = platform.host_draw_w * psu.host_headroom + count * watts * psu.card_headroom
    return physics.wall_mw(psu, load_w) > SOCKET_W * 1000, needed_w > psu.rated_w


BENCHES: dict[str, Callable[[bool], Report]] = {
    "peer-ftuneai": full_fine_tuning,
    "peer-deepspeed": deepspeed_formulas,
    "peer-tdp": sum_of_tdps,
}
