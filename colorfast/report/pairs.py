"""Pairs of replies to read: an arm's beside the baseline's, with each criterion of the rubric as
code grades it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from colorfast.analysis.results import Evidence
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, SECOND
from colorfast.io.downloads import is_here
from colorfast.rewards.rubric import grade
from colorfast.runs.layout import BASELINE
from colorfast.types import Message, Reply, Scenario, Score

MOST = 120
"""Pairs on a page, over all arms: few enough to send by mail."""


@dataclass(frozen=True)
class Judged:
    """A criterion of a rubric, and how far each of two replies meets it, in [0, 1] or None."""

    weight: float
    criterion: str
    baseline: float | None
    arm: float | None


@dataclass(frozen=True)
class Pair:
    """Two replies to the same item and sample. `trait`: the scenario's, or the one that the eval
    should reflect. `messages` and `criteria` are empty where today's files do not hold the item,
    `criteria` also where there is no rubric."""

    eval: str
    item: str
    trait: str
    who: str
    seed: int
    baseline: Score
    arm: Score
    gain: float
    messages: tuple[Message, ...] = ()
    criteria: tuple[Judged, ...] = ()


def choose(e: Evidence, arms: Sequence[str], held: Mapping[str, Scenario]) -> tuple[Pair, ...]:
    """For each arm the largest gains and losses of every eval and trait in turn, one for each item,
    as far as there is room; by arm, gains first. Picked by score alone, ties by hash: ties by name
    would all be of one item."""
    room = max(4, MOST // len(arms)) if arms else 0
    picked: list[Pair] = []
    for arm in arms:
        picked += sorted(_spread(_pairs(e, arm))[:room], key=_rank)
    evals = {p.eval for p in picked} - {HELDOUT}
    prompts = {name: _prompts(name) for name in evals}
    return tuple(_completed(p, held, prompts.get(p.eval, {})) for p in picked)


def _pairs(e: Evidence, arm: str) -> Iterator[Pair]:
    """Every reply whose score differs from the baseline's; held-out scenarios first."""
    traits = {b.id: b.trait for b in map(benchmarks.get, e.experiment.evaluation.benchmarks)}
    for seed, scores in e.scores[arm].items():
        baseline = {(s.eval, s.item, s.sample): s for s in e.scores[BASELINE].get(seed, ())}
        for s in scores:
            other = baseline.get((s.eval, s.item, s.sample))
            # a second grader scores the same replies again
            if s.eval.startswith(SECOND) or not (other and other.reply and s.reply):
                continue
            if s.value is None or other.value is None or s.value == other.value:
                continue
            trait = e.traits.get(s.item, "") if s.eval == HELDOUT else traits.get(s.eval, "")
            yield Pair(s.eval, s.item, trait, arm, seed, other, s, s.value - other.value)


def _rank(p: Pair) -> tuple[bool, float, str]:
    digest = hashlib.sha256(f"{p.item}-{p.seed}-{p.arm.sample}".encode()).hexdigest()
    return p.gain < 0, -abs(p.gain), digest


def _spread(pairs: Iterable[Pair]) -> list[Pair]:
    """The first of every eval, trait and sign, then the second of each, and so on: an item once."""
    groups: dict[tuple[str, str, bool], dict[str, Pair]] = {}
    for pair in sorted(pairs, key=_rank):
        groups.setdefault((pair.eval, pair.trait, pair.gain < 0), {}).setdefault(pair.item, pair)
    spread: list[Pair] = []
    for turn in zip_longest(*(group.values() for group in groups.values())):
        spread += filter(None, turn)
    return spread


def _prompts(name: str) -> Mapping[str, tuple[Message, ...]]:
    """By item: the prompts of a shipped eval whose files lie on this machine. A report downloads
    nothing."""
    benchmark = benchmarks.shipped().get(name)
    if benchmark is None or not all(map(is_here, benchmark.sources)):
        return {}
    return {item.id: item.messages for item in benchmark.items()}


def _completed(
    pair: Pair, held: Mapping[str, Scenario], prompts: Mapping[str, tuple[Message, ...]]
) -> Pair:
    """The pair with its prompt and, for a held-out scenario, its criteria."""
    scenario = held.get(pair.item) if pair.eval == HELDOUT else None
    if scenario is None:
        return replace(pair, messages=prompts.get(pair.item, ()))
    replies = [Reply(s.reply, s.truncated) for s in (pair.baseline, pair.arm)]
    baseline, arm = (grade(reply, scenario).parts for reply in replies)
    criteria = [
        Judged(c.weight, c.text, a, b)
        for c, a, b in zip(scenario.rubric, baseline, arm, strict=True)
    ]
    return replace(pair, messages=scenario.messages, criteria=tuple(criteria))
