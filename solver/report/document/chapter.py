"""What a report is made of. Both forms, page and Markdown, follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from solver.report.explained.sections import Section


@dataclass(frozen=True)
class Fact:
    """A figure worth being large: its name, its value in words, and where in the record it stands."""

    name: str
    told: str
    at: str
    note: str = ""


@dataclass(frozen=True)
class Chapter:
    """A titled part of a report.

    Attributes:
        name: its anchor, the same in every language.
        title: what it is called.
        text: paragraphs before all else.
        charts: charts of one column, side by side where there is room.
        wide: charts over the whole page, each with its twin for a phone.
        notes: lines of a list, such as warnings.
        sections: tables and lists.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    charts: tuple[Element, ...] = ()
    wide: tuple[tuple[Element, Element], ...] = ()
    notes: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report: `record` is what every figure in it comes from, as the JSON documents have it."""

    kind: str
    title: str
    headline: str
    verdict: str
    good: bool
    facts: tuple[Fact, ...]
    chapters: tuple[Chapter, ...]
    record: Mapping[str, Any] = field(repr=False)
    footer: tuple[str, ...] = ()

    @property
    def charts(self) -> list[Element]:
        """All charts in order, of the wide ones the wide form."""
        return [chart for chapter in self.chapters for chart in (*chapter.charts, *(wide for wide, _ in chapter.wide))]
