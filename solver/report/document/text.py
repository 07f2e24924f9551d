"""A report as Markdown: the same chapters, without charts.

What comes from data is escaped, as in solver.report.markdown.
"""

from __future__ import annotations

from solver.domain.language import say
from solver.report.document.chapter import Report
from solver.report.explained.sections import Section
from solver.report.markdown import escaped, table
from solver.report.markup import text_of


def markdown_text(report: Report, written: str) -> str:
    """The report as Markdown; `written` is the day it is written, YYYY-MM-DD."""
    lines = [f"# {_line(report.title)}", "", f"**{_line(report.headline)}**", "", _line(report.verdict), ""]
    if report.facts:
        rows = ((_line(fact.name), _line(fact.told), _line(fact.note)) for fact in report.facts)
        lines += [*table(("", "", ""), rows), ""]
    for chapter in report.chapters:
        if not (chapter.text or chapter.notes or chapter.sections):
            continue  # nothing but charts
        lines += [f"## {_line(chapter.title)}", ""]
        for text in chapter.text:
            lines += [_line(text), ""]
        if chapter.notes:
            lines += [*(f"- {_line(note)}" for note in chapter.notes), ""]
        for section in chapter.sections:
            lines += _section(section)
    for line in (*report.footer, say("Report written on {day}.", day=written)):
        lines += [_line(line), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"### {_line(section.title)}", ""]
    if section.columns:
        heads = [_line(title) for title in section.columns]
        lines += [*table(heads, ([_line(cell) for cell in row] for row in section.rows)), ""]
    else:
        lines += [*(f"- {_line(' '.join(row))}" for row in section.rows), ""]
    if section.note:
        lines += [_line(section.note), ""]
    return lines


def _line(text: str) -> str:
    return escaped(text_of(text))
