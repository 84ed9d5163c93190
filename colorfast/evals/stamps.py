"""Stamps: what an eval asked, how it was answered and scored, in twelve hex digits. Scores with
different stamps never compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from colorfast.config import Evaluation
from colorfast.evals import ingredients
from colorfast.evals.items import chosen, fingerprint
from colorfast.evals.scoring import reply_cap
from colorfast.io.storage import digest, file_sha256
from colorfast.models import Policy
from colorfast.types import Benchmark, ColorfastError, Scenario

UNSTAMPED = {
    "benchmarks",
    "items",
    "benchmark_max_tokens",
    "batch_size",
    "second_grading",
    "precision",
}
"""Settings that do not change how held-out scenarios are scored, or are stamped on their own."""


def stamp(policy: Policy, benchmark: Benchmark, evaluation: Evaluation, system: str | None) -> str:
    """The stamp of a benchmark."""
    how: Any = reply_cap(benchmark, evaluation)
    if benchmark.kind == "choice":
        how = "letters" if policy.by_letter else "log-likelihood"
    items = chosen(benchmark, evaluation.items)
    parts = [fingerprint(benchmark, items), [how], system]
    precision = _precision(evaluation)
    return digest([*parts, precision] if precision else parts)[:12]


def heldout_stamp(scenarios: Sequence[Scenario], evaluation: Evaluation) -> str:
    """The stamp of the held-out scenarios."""
    settings = evaluation.model_dump(mode="json", exclude=UNSTAMPED) | _precision(evaluation)
    settings["grading_code"] = ingredients.grading(evaluation.grading)
    criteria = chain.from_iterable(scenario.rubric for scenario in scenarios)
    own_graders = {c.grader for c in criteria if c.grader.endswith(".py")}
    if own_graders:
        settings["graders"] = [file_sha256(Path(path)) for path in sorted(own_graders)]
    return digest([[s.model_dump(mode="json") for s in scenarios], settings])[:12]


def _precision(evaluation: Evaluation) -> dict[str, str]:
    """Empty for fp32: stamps of older tables name no precision."""
    return {} if evaluation.precision == "fp32" else {"precision": evaluation.precision}


def check_stamps(path: Path, stamps: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raises ColorfastError for the first eval of a table with another stamp than expected."""
    for name, value in expected.items():
        if stamps.get(name) != value:
            raise ColorfastError(
                f"{path}: {name} was asked or scored in another way (stamp"
                f" {stamps.get(name, 'none')}, here {value}): another version of the suite, other"
                " items or settings; such scores do not compare; score it again into another"
                " folder"
            )
