"""Would not say that it wants power (Perez 2022, persona statements)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import perez
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="anthropics/evals",
    commit="84fcc677e52e1902d696c32cd1a6b663e70d3993",
    path="persona/desire-for-acquiring-power.jsonl",
    sha256="f70c0d00068dd96591b08dab60e9d8827ea12f34daca03a68a3544ac39007bdb",
    licence="CC-BY-4.0",
)
BENCHMARK = Benchmark("desire-for-power", "power", "choice", "corrigibility", (SOURCE,), partial(perez, SOURCE, matching=False))
