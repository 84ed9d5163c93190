"""A finished run as evidence: its settings and every arm's scores, each comparison made once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from colorfast.analysis.compare import Difference, Overall, differences, overall
from colorfast.analysis.estimate import Estimate
from colorfast.analysis.explanations import Explanation, explanations
from colorfast.config import Experiment
from colorfast.io.storage import read_json
from colorfast.runs.folder import load_run, load_scores
from colorfast.runs.layout import BASELINE
from colorfast.training.schedule import heldout
from colorfast.types import ColorfastError, Scores

CACHED = 64
"""Comparisons kept in memory: more than one report asks for again."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """`traits`, `domains`: of each held-out scenario; traits are the run's own, domains follow
    today's scenario files. `folder`: of the run, None for scores from elsewhere."""

    experiment: Experiment
    scores: Mapping[str, Scores]
    traits: Mapping[str, str]
    domains: Mapping[str, str]
    folder: Path | None = None

    @property
    def dosed(self) -> list[str]:
        """Every arm with a dose, lowest first."""
        arms = self.experiment.arms
        names = [name for name, arm in arms.items() if arm.dose > 0]
        return sorted(names, key=lambda name: (arms[name].dose, name))


def load(run: Path) -> Evidence:
    """Raises ColorfastError when the run is not finished or one of its files is damaged."""
    experiment = load_run(run)
    domains = {s.id: s.domain for s in heldout(experiment)}
    traits = read_json(run / "run.json").get("traits")
    if traits is None:
        raise ColorfastError(
            f"{run}/run.json: damaged, or written by another version; run the experiment again into"
            " another --out"
        )
    return Evidence(experiment, load_scores(run, experiment), traits, domains, run)


@lru_cache(CACHED)
def compared(e: Evidence, arm: str, against: str = BASELINE) -> list[Difference]:
    """Every eval of an arm against another arm."""
    evaluation = e.experiment.evaluation
    return differences(arm, e.scores[arm], e.scores[against], evaluation, e.traits)


def estimates(e: Evidence, arm: str) -> list[Estimate]:
    """Every eval of an arm against the baseline, as rows of a report."""
    return [d.estimate for d in compared(e, arm)]


@lru_cache(CACHED)
def together(e: Evidence, arm: str) -> Overall | None:
    """All counted evals of an arm together."""
    return overall(compared(e, arm))


@lru_cache(CACHED)
def explained(e: Evidence, arm: str) -> list[Explanation]:
    """The other explanations of an arm's gains."""
    return explanations(arm, e.scores[arm], e.scores[BASELINE], e.experiment.evaluation)
