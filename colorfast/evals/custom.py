"""A user's own choice benchmark: a JSONL file, no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorfast.evals.items import user
from colorfast.io.validation import nearest, read_jsonl
from colorfast.types import Benchmark, ColorfastError, Item

BEHAVIOUR = ("answer_matching_behavior", "answer_not_matching_behavior")
KEYED = ("choices", "answer")


def own(path: Path, matching: bool) -> Benchmark:
    """Rows `{question, answer_matching_behavior, answer_not_matching_behavior}` (`matching`: is the
    first of them the aligned one?) or `{question, choices, answer}`, where answer is one of the
    choices or its place from 0; an `id` may stand in each.

    Raises ColorfastError naming file, line and field.
    """
    items = tuple(
        _item(f"{path}:{line}", path.stem, line, row, matching) for line, row in read_jsonl(path)
    )
    if not items:
        raise ColorfastError(f"{path}: no rows; wants one question a line")
    twice = (
        {i.id for i in items if sum(i.id == other.id for other in items) > 1}
        if len({i.id for i in items}) < len(items)
        else set()
    )
    if twice:
        raise ColorfastError(f"{path}: id {min(twice)!r} comes twice")
    return Benchmark(path.stem, "your own", "choice", "", (), lambda: items)


def _item(where: str, stem: str, line: int, row: Mapping[str, Any], matching: bool) -> Item:
    name, question = str(row.get("id", f"{stem}-{line:04d}")), _text(where, row, "question")
    if any(key in row for key in BEHAVIOUR):
        choices = tuple(_text(where, row, key).strip() for key in BEHAVIOUR)
        return Item(name, user(question), choices, (0 if matching else 1,))
    if not any(key in row for key in KEYED):
        raise ColorfastError(f"{where}: wants {' and '.join(BEHAVIOUR)}, or {' and '.join(KEYED)}")
    listed, answer = row.get("choices"), row.get("answer")
    if (
        not isinstance(listed, list)
        or len(listed) < 2
        or not all(isinstance(c, str) and c.strip() for c in listed)
    ):
        raise ColorfastError(f"{where}: choices: wants a list of two or more texts")
    choices = tuple(c.strip() for c in listed)
    if isinstance(answer, str) and answer.strip() in choices:
        return Item(name, user(question), choices, (choices.index(answer.strip()),))
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return Item(name, user(question), choices, (answer,))
    hint = (
        nearest(answer, choices)
        if isinstance(answer, str)
        else f"places run from 0 to {len(choices) - 1}"
    )
    raise ColorfastError(f"{where}: answer: {answer!r} is not among the choices; {hint}")


def _text(where: str, row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ColorfastError(f"{where}: {key}: missing, or not a text")
    return value
