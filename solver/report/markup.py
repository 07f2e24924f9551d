"""HTML and SVG as a tree of elements, written out by the standard library: no text can become markup.

`h("td", name, class_="name")` makes an element; what is written is escaped where it is written, in one place. Names
come from catalogues and may hold anything; characters that no document may hold are replaced. Modify this module when
pages need another way of writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Union
from xml.etree.ElementTree import Element, tostring

Child = Union["Element", str, int, None, Iterable["Child"]]

_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Control characters, halves of characters, non-characters; and what turns the direction of writing around, by which a
name could pass for another."""
SVG_NAMESPACE = "http://www.w3.org/2000/svg"


def h(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Element:
    """An element. `class_` and `for_` are `class` and `for`, other `_` are `-`; None and False leave an attribute out.

    Numbers are written with at most two decimals.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name[:-1] if name.endswith("_") else name.replace("_", "-")
        made.set(key, "" if value is True else text_of(value) if isinstance(value, str) else coordinate(value))
    add(made, children)
    return made


def add(parent: Element, child: Child) -> None:
    """Append a child, or all of several, to an element."""
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif isinstance(child, (str, int)):
        text = text_of(str(child))
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text
    else:
        for each in child:
            add(parent, each)


def text_of(text: str) -> str:
    """Text with what no document may hold replaced by U+FFFD."""
    return _REFUSED.sub("\ufffd", text)


def coordinate(value: float) -> str:
    """A number for an attribute: at most two decimals, no exponent."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def html_text(root: Element) -> str:
    """A whole HTML document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def svg_file_text(root: Element, css: str) -> str:
    """An SVG file that stands alone: the element with its namespace and style sheet."""
    alone = Element("svg", {"xmlns": SVG_NAMESPACE, **root.attrib})
    alone.append(h("style", css))
    alone.extend(list(root))
    return tostring(alone, encoding="unicode", method="xml") + "\n"


def json_block(data: Any, name: str) -> Element:
    """Data inside a page, for programs: `<` is written as JSON can write it, so the block cannot be left."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    block = Element("script", {"type": "application/json", "id": name})
    block.text = _REFUSED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return block
