"""Workloads as people and programs read them: each figure with both ends and how far it is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.domain.language import say
from solver.domain.physics import host_ram_mib, micro_batch
from solver.domain.records import FIGURES, Card, Workload
from solver.report import markdown
from solver.report.calibration import ends_of
from solver.report.catalogue import map_escaped, sources_of
from solver.report.json_form import SCHEMA_VERSION
from solver.report.wording import number

Rows = list[tuple[str, ...]]

LIST_COLUMNS = ("workload", "parameters", "tokens", "GB a sample", "figures", "what it trains")
FIGURE_COLUMNS = ("figure", "low", "expected", "high", "unit", "basis")
BATCH_COLUMNS = ("samples a card holds, alone", "memory GB", "low", "expected", "high")
_UNITS = {"host_ram_bytes_per_parameter": "bytes", "fixed_s": "s", "optimizer_s": "s", "per_sample_s": "s"}
_CARD_COUNTS = (1, 2, 4, 8)
_ENDS = ("low", "expected", "high")


def list_rows(workloads: Sequence[Workload]) -> Rows:
    """A row for each workload: size, length of a sample, memory of one, and where the figures come from."""
    return [
        (
            work.id,
            number(work.parameters / 1e9) + "e9",
            "" if work.seq_len is None else f"{work.seq_len:,}",
            number(float(work.per_sample_gb)),
            work.tag_of("per_sample_gb"),
            work.name,
        )
        for work in workloads
    ]


def list_object(workloads: Sequence[Workload]) -> dict[str, Any]:
    """The JSON object of `workload list`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "workloads": [
            {
                "id": w.id,
                "name": w.name,
                "parameters": w.parameters,
                "seq_len": w.seq_len,
                "estimated": bool(w.estimated),
            }
            for w in workloads
        ],
    }


def figure_rows(work: Workload) -> Rows:
    """Every figure with both ends, its unit and its tag."""
    return [
        (
            name,
            *(number(value, 3) for value in ends_of(work, name)),
            _UNITS.get(name, "GB"),
            work.tag_of(name),
        )
        for name in FIGURES
    ]


def batch_rows(work: Workload, cards: Sequence[Card]) -> Rows:
    """Samples that one card alone holds: at most (low end), expected, and surely (high end)."""
    return [
        (
            card.id,
            f"{card.vram_mib / 1024:.1f}",
            *(str(micro_batch(card, work, 1, end)) for end in _ENDS),  # type: ignore[arg-type]
        )
        for card in cards
    ]


def facts(work: Workload) -> list[tuple[str, str]]:
    """What the job is, line by line."""
    shape = work.model
    lines = [("parameters", f"{work.parameters:,}" + _published(work))]
    if shape is not None:
        grouped = "" if shape.kv_heads in (None, shape.heads) else f", {shape.kv_heads} of keys and values"
        lines.append(
            (
                "shape",
                f"{shape.layers} layers, hidden {shape.hidden:,}, {shape.heads} heads{grouped}, "
                f"MLP {shape.ffn:,}, vocabulary {shape.vocab:,}",
            )
        )
    if work.seq_len is not None:
        lines.append(("tokens of a sample", f"{work.seq_len:,}"))
    kept = {"none": "nothing", "optimizer": "the optimizer", "optimizer_and_parameters": "optimizer and parameters"}
    switches = [
        *(["checkpointing"] if work.checkpointing else []),
        *(["flash attention"] if work.flash_attention and shape is not None else []),
        *([f"{work.gradient_accumulation} micro-steps a step"] if work.gradient_accumulation > 1 else []),
    ]
    lines.append(
        (
            "training",
            ", ".join([f"ZeRO stage {work.zero_stage}, {kept[work.offload]} offloaded", work.precision, *switches]),
        )
    )
    lines.append(("job", f"{work.samples:,} samples, {work.epochs} epoch{'s' if work.epochs > 1 else ''}"))
    ram = ", ".join(f"{n}: {host_ram_mib(work, n) / 1024:,.0f}" for n in _CARD_COUNTS)
    lines.append(("host RAM, GB", f"with {ram} cards"))
    lines.append(("times hold for", f"{work.reference_card_id} ({number(float(work.reference_tflops))} TFLOPS)"))
    if work.notes:
        lines.append(("notes", work.notes))
    return lines


def _published(work: Workload) -> str:
    if work.model is None or work.model.published_parameters is None:
        return ""
    published = work.model.published_parameters
    apart = 100 * (work.parameters - published) / published
    return f" (published: {published:,}, {apart:+.2f} %)"


def show_object(work: Workload) -> dict[str, Any]:
    """The JSON object of `workload show`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "workload": work.model_dump(mode="json"),
        "figures": {
            name: {
                **dict(zip(_ENDS, ends_of(work, name), strict=True)),
                "unit": _UNITS.get(name, "GB"),
                "basis": work.tag_of(name),
            }
            for name in FIGURES
        },
        "host_ram_gb": {str(n): round(host_ram_mib(work, n) / 1024, 3) for n in _CARD_COUNTS},
    }


def print_list(workloads: Sequence[Workload], console: Console) -> None:
    """All workloads as a table."""
    console.print(_table(LIST_COLUMNS, list_rows(workloads), right=(1, 2, 3)))


def print_workload(work: Workload, cards: Sequence[Card], console: Console) -> None:
    """What the job is, its figures, what cards hold, and the sources."""
    console.print(Text(f"{work.name} ({work.id})", style="bold"))
    facing = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facing.add_column(no_wrap=True)
    facing.add_column(overflow="fold")
    for name, told in facts(work):
        facing.add_row(Text(name), Text(told))
    console.print(facing)
    console.print(_table(FIGURE_COLUMNS, figure_rows(work), right=(1, 2, 3)))
    console.print(_table(BATCH_COLUMNS, batch_rows(work, cards), right=(1, 2, 3, 4)))
    for source in sources_of(work):
        console.print(Text("  " + say("source: {source}", source=source)))


def workload_markdown(work: Workload, cards: Sequence[Card]) -> str:
    """One workload as Markdown."""
    lines = [f"## {markdown.escaped(work.name)} ({markdown.escaped(work.id)})", ""]
    lines += [f"- {markdown.escaped(name)}: {markdown.escaped(told)}" for name, told in facts(work)]
    lines += ["", *markdown.table(FIGURE_COLUMNS, (map_escaped(row) for row in figure_rows(work)), right=(1, 2, 3))]
    rows = (map_escaped(row) for row in batch_rows(work, cards))
    lines += ["", *markdown.table(BATCH_COLUMNS, rows, right=(1, 2, 3, 4)), ""]
    lines += [f"- {markdown.escaped(source)}" for source in sources_of(work)]
    return "\n".join(lines) + "\n"


def list_markdown(workloads: Sequence[Workload]) -> str:
    """All workloads as Markdown."""
    rows = (map_escaped(row) for row in list_rows(workloads))
    return "\n".join(markdown.table(LIST_COLUMNS, rows, right=(1, 2, 3))) + "\n"


def _table(columns: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> Table:
    made = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(columns):
        made.add_column(name, justify="right" if position in right else "left", overflow="fold", no_wrap=position == 0)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
