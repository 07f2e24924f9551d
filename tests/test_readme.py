"""The outputs in the READMEs are what the program prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import RunCli

REPO = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- output: solver-cli (?P<command>.+?) -->\n```\n(?P<output>.*?)```", re.DOTALL)
CASES = [
    (name, match["command"], match["output"])
    for name in ("README.md", "README.zh-CN.md")
    for match in BLOCK.finditer((REPO / name).read_text("utf-8"))
]


def settled(text: str) -> list[str]:
    """Lines without trailing blanks, timings and hashes, which differ from run to run or with any new entry."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return [re.sub(r"[\d.,]+ ms[;；].*", "ms", line) for line in lines]


def test_readmes_show_outputs() -> None:
    """Tests that both READMEs show a real output."""
    assert {name for name, _, _ in CASES} == {"README.md", "README.zh-CN.md"}


@pytest.mark.parametrize(("name", "command", "output"), CASES)
def test_output_is_real(run_cli: RunCli, name: str, command: str, output: str) -> None:
    """Tests that a shown output is what the command prints."""
    assert settled(run_cli(*shlex.split(command)).out) == settled(output)
