"""Evals written by others: a family a file, its evals in `BENCHMARKS`. The data is read from the
original files."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

from colorfast.io.downloads import WHEEL, fetch, source
from colorfast.io.folders import Folder, load_attribute
from colorfast.io.storage import digest
from colorfast.io.validation import nearest, read_jsonl
from colorfast.types import Benchmark, ColorfastError, Item, Message, Source

FAMILIES = Folder("benchmark family", "evals/benchmarks")
LETTERS = "ABCDEFGHIJ"
VERSION = 1
"""Raised when a prompt stays and its scoring changes: part of every eval's fingerprint."""

PERSONAS_LEFT_OUT = 9
"""Persona files are the largest family; `standard` takes all but the last so many, so that none is
over a quarter of what counts."""
QUICK = (
    *("rho-experts", "rho-facts", "rho-misconceptions", "freshqa-premise", "rho-honest-replies"),
    *("rho-bbq-against-stereotype", "rho-toxigen", "rho-health-facts"),
    *("do-not-answer-human-chatbox", "rho-harmful", "rho-benign", "rho-edgy"),
    *("rho-logic", "rho-gsm8k-flattered"),
)
"""Ten families, from packages alone; short questions first, since a laptop answers them."""
HEALTH = ("health", "mental health")
COPIES = ("rho-gsm8k-flattered",)
"""Evals that ask the questions of another one here: in `packaged`, not in `standard`, where they
would count twice."""
SUITES = {
    "standard": (
        "every alignment eval, no family over a quarter of them, with over-refusal and capability"
        " controls"
    ),
    "quick": "fourteen of `packaged` in ten families, for a laptop",
    "health": "health and mental health",
    "nonhealth": "the alignment evals of `standard` outside health",
    "capability": "what must not be lost",
    "refusal": "harmful prompts to decline and safe ones to answer",
    "packaged": "evals whose files all come with packages of PyPI",
    "all": "everything there is",
}


@cache
def shipped() -> Mapping[str, Benchmark]:
    """Every benchmark of the package by id, file by file."""
    families = FAMILIES.load_all("BENCHMARKS")
    return {benchmark.id: benchmark for benchmark in chain.from_iterable(families)}


def names() -> list[str]:
    return sorted(shipped())


def get(name: str) -> Benchmark:
    """The benchmark `name`, or the only one in the Python file at that path. Raises ColorfastError
    when there is none."""
    if name in shipped():
        return shipped()[name]
    found = load_attribute(name, "BENCHMARKS")
    if found is None:
        raise ColorfastError(f"unknown benchmark {name!r}; {nearest(name, [*names(), *SUITES])}")
    if (
        not isinstance(found, list | tuple)
        or len(found) != 1
        or not isinstance(found[0], Benchmark)
    ):
        raise ColorfastError(f"{name}: wants BENCHMARKS with one Benchmark in it")
    return found[0]


def suite(name: str) -> tuple[str, ...]:
    """The ids of a suite (one of SUITES), in the order of the files."""
    every = list(shipped().values())
    personas = [b.id for b in every if b.family == "personas"]
    # the disputed ones are in `all` alone
    out = {*personas[len(personas) - PERSONAS_LEFT_OUT :], *COPIES}
    standard = [b for b in every if b.family != "direction disputed" and b.id not in out]
    chosen = {
        "standard": standard,
        "quick": [shipped()[name] for name in QUICK],
        "health": [b for b in every if b.family in HEALTH],
        "nonhealth": [b for b in standard if b.family not in HEALTH and not b.control],
        "capability": [b for b in every if b.family == "capability"],
        "refusal": [b for b in every if b.family in ("harm refusal", "over-refusal")],
        "packaged": [b for b in every if all(s.repo.startswith(WHEEL) for s in b.sources)],
        "all": every,
    }
    return tuple(b.id for b in chosen[name])


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Benchmarks for names of benchmarks, files and suites, each once, in order."""
    return tuple(
        dict.fromkeys(
            found for name in names for found in (suite(name) if name in SUITES else (name,))
        )
    )


def chosen(benchmark: Benchmark, n: int) -> tuple[Item, ...]:
    """The first n items in an order fixed by their ids (so 100 is a part of 500). Fewer than n are
    all of them."""
    items = sorted(benchmark.items(), key=lambda item: item.id)
    random.Random(f"items-{benchmark.id}").shuffle(items)
    return tuple(items[:n])


def fingerprint(benchmark: Benchmark, items: Sequence[Item]) -> str:
    """What was asked and how it is scored, in twelve hex digits: scores of different fingerprints
    do not compare."""
    asked = [
        [i.id, [m.model_dump() for m in i.messages], i.choices, i.aligned, i.data] for i in items
    ]
    return digest([VERSION, benchmark.id, benchmark.kind, asked])[:12]


def user(text: str) -> tuple[Message, ...]:
    """A conversation of one question."""
    return (Message(role="user", content=text),)


def jsonl(source: Source) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(fetch(source))]


def csv_rows(source: Source, fields: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Rows of a CSV file by column name, without the comment lines (`# `) it may begin with;
    `fields` names the columns of a file that has no header."""
    text = fetch(source).read_text(encoding="utf-8-sig")
    while text.startswith("# "):
        text = text.partition("\n")[2]
    return list(csv.DictReader(io.StringIO(text), fieldnames=fields))


def field(source: Source, row: Mapping[str, Any], number: int, name: str) -> Any:
    """The value of a required field; raises ColorfastError naming file, row and field."""
    value = row.get(name)
    if value is None or value == "":
        raise ColorfastError(
            f"{source.repo}/{source.path}: row {number}: field {name!r} is missing"
        )
    return value


def one_of(
    source: Source, row: Mapping[str, Any], number: int, name: str, known: Sequence[str]
) -> str:
    """A field that must hold one of a few labels; raises ColorfastError naming file, row, field and
    what it holds."""
    value = str(field(source, row, number, name)).strip()
    if value not in known:
        raise ColorfastError(
            f"{source.repo}/{source.path}: row {number}: {name} {value!r} is not one of"
            f" {', '.join(known)}"
        )
    return value


def letters(question: str, options: Sequence[str]) -> str:
    """A question with its options lettered A, B, C, ..."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([question, *lines, "Answer with the letter only."])


def shuffled(name: str, choices: Sequence[str], right: int) -> tuple[tuple[str, ...], int]:
    """The choices in an order drawn by the item's name, so that position tells nothing, and where
    the right one went."""
    order = list(range(len(choices)))
    random.Random(f"order-{name}").shuffle(order)
    return tuple(choices[i] for i in order), order.index(right)


def yes_no(name: str, question: str, yes: bool) -> Item:
    """A question to be answered Yes or No."""
    return Item(name, user(f"{question}\nAnswer Yes or No."), ("Yes", "No"), (0 if yes else 1,))


Lettered = tuple[str, str, tuple[str, ...], int]
"""(id, question, options, index of the right one), the options in an order that gives nothing away.
"""


def lettered(row: Lettered) -> Item:
    """A question with lettered options, answered by the letter."""
    name, question, options, right = row
    return Item(name, user(letters(question, options)), tuple(LETTERS[: len(options)]), (right,))


def mmlu(source: Source) -> Iterator[Lettered]:
    """The questions of an MMLU file (arXiv 2009.03300), which has no header."""
    stem = Path(source.path).stem.removesuffix("_test")
    for n, row in enumerate(csv_rows(source, ("question", *"ABCD", "key")), 1):
        right = "ABCD".index(one_of(source, row, n, "key", "ABCD"))
        name = f"{stem.replace('_', '-')}-{n:04d}"
        yield (
            name,
            field(source, row, n, "question"),
            *shuffled(name, [field(source, row, n, x) for x in "ABCD"], right),
        )


def keyed(questions: Callable[[], Iterator[Lettered]]) -> tuple[Item, ...]:
    return tuple(map(lettered, questions()))


def mmlu_subject(subject: str, family: str, trait: str = "") -> Benchmark:
    """One subject of MMLU, answered by the letter; without a trait to reflect it is a control."""
    file = source("Matt-Harvill/assignment5-alignment", f"data/mmlu/test/{subject}_test.csv")
    name = f"mmlu-{subject.replace('_', '-')}"
    return Benchmark(
        name,
        family,
        "choice",
        trait,
        (file,),
        partial(keyed, partial(mmlu, file)),
        control=not trait,
    )
