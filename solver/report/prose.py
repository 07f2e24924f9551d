"""Text in the terminal that breaks its lines as Chinese does: between any two characters, but not before a comma.

Rich breaks at spaces only, of which Chinese has none: it would send a whole sentence to the next line, and then cut
words of Latin letters anywhere. Text without wide characters is left to Rich. Modify this module when lines break in
the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_OPENING = "（“‘《【"
_CLOSING = "，。：；、！？）”’》】％…"


@lru_cache(maxsize=1)
def _piece() -> re.Pattern[str]:
    """What stands on one line: a word, or one wide character, with the brackets and commas that belong to it.

    Compiled when the first wide character comes: its large sets take longer than drawing a table.
    """
    return re.compile(
        f"[{_OPENING}]*(?:[^\\s\u2e80-\uffff{_OPENING}{_CLOSING}]+|[^\\s\u0000-\u2e7f{_OPENING}{_CLOSING}])?"
        f"[{_CLOSING}]*\\s*"
    )


def _wide(text: str) -> bool:
    return not text.isascii() and any("\u2e80" <= character <= "\uffff" for character in text)


class Prose:
    """A text for `console.print` and for cells of tables."""

    def __init__(self, text: str | Text, style: str = "") -> None:
        self.text = text if isinstance(text, Text) else Text(text, style=style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's protocol: the lines."""
        if options.no_wrap or not _wide(self.text.plain):
            yield self.text
            return
        lines = []
        for line in self.text.split(allow_blank=True):
            for piece in line.divide(breaks(line.plain, options.max_width)):
                piece.rstrip()
                lines.append(piece)
        yield Text("\n").join(lines)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Rich's protocol: the narrowest and the widest it can be."""
        if not _wide(self.text.plain):
            return Measurement.get(console, options, self.text)
        lines = self.text.plain.splitlines()
        least = max(cell_len(piece.rstrip()) for line in lines for piece in _pieces(line))
        return Measurement(least, max(map(cell_len, lines)))


def breaks(line: str, width: int) -> list[int]:
    """Where a line is broken so that no part is wider than `width` terminal cells; a word that is wider is cut."""
    found: list[int] = []
    at = used = 0
    for piece in _pieces(line):
        wide = cell_len(piece.rstrip())
        if used and used + wide > width:
            found.append(at)
            used = 0
        if wide > width:  # a word that no line holds: cut where the line ends
            for offset, character in enumerate(piece):
                if used and used + cell_len(character) > width:
                    found.append(at + offset)
                    used = 0
                used += cell_len(character)
        else:
            used += cell_len(piece)
        at += len(piece)
    return found


def _pieces(line: str) -> Iterator[str]:
    at = 0
    if indent := len(line) - len(line.lstrip()):
        match = _piece().match(line, indent)
        at = max(match.end() if match is not None else 0, indent)
        yield line[:at]
    while at < len(line):
        match = _piece().match(line, at)
        end = max(match.end() if match is not None else 0, at + 1)
        yield line[at:end]
        at = end
