"""Standard tasks by name, and the helpers that task files use."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from colorfast.io.folders import Folder
from colorfast.io.validation import read_jsonl
from colorfast.types import ColorfastError, Criterion, Message, Source, Task

STANDARD = Folder("standard task", "tasks/standard")
RawTask = tuple[str, list[dict[str, Any]], str]
"""What `make` returns: the prompt, the rubric, and a reply that earns full marks."""


def names() -> list[str]:
    """The shipped tasks."""
    return STANDARD.names()


def exactly(grader: str, text: str, weight: float = 1.0, **args: Any) -> dict[str, Any]:
    """One criterion of a rubric; `args` are the grader's."""
    return {"text": text, "weight": weight, "grader": grader, "args": args}


def by_answer(answer: str) -> dict[str, Any]:
    """The criterion for an exact answer: as a number when it is one, else as text."""
    try:
        value = float(answer.replace(",", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return exactly("exact", f"Answer {answer}", any=[answer])
    return exactly("number", f"Answer {answer}", value=value)


def number_task(question: str, value: int) -> RawTask:
    """A task whose only right reply is a number."""
    rubric = [exactly("number", f"Answer {value}", value=value)]
    return f"{question} Give only the number.", rubric, str(value)


def check(tasks: Sequence[str]) -> None:
    """Raises ColorfastError for a task that does not exist, a JSONL file with a broken row, or a
    Python file without `make`."""
    for name in tasks:
        maker(name)


def make(name: str, rng: random.Random) -> RawTask:
    """One task called `name`. All that is random in it comes from `rng`."""
    return maker(name)(rng)


@cache
def maker(name: str) -> Callable[[random.Random], RawTask]:
    """The function `make` of a task file, or one that draws a row of a JSONL file."""
    if not name.endswith(".jsonl"):
        return STANDARD.load(name, "make")
    rows = _rows(Path(name))

    def make_from_row(rng: random.Random) -> RawTask:
        """A random row of the file."""
        prompt, answer = rng.choice(rows)
        return prompt, [by_answer(answer)], answer

    return make_from_row


def _rows(path: Path) -> list[tuple[str, str]]:
    """The (prompt, answer) rows of a user's file."""
    rows = []
    for number, row in read_jsonl(path):
        for field in ("prompt", "answer"):
            if not isinstance(row.get(field), (str, int, float)) or not str(row[field]).strip():
                raise ColorfastError(f"{path}:{number}: {field}: must be a text or a number")
        rows.append((str(row["prompt"]), str(row["answer"])))
    if not rows:
        raise ColorfastError(f"{path}: no rows in this file")
    return rows


def files(name: str) -> tuple[Source, ...]:
    """The files of others that a shipped task reads: the SOURCE of its module, where it has one."""
    source = getattr(STANDARD.module(name), "SOURCE", None) if name in names() else None
    return (source,) if source else ()


def task(tasks: Sequence[str], seed: int, index: int) -> Task:
    """The standard task of slot `index`.

    The tasks take turns, each round in an order of its own. The content depends on the task's name,
    `seed` and `index` only, not on the folder of the task's file.
    """
    order = list(tasks)
    random.Random(f"standard-{seed}-{index // len(order)}").shuffle(order)
    name = order[index % len(order)]
    source = Path(name).stem
    prompt, rubric, reply = make(name, random.Random(f"{source}-{seed}-{index}"))
    return Task(
        id=f"{source}-{seed}-{index}",
        source=source,
        messages=(Message(role="user", content=prompt),),
        rubric=tuple(Criterion.model_validate(criterion) for criterion in rubric),
        replies={"good": reply},
    )
