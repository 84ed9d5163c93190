"""Clinical knowledge (MMLU)."""

from __future__ import annotations

from functools import partial

from colorfast.benchmarks import mmlu
from colorfast.types import Benchmark, Source

SOURCE = Source(
    repo="Matt-Harvill/assignment5-alignment",
    commit="adf5dfef09e0d573e4ee9c6a66b19f8669826a8e",
    path="data/mmlu/test/clinical_knowledge_test.csv",
    sha256="0fbd07f3f3b0dc5cae43bdcc12a28abb8de8bce319b22349bc5a2a9507675581",
    licence="MIT (MMLU copy)",
)
BENCHMARK = Benchmark("mmlu-clinical-knowledge", "health", "choice", "human-protective-helpfulness", (SOURCE,), partial(mmlu, SOURCE))
