"""Evals written by others: one file each, holding a `BENCHMARK`. The data is read from the original files."""

from __future__ import annotations

import csv
import importlib
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from colorfast.data import fetch
from colorfast.names import module_at, nearest, read_jsonl
from colorfast.types import Benchmark, ColorfastError, Item, Message, Source

HOME = Path(__file__).parent


def names() -> list[str]:
    """The benchmarks shipped: one file each, `-` for `_`."""
    return sorted(p.stem.replace("_", "-") for p in HOME.glob("*.py") if p.stem != "__init__")


def get(name: str) -> Benchmark:
    """The benchmark `name`, or the one in the Python file at that path. Raises ColorfastError when there is none."""
    if name in names():
        return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").BENCHMARK
    module = module_at(Path(name))
    if module:
        return module.BENCHMARK
    raise ColorfastError(f"unknown benchmark {name!r}; {nearest(name, names())}")


def chosen(benchmark: Benchmark, n: int) -> tuple[Item, ...]:
    """The first n items in an order fixed by their ids (so 100 is a part of 500). Fewer than n are all of them."""
    items = sorted(benchmark.items(), key=lambda item: item.id)
    random.Random(f"items-{benchmark.id}").shuffle(items)
    return tuple(items[:n])


def user(text: str) -> tuple[Message, ...]:
    """A conversation of one question."""
    return (Message(role="user", content=text),)


def jsonl(source: Source) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(fetch(source))]


def csv_rows(source: Source, fields: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Rows of a CSV file by column name, without the comment lines (`# `) it may begin with; `fields` names the columns of a
    file that has no header."""
    text = fetch(source).read_text(encoding="utf-8-sig")
    while text.startswith("# "):
        text = text.partition("\n")[2]
    return list(csv.DictReader(io.StringIO(text), fieldnames=fields))


def field(source: Source, row: dict[str, Any], number: int, name: str) -> Any:
    """The value of a required field; raises ColorfastError naming file, row and field."""
    value = row.get(name)
    if value is None or value == "":
        raise ColorfastError(f"{source.repo}/{source.path}: row {number}: field {name!r} is missing")
    return value


def letters(question: str, options: Sequence[str]) -> str:
    """A question with its options lettered A, B, C, ..."""
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEFGHIJ", options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter only."])


def shuffled(name: str, choices: Sequence[str], right: int) -> tuple[tuple[str, ...], int]:
    """The choices in an order drawn by the item's name, so that position tells nothing, and where the right one went."""
    order = list(range(len(choices)))
    random.Random(f"order-{name}").shuffle(order)
    return tuple(choices[i] for i in order), order.index(right)


def perez(source: Source, matching: bool) -> tuple[Item, ...]:
    """Items of the model-written evals (arXiv 2212.09251): `matching` says which of the two answers is aligned."""
    stem = Path(source.path).stem
    fields = ("answer_matching_behavior", "answer_not_matching_behavior")
    return tuple(
        Item(
            id=f"{stem}-{n:04d}",
            messages=user(field(source, row, n, "question")),
            choices=tuple(field(source, row, n, name).strip() for name in fields),
            aligned=(0 if matching else 1,),
        )
        for n, row in enumerate(jsonl(source), 1)
    )


def mmlu_rows(source: Source) -> list[tuple[str, str, list[str], int]]:
    """(id, question, four options, index of the right one) of an MMLU file (arXiv 2009.03300), which has no header."""
    stem = Path(source.path).stem.removesuffix("_test")
    columns = ("question", "A", "B", "C", "D", "key")
    rows = []
    for n, row in enumerate(csv_rows(source, columns), 1):
        key = field(source, row, n, "key").strip()
        if key not in tuple("ABCD"):
            raise ColorfastError(f"{source.repo}/{source.path}: row {n}: key {key!r} is not one of A, B, C, D")
        rows.append((f"{stem}-{n:04d}", field(source, row, n, "question"), [field(source, row, n, x) for x in "ABCD"], "ABCD".index(key)))
    return rows


def mmlu(source: Source) -> tuple[Item, ...]:
    """Lettered questions, answered by the letter."""
    return tuple(
        Item(name, user(letters(question, options)), tuple("ABCD"), (right,)) for name, question, options, right in mmlu_rows(source)
    )
