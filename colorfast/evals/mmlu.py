"""MMLU (arXiv 2009.03300): each subject is a benchmark of its own."""

from __future__ import annotations

from pathlib import Path

from colorfast.evals.items import Items, choice, in_letters, question
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.types import Benchmark, Source


def mmlu_file(subject: str) -> Source:
    """The test file of a subject, such as "world_religions"."""
    return source("Matt-Harvill/assignment5-alignment", f"data/mmlu/test/{subject}_test.csv")


def mmlu(*files: Source) -> Items:
    """The questions of MMLU files, which have no header."""
    for row in rows(*files, columns=("question", *"ABCD", "key")):
        subject = Path(row.source.path).stem.removesuffix("_test").replace("_", "-")
        right = "ABCD".index(row.one_of("key", "ABCD"))
        options = [row[letter] for letter in "ABCD"]
        yield question(f"{subject}-{row.number:04d}", row["question"], options, right)


def mmlu_subject(subject: str, family: str, trait: str = "") -> Benchmark:
    """A subject, answered by the letter. Without a trait to reflect it is a control."""
    name = f"mmlu-{subject.replace('_', '-')}"
    return choice(name, family, trait, in_letters(mmlu), mmlu_file(subject))
