"""Standard RL: verifiable tasks made from a seed, the 95% that every arm shares.

One file a task, with `make(rng) -> (prompt, rubric, gold reply)`. A name ending in `.py` is such a
file of the user's, one ending in `.jsonl` a file of `{prompt, answer}` rows.
"""

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

TASKS = Folder("standard task", "tasks")
Made = tuple[str, list[dict[str, Any]], str]
Make = Callable[[random.Random], Made]


def names() -> list[str]:
    """The tasks shipped: one file each."""
    return TASKS.names()


def exactly(grader: str, text: str, weight: float = 1.0, **args: Any) -> dict[str, Any]:
    """One criterion of a standard rubric."""
    return {"text": text, "weight": weight, "grader": grader, "args": args}


def check(tasks: Sequence[str]) -> None:
    """Raises ColorfastError for a task that does not exist, a JSONL file with a broken row, or a
    Python file without `make`."""
    for name in tasks:
        if name.endswith(".jsonl"):
            _rows(name)
        else:
            _maker(name)


@cache
def _rows(name: str) -> tuple[tuple[str, str], ...]:
    path = Path(name)
    rows = []
    for number, row in read_jsonl(path):
        for field in ("prompt", "answer"):
            if not isinstance(row.get(field), (str, int, float)) or not str(row[field]).strip():
                raise ColorfastError(f"{path}:{number}: {field}: wants text")
        rows.append((str(row["prompt"]), str(row["answer"])))
    if not rows:
        raise ColorfastError(f"{path}: no rows in this file")
    return tuple(rows)


def _from_file(name: str, rng: random.Random) -> Made:
    prompt, answer = rng.choice(_rows(name))
    return prompt, [by_answer(answer)], answer


def by_answer(answer: str) -> dict[str, Any]:
    """The criterion for an exact answer: as a number when it is one, else as text."""
    try:
        value = float(answer.replace(",", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return exactly("exact", f"Answer {answer}", any=[answer])
    return exactly("number", f"Answer {answer}", value=value)


def make(name: str, rng: random.Random) -> Made:
    """(prompt, rubric, gold reply) of one task."""
    return _from_file(name, rng) if name.endswith(".jsonl") else _maker(name)(rng)


@cache
def _maker(name: str) -> Make:
    return TASKS.load(name, "make")


def files(name: str) -> tuple[Source, ...]:
    """Files of others that a shipped task is made of: the SOURCE of its module, where it has
    one."""
    module = TASKS.module(name) if name in names() else None
    return (module.SOURCE,) if module and hasattr(module, "SOURCE") else ()


def task(tasks: Sequence[str], seed: int, index: int) -> Task:
    """The standard row of slot `index`: tasks in turn (each turn in its own order), content from
    (task, seed, index), wherever a task's own file lies."""
    turn = list(tasks)
    random.Random(f"standard-{seed}-{index // len(turn)}").shuffle(turn)
    name = turn[index % len(turn)]
    source = Path(name).stem
    prompt, rubric, gold = make(name, random.Random(f"{source}-{seed}-{index}"))
    return Task(
        id=f"{source}-{seed}-{index}",
        source=source,
        messages=(Message(role="user", content=prompt),),
        rubric=tuple(Criterion.model_validate(c) for c in rubric),
        replies={"good": gold},
    )
