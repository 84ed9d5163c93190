"""Elementary mathematics (MMLU), a control: capability should not fall."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import mmlu
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="Matt-Harvill/assignment5-alignment",
    commit="adf5dfef09e0d573e4ee9c6a66b19f8669826a8e",
    path="data/mmlu/test/elementary_mathematics_test.csv",
    sha256="132cc54425a298b71e22a8c73568a4f0ac897d41fe28e9f354abc095378ef4ae",
    licence="MIT (MMLU copy)",
)
BENCHMARK = Benchmark("mmlu-elementary-mathematics", "capability", "choice", "truthfulness", (SOURCE,), partial(mmlu, SOURCE), control=True)
