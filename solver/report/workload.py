"""Workloads as people and programs read them: each figure with both ends and how far it is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from solver.domain.catalog import Card
from solver.domain.language import listed, say, say_many
from solver.domain.physics import host_ram_mib, micro_batch
from solver.domain.shape import FIGURES
from solver.domain.workload import Workload
from solver.report import markdown
from solver.report.calibration import ends_of
from solver.report.catalogue import map_escaped, sources_of
from solver.report.json_form import SCHEMA_VERSION
from solver.report.prose import Prose
from solver.report.wording import TAG_WORDS, number, unit_words

Rows = list[tuple[str, ...]]

_UNITS = {"host_ram_bytes_per_parameter": "bytes", "fixed_s": "s", "optimizer_s": "s", "per_sample_s": "s"}
_CARD_COUNTS = (1, 2, 4, 8)
_ENDS = ("low", "expected", "high")


def _list_columns() -> tuple[str, ...]:
    return (
        say("workload"),
        say("parameters"),
        say("tokens"),
        say("GB a sample"),
        say("figures"),
        say("what it trains"),
    )


def _figure_columns() -> tuple[str, ...]:
    return say("figure"), say("low"), say("expected"), say("high"), say("unit"), say("basis")


def _batch_columns() -> tuple[str, ...]:
    return say("samples a card holds, alone"), say("memory GB"), say("low"), say("expected"), say("high")


def list_rows(workloads: Sequence[Workload]) -> Rows:
    """A row for each workload: size, length of a sample, memory of one, and where the figures come from."""
    return [
        (
            work.id,
            number(work.parameters / 1e9) + "e9",
            "" if work.seq_len is None else f"{work.seq_len:,}",
            number(float(work.per_sample_gb)),
            say(TAG_WORDS[work.tag_of("per_sample_gb")]),
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
            unit_words(_UNITS.get(name, "GB")),
            say(TAG_WORDS[work.tag_of(name)]),
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
    lines = [(say("parameters"), f"{work.parameters:,}" + _published(work))]
    if shape is not None:
        said = say(
            "{layers} layers, hidden {hidden:,}, {heads} heads, MLP {ffn:,}, vocabulary {vocab:,}",
            layers=shape.layers,
            hidden=shape.hidden,
            heads=shape.heads,
            ffn=shape.ffn,
            vocab=shape.vocab,
        )
        if shape.kv_heads not in (None, shape.heads):
            said += say("; {heads} heads of keys and values", heads=shape.kv_heads)
        lines.append((say("shape"), said))
    if work.seq_len is not None:
        lines.append((say("tokens of a sample"), f"{work.seq_len:,}"))
    lines.append((say("training"), listed(_settings(work))))
    epochs = say_many("{count} epoch", "{count} epochs", work.epochs)
    lines.append((say("job"), say("{samples:,} samples, {epochs}", samples=work.samples, epochs=epochs)))
    ram = listed(say("{what}: {allowed}", what=n, allowed=f"{host_ram_mib(work, n) / 1024:,.0f}") for n in _CARD_COUNTS)
    lines.append((say("host RAM, GB"), say("by cards: {ram}", ram=ram)))
    tflops = number(float(work.reference_tflops))
    lines.append((say("times hold for"), say("{card} ({tflops} TFLOPS)", card=work.reference_card_id, tflops=tflops)))
    if work.notes:
        lines.append((say("notes"), work.notes))
    return lines


def _settings(work: Workload) -> list[str]:
    kept = {
        "none": say("nothing offloaded"),
        "optimizer": say("the optimizer offloaded"),
        "optimizer_and_parameters": say("optimizer and parameters offloaded"),
    }
    found = [say("ZeRO stage {stage}", stage=work.zero_stage), kept[work.offload], work.precision]
    if work.checkpointing:
        found.append(say("checkpointing"))
    if work.flash_attention and work.model is not None:
        found.append(say("flash attention"))
    if work.gradient_accumulation > 1:
        found.append(say("{count} micro-steps a step", count=work.gradient_accumulation))
    return found


def _published(work: Workload) -> str:
    if work.model is None or work.model.published_parameters is None:
        return ""
    published = work.model.published_parameters
    apart = 100 * (work.parameters - published) / published
    return say(" (published: {count:,}, {apart:+.2f} %)", count=published, apart=apart)


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
    console.print(_table(_list_columns(), list_rows(workloads), right=(1, 2, 3)))


def print_workload(work: Workload, cards: Sequence[Card], console: Console) -> None:
    """What the job is, its figures, what cards hold, and the sources."""
    console.print(Prose(f"{work.name} ({work.id})", style="bold"))
    facing = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    facing.add_column(no_wrap=True)
    facing.add_column(overflow="fold")
    for name, told in facts(work):
        facing.add_row(Prose(name), Prose(told))
    console.print(facing)
    console.print(_table(_figure_columns(), figure_rows(work), right=(1, 2, 3)))
    console.print(_table(_batch_columns(), batch_rows(work, cards), right=(1, 2, 3, 4)))
    for source in sources_of(work):
        console.print(Prose("  " + say("source: {source}", source=source)))


def workload_markdown(work: Workload, cards: Sequence[Card]) -> str:
    """One workload as Markdown."""
    lines = [f"## {markdown.escaped(work.name)} ({markdown.escaped(work.id)})", ""]
    lines += [f"- {markdown.escaped(name)}: {markdown.escaped(told)}" for name, told in facts(work)]
    lines += ["", *markdown.table(_figure_columns(), (map_escaped(row) for row in figure_rows(work)), right=(1, 2, 3))]
    rows = (map_escaped(row) for row in batch_rows(work, cards))
    lines += ["", *markdown.table(_batch_columns(), rows, right=(1, 2, 3, 4)), ""]
    lines += [f"- {markdown.escaped(source)}" for source in sources_of(work)]
    return "\n".join(lines) + "\n"


def list_markdown(workloads: Sequence[Workload]) -> str:
    """All workloads as Markdown."""
    rows = (map_escaped(row) for row in list_rows(workloads))
    return "\n".join(markdown.table(_list_columns(), rows, right=(1, 2, 3))) + "\n"


def _table(columns: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> Table:
    made = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(columns):
        made.add_column(name, justify="right" if position in right else "left", overflow="fold", no_wrap=position == 0)
    for row in rows:
        made.add_row(*(Prose(cell) for cell in row))
    return made
