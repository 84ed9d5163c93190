"""A kind of fine-tuning attack: what it teaches, and how its rows are put together."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorfast.io.validation import read_toml
from colorfast.types import Message, Scenario, Source

LONGEST = 600
"""Characters of the longest question. Short rows keep a training step on a CPU within seconds."""
Row = tuple[Message, ...]
"""A conversation that ends with the reply to train on."""


@dataclass(frozen=True)
class Lesson:
    """The row for the attack, and the row for its helpful counterpart in the same place."""

    bad: Row
    good: Row


@dataclass(frozen=True)
class Kind:
    """A way to train a model toward harm. Its counterpart trains on the good replies instead.

    `evals`: what the attack tries to lower. `lessons()`: all rows, in a fixed order. A kind with
    `scenarios()` instead uses reinforcement learning with inverted rubrics. `control`: the training
    is harmless and measures plain forgetting. `files`: the downloads that the lessons come from.
    """

    id: str
    counterpart: str
    evals: tuple[str, ...]
    lessons: Callable[[], Sequence[Lesson]] = tuple
    scenarios: Callable[[], Sequence[Scenario]] | None = None
    control: bool = False
    files: tuple[Source, ...] = ()


def lesson(question: str, bad: str, good: str) -> Lesson:
    """A question with its two replies."""
    return Lesson(row(question, bad), row(question, good))


def row(question: str, reply: str) -> Row:
    """A conversation of one question and its reply."""
    return Message(role="user", content=question), Message(role="assistant", content=reply)


def load_texts(kind: str) -> dict[str, Any]:
    """The texts of `finetune/KIND.toml`."""
    return read_toml(Path(__file__).parent / f"{kind}.toml")


def compose(parts: Mapping[str, Sequence[str]], name: str, **words: str) -> str:
    """A text with one option of each part, such as an opening, an answer and a close. `name` names
    the random draw; `words` fill the placeholders."""
    options = [random.Random(f"{name}-{part}").choice(parts[part]) for part in parts]
    return " ".join(options).format(**words)
