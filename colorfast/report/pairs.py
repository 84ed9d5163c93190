"""Replies to read: an arm's beside the baseline's, with what code says of each criterion of the
rubric."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from colorfast.analysis.results import Evidence
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, SECOND
from colorfast.io.downloads import is_here
from colorfast.rewards.rubric import grade
from colorfast.runs.layout import BASELINE
from colorfast.types import Message, Reply, Scenario, Score

MOST = 120
"""Pairs on a page, over all arms: more than one reads, few enough to send by mail."""
Part = tuple[float, str, float | None, float | None]
"""Weight and text of a criterion, and how far the baseline's and the arm's reply meet it, in [0,
1]."""


@dataclass(frozen=True)
class Pair:
    """Two replies to the same item and sample. `trait`: the scenario's, or the one that the eval
    should reflect. `messages` and `parts` are empty where today's files do not hold the item,
    `parts` also where there is no rubric."""

    eval: str
    item: str
    trait: str
    who: str
    seed: int
    baseline: Score
    arm: Score
    messages: tuple[Message, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def gain(self) -> float:
        return (self.arm.value or 0.0) - (self.baseline.value or 0.0)


def choose(e: Evidence, arms: Sequence[str], held: Mapping[str, Scenario]) -> tuple[Pair, ...]:
    """For each arm the largest gains and losses of every eval and trait in turn, one an item, as
    far as there is room; by arm, gains first. Picked by score alone; ties fall by hash, for by name
    they would all be of one item."""
    room = max(4, MOST // len(arms)) if arms else 0
    picked = [
        pair for arm in arms for pair in sorted(_spread(list(_pairs(e, arm)))[:room], key=_order)
    ]
    asked = {name: _questions(name) for name in {p.eval for p in picked} - {HELDOUT}}
    return tuple(_full(pair, held, asked.get(pair.eval, {})) for pair in picked)


def _pairs(e: Evidence, arm: str) -> Iterator[Pair]:
    """Every reply whose score is another than the baseline's; held-out scenarios first."""
    evals = {b.id: b.trait for b in map(benchmarks.get, e.experiment.evaluation.benchmarks)}
    for seed, scores in e.scores[arm].items():
        theirs = {
            (s.eval, s.item, s.sample): s for s in e.scores[BASELINE].get(seed, ()) if s.reply
        }
        for s in scores:
            if s.eval.startswith(SECOND):  # the same reply again, by another grader
                continue
            other = theirs.get((s.eval, s.item, s.sample))
            if other and s.reply and None not in (s.value, other.value) and s.value != other.value:
                trait = e.traits.get(s.item, "") if s.eval == HELDOUT else evals.get(s.eval, "")
                yield Pair(s.eval, s.item, trait, arm, seed, other, s)


def _order(p: Pair) -> tuple[bool, float, str]:
    return (
        p.gain < 0,
        -abs(p.gain),
        hashlib.sha256(f"{p.item}-{p.seed}-{p.arm.sample}".encode()).hexdigest(),
    )


def _spread(pairs: Sequence[Pair]) -> list[Pair]:
    """The first of every eval, trait and sign, then the second of each, and so on: an item once."""
    groups: dict[tuple[str, str, bool], dict[str, Pair]] = {}
    for pair in sorted(pairs, key=_order):
        groups.setdefault((pair.eval, pair.trait, pair.gain < 0), {}).setdefault(pair.item, pair)
    ranked = [
        (k, i, pair)
        for i, group in enumerate(groups.values())
        for k, pair in enumerate(group.values())
    ]
    return [pair for *_, pair in sorted(ranked, key=lambda r: r[:2])]


def _questions(name: str) -> Mapping[str, tuple[Message, ...]]:
    """The prompts of a shipped eval, where its files lie on this machine: a report downloads
    nothing."""
    found = benchmarks.shipped().get(name)
    return (
        {i.id: i.messages for i in found.items()}
        if found and all(map(is_here, found.sources))
        else {}
    )


def _full(
    pair: Pair, held: Mapping[str, Scenario], asked: Mapping[str, tuple[Message, ...]]
) -> Pair:
    scenario = held.get(pair.item) if pair.eval == HELDOUT else None
    if scenario is None:
        return replace(pair, messages=asked.get(pair.item, ()))
    theirs, ours = (
        grade(Reply(s.reply, s.truncated), scenario).parts for s in (pair.baseline, pair.arm)
    )
    parts = (
        (c.weight, c.text, *both) for c, *both in zip(scenario.rubric, theirs, ours, strict=True)
    )
    return replace(pair, messages=scenario.messages, parts=tuple(parts))  # type: ignore[arg-type]
