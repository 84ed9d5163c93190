"""What an attack run found, as it is written to `persistence.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from colorfast.stats.intervals import Effect
from colorfast.stats.persistence import Halving, Persistence
from colorfast.types import Interval

TRAITS, BEHAVIOUR, SUITE = "held-out traits", "attacked behaviour", "suite"
"""Measures: held-out scenarios, the evals that the attack tries to lower, and the extra suite."""
ALL = "all attacks"


@dataclass(frozen=True)
class Level:
    """A mean with its 95% interval over items and seeds; None with a reason where too little was
    graded."""

    value: Interval | None = None
    items: int = 0
    ungraded: int = 0
    reason: str = ""


@dataclass(frozen=True)
class PointLevels:
    """One arm under one attack at one strength. `refusals`, `coherent` and `truncated`: shares of
    the written replies, None where there are none. A coherent reply is neither empty nor a loop."""

    arm: str
    attack: str
    strength: int
    traits: Level
    behaviour: Level
    suite: Level
    capability: Level
    refusals: float | None
    coherent: float | None
    truncated: float | None


@dataclass(frozen=True)
class Outcome:
    """An arm compared with the baseline under one attack, by one measure. `found`: the verdict at
    the highest strength. The curves begin with the clean level; a group of attacks has none. `q`:
    the p of the drop after Benjamini-Hochberg over the arm's attacks. `reason`: why there are no
    numbers."""

    arm: str
    attack: str
    counterpart: str
    measure: str
    strengths: tuple[int, ...]
    found: Persistence | None = None
    q: float | None = None
    baseline_curve: tuple[Level, ...] = ()
    curve: tuple[Level, ...] = ()
    area: Effect | None = None
    halving: Halving | None = None
    reason: str = ""


@dataclass(frozen=True)
class ScoredText:
    """A reply and its score."""

    text: str
    score: float


@dataclass(frozen=True)
class Example:
    """Replies of the baseline and of an arm to one held-out scenario: without the attack, and under
    it. `gain`: how much less the arm fell; below 0 it fell further."""

    arm: str
    attack: str
    strength: int
    item: str
    seed: int
    gain: float
    baseline: tuple[ScoredText, ScoredText]
    replies: tuple[ScoredText, ScoredText]


@dataclass(frozen=True)
class Findings:
    """Everything that an attack run found. `arms`: the baseline first. `attacks`: facts about
    each."""

    arms: tuple[str, ...]
    attacks: list[dict[str, Any]]
    points: list[PointLevels]
    outcomes: list[Outcome]
    examples: list[Example]
