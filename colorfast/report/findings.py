"""Everything that a report says, as data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from colorfast.analysis import claims
from colorfast.analysis.claims import Ruling
from colorfast.analysis.compare import AATest, Overall
from colorfast.analysis.dose import Series
from colorfast.analysis.estimate import Estimate, Measure
from colorfast.analysis.explanations import Explanation
from colorfast.analysis.transfer import Transfer
from colorfast.config import Experiment
from colorfast.evals.evaluate import HELDOUT, SECOND
from colorfast.interp.shift import Inside
from colorfast.report.pairs import Pair
from colorfast.report.samples import Sample
from colorfast.stats.structure import Structure

PAPERS_GAIN = next(c.effect for c in claims.load() if c.id == "mean-gain")
Persistence = Mapping[str, Any]
"""What `attacks/persistence.json` holds."""
FEW_ITEMS = 6
"""Below this, even items that all agree in sign would not reach 5% in a sign test, whatever the
bootstrap says."""


@dataclass(frozen=True)
class Row:
    """One eval by one measure. `cells`: by dosed arm, lowest dose first; None where no item was
    graded in both."""

    eval: str
    label: str
    family: str
    cells: Mapping[str, Estimate | None]
    measure: Measure = "score"
    control: bool = False

    @property
    def part(self) -> bool:
        """Held-out scenarios of one trait, which are never counted by themselves."""
        return self.eval.startswith(f"{HELDOUT}/")

    @property
    def all_held_out(self) -> bool:
        """All held-out scenarios together, by any grader."""
        return self.eval.startswith(HELDOUT) and not self.part

    @property
    def by_other_grader(self) -> bool:
        """The replies to the held-out scenarios, by a grader that did not reward."""
        return self.eval.startswith(SECOND)

    @property
    def counted(self) -> bool:
        """Counts among the wins and losses: by score, a whole eval, no control, and not the same
        replies by another grader."""
        once = not self.part and not self.by_other_grader
        return self.measure == "score" and not self.control and once

    @property
    def section(self) -> str:
        """The family, named as a control where it is one."""
        return f"{self.family} (control)" if self.control else self.family


@dataclass(frozen=True)
class Usage:
    """What a source used, over all seeds. `truncation`: share of the sampled replies that were cut
    off."""

    source: str
    truncation: float
    prompts: int
    completions: int
    prompt_tokens: int
    completion_tokens: int
    truncated: int
    ungraded: int
    extra_tokens: int
    endpoint_tokens: int
    flops: int

    @property
    def tokens(self) -> int:
        """Tokens that the policy read and wrote, with those beyond prompts and replies."""
        return self.prompt_tokens + self.completion_tokens + self.extra_tokens


@dataclass(frozen=True)
class Trained:
    """One arm under one seed. `effective`: the trait's share of the advantage mass, None when
    nothing had an advantage. `used`: what must be equal in all arms, by name."""

    seed: int
    steps: int
    slots: int
    trait_slots: int
    shared_slots: int
    schedule: str
    seen: str
    weights: str | None
    effective: float | None
    used: Mapping[str, int]


Curve = tuple[tuple[int, float], ...]
"""(step, mean over seeds), without the steps that had no such prompt."""


@dataclass(frozen=True)
class ArmFacts:
    """What an arm was trained on and what it used. `rewards`: by source, the trait's first;
    `doses`: the effective dose of all steps so far."""

    name: str
    dose: float
    runs: tuple[Trained, ...]
    usage: tuple[Usage, ...]
    total: Usage
    rewards: Mapping[str, Curve]
    doses: Curve

    @property
    def effective(self) -> float | None:
        """The mean effective dose over seeds."""
        known = [r.effective for r in self.runs if r.effective is not None]
        return statistics.fmean(known) if known else None


@dataclass(frozen=True)
class Unmeasured:
    """An eval of the experiment that is not compared. `cause`: why some cell could not be asked
    it."""

    eval: str
    family: str
    cause: str


@dataclass(frozen=True)
class Findings:
    """A run's findings.

    `experiment`: what is whole of the planned one. `arms`: the baseline, then the others by dose.
    `unmatched`: those of steps, prompts and completions that differ between arms. `overall`: by
    dosed arm, its counted evals together. `structure`: what the counted evals have in common over
    all models, None for fewer than four models. `start`: the untrained model's mean held-out score,
    None where nothing was graded. `unseen`: by dosed arm, the held-out traits and domains that it
    never trained on. `series`: arms that differ in their dose alone. `transfer`: None without an
    arm of some traits or domains. `left`: cells that are not compared, and why. `shifts`: along
    trait directions, where they were measured. `attacks`: where some were run.
    """

    experiment: Experiment
    plan: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    arms: tuple[ArmFacts, ...]
    rows: tuple[Row, ...]
    estimates: tuple[Estimate, ...]
    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]
    corpus_changed: bool
    overall: Mapping[str, Overall | None]
    explanations: tuple[Explanation, ...]
    aa_test: AATest
    structure: Structure | None
    start: float | None
    unseen: Mapping[str, tuple[str, ...]]
    rulings: tuple[Ruling, ...]
    series: tuple[Series, ...]
    transfer: Transfer | None
    samples: tuple[Sample, ...]
    left: tuple[str, ...]
    unmeasured: tuple[Unmeasured, ...]
    shifts: Inside | None
    attacks: Persistence | None

    @property
    def dosed(self) -> tuple[ArmFacts, ...]:
        """Every arm but the baseline."""
        return self.arms[1:]

    def detectable(self, arm: ArmFacts) -> list[float]:
        """The smallest differences that the counted evals of an arm would have shown, sorted; one
        on which nothing differed has none."""
        cells = [row.cells[arm.name] for row in self.rows if row.counted]
        return sorted(e.detectable for e in cells if e and e.detectable is not None)
