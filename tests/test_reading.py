"""The guarded YAML reader: what it refuses, how fast, and what plain scalars mean."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from solver.catalog.reading import MAX_BYTES, line_at, parse_yaml, read_file
from solver.domain.errors import InvalidProblem

BOMBS: dict[str, tuple[bytes, str]] = {
    "100,000 [": (b"[" * 100_000, "nested deeper"),
    "100,000 {": (b"{a: " * 100_000, "nested deeper"),
    "100,000 -": (b"- " * 100_000, "nested deeper"),
    "indented": (b"".join(b" " * i + b"a:\n" for i in range(3000)), "nested deeper"),
    "alias": (b"a: &x 1\nb: *x", "anchors and aliases"),
    "alias of nothing": (b"a: *x", "anchors and aliases"),
    "alias bomb": (b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]", "anchors and aliases"),
    "merge of an alias": (b"a: &a {b: 1}\nc: {<<: *a}", "anchors and aliases"),
    "tag": (b"a: !!python/object/apply:os.system [ls]", "tags"),
    "tag of a scalar": (b"a: !!int '3'", "tags"),
    "duplicate key": (b"a: 1\nb: 2\na: 3", "f.yaml:3: key 'a' is given twice"),
    "10 MB of digits": (b"a: " + b"9" * 10**7, "longer than 10,000"),
    "41 digits": (b"a: " + b"9" * 41, "more than 40"),
    "1e400": (b"a: 1e400", "too large"),
    "8 million numbers": (b"a: [" + b"1," * 8 * 10**6 + b"]", "parts"),
    "key of a list": (b"? [a]\n: 1", "key must be plain text"),
    "two documents": (b"a: 1\n---\nb: 2", "more than one document"),
    "GBK": ("型号: 1".encode("gbk"), "not UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "not UTF-8"),
    "NUL": (b"a: \x00", "not YAML"),
    "tab": (b"a:\n\t- 1", "f.yaml:2: is not YAML"),
    "unclosed": (b"{a: [1", "not YAML"),
}


@pytest.mark.parametrize(("data", "told"), BOMBS.values(), ids=BOMBS)
def test_refused_in_one_line(data: bytes, told: str) -> None:
    """Tests that hostile YAML is refused at once with file and reason."""
    started = time.process_time()
    with pytest.raises(InvalidProblem) as caught:
        parse_yaml(data, "f.yaml")
    assert time.process_time() - started < 2
    assert str(caught.value).startswith("f.yaml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


SCALARS: list[tuple[str, Any]] = [
    ("3e5", 300000),
    ("1.5e3", 1500.0),
    ("NO", "NO"),
    ("off", "off"),
    ("1:30", "1:30"),
    ("017", 17),
    ("0x1F", "0x1F"),
    ("1_000", "1_000"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("true", True),
    ("False", False),
    ("~", None),
    ("", None),
    ("2023-07-01", "2023-07-01"),
    ('"5"', "5"),
    ("-0.5", -0.5),
    ("123456.01234567891", Decimal("123456.01234567891")),
    ("=1+1", "=1+1"),
    ("30万", "30万"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_scalars_mean_what_they_look_like(text: str, value: Any) -> None:
    """Tests that a plain scalar is what YAML 1.2 says, not a surprise of YAML 1.1; no digit is lost."""
    read = parse_yaml(f"a: {text}".encode(), "f.yaml")["a"]
    assert read == value
    assert type(read) is type(value)


def test_lines_of_parts() -> None:
    """Tests that the line of a part, or of the nearest part around it, is found."""
    document = parse_yaml(b"a:\n  b: 1\n  c:\n  - d: 2\n  - e:\n      3\n", "f.yaml")
    assert [line_at(document, path.split(".")) for path in ("a", "a.b", "a.c.0.d", "a.c.1.e", "a.x", "x", "a.c.9")] == [
        *(2, 2, 4, 5, 2, 1, 3)
    ]


def test_files_that_are_none(tmp_path: Path) -> None:
    """Tests that a missing file, a folder, an endless device and a huge file are refused."""
    (tmp_path / "huge").write_bytes(b"#" * (MAX_BYTES + 1))
    for name, told in ((tmp_path / "none", "no such file"), (tmp_path, "is a folder"), (tmp_path / "huge", "16 MiB")):
        with pytest.raises(InvalidProblem, match=told):
            read_file(name)
    with pytest.raises(InvalidProblem, match="16 MiB"):
        read_file(Path("/dev/zero"))
