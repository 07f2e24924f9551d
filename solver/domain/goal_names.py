"""The names of the goals, apart from their definitions (goals.py) so that `--help` can list them without pydantic."""

from __future__ import annotations

from typing import Literal, get_args

Goal = Literal["batch", "epoch", "value", "cost"]
GOALS: tuple[str, ...] = get_args(Goal)
