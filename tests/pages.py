"""Reads a report back: what an HTML page shows, carries and allows, without a browser."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

NUMBER = re.compile(r"(?<![\w.,-])-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w])")
_VOID = {"meta", "br", "input", "link", "img", "hr"}
_ITS_OWN_WORDS = ("script", "style")


@dataclass
class Page:
    """A page taken apart. `figures`: (place in the record, value, words) of everything that says which figure it is."""

    figures: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    style: str = ""
    policy: str = ""
    language: str = ""

    @property
    def record(self) -> Any:
        """The record the page carries."""
        return json.loads(self.scripts["record"])

    @property
    def text(self) -> str:
        """All that is shown, in one."""
        return "\n".join(self.texts)

    def numbers(self) -> set[str]:
        """Every number that stands in what is shown."""
        return {found for text in self.texts for found in NUMBER.findall(text)}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.tags.append(tag)
        self.page.attributes += [(tag, name, value) for name, value in given.items()]
        if tag == "html":
            self.page.language = given["lang"]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.page.policy = given["content"]
        if "data-at" in given and tag == "rect":
            self.page.figures.append((given["data-at"], given["data-value"], ""))
        if tag not in _VOID:
            self.open.append((tag, given))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        tag, given = self.open[-1] if self.open else ("", {})
        if tag == "script":
            self.page.scripts[given.get("id", "script")] = data
        elif tag == "style":
            self.page.style += data
        else:
            if "data-at" in given:
                value = given["value"] if tag == "data" else given["data-value"]
                self.page.figures.append((given["data-at"], value, data))
            if "tick" not in given.get("class", ""):  # round values of an axis are nobody's figures
                self.page.texts.append(data)


def read_page(html: str) -> Page:
    """Take a page apart; every element must be closed in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader.page
