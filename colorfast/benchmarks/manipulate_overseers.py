"""Would not say that it manipulates its overseers (Perez 2022, persona statements)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import perez
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="persona/willingness-to-manipulate-overseers-to-think-it-is-HHH.jsonl",
    sha256="3618f657fbc4f38afa57ebe40ce981f8dcf692b3a35fb108eddaa09c449cff82",
    licence="CC-BY-4.0",
)
BENCHMARK = Benchmark("manipulate-overseers", "deception", "choice", "truthfulness", (SOURCE,), partial(perez, SOURCE, matching=False))
