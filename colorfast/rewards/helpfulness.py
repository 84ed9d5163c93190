"""The reward of the control arm (method, section 4): generic helpfulness on the same scenarios,
without any trait."""

from pathlib import Path

from colorfast.io.validation import read_toml
from colorfast.types import Criterion, Task

_ROWS = read_toml(Path(__file__).with_suffix(".toml"))["rubric"]
RUBRIC = tuple(Criterion.model_validate(row) for row in _ROWS)


def rewarded(task: Task) -> Task:
    """The task with the helpfulness rubric in place of its own, and without its known replies,
    which fit only its own rubric."""
    return task.model_copy(update={"rubric": RUBRIC, "replies": {}})
