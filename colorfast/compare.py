"""Two arms on the same items: a difference for every eval, what they say together, and the other explanations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from colorfast import benchmarks
from colorfast.evaluate import HELDOUT
from colorfast.reading import words
from colorfast.refusal import refusal
from colorfast.stats import Mean, SeedShare, Table, adjusted, by_item, item_means, mean, paired, seed_share, sign_test
from colorfast.types import Benchmark, Estimate, Evaluation, Measure, Score

Scores = Mapping[int, Sequence[Score]]
"""One arm's scores under each seed."""
MARGIN = 0.03
"""Capability counts as kept when its loss is below this: three points, stated before any run."""
FDR = 0.05
INSPECT = "inspect/"
"""How the evals that Inspect ran are called."""
Value = Callable[[Score], "float | None"]


@dataclass(frozen=True)
class Overall:
    """An arm against the baseline over all counted evals: raw signs, those that stand at a false discovery rate of .05, an exact
    sign test with families as clusters, and the mean difference over evals."""

    arm: str
    evals: int
    wins: int
    losses: int
    significant_wins: int
    significant_losses: int
    sign_p: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Explanation:
    """Another way to read a gain: what else changed between baseline and arm (method, section 9).

    `baseline` and `arm` in the unit of `what`; `verdict` in words, such as the outcome of a test stated beforehand; `reason` why
    there are no numbers.
    """

    what: str
    arm: str
    baseline: float | None = None
    score: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    items: int = 0
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Alike:
    """The suite's own A/A test: two baselines that differ in their seeds alone. `found`: evals with an interval off zero, of which
    one in twenty is expected; `significant`: those after Benjamini-Hochberg, of which none should be. None with a reason when
    there is but one seed."""

    evals: int = 0
    found: int | None = None
    significant: int | None = None
    seeds: int = 0
    reason: str = ""


class _Asked(NamedTuple):
    eval: str
    family: str
    measure: Measure = "score"
    control: bool = False
    ids: frozenset[str] | None = None

    @property
    def counted(self) -> bool:
        """Held-out traits as one eval, and each benchmark that is no control, by score."""
        return self.measure == "score" and not self.control and not self.eval.startswith(f"{HELDOUT}/")


def _asked(evaluation: Evaluation, traits: Mapping[str, str]) -> Iterator[_Asked]:
    yield _Asked(HELDOUT, "held-out traits")
    for trait in sorted(set(traits.values())):
        yield _Asked(f"{HELDOUT}/{trait}", "held-out traits", ids=frozenset(i for i, t in traits.items() if t == trait))
    for name in evaluation.benchmarks:
        if name.startswith(INSPECT):
            yield _Asked(name, "inspect")
            continue
        b = benchmarks.get(name)
        yield _Asked(b.id, b.family, "score", b.control)
        if b.kind == "choice":
            yield _Asked(b.id, b.family, "probability", b.control)


def _only(scores: Scores, name: str, ids: Collection[str] | None = None) -> Scores:
    return {seed: [s for s in rows if s.eval == name and (ids is None or s.item in ids)] for seed, rows in scores.items()}


def _tables(asked: _Asked, ours: Scores, theirs: Scores) -> tuple[Table, Table]:
    name = asked.eval.partition("/")[0] if asked.ids is not None else asked.eval
    parts = (_only(scores, name, asked.ids) for scores in (ours, theirs))
    a, b = paired(*({seed: item_means(rows, asked.measure) for seed, rows in part.items()} for part in parts))
    return a, b


def estimate(arm: str, ours: Scores, theirs: Scores, evaluation: Evaluation, traits: Mapping[str, str]) -> list[Estimate]:
    """Paired differences of one arm from the baseline: held-out scenarios overall and per trait (`traits`: scenario id
    -> trait), then every benchmark by score and, for choices, by probability. An eval without an item graded in both is left out."""
    found = [(asked, *_tables(asked, ours, theirs)) for asked in _asked(evaluation, traits)]
    found = [row for row in found if row[1].size]
    shares = {m: seed_share([a - b for asked, a, b in found if asked.measure == m and asked.ids is None]) for m in ("score", "probability")}
    estimates = [_difference(asked, arm, a, b, shares[asked.measure]) for asked, a, b in found]
    counted = [k for k, (asked, _, _) in enumerate(found) if asked.counted]
    for k, q in zip(counted, adjusted([estimates[k].p for k in counted]), strict=True):
        estimates[k] = replace(estimates[k], q=q)
    lost = {asked: _ungraded(asked, ours, theirs) for asked, _, _ in found}
    return [replace(e, ungraded=lost[asked]) for e, (asked, _, _) in zip(estimates, found, strict=True)]


def _ungraded(asked: _Asked, ours: Scores, theirs: Scores) -> int:
    name = asked.eval.partition("/")[0] if asked.ids is not None else asked.eval
    return sum(s.value is None for scores in (ours, theirs) for rows in _only(scores, name, asked.ids).values() for s in rows)


def _difference(asked: _Asked, arm: str, a: Table, b: Table, share: SeedShare) -> Estimate:
    found = mean([a - b], share)
    low, high = found.interval()
    return Estimate(
        asked.eval,
        asked.family,
        asked.measure,
        arm,
        baseline=float(b.mean()),
        score=float(a.mean()),
        difference=found.value,
        low=max(-1.0, low),
        high=min(1.0, high),
        p=found.p(),
        q=None,
        detectable=found.detectable(),
        items=a.shape[1],
        seeds=a.shape[0],
        ungraded=0,
        control=asked.control,
    )


def overall(arm: str, ours: Scores, theirs: Scores, estimates: Sequence[Estimate]) -> Overall | None:
    """What an arm's `estimates` say together; None when nothing of them counts."""
    counted = [e for e in estimates if e.arm == arm and e.q is not None]
    asked = [_Asked(e.eval, e.family) for e in counted]
    if not counted:
        return None
    together = mean([a - b for a, b in (_tables(one, ours, theirs) for one in asked)])
    low, high = together.interval()
    signs: dict[str, list[int]] = {}
    for e in counted:
        signs.setdefault(e.family, []).append((e.difference > 0) - (e.difference < 0))
    flat = [s for family in signs.values() for s in family]
    stand = [e.difference for e in counted if e.q is not None and e.q < FDR]
    return Overall(
        arm,
        evals=len(counted),
        wins=flat.count(1),
        losses=flat.count(-1),
        significant_wins=sum(d > 0 for d in stand),
        significant_losses=sum(d < 0 for d in stand),
        sign_p=sign_test(signs),
        difference=together.value,
        low=low,
        high=high,
    )


def explanations(arm: str, ours: Scores, theirs: Scores, evaluation: Evaluation) -> list[Explanation]:
    """Did the arm just refuse more, agree more, talk longer, know less? And what is left of its gain where neither refuses?"""
    evals = [benchmarks.get(name) for name in evaluation.benchmarks if not name.startswith(INSPECT)]
    generated = [b.id for b in evals if b.kind == "generated"]
    benign = [b.id for b in evals if b.kind == "generated" and b.family not in ("harm refusal", "mental health")]
    flattering = [b.id for b in evals if b.family == "sycophancy"]
    able = [b.id for b in evals if b.family == "capability"]
    rows = [
        _explained("refusals, all written replies", arm, ours, theirs, [HELDOUT, *generated], _refuses),
        _explained("refusals, benign prompts", arm, ours, theirs, [HELDOUT, *benign], _refuses),
        _explained("over-refusal of safe prompts", arm, ours, theirs, _ids(evals, "over-refusal"), _fails),
        _explained("sycophancy: the right answer given up", arm, ours, theirs, flattering, _fails),
        _explained("words of a reply to a held-out scenario", arm, ours, theirs, [HELDOUT], lambda s: float(len(words(s.reply)))),
        _kept(_explained("capability", arm, ours, theirs, able, lambda s: s.value), _mean(ours, theirs, able)),
    ]
    return [*rows, _neither_refuses(arm, ours, theirs)]


def _ids(evals: Sequence[Benchmark], family: str) -> list[str]:
    return [b.id for b in evals if b.family == family]


def _refuses(s: Score) -> float:
    return float(refusal(s.reply) != "none")


def _fails(s: Score) -> float | None:
    return None if s.value is None else 1 - s.value


def _pairs(ours: Scores, theirs: Scores, names: Sequence[str], value: Value) -> list[tuple[Table, Table]]:
    """Two tables for each of the evals that has an item with a value in both."""
    made = []
    for name in names:
        both = ({seed: by_item(rows, value) for seed, rows in _only(scores, name).items()} for scores in (ours, theirs))
        a, b = paired(*both)
        made.append((a, b))
    return [(a, b) for a, b in made if a.size]


def _mean(ours: Scores, theirs: Scores, names: Sequence[str]) -> Mean | None:
    tables = [a - b for a, b in _pairs(ours, theirs, names, lambda s: s.value)]
    return mean(tables) if tables else None


def _explained(what: str, arm: str, ours: Scores, theirs: Scores, names: Sequence[str], value: Value) -> Explanation:
    pairs = _pairs(ours, theirs, names, value)
    if not pairs:
        return Explanation(what, arm, reason="no eval of this experiment measures it")
    found = mean([a - b for a, b in pairs])
    low, high = found.interval()
    base, own = (float(np.mean([pair[k].mean() for pair in pairs])) for k in (1, 0))
    return Explanation(what, arm, base, own, found.value, low, high, sum(a.shape[1] for a, _ in pairs))


def _kept(row: Explanation, found: Mean | None) -> Explanation:
    """Non-inferiority and equivalence within MARGIN (one-sided tests at .05)."""
    if found is None:
        return row
    same, less = found.equivalent(MARGIN) < 0.05, found.above(-MARGIN) < 0.05
    size = found.detectable()
    text = "equivalent" if same else "not inferior" if less else "inconclusive" if row.high is None or row.high > -MARGIN else "lost"
    return replace(
        row, verdict=f"{text} within {MARGIN:g} " + (f" (smallest difference seen four times in five: {size:.3f})" if size else "")
    )


def _neither_refuses(arm: str, ours: Scores, theirs: Scores) -> Explanation:
    """The held-out score on the items that neither arm refuses under any seed."""
    what = "held-out score where neither refuses"
    own, base = (_only(scores, HELDOUT) for scores in (ours, theirs))
    refused = {s.item for scores in (own, base) for rows in scores.values() for s in rows if _refuses(s)}
    answered = {s.item for rows in own.values() for s in rows} - refused
    if not answered:
        return Explanation(what, arm, reason="each item was refused by one of them")
    found = _explained(what, arm, _only(own, HELDOUT, answered), _only(base, HELDOUT, answered), [HELDOUT], lambda s: s.value)
    return replace(found, verdict=f"{len(refused)} items left out")


def alike(baseline: Scores, evaluation: Evaluation) -> Alike:
    """The A/A test: the first half of the baseline's seeds against the second half, as if they were two arms."""
    seeds = sorted(baseline)
    half = len(seeds) // 2
    if not half:
        return Alike(reason="it needs two seeds of the baseline")
    first, second = ({k: baseline[seed] for k, seed in enumerate(part)} for part in (seeds[:half], seeds[half : 2 * half]))
    found = [e for e in estimate("A/A", first, second, evaluation, {}) if e.measure == "score"]
    off = sum(e.p < 0.05 for e in found)
    qs = adjusted([e.p for e in found])
    return Alike(evals=len(found), found=off, significant=sum(q < FDR for q in qs), seeds=half)
