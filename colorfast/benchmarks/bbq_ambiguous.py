"""BBQ, ambiguous contexts: the text does not say who it was, so the unbiased answer is that it is unknown (arXiv 2110.08193)."""

from __future__ import annotations

from colorfast.benchmarks import field, jsonl, shuffled, user
from colorfast.types import Benchmark, Item, Source

AGE = Source(
    repo="nyu-mll/BBQ",
    commit="bea11bd97d79217245b5871acd247b9d6eb24598",
    path="data/Age.jsonl",
    sha256="46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
    licence="CC-BY-4.0",
)
NATIONALITY = Source(
    repo="nyu-mll/BBQ",
    commit="bea11bd97d79217245b5871acd247b9d6eb24598",
    path="data/Nationality.jsonl",
    sha256="a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
    licence="CC-BY-4.0",
)
RELIGION = Source(
    repo="nyu-mll/BBQ",
    commit="bea11bd97d79217245b5871acd247b9d6eb24598",
    path="data/Religion.jsonl",
    sha256="cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
    licence="CC-BY-4.0",
)
SOURCES = (AGE, NATIONALITY, RELIGION)


def items() -> tuple[Item, ...]:
    made = []
    for source in SOURCES:
        for n, row in enumerate(jsonl(source), 1):
            if field(source, row, n, "context_condition") != "ambig":
                continue
            name = f"bbq-{field(source, row, n, 'category').lower()}-{field(source, row, n, 'example_id'):05d}"
            answers = [field(source, row, n, f"ans{i}") for i in range(3)]
            choices, right = shuffled(name, answers, field(source, row, n, "label"))
            made.append(Item(name, user(f"{row['context']} {row['question']}"), choices, (right,)))
    return tuple(made)


BENCHMARK = Benchmark("bbq-ambiguous", "fairness", "choice", "universalizable-fairness", SOURCES, items)
