"""The paper's claims (claims.toml) as nouns: what each needs, its statistic, its rule, and the
ruling on a run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from colorfast.analysis.explanations import MARGIN, Outcome
from colorfast.types import Frozen, Interval

HOME = Path(__file__).parent / "claims.toml"
DOSE = 0.05
"""The paper's dose."""
THIRD = 1 / 3
"""Share of the paper's effect that must be excluded before a claim is not replicated."""
Verdict = Literal["replicated", "not replicated", "inconclusive", "not measured"]


class Needs(Frozen):
    """The arm that a claim is about: its `reward`; `domains`, the only ones it trains on;
    `without`, domains it leaves out. Everything else has its default; the dose lies between 0 and
    1."""

    reward: str = "rubric"
    domains: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Claim(Frozen):
    """`statistic`: a name in STATISTICS; `rule`: one of `rulings.decide`. `effect`: the paper's, in
    the unit of the statistic."""

    id: str
    section: str
    text: str
    paper: str
    statistic: str
    rule: str
    effect: float = Field(default=0.0, ge=0)
    evals: Literal["counted", "health", "non-health"] = "counted"
    needs: Needs = Needs()

    @property
    def margin(self) -> float:
        """A third of the paper's effect, or MARGIN."""
        return self.effect * THIRD if self.effect else MARGIN


@dataclass(frozen=True)
class Measured:
    """A statistic of an arm against the baseline.

    `detectable`: the smallest true value found with a power of .8, None where that is unknown.
    `better`, `worse`, `evals`: counts of evals; `p`: of the sign test. `outcome`: of a test against
    MARGIN. `details`: the parts in words.
    """

    difference: Interval
    detectable: float | None
    baseline: float | None = None
    score: float | None = None
    better: int | None = None
    worse: int | None = None
    evals: int | None = None
    p: float | None = None
    outcome: Outcome | None = None
    details: str = ""


@dataclass(frozen=True)
class Ruling:
    """The verdict on a claim. `arm` and `dose`: the arm it was tested on. `reason`: why nothing was
    measured, or why the measurement decides nothing."""

    claim: Claim
    verdict: Verdict
    arm: str = ""
    dose: float | None = None
    measured: Measured | None = None
    reason: str = ""


@cache
def load() -> tuple[Claim, ...]:
    """The paper's claims, in its order."""
    rows = tomllib.loads(HOME.read_text(encoding="utf-8"))["claim"]
    return tuple(Claim.model_validate(row) for row in rows)
