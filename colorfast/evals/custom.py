"""A user's own choice benchmark: a JSONL file, no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colorfast.evals.items import user
from colorfast.io.validation import read_jsonl
from colorfast.types import Benchmark, ColorfastError, Item

BEHAVIOR = ("answer_matching_behavior", "answer_not_matching_behavior")


def read_choices(path: Path, matching: bool) -> Benchmark:
    """The benchmark of a JSONL file.

    Rows are `{question, answer_matching_behavior, answer_not_matching_behavior}`, where `matching`
    says that the first answer is the aligned one, or `{question, choices, answer}`, where `answer`
    is one of the choices or its place from 0. Each may have an `id`. Raises ColorfastError naming
    file, line and field.
    """
    items: dict[str, Item] = {}
    for line, row in read_jsonl(path):
        where, name = f"{path}:{line}", str(row.get("id", f"{path.stem}-{line:04d}"))
        if name in items:
            raise ColorfastError(f"{where}: id {name!r} comes twice")
        items[name] = _item(where, name, row, matching)
    if not items:
        raise ColorfastError(f"{path}: no rows; wants one question a line")
    return Benchmark(path.stem, "your own", "choice", "", (), lambda: tuple(items.values()))


def _item(where: str, name: str, row: dict[str, Any], matching: bool) -> Item:
    texts, answer = row.get("choices"), row.get("answer")
    if any(key in row for key in BEHAVIOR):
        texts, answer = [_text(where, key, row.get(key)) for key in BEHAVIOR], int(not matching)
    if not isinstance(texts, list) or len(texts) < 2:
        raise ColorfastError(
            f"{where}: choices: wants a list of two or more texts (or the row wants"
            f" {' and '.join(BEHAVIOR)})"
        )
    choices = tuple(_text(where, "choices", text).strip() for text in texts)
    if isinstance(answer, str) and answer.strip() in choices:
        answer = choices.index(answer.strip())
    if type(answer) is not int or not 0 <= answer < len(choices):  # True is an int too
        raise ColorfastError(
            f"{where}: answer: {answer!r} is not among the choices; places run from 0 to"
            f" {len(choices) - 1}"
        )
    return Item(name, user(_text(where, "question", row.get("question"))), choices, (answer,))


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ColorfastError(f"{where}: {key}: missing, or not a text")
    return value
