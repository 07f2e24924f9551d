"""Reports and charts as files: whole or not at all, in place of what was there, as all `-o` of the command line do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from solver.domain.errors import InvalidProblem
from solver.report.charts.canvas import FILE_CSS
from solver.report.document.chapter import Report
from solver.report.document.page import page
from solver.report.document.text import markdown_text
from solver.report.markup import svg_file_text

FORMS: dict[str, Callable[[Report, str, bool], str]] = {
    ".html": page,
    ".md": lambda report, written, _interactive: markdown_text(report, written),
}
"""Ending -> how the text is made from (report, day, interactive)."""


def checked_output(text: str) -> Path:
    """A path a report can be written to; asked before anything is read.

    Raises:
        InvalidProblem: no such form, no such folder, or a folder itself.
    """
    path = Path(text)
    if path.suffix.lower() not in FORMS:
        raise InvalidProblem.of("--output", text, f"must end in {', '.join(FORMS)}")
    if not path.parent.is_dir():
        raise InvalidProblem.of("--output", text, "no such folder")
    if path.is_dir():
        raise InvalidProblem.of("--output", text, "is a folder, a file is needed")
    return path


def write_report(report: Report, path: Path, written: str, interactive: bool) -> None:
    """Write a report in the form its ending names.

    Raises:
        InvalidProblem: it cannot be written.
    """
    _write(path, FORMS[path.suffix.lower()](report, written, interactive), "--output")


def write_charts(report: Report, folder: Path) -> list[Path]:
    """Write every chart of a report as an SVG file that stands alone; makes the folder. Returns the files.

    Raises:
        InvalidProblem: they cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InvalidProblem.of("--charts", str(folder), f"cannot be made: {error.strerror}") from None
    found = []
    for chart in report.charts:
        path = folder / f"{chart.get('data-chart')}.svg"
        _write(path, svg_file_text(chart, FILE_CSS), "--charts")
        found.append(path)
    return found


def _write(path: Path, text: str, option: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(text.encode())
        partial.replace(path)
    except OSError as error:
        raise InvalidProblem.of(option, str(path), f"cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
