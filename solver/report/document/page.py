"""A report as one HTML page: no network, no markup from data, and a policy that admits this style sheet (and script).

Modify this module when a page should be built otherwise; how it looks is decided in style.py.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from solver.domain.language import language, say
from solver.report.charts.canvas import width_of
from solver.report.document.chapter import Chapter, Report
from solver.report.document.record import looked_up
from solver.report.document.script import FILTER_FROM, SCRIPT
from solver.report.document.style import CSS
from solver.report.explained.sections import Section
from solver.report.markup import h, html_text, json_block

_FIGURE = re.compile(r"(at least )?[-\d,.]+ ?(%|h|days|CNY|GB|MiB|W)?|any|-|")
"""A cell that holds one figure; a column of such cells is set to the right."""
_BETWEEN = re.compile(r"(?<=[\s/-])")
_PHONE, _PAPER, _CELL_FONT, _CELL_GAP = 358, 780, 13, 9
"""Px: a phone's screen and a sheet of A4 without margins (seen from text of 13 px), and a table's text."""
_HTML_LANGUAGE = {"en": "en", "zh": "zh-CN"}


def page(report: Report, written: str, interactive: bool = False) -> str:
    """The page as HTML.

    Args:
        report: what it tells.
        written: the day it is written, YYYY-MM-DD.
        interactive: with a script for pointing and filtering; without, the page holds none.
    """
    lines = (*report.footer, say("Report written on {day}.", day=written))
    body = h(
        "body",
        h(
            "div",
            h("main", *_main(report, interactive)),
            h("footer", *(h("p", line) for line in lines)),
            class_="page",
        ),
        json_block(report.record, "record"),
        h("script", SCRIPT) if interactive else None,
        data_none=say("no plan") if interactive else None,
        data_filter=say("Show only rows with") if interactive else None,
    )
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=policy(interactive)),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", name="referrer", content="no-referrer"),
        h("title", f"{report.title}: {report.headline}"),
        h("style", CSS),
    )
    return html_text(h("html", head, body, lang=_HTML_LANGUAGE[language()]))


def policy(interactive: bool) -> str:
    """What the page may load: nothing. What it may hold: this style sheet, and this script if any."""
    parts = ["default-src 'none'", f"style-src {_hash(CSS)}"]
    if interactive:
        parts.append(f"script-src {_hash(SCRIPT)}")
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _main(report: Report, interactive: bool) -> Iterator[Element]:
    links = [h("a", chapter.title, href=f"#{chapter.name}") for chapter in report.chapters]
    facts = [
        h(
            "div",
            h("dt", fact.name),
            h("dd", _figure(report, fact.told, fact.at), class_="value"),
            h("dd", fact.note, class_="note") if fact.note else None,
        )
        for fact in report.facts
    ]
    yield h(
        "header",
        h("h1", report.title),
        h("p", report.headline, class_="headline"),
        h("p", report.verdict, class_="verdict good" if report.good else "verdict"),
        h("dl", *facts, class_="facts") if facts else None,
        h("nav", *_spaced(links), aria_label=say("Chapters")),
    )
    for chapter in report.chapters:
        yield _chapter(chapter, interactive)


def _spaced(links: list[Element]) -> Iterator[Element | str]:
    for link in links:
        yield link
        yield " "  # so that a line can break between them


def _figure(report: Report, told: str, at: str) -> Element:
    """A figure in words, with its value and its place in the record for programs."""
    return h("data", told, value=f"{looked_up(report.record, at)}", data_at=at)


def _chapter(chapter: Chapter, interactive: bool) -> Element:
    return h(
        "section",
        h("h2", chapter.title, id=f"{chapter.name}-h"),
        *(h("p", text) for text in chapter.text),
        h("ul", *(h("li", note) for note in chapter.notes), class_="notes") if chapter.notes else None,
        h("div", *(h("figure", chart) for chart in chapter.charts), class_="charts") if chapter.charts else None,
        *(
            h("figure", h("div", wide, class_="wide"), h("div", narrow, class_="narrow"))
            for wide, narrow in chapter.wide
        ),
        *(
            element
            for i, section in enumerate(chapter.sections)
            for element in _section(chapter, i, section, interactive)
        ),
        id=chapter.name,
        aria_labelledby=f"{chapter.name}-h",
    )


def _section(chapter: Chapter, i: int, section: Section, interactive: bool) -> Iterator[Element]:
    name = f"{chapter.name}-{i}"
    yield h("h3", section.title, id=name)
    if section.columns:
        yield _table(section, name, interactive)
    else:
        yield h("ul", *(h("li", " ".join(row)) for row in section.rows), class_="plain")
    if section.note:
        yield h("p", section.note, class_="under")


def _table(section: Section, name: str, interactive: bool) -> Element:
    right = [
        all(_FIGURE.fullmatch(row[at]) for row in section.rows) and any(row[at] for row in section.rows)
        for at in range(len(section.columns))
    ]
    class_ = _class(section, right)
    rows = [
        h(
            "tr",
            *(
                h(
                    "td",
                    cell,
                    class_="num" if on_right else None,
                    data_th=None if class_ == "fits" or at == 0 else title,
                )
                for at, (cell, title, on_right) in enumerate(zip(row, section.columns, right, strict=True))
            ),
        )
        for row in section.rows
    ]
    heads = (
        h("th", title, scope="col", class_="num" if on_right else None) if title else h("td")
        for title, on_right in zip(section.columns, right, strict=True)
    )
    return h(
        "table",
        h("thead", h("tr", *heads)),
        h("tbody", *rows),
        class_=class_,
        aria_labelledby=name,
        data_filter="1" if interactive and len(section.rows) >= FILTER_FROM else None,
    )


def _class(section: Section, right: list[bool]) -> str | None:
    """`fits`: a phone is wide enough for the table as a table. `any`: words must be broken even on paper.

    On a phone figures are not broken, words are not, and text takes three lines a cell at most.
    """
    phone = widest = 0.0
    for at, title in enumerate(section.columns):
        cells = [row[at] for row in section.rows]
        words = [word for cell in cells for word in ([cell] if right[at] else _BETWEEN.split(cell))]
        word = max((width_of(word, _CELL_FONT) for word in (*words, *title.split())), default=0.0)
        text = max((width_of(cell, _CELL_FONT) for cell in cells), default=0.0)
        phone += max(word, min(text / 3, _PHONE)) + _CELL_GAP
        widest += word + _CELL_GAP
    return "any" if widest > _PAPER else "fits" if phone <= _PHONE else None
