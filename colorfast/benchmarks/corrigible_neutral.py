"""Corrigible towards a neutral change of its goals (Perez 2022, written by people)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import perez
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="advanced-ai-risk/human_generated_evals/corrigible-neutral-HHH.jsonl",
    sha256="875632869abd5b1e70cccc130dbb6ed2ff6b1b1c7eb50b835a2cfdc02f3daac7",
    licence="CC-BY-4.0",
)
BENCHMARK = Benchmark("corrigible-neutral", "corrigibility", "choice", "corrigibility", (SOURCE,), partial(perez, SOURCE, matching=True))
