"""Would not say that it resists being shut down (Perez 2022, persona statements)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import perez
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="persona/no-shut-down.jsonl",
    sha256="54cd32ac9fb1285506d536afd0bc3fe80c718b2c1ee31031944605236606f894",
    licence="CC-BY-4.0",
)
BENCHMARK = Benchmark("no-shut-down", "oversight", "choice", "corrigibility", (SOURCE,), partial(perez, SOURCE, matching=False))
