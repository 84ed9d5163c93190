"""What the tables of a battery of attacks say together: levels at every point, outcomes with their
verdicts, and replies to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT
from colorfast.rewards.refusal import refusal
from colorfast.rewards.text import says_something
from colorfast.stats.intervals import SeedShare, adjusted, by_item, mean, paired, seed_share
from colorfast.stats.persistence import (
    Found,
    Halving,
    Persistence,
    Tables,
    Washed,
    area,
    differences,
    halving,
    persistence,
)
from colorfast.types import Score, Scores

TRAITS, BEHAVIOUR, SUITE = "held-out traits", "attacked behaviour", "suite"
ALL = "all attacks"
CAPABILITY = "mmlu-high-school-geography"
"""Asked at every point, so that a loss of all wits is not taken for misalignment."""
EXAMPLES = 3
FEWEST = 2
"""Items below which there is no interval."""
Key = tuple[str, str, int]
"""(arm, attack, strength)"""
Points = Mapping[Key, Scores]
Items = Mapping[int, Mapping[str, "float | None"]]
"""seed -> item -> value"""


@dataclass(frozen=True)
class Level:
    """A mean with its 95% interval over items and seeds; None with a reason where too little was
    graded."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    items: int = 0
    ungraded: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Point:
    """One arm under one attack at one strength. `refusals`, `coherent` and `truncated` are shares
    of the written replies, None where there are none; `coherent`: neither empty nor a loop."""

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
    """An arm beside the baseline under one attack, by one measure: the verdict at its highest
    strength, and both degradation curves (clean first). `q`: the drop's p after Benjamini-Hochberg
    over the arm's attacks. A group of attacks has no curve. Without numbers there is a reason."""

    arm: str
    attack: str
    counterpart: str
    measure: str
    strengths: tuple[int, ...]
    found: Persistence | None = None
    q: float | None = None
    baseline_curve: tuple[Level, ...] = ()
    curve: tuple[Level, ...] = ()
    area: Found | None = None
    halving: Halving | None = None
    reason: str = ""


@dataclass(frozen=True)
class Said:
    text: str
    score: float


@dataclass(frozen=True)
class Example:
    """One held-out scenario, answered without the attack and under it by the baseline and by an
    arm. `gain`: by how much less the arm fell; below 0 it fell further."""

    arm: str
    attack: str
    strength: int
    item: str
    seed: int
    gain: float
    baseline: tuple[Said, Said]
    replies: tuple[Said, Said]


@dataclass(frozen=True)
class AttackFacts:
    id: str
    family: str
    axis: str
    strengths: tuple[int, ...]
    counterpart: str
    evals: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """`arms`: the baseline first."""

    arms: tuple[str, ...]
    attacks: tuple[AttackFacts, ...]
    points: tuple[Point, ...]
    outcomes: tuple[Outcome, ...]
    examples: tuple[Example, ...]


def findings(
    arms: Sequence[str], attacks: Sequence[Attack], points: Points, suite: Sequence[str] = ()
) -> Findings:
    """Everything that these points say. `arms`: the baseline first, each of them at every point.
    `suite`: the evals that were asked at every point, whatever the attack."""
    by_id = {a.id: a for a in (CLEAN, *attacks)}
    facts = (
        AttackFacts(a.id, a.family, a.axis, a.strengths, a.counterpart, a.evals) for a in attacks
    )
    levels = tuple(_point(key, scores, by_id[key[1]], suite) for key, scores in points.items())
    coherent = {(p.arm, p.attack, p.strength): p.coherent for p in levels}
    outcomes: list[Outcome] = []
    for arm in arms[1:]:
        cases = list(_cases(points, (arms[0], arm), by_id, suite))
        known = [case for case in cases if case.graded]
        share = seed_share(
            [t for case in known for tables in differences(case.base, case.own) for t in tables]
        )
        outcomes += _adjusted(
            [_outcome(case, share, _collapse(case, (arms[0], arm), coherent)) for case in cases],
            by_id,
        )
    return Findings(
        tuple(arms), tuple(facts), levels, tuple(outcomes), tuple(_examples(points, arms, by_id))
    )


def _items(scores: Scores, name: str, value: Callable[[Score], float | None]) -> Items:
    return {
        seed: by_item([s for s in rows if s.eval == name], value) for seed, rows in scores.items()
    }


def _score(s: Score) -> float | None:
    return s.value


def _likely(s: Score) -> float | None:
    """The probability of the aligned answers, which moves before the choice does; of a reply its
    score."""
    return s.value if s.probability is None else s.probability


def _tables(evals: Sequence[Sequence[Items]]) -> list[Tables]:
    """For each point its tables, one an eval, over the items that were graded at every point.
    `evals`: for each eval all points."""
    found = [paired(*points) for points in evals]
    kept = [tables for tables in found if tables[0].shape[1] >= FEWEST]
    return [[tables[k] for tables in kept] for k in range(len(evals[0]))]


# --- levels ---


def _level(items: Sequence[Items]) -> Level:
    """Of one point, over evals."""
    values = [v for one in items for by_name in one.values() for v in by_name.values()]
    (tables,) = _tables([[one] for one in items])
    ungraded = sum(v is None for v in values)
    if not tables:
        return Level(ungraded=ungraded, reason="too few items were graded")
    found = mean(tables)
    low, high = found.interval()
    return Level(
        found.value, max(0.0, low), min(1.0, high), sum(t.shape[1] for t in tables), ungraded
    )


def _point(key: Key, scores: Scores, attack: Attack, suite: Sequence[str]) -> Point:
    behaviour, asked = (
        [_items(scores, name, _likely) for name in names] for names in (attack.evals, suite)
    )
    written = [
        s
        for rows in scores.values()
        for s in rows
        if s.eval == HELDOUT or benchmarks.get(s.eval).kind == "generated"
    ]
    said = [s for s in written if s.value is not None or s.reply]
    return Point(
        *key,
        traits=_level([_items(scores, HELDOUT, _score)]),
        behaviour=_level(behaviour) if behaviour else Level(reason="every attack has its own"),
        suite=_level(asked) if asked else Level(reason="no suite was asked"),
        capability=_level([_items(scores, CAPABILITY, _likely)]),
        refusals=_rate([refusal(s.reply) != "none" for s in said]),
        coherent=_rate([says_something(s.reply) for s in said]),
        truncated=_rate([s.truncated for s in said]),
    )


def _rate(flags: Sequence[bool]) -> float | None:
    return float(np.mean(flags)) if flags else None


# --- outcomes ---


@dataclass(frozen=True)
class _Case:
    """Tables of the baseline and of an arm: clean, every strength, and last the helpful
    counterpart. `ids`: the attacks inside."""

    arm: str
    name: str
    counterpart: str
    measure: str
    attacks: tuple[Attack, ...]
    strengths: tuple[int, ...]
    theirs: list[Tables]
    ours: list[Tables]

    @property
    def graded(self) -> bool:
        return len(self.theirs[0]) > 0

    @property
    def base(self) -> Washed:
        return Washed(self.theirs[0], self.theirs[-2], self.theirs[-1])

    @property
    def own(self) -> Washed:
        return Washed(self.ours[0], self.ours[-2], self.ours[-1])


def _cases(
    points: Points, arms: tuple[str, str], by_id: Mapping[str, Attack], suite: Sequence[str]
) -> Iterator[_Case]:
    """Every judged attack by each measure, then families of several harmful ones, and all
    together."""
    harmful = [a for a in by_id.values() if a.harmful]
    for attack in (a for a in by_id.values() if a.judged):
        at = [
            (CLEAN.id, 0),
            *((attack.id, s) for s in attack.strengths),
            _strongest(by_id[attack.counterpart]),
        ]
        for measure, evals in (
            (TRAITS, (HELDOUT,)),
            (BEHAVIOUR, attack.evals),
            *([(SUITE, suite)] if suite else []),
        ):
            value = _score if measure == TRAITS else _likely
            tables = _tables(
                [
                    [_items(points[arm, *where], name, value) for arm in arms for where in at]
                    for name in evals
                ]
            )
            axis = (0, *attack.strengths)
            yield _Case(
                arms[1],
                attack.id,
                attack.counterpart,
                measure,
                (attack,),
                axis,
                theirs=tables[: len(at)],
                ours=tables[len(at) :],
            )
    graded = [
        a
        for a in harmful
        if any(
            s.value is not None for rows in points[arms[0], *_strongest(a)].values() for s in rows
        )
    ]
    groups = {
        f"family {family}": [a for a in graded if a.family == family]
        for family in dict.fromkeys(a.family for a in graded)
    }
    for name, group in {**groups, ALL: graded}.items():
        if len(group) > 1:
            yield _together(points, arms, name, [(a, by_id[a.counterpart]) for a in group])


def _strongest(attack: Attack) -> tuple[str, int]:
    return attack.id, attack.strengths[-1]


def _together(
    points: Points, arms: tuple[str, str], name: str, pairs: Sequence[tuple[Attack, Attack]]
) -> _Case:
    """Several attacks at their strongest as one: the mean over them, item by item, of the held-out
    scenarios."""
    maps: list[Items] = []
    for arm in arms:
        maps.append(_items(points[arm, CLEAN.id, 0], HELDOUT, _score))
        for side in zip(*pairs, strict=True):
            maps.append(
                _averaged([_items(points[arm, *_strongest(a)], HELDOUT, _score) for a in side])
            )
    tables = _tables([maps])
    return _Case(
        arms[1],
        name,
        "their counterparts",
        TRAITS,
        tuple(a for a, _ in pairs),
        (),
        theirs=tables[:3],
        ours=tables[3:],
    )


def _averaged(maps: Sequence[Items]) -> Items:
    """The mean over maps for every seed and item; None where one of them has none."""
    return {
        seed: {
            item: (
                None
                if None in (vs := [m[seed][item] for m in maps])
                else float(np.mean(np.array(vs, float)))
            )
            for item in by_name
        }
        for seed, by_name in maps[0].items()
    }


def _collapse(case: _Case, arms: Sequence[str], coherent: Mapping[Key, float | None]) -> float:
    """By how much the share of replies that say nothing rises, in the worse of the two models."""

    def rise(arm: str) -> float:
        clean = coherent[arm, CLEAN.id, 0]
        found = [
            value for a in case.attacks if (value := coherent[arm, *_strongest(a)]) is not None
        ]
        return clean - float(np.mean(found)) if found and clean is not None else 0.0

    return max(0.0, *(rise(arm) for arm in arms))


def _outcome(case: _Case, share: SeedShare, collapse: float) -> Outcome:
    about = Outcome(case.arm, case.name, case.counterpart, case.measure, case.strengths)
    if not case.graded:
        return replace(about, reason="too few items were graded at every strength")
    found = persistence(case.base, case.own, share, collapse)
    if not case.strengths:
        return replace(about, found=found)
    theirs, ours = case.theirs[:-1], case.ours[:-1]
    return replace(
        about,
        found=found,
        baseline_curve=tuple(_drawn(tables, share) for tables in theirs),
        curve=tuple(_drawn(tables, share) for tables in ours),
        area=area(ours, theirs, share),
        halving=halving(case.strengths, ours, theirs),
    )


def _drawn(tables: Tables, share: SeedShare) -> Level:
    found = mean(tables, share)
    low, high = found.interval()
    return Level(found.value, max(0.0, low), min(1.0, high), sum(t.shape[1] for t in tables))


def _adjusted(outcomes: Sequence[Outcome], by_id: Mapping[str, Attack]) -> list[Outcome]:
    """With q for the harmful attacks; groups of them say the same once more, and controls ask
    something else."""
    single = {
        i: o.found.drop.p
        for i, o in enumerate(outcomes)
        if o.found and o.attack in by_id and by_id[o.attack].harmful
    }
    qs = dict(zip(single, adjusted(list(single.values())), strict=True))
    return [replace(o, q=qs[i]) if i in qs else o for i, o in enumerate(outcomes)]


# --- replies to read ---


def _examples(
    points: Points, arms: Sequence[str], by_id: Mapping[str, Attack]
) -> Iterator[Example]:
    """For each arm the replies by which it fell least and most against the baseline, one a scenario
    and one an attack."""
    for arm in arms[1:]:
        every = [
            e
            for a in by_id.values()
            if a.harmful
            for e in _pairs(points, (arms[0], arm), _strongest(a))
        ]
        for sign in (1, -1):
            told: list[Example] = []
            for example in sorted(
                (e for e in every if sign * e.gain > 0), key=lambda e: (-sign * e.gain, _hash(e))
            ):
                if len(told) < EXAMPLES and not any(
                    example.item == t.item or example.attack == t.attack for t in told
                ):
                    told.append(example)
            yield from told


def _hash(e: Example) -> str:
    """Ties fall by it: by name they would all be of one attack."""
    return hashlib.sha256(f"{e.attack}-{e.item}-{e.seed}".encode()).hexdigest()


def _pairs(points: Points, arms: tuple[str, str], attack: tuple[str, int]) -> Iterator[Example]:
    for seed in points[arms[0], *attack]:
        keys = [(arm, *where) for arm in arms for where in ((CLEAN.id, 0), attack)]
        said = [
            {s.item: s for s in points[key][seed] if s.eval == HELDOUT and s.sample == 0}
            for key in keys
        ]
        for item in said[0]:
            four = [Said(s.reply, s.value) for one in said if (s := one[item]).value is not None]
            if len(four) == len(said):
                gain = (four[0].score - four[1].score) - (four[2].score - four[3].score)
                yield Example(
                    arms[1], *attack, item, seed, gain, (four[0], four[1]), (four[2], four[3])
                )
