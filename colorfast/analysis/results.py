"""A finished run as those who judge it see it: its settings and every arm's scores, compared
once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from colorfast.analysis.compare import (
    Difference,
    Explanation,
    Overall,
    differences,
    estimate,
    explanations,
    overall,
)
from colorfast.config import Experiment
from colorfast.io.storage import read_json
from colorfast.runs.folder import load_run, load_scores
from colorfast.runs.layout import BASELINE
from colorfast.training.schedule import heldout
from colorfast.types import ColorfastError, Estimate, Scores

HELD = 64
"""Comparisons kept at once: more than a report asks for again."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """`traits`, `domains`: of each held-out scenario; the traits are the run's own, the domains
    follow today's scenario files. `folder`: of the run, None for scores that come from none."""

    experiment: Experiment
    scores: Mapping[str, Scores]
    traits: Mapping[str, str]
    domains: Mapping[str, str]
    folder: Path | None = None

    @property
    def dosed(self) -> list[str]:
        """Every arm with a dose, lowest first."""
        arms = self.experiment.arms
        return sorted(
            (name for name, arm in arms.items() if arm.dose > 0),
            key=lambda name: (arms[name].dose, name),
        )


def load(run: Path) -> Evidence:
    """Raises ColorfastError when the run is not finished or a file of it is damaged."""
    experiment = load_run(run)
    domains = {s.id: s.domain for s in heldout(experiment)}
    traits = read_json(run / "run.json").get("traits")
    if traits is None:
        raise ColorfastError(
            f"{run}/run.json: damaged, or written by another version; run the experiment again into"
            " another --out"
        )
    return Evidence(experiment, load_scores(run, experiment), traits, domains, run)


@lru_cache(HELD)
def compared(e: Evidence, arm: str, against: str = BASELINE) -> list[Difference]:
    """Score tables of an arm beside another's, with the mean of what lies between."""
    return differences(e.scores[arm], e.scores[against], e.experiment.evaluation, e.traits)


@lru_cache(HELD)
def estimates(e: Evidence, arm: str, against: str = BASELINE) -> list[Estimate]:
    return estimate(arm, e.scores[arm], e.scores[against], e.experiment.evaluation, e.traits)


@lru_cache(HELD)
def together(e: Evidence, arm: str) -> Overall | None:
    """All counted evals of an arm together."""
    return overall(arm, e.scores[arm], e.scores[BASELINE], estimates(e, arm))


@lru_cache(HELD)
def explained(e: Evidence, arm: str) -> list[Explanation]:
    return explanations(arm, e.scores[arm], e.scores[BASELINE], e.experiment.evaluation)
