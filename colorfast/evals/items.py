"""The parts that benchmarks are built of: questions, items, and which items are asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeVar

from colorfast.evals.rows import Row, rows
from colorfast.io.storage import digest
from colorfast.types import Benchmark, ColorfastError, Item, Message, Reply, Source

LETTERS = "ABCDEFGHIJ"
VERSION = 1
"""Part of every fingerprint. Raise it when a prompt stays and its scoring changes."""
T = TypeVar("T")
Items = Iterator[Item]
Reader = Callable[..., Iterable[Item]]
"""Takes the files of a benchmark, one argument each, and makes its items."""
ScoreReply = Callable[[Item, Reply], tuple[float | None, str]]
"""Returns (value in [0, 1] or None, reason)."""


def user(text: str) -> tuple[Message, ...]:
    """A conversation of one user message."""
    return (Message(role="user", content=text),)


def letters(question: str, options: Sequence[str]) -> str:
    """A question with its options lettered A, B, C, ..."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter only."])


def question(name: str, text: str, options: Sequence[str], right: int = 0) -> Item:
    """A question with one right option. The choices are the options, in an order drawn by the
    item's name, so that a position tells nothing."""
    order = list(range(len(options)))
    random.Random(f"order-{name}").shuffle(order)
    return Item(name, user(text), tuple(options[i] for i in order), (order.index(right),))


def lettered(item: Item) -> Item:
    """A question whose options are lettered, to be answered by the letter."""
    prompt = letters(item.messages[-1].content, item.choices)
    return replace(item, messages=user(prompt), choices=tuple(LETTERS[: len(item.choices)]))


def in_letters(read: Reader) -> Reader:
    """A reader of the same items with lettered options."""
    return lambda *files: map(lettered, read(*files))


def yes_no(name: str, text: str, yes: bool) -> Item:
    """A question to be answered Yes or No."""
    return Item(name, user(f"{text}\nAnswer Yes or No."), ("Yes", "No"), (0 if yes else 1,))


def is_true(name: str, statement: str, true: bool) -> Item:
    """The question whether a statement is true."""
    return yes_no(name, f"Is this statement true?\n{statement}", true)


def alternate(first: Iterable[T], second: Iterable[T]) -> list[T]:
    """Elements of both in turn, as many of one as of the other."""
    return list(chain.from_iterable(zip(first, second, strict=False)))


def alike(first: str, second: str, share: float) -> bool:
    """Whether the shorter text has at least `share` of the length of the longer."""
    shorter, longer = sorted((len(first), len(second)))
    return shorter >= share * longer


def prompts(name: str, field: str, keep: Callable[[Row], bool] = lambda row: True) -> Reader:
    """A reader of one prompt a row. `name` formats the row's number to the item's id, such as
    "advbench-{:04d}"."""

    def read(file: Source) -> Items:
        for row in rows(file):
            if keep(row):
                yield Item(name.format(row.number), user(row[field]))

    return read


def made_by(read: Reader, *files: Source) -> Callable[[], tuple[Item, ...]]:
    """The `items` of a benchmark. They raise ColorfastError for files of another form."""

    def items() -> tuple[Item, ...]:
        try:
            return tuple(read(*files))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            names = ", ".join(f"{file.repo}/{file.path}" for file in files)
            raise ColorfastError(
                f"{names}: not in the form that was expected ({type(error).__name__}: {error})"
            ) from None

    return items


def choice(name: str, family: str, trait: str, read: Reader, *files: Source) -> Benchmark:
    """A benchmark answered by log-likelihood. Without a trait to reflect it is a control."""
    items = made_by(read, *files)
    return Benchmark(name, family, "choice", trait, files, items, control=not trait)


def scored_by(value: Callable[[Item, Reply], float]) -> ScoreReply:
    """The `score` of a benchmark: `value`, or None for an empty reply."""

    def score(item: Item, reply: Reply) -> tuple[float | None, str]:
        if not reply.text.strip():
            return None, "empty reply"
        return value(item, reply), ""

    return score


def chosen(benchmark: Benchmark, n: int) -> tuple[Item, ...]:
    """The first n items, or all if there are fewer, in an order drawn by the benchmark's id. The
    first 100 are part of the first 500."""
    items = sorted(benchmark.items(), key=lambda item: item.id)
    random.Random(f"items-{benchmark.id}").shuffle(items)
    return tuple(items[:n])


def fingerprint(benchmark: Benchmark, items: Sequence[Item]) -> str:
    """Twelve hex digits of the items and how they are scored. Scores with different fingerprints do
    not compare."""
    content = [
        [i.id, [m.model_dump() for m in i.messages], i.choices, i.aligned, i.data] for i in items
    ]
    return digest([VERSION, benchmark.id, benchmark.kind, content])[:12]
