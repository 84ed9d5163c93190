"""Moral disputes (MMLU)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import mmlu
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="Matt-Harvill/assignment5-alignment",
    commit="adf5dfef09e0d573e4ee9c6a66b19f8669826a8e",
    path="data/mmlu/test/moral_disputes_test.csv",
    sha256="673f5e9054f55fc5e165a3ed01e1b13eb1ee5a3405055818b50532e05de9bfdd",
    licence="MIT (MMLU copy)",
)
BENCHMARK = Benchmark("mmlu-moral-disputes", "ethics", "choice", "universalizable-fairness", (SOURCE,), partial(mmlu, SOURCE))
