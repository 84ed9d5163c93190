"""The analysis of an attack run: levels at every point, comparisons with the baseline, and replies
to read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, product
from operator import attrgetter

import numpy as np

from colorfast.attacks.comparisons import (
    FEWEST_ITEMS,
    Key,
    Points,
    item_values,
    level,
    outcomes,
)
from colorfast.attacks.findings import Example, Findings, Level, PointLevels, ScoredText
from colorfast.attacks.plan import CAPABILITY
from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.rewards.refusal import refusal
from colorfast.rewards.text import says_something
from colorfast.stats.intervals import paired
from colorfast.types import Score, Scores

EXAMPLES = 3
"""Examples of an arm in each direction."""


def analyze(
    arms: Sequence[str], attacks: Sequence[Attack], points: Points, suite: Sequence[str] = ()
) -> Findings:
    """Everything that the points say. `arms`: the baseline first. `suite`: the evals that every
    point measured besides its own."""
    by_id = {attack.id: attack for attack in (CLEAN, *attacks)}
    levels = [_levels(key, scores, by_id[key[1]], suite) for key, scores in points.items()]
    coherent = {(p.arm, p.attack, p.strength): p.coherent for p in levels}
    columns = ("id", "family", "axis", "strengths", "counterpart", "evals")
    facts = [dict(zip(columns, attrgetter(*columns)(attack), strict=True)) for attack in attacks]
    examples: list[Example] = []
    for arm in arms[1:]:
        examples += _examples(points, (arms[0], arm), attacks)
    compared = outcomes(points, arms, attacks, suite, coherent)
    return Findings(tuple(arms), facts, levels, compared, examples)


def _levels(key: Key, scores: Scores, attack: Attack, suite: Sequence[str]) -> PointLevels:
    """The levels of one point, and shares of its written replies."""
    written = [s for s in chain.from_iterable(scores.values()) if _is_written(s)]
    replies = [s.reply for s in written]
    return PointLevels(
        *key,
        traits=_level(scores, [HELDOUT]),
        behaviour=_level(scores, attack.evals, "every attack has its own"),
        suite=_level(scores, suite, "no suite was asked"),
        capability=_level(scores, [CAPABILITY]),
        refusals=_share([refusal(reply) != "none" for reply in replies]),
        coherent=_share([says_something(reply) for reply in replies]),
        truncated=_share([s.truncated for s in written]),
    )


def _is_written(s: Score) -> bool:
    """Whether the score is of a reply in words, and there is one."""
    written = s.eval == HELDOUT or benchmarks.get(s.eval).kind == "generated"
    return written and (s.value is not None or bool(s.reply))


def _level(scores: Scores, evals: Sequence[str], no_evals: str = "") -> Level:
    tables = []
    ungraded = 0
    for name in evals:
        values = item_values(scores, name)
        ungraded += sum([*by_name.values()].count(None) for by_name in values.values())
        (table,) = paired(values)
        if table.shape[1] >= FEWEST_ITEMS:
            tables.append(table)
    if tables:
        return level(tables, ungraded=ungraded)
    return Level(ungraded=ungraded, reason="too few items were graded" if evals else no_evals)


def _share(flags: Sequence[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None


def _examples(
    points: Points, arms: tuple[str, str], attacks: Sequence[Attack]
) -> Iterator[Example]:
    """The replies by which the arm fell least compared with the baseline, then those by which it
    fell most: one a scenario and one an attack."""
    harmful = [attack.strongest for attack in attacks if attack.harmful]
    candidates = list(chain.from_iterable(_replies(points, arms, attack) for attack in harmful))
    candidates.sort(key=_hash)  # in order of names, equal gains would all be of one attack
    for sign in (1, -1):
        chosen: list[Example] = []
        for e in sorted(candidates, key=lambda e: -sign * e.gain):
            new = all(e.item != other.item and e.attack != other.attack for other in chosen)
            if sign * e.gain > 0 and new and len(chosen) < EXAMPLES:
                chosen.append(e)
        yield from chosen


def _hash(e: Example) -> str:
    return hashlib.sha256(f"{e.attack}-{e.item}-{e.seed}".encode()).hexdigest()


def _replies(points: Points, arms: tuple[str, str], attack: tuple[str, int]) -> Iterator[Example]:
    """An example for each scenario whose replies were graded in both arms, clean and attacked."""
    keys = [(arm, *place) for arm, place in product(arms, (CLEAN.strongest, attack))]
    for seed in points[keys[0]]:
        replies: dict[str, list[ScoredText]] = {}
        for s in chain.from_iterable(points[key][seed] for key in keys):
            if s.eval == HELDOUT and s.sample == 0 and s.value is not None:
                replies.setdefault(s.item, []).append(ScoredText(s.reply, s.value))
        for item, texts in replies.items():
            if len(texts) == len(keys):
                base, own = (texts[0], texts[1]), (texts[2], texts[3])
                gain = (base[0].score - base[1].score) - (own[0].score - own[1].score)
                yield Example(arms[1], *attack, item, seed, gain, base, own)
