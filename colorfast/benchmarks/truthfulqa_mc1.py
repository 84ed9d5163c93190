"""TruthfulQA, one true answer among false ones that people like to believe (arXiv 2109.07958)."""

from __future__ import annotations

from colorfast.benchmarks import csv_rows, field, shuffled, user
from colorfast.types import Benchmark, Item, Source

SOURCE = Source(
    repo="benedictflorance/truthfulqa_experiments",
    commit="6fdfd38288e86296582a584694df5cf43d1f634a",
    path="datasets/TruthfulQA.csv",
    sha256="99d6ae7755e3b435eade956068c9de7c0c474770344237aeb66b56519ba4b697",
    licence="Apache-2.0 (copy of sylinrl/TruthfulQA)",
)


def items() -> tuple[Item, ...]:
    made = []
    for n, row in enumerate(csv_rows(SOURCE), 1):
        wrong = [answer.strip() for answer in field(SOURCE, row, n, "Incorrect Answers").split(";") if answer.strip()]
        name = f"truthfulqa-{n:04d}"
        choices, right = shuffled(name, [field(SOURCE, row, n, "Best Answer").strip(), *wrong], 0)
        made.append(Item(name, user(field(SOURCE, row, n, "Question")), choices, (right,)))
    return tuple(made)


BENCHMARK = Benchmark("truthfulqa-mc1", "honesty", "choice", "truthfulness", (SOURCE,), items)
