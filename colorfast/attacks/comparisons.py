"""Every arm compared with the baseline: under one attack by one measure, and under several attacks
as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

import numpy as np
import numpy.typing as npt

from colorfast.attacks.findings import ALL, BEHAVIOUR, SUITE, TRAITS, Level, Outcome
from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.evals.evaluate import HELDOUT
from colorfast.stats.intervals import SeedShare, Table, adjusted, by_item, mean, paired, seed_share
from colorfast.stats.persistence import (
    AttackScores,
    Tables,
    area,
    differences,
    halving,
    persistence,
)
from colorfast.types import Score, Scores

Key = tuple[str, str, int]
"""(arm, attack, strength)"""
Points = Mapping[Key, Scores]
"""The scores of every point."""
Stage = Sequence[tuple[str, int]]
"""Attacks with a strength each. Their values are averaged item by item."""
Stages = npt.NDArray[np.float64]
"""Values of one eval: [baseline and arm, stages, seeds, items]."""
FEWEST_ITEMS = 2
"""An interval needs this many items."""


@dataclass(frozen=True)
class Comparison:
    """One attack, or several as one, by one measure. `strengths`: of the clean stage (0) and of the
    attack; empty for several attacks. `stages`: clean, every strength, and last the counterpart."""

    measure: str
    name: str
    counterpart: str
    strengths: tuple[int, ...]
    stages: Sequence[Stage]
    evals: Sequence[str]


def _comparisons(
    points: Points, baseline: str, attacks: Sequence[Attack], suite: Sequence[str]
) -> Iterator[Comparison]:
    """Every judged attack by each measure, then each family of several harmful attacks, and all
    harmful attacks together. Groups leave out attacks that were not graded on the baseline."""
    by_id = {attack.id: attack for attack in (CLEAN, *attacks)}
    groups: dict[str, list[Attack]] = defaultdict(list)
    for attack in attacks:
        if not attack.judged:
            continue
        stages = [[(attack.id, strength)] for strength in attack.strengths]
        stages = [[CLEAN.strongest], *stages, [by_id[attack.counterpart].strongest]]
        about = (attack.id, attack.counterpart, (0, *attack.strengths), stages)
        yield Comparison(TRAITS, *about, [HELDOUT])
        yield Comparison(BEHAVIOUR, *about, attack.evals)
        if suite:
            yield Comparison(SUITE, *about, suite)
        if attack.harmful and _is_graded(points[baseline, *attack.strongest]):
            groups[f"family {attack.family}"].append(attack)
    groups[ALL] = list(chain.from_iterable(groups.values()))
    for name, group in groups.items():
        if len(group) > 1:
            harmful = [attack.strongest for attack in group]
            helpful = [by_id[attack.counterpart].strongest for attack in group]
            stages = [[CLEAN.strongest], harmful, helpful]
            yield Comparison(TRAITS, name, "their counterparts", (), stages, [HELDOUT])


def _is_graded(scores: Scores) -> bool:
    return any(s.value is not None for s in chain.from_iterable(scores.values()))


def outcomes(
    points: Points,
    arms: Sequence[str],
    attacks: Sequence[Attack],
    suite: Sequence[str],
    coherent: Mapping[Key, float | None],
) -> list[Outcome]:
    """The outcome of each comparison of each arm with the baseline, which is the first arm.
    `coherent`: the share of coherent replies at every point."""
    planned = list(_comparisons(points, arms[0], attacks, suite))
    harmful = {attack.id for attack in attacks if attack.harmful}
    outcomes: list[Outcome] = []
    for arm in arms[1:]:
        pair = (arms[0], arm)
        values = [_stage_values(points, pair, comparison) for comparison in planned]
        pooled: list[Table] = []
        for evals in values:
            if evals:
                pooled += chain(*differences(*_scores(evals)))
        share = seed_share(pooled)
        own = []
        for comparison, evals in zip(planned, values, strict=True):
            falls = [_collapse(comparison, one, coherent) for one in pair]
            outcome = _outcome(comparison, evals, share, max(0.0, *falls))
            own.append(replace(outcome, arm=arm))
        outcomes += _with_q(own, harmful)
    return outcomes


def _stage_values(points: Points, arms: tuple[str, str], comparison: Comparison) -> list[Stages]:
    """The values of each eval, over the items that were graded at every stage in both arms; evals
    with too few such items are left out."""
    keys = [(arm, *place) for arm, place in product(arms, chain(*comparison.stages))]
    evals = []
    for name in comparison.evals:
        tables = paired(*[item_values(points[key], name) for key in keys])
        if tables[0].shape[1] >= FEWEST_ITEMS:
            rest = iter(tables)
            means = []
            for _arm, stage in product(arms, comparison.stages):
                means.append(np.stack([next(rest) for _ in stage], axis=-1).mean(axis=-1))
            evals.append(np.reshape(means, (len(arms), -1, *tables[0].shape)))
    return evals


def item_values(scores: Scores, eval_id: str) -> dict[int, dict[str, float | None]]:
    """For each seed and item of an eval: the score of a written reply, or the probability of the
    aligned answers, which moves before the choice does."""
    values = {}
    for seed, rows in scores.items():
        values[seed] = by_item([s for s in rows if s.eval == eval_id], _value)
    return values


def _value(s: Score) -> float | None:
    return s.value if s.probability is None else s.probability


def _curve(evals: Sequence[Stages], arm: int) -> list[Tables]:
    """The tables of an arm (0: the baseline) at every stage, one table per eval."""
    return list(zip(*[values[arm] for values in evals], strict=True))


def _scores(evals: Sequence[Stages]) -> list[AttackScores]:
    """Of the baseline and the arm: clean, at the highest strength, and under the counterpart."""
    curves = [_curve(evals, arm) for arm in (0, 1)]
    return [AttackScores(curve[0], curve[-2], curve[-1]) for curve in curves]


def _collapse(comparison: Comparison, arm: str, coherent: Mapping[Key, float | None]) -> float:
    """How far the share of coherent replies falls under the attacks."""
    clean = coherent[arm, *CLEAN.strongest]
    shares = [coherent[arm, *place] for place in comparison.stages[-2]]
    attacked = [share for share in shares if share is not None]
    return clean - float(np.mean(attacked)) if attacked and clean is not None else 0.0


def _outcome(
    comparison: Comparison, evals: Sequence[Stages], share: SeedShare, collapse: float
) -> Outcome:
    strengths = comparison.strengths
    outcome = Outcome("", comparison.name, comparison.counterpart, comparison.measure, strengths)
    if not evals:
        return replace(outcome, reason="too few items were graded at every strength")
    base, own = _scores(evals)
    outcome = replace(outcome, found=persistence(base, own, share, collapse))
    if not strengths:
        return outcome
    base_curve, curve = (_curve(evals, arm)[:-1] for arm in (0, 1))
    return replace(
        outcome,
        baseline_curve=tuple(level(tables, share) for tables in base_curve),
        curve=tuple(level(tables, share) for tables in curve),
        area=area(curve, base_curve, share),
        halving=halving(strengths, curve, base_curve),
    )


def level(tables: Tables, share: SeedShare | None = None, ungraded: int = 0) -> Level:
    """The mean over evals, a table each. `share`: see `stats.intervals.mean`."""
    items = sum(table.shape[1] for table in tables)
    return Level(mean(tables, share).interval().clipped(0.0, 1.0), items, ungraded)


def _with_q(outcomes: Sequence[Outcome], harmful: Collection[str]) -> list[Outcome]:
    """With q for single harmful attacks: groups repeat their members, and controls ask another
    question."""
    ps = {i: o.found.drop.p for i, o in enumerate(outcomes) if o.found and o.attack in harmful}
    qs = dict(zip(ps, adjusted([*ps.values()]), strict=True))
    return [replace(outcome, q=qs.get(i)) for i, outcome in enumerate(outcomes)]
