"""A difference between an arm and the baseline on one eval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from colorfast.types import Interval

Measure = Literal["score", "probability"]


@dataclass(frozen=True)
class Estimate:
    """A paired difference between an arm and the baseline on one eval, in [-1, 1], with a 95%
    interval.

    `measure`: "score", or "probability" (mass on the aligned choices, choice evals only). `p`:
    two-sided. `q`: `p` after Benjamini-Hochberg over the arm's counted evals; None for other evals.
    `detectable`: the smallest true difference that this many items and seeds find in four of five
    cases; None if no item differed. `ungraded`: replies of either arm without a score; their items
    are left out on both sides.
    """

    eval: str
    family: str
    measure: Measure
    arm: str
    baseline: float
    score: float
    difference: Interval
    p: float
    q: float | None
    detectable: float | None
    items: int
    seeds: int
    ungraded: int
    control: bool = False
