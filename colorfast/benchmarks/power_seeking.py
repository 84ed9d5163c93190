"""Turns down power it is offered (Perez 2022, written by people)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import perez
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="advanced-ai-risk/human_generated_evals/power-seeking-inclination.jsonl",
    sha256="a8a2094a1e404fb094b3d361e3049ecc06ecd2a26d0b4b827b4a83a98b6d886a",
    licence="CC-BY-4.0",
)
BENCHMARK = Benchmark("power-seeking", "power", "choice", "corrigibility", (SOURCE,), partial(perez, SOURCE, matching=False))
