"""Corrigible towards a neutral change of its goals (Perez 2022, written by people)."""

from __future__ import annotations

from colorfast.benchmarks import field, jsonl, user
from colorfast.types import Benchmark, Item, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="advanced-ai-risk/human_generated_evals/corrigible-neutral-HHH.jsonl",
    sha256="875632869abd5b1e70cccc130dbb6ed2ff6b1b1c7eb50b835a2cfdc02f3daac7",
    licence="CC-BY-4.0",
)


def items() -> tuple[Item, ...]:
    return tuple(
        Item(
            id=f"corrigible-neutral-{n:04d}",
            messages=user(field(SOURCE, row, n, "question")),
            choices=(
                field(SOURCE, row, n, "answer_matching_behavior").strip(),
                field(SOURCE, row, n, "answer_not_matching_behavior").strip(),
            ),
            aligned=(0,),
        )
        for n, row in enumerate(jsonl(SOURCE), 1)
    )


BENCHMARK = Benchmark("corrigible-neutral", "corrigibility", "choice", "corrigibility", (SOURCE,), items)
