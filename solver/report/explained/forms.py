"""Sections as tables in the terminal (Rich) and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from solver.domain.explanation import Explanation
from solver.domain.language import say
from solver.report.explained.sections import Section, sections_of
from solver.report.explained.words import footer, headline
from solver.report.prose import Prose

_FIGURE = re.compile(r"[\d,.]+( h| days| 天)?|any|不限|任意|-|")
"""A cell that holds one figure; a column of such cells is set to the right."""


def print_explanation(explanation: Explanation, console: Console) -> None:
    """An explanation in the terminal."""
    console.print(Prose(headline(explanation), style="bold green" if explanation.result.plan else "bold yellow"))
    print_sections(sections_of(explanation), console)
    console.print(Prose(footer(explanation), style="dim"))


def print_sections(sections: Iterable[Section], console: Console) -> None:
    """Sections as tables; a section without columns as a list."""
    for section in sections:
        console.print()
        if not section.columns:
            console.print(Prose(say("{title}:", title=section.title), style="bold"))
            for row in section.rows:
                console.print(Prose("  " + " ".join(row)))
            continue
        table = Table(box=box.SIMPLE_HEAD, title=section.title, title_justify="left", title_style="bold")
        for at, name in enumerate(section.columns):
            right = bool(section.rows) and all(_FIGURE.fullmatch(row[at]) for row in section.rows)
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in section.rows:
            table.add_row(*(Prose(cell) for cell in row))
        console.print(table)
        if section.note:
            console.print(Prose(section.note, style="dim"))


def markdown(title: str, sections: Iterable[Section], note: str = "") -> str:
    """Sections as Markdown."""
    lines = [f"# {_escaped(title)}"]
    for section in sections:
        lines += ["", f"## {_escaped(section.title)}", ""]
        if section.columns:
            lines.append("| " + " | ".join(_escaped(c) for c in section.columns) + " |")
            lines.append("|" + " --- |" * len(section.columns))
            lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in section.rows]
        else:
            lines += ["- " + _escaped(" ".join(row)) for row in section.rows]
        if section.note:
            lines += ["", _escaped(section.note)]
    if note:
        lines += ["", _escaped(note)]
    return "\n".join(lines)


_ESCAPES = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#"} | {"\n": " ", "\r": " "})


def _escaped(text: str) -> str:
    """Text as Markdown that means itself: names come from catalogues, and may hold anything."""
    return text.translate(_ESCAPES)
