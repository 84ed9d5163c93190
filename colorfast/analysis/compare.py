"""Two arms on the same items: a difference for every eval, and all counted evals together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from colorfast.analysis.estimate import Estimate, Measure
from colorfast.config import Evaluation
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, SECOND, second_id
from colorfast.stats.intervals import (
    Mean,
    Table,
    Value,
    adjusted,
    by_item,
    mean,
    paired,
    seed_share,
    sign_test,
)
from colorfast.types import Interval, Score, Scores

Split = Mapping[str, Scores]
"""Eval -> seed -> scores."""
VALUES: Mapping[Measure, Value] = {
    "score": lambda s: s.value,
    "probability": lambda s: s.probability,
}
FDR = 0.05
"""False discovery rate of the evals called significant (Benjamini-Hochberg)."""
INSPECT = "inspect/"
"""Prefix of the names of evals that Inspect ran."""


@dataclass(frozen=True)
class Overall:
    """An arm against the baseline over all counted evals: raw signs, evals significant at FDR, an
    exact sign test with families as clusters, and the mean difference over evals."""

    arm: str
    evals: int
    wins: int
    losses: int
    significant_wins: int
    significant_losses: int
    sign_p: float
    difference: Interval
    detectable: float | None


@dataclass(frozen=True)
class AATest:
    """Two halves of the baseline's seeds compared as if they were two arms.

    `nonzero`: evals with an interval off zero (one in twenty is expected). `significant`: those
    left after Benjamini-Hochberg (none is expected). None with a reason for a single seed.
    """

    evals: int = 0
    nonzero: int | None = None
    significant: int | None = None
    seeds: int = 0
    reason: str = ""


class Metric(NamedTuple):
    """One eval by one measure; `heldout/TRAIT` is the part of the held-out scenarios of a trait."""

    eval: str
    family: str
    measure: Measure = "score"
    control: bool = False

    @property
    def part(self) -> str:
        """The trait; "" for a whole eval."""
        return self.eval.partition("/")[2] if self.eval.startswith(f"{HELDOUT}/") else ""

    @property
    def whole(self) -> bool:
        """Neither a part of the held-out scenarios nor the scores of a second grader."""
        return not self.part and not self.eval.startswith(SECOND)

    @property
    def counted(self) -> bool:
        """The held-out scenarios as one eval, and each benchmark but controls, by score."""
        return self.measure == "score" and not self.control and self.whole


class Difference(NamedTuple):
    """An arm minus the baseline by one metric: item by item [seeds, items], the mean, and the row
    of the report."""

    metric: Metric
    table: Table
    mean: Mean
    estimate: Estimate


def _metrics(evaluation: Evaluation, traits: Mapping[str, str]) -> Iterator[Metric]:
    family = "held-out traits"
    yield Metric(HELDOUT, family)
    for trait in sorted(set(traits.values())):
        yield Metric(f"{HELDOUT}/{trait}", family)
    second = second_id(evaluation)
    if second:
        yield Metric(second, family)
    for name in evaluation.benchmarks:
        if name.startswith(INSPECT):
            yield Metric(name, "inspect")
            continue
        benchmark = benchmarks.get(name)
        yield Metric(benchmark.id, benchmark.family, "score", benchmark.control)
        if benchmark.kind == "choice":
            yield Metric(benchmark.id, benchmark.family, "probability", benchmark.control)


def split(scores: Scores, traits: Mapping[str, str]) -> Split:
    """Scores by eval, and those of the held-out scenarios also by trait. An unknown eval has no
    rows under any seed."""
    by_eval: dict[str, dict[int, list[Score]]] = defaultdict(lambda: {seed: [] for seed in scores})
    for seed, rows in scores.items():
        for score in rows:
            by_eval[score.eval][seed].append(score)
            if score.eval == HELDOUT and score.item in traits:
                by_eval[f"{HELDOUT}/{traits[score.item]}"][seed].append(score)
    return by_eval


def tables(arms: Sequence[Split], eval_id: str, value: Value) -> list[Table]:
    """For each arm a table [seeds, items] of the mean value of an item's samples, over the items
    that have a value in all arms under every seed."""
    means = []
    for scores in arms:
        means.append({seed: by_item(rows, value) for seed, rows in scores[eval_id].items()})
    return paired(*means)


def differences(
    arm: str, ours: Scores, theirs: Scores, evaluation: Evaluation, traits: Mapping[str, str]
) -> list[Difference]:
    """An arm against the baseline: held-out scenarios overall and by trait (`traits`: scenario id
    -> trait), then every benchmark by score and, for choices, by probability. Leaves out evals
    without an item graded in both.

    Run-to-run variance is pooled over the evals of a measure; q is adjusted over counted evals.
    """
    arms = split(ours, traits), split(theirs, traits)
    graded: dict[Metric, list[Table]] = {}
    pools: dict[Measure, list[Table]] = {"score": [], "probability": []}
    for metric in _metrics(evaluation, traits):
        own, base = tables(arms, metric.eval, VALUES[metric.measure])
        if own.size:
            graded[metric] = [own, base]
        if own.size and metric.whole:
            pools[metric.measure].append(own - base)
    shares = {measure: seed_share(pool) for measure, pool in pools.items()}
    means = {m: mean([own - base], shares[m.measure]) for m, (own, base) in graded.items()}
    counted = [metric for metric in graded if metric.counted]
    qs = dict(zip(counted, adjusted([means[metric].p() for metric in counted]), strict=True))
    rows = []
    for metric, (own, base) in graded.items():
        replies = chain(*arms[0][metric.eval].values(), *arms[1][metric.eval].values())
        row = Estimate(
            **metric._asdict(),
            arm=arm,
            baseline=float(base.mean()),
            score=float(own.mean()),
            difference=means[metric].interval().clipped(-1.0, 1.0),
            p=means[metric].p(),
            q=qs.get(metric),
            detectable=means[metric].detectable(),
            items=own.shape[1],
            seeds=own.shape[0],
            ungraded=sum(score.value is None for score in replies),
        )
        rows.append(Difference(metric, own - base, means[metric], row))
    return rows


def estimate(
    arm: str, ours: Scores, theirs: Scores, evaluation: Evaluation, traits: Mapping[str, str]
) -> list[Estimate]:
    """The rows of a report of the `differences`."""
    return [d.estimate for d in differences(arm, ours, theirs, evaluation, traits)]


def family_signs(rows: Sequence[Difference]) -> dict[str, list[int]]:
    """+1, -1 or 0 for the difference of each eval, by family."""
    signs: dict[str, list[int]] = {}
    for d in rows:
        signs.setdefault(d.metric.family, []).append((d.mean.value > 0) - (d.mean.value < 0))
    return signs


def overall(rows: Sequence[Difference]) -> Overall | None:
    """The counted evals among the differences of an arm, together; None without any."""
    counted = [d for d in rows if d.metric.counted]
    if not counted:
        return None
    total = mean([d.table for d in counted])
    signs = family_signs(counted)
    flat = list(chain(*signs.values()))
    significant = [d.mean.value for d in counted if d.estimate.q is not None and d.estimate.q < FDR]
    return Overall(
        counted[0].estimate.arm,
        evals=len(counted),
        wins=flat.count(1),
        losses=flat.count(-1),
        significant_wins=sum(value > 0 for value in significant),
        significant_losses=sum(value < 0 for value in significant),
        sign_p=sign_test(signs),
        difference=total.interval(),
        detectable=total.detectable(),
    )


def aa_test(baseline: Scores, evaluation: Evaluation) -> AATest:
    """The first half of the baseline's seeds against the second half."""
    seeds = sorted(baseline)
    half = len(seeds) // 2
    if not half:
        return AATest(reason="it needs two seeds of the baseline")
    first = {k: baseline[seeds[k]] for k in range(half)}
    second = {k: baseline[seeds[half + k]] for k in range(half)}
    rows = estimate("A/A", first, second, evaluation, {})
    ps = [e.p for e in rows if e.measure == "score" and not e.eval.startswith(SECOND)]
    nonzero = sum(p < 0.05 for p in ps)
    return AATest(len(ps), nonzero, sum(q < FDR for q in adjusted(ps)), half)
