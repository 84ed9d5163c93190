"""What training changed inside: how far an arm moved along trait directions, and whether its
behaviour moved with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from colorfast.interp.directions import Direction, Floats, auc
from colorfast.io.storage import read_json
from colorfast.stats.intervals import RESAMPLES, Table, mean, rng, seed_share
from colorfast.stats.rows import unflat
from colorfast.types import ColorfastError, Interval

FOLDER = "inside"
"""Of a run folder: where all of it is kept."""
FEWEST_TRAITS = 4
"""Below this, traits can be put in so few orders that no agreement between inside and behaviour
could be told from chance."""

Measure = Literal["prompt", "reply", "text"]
MEASURES: Mapping[Measure, str] = {
    "prompt": "at the last token of held-out prompts, before a word is said",
    "reply": "over the arm's own held-out replies, read by the arm",
    "text": "over the same replies, read by the start model: what their words alone make of it",
}


@dataclass(frozen=True)
class Quality:
    """How well a direction reads its trait, in the start model: AUC of held-out good against bad
    replies, with a 95% interval.

    `others`: AUC of the same direction on the other traits' replies (near `auc`: it reads good
    replies, not this trait; None with one trait); `length`: AUC of the number of words alone.
    `gap`: distance of good from bad training replies, in activation units.
    """

    trait: str
    layer: int
    layers: int
    gap: float
    auc: Interval
    others: float | None
    length: float
    training: int
    heldout: int


class Contrast(NamedTuple):
    """An arm, what it is held against (the start model or the baseline), and where inside."""

    arm: str
    against: str
    measure: Measure


@dataclass(frozen=True)
class Shift:
    """How far an arm moved along a trait's direction on the trait's held-out scenarios, in gaps (1:
    as far as good replies lie from bad ones), with a 95% interval over items and seeds.

    `control`: what 95% of the control directions moved less than, in size; `chance`: the share of
    directions, this one among them, that moved as far. `behaviour`: the same difference in held-out
    score; None where nothing of it was graded.
    """

    arm: str
    against: str
    measure: Measure
    trait: str
    shift: Interval
    p: float
    control: float
    chance: float
    behaviour: float | None
    items: int
    seeds: int


@dataclass(frozen=True)
class Agreement:
    """Spearman correlation, over traits x dosed arms, of shift and change in behaviour, both
    against the baseline.

    `p`: two-sided, traits shuffled alike in every arm; the interval resamples traits. Points of one
    trait, or of one arm, are no independent witnesses: the number of traits is what counts. None
    with a reason where there is too little.
    """

    measure: Measure
    points: int
    traits: int
    rho: Interval | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Inside:
    """All of it. `left_out`: traits without a direction and shifts without items, with the
    reason."""

    model: str
    directions: tuple[Quality, ...]
    shifts: tuple[Shift, ...]
    agreements: tuple[Agreement, ...]
    left_out: Mapping[str, str]


def quality(
    d: Direction,
    held: Mapping[str, tuple[Floats, Floats]],
    lengths: tuple[Floats, Floats],
    training: int,
) -> Quality:
    """`held`: by trait, activations of good and bad held-out replies, [scenarios, layers, width]
    each; `lengths`: the words in those of the direction's own trait."""
    along = {trait: tuple(d.project(x)[:, 0] for x in pair) for trait, pair in held.items()}
    good, bad = along[d.trait]
    others = [pair for trait, pair in along.items() if trait != d.trait]
    return Quality(
        d.trait,
        d.layer,
        held[d.trait][0].shape[1] - 1,
        d.gap,
        auc=auc(good, bad).interval().clipped(0.0, 1.0),
        others=float(np.mean([auc(*pair).value for pair in others])) if others else None,
        length=auc(*lengths).value,
        training=training,
        heldout=len(good),
    )


def shifted(
    c: Contrast, moved: Mapping[str, Floats], behaviour: Mapping[str, float]
) -> tuple[list[Shift], dict[str, str]]:
    """A shift for each trait, and the traits without one with the reason.

    `moved`: by trait [seeds, items, 1 + controls], the difference of projections in gaps; an item
    that is NaN anywhere is left out.
    """
    whole = {trait: x[:, ~np.isnan(x).any((0, 2))] for trait, x in moved.items()}
    few = {
        trait: f"{x.shape[1]} scenarios with words in every reply"
        for trait, x in whole.items()
        if x.shape[1] < 2
    }
    kept = {trait: x.astype(float) for trait, x in whole.items() if trait not in few}
    share = seed_share([x[:, :, 0] for x in kept.values()])
    shifts = []
    for trait, x in kept.items():
        found = mean([x[:, :, 0]], share)
        controls = np.abs(x[:, :, 1:].mean((0, 1)))
        as_far = int((controls >= abs(found.value)).sum())
        shifts.append(
            Shift(
                *c,
                trait,
                shift=found.interval(),
                p=found.p(),
                control=float(np.quantile(controls, 0.95)),
                chance=(1 + as_far) / (1 + len(controls)),
                behaviour=behaviour.get(trait),
                items=x.shape[1],
                seeds=x.shape[0],
            )
        )
    return shifts, few


def agree(shifts: Sequence[Shift], measure: Measure) -> Agreement:
    """Do the traits that moved most inside also move most in behaviour?"""
    rows = {
        (s.arm, s.trait): s
        for s in shifts
        if s.against == "baseline" and s.measure == measure and s.behaviour is not None
    }
    arms = sorted({arm for arm, _ in rows})
    traits = [
        t for t in sorted({trait for _, trait in rows}) if all((arm, t) in rows for arm in arms)
    ]
    inside = np.array([[rows[a, t].shift.value for t in traits] for a in arms])
    outside = np.array([[rows[a, t].behaviour for t in traits] for a in arms])
    points = len(arms) * len(traits)
    if len(traits) < FEWEST_TRAITS:
        return Agreement(
            measure,
            points,
            len(traits),
            reason=f"{len(traits)} traits in every dosed arm, it needs {FEWEST_TRAITS}",
        )
    as_is = np.arange(len(traits))[None]
    (rho,) = _spearman(_picked(inside, as_is), _picked(outside, as_is))
    if np.isnan(rho):
        return Agreement(
            measure, points, len(traits), reason="nothing moved, inside or in behaviour"
        )
    draw = rng(f"agreement-{measure}")
    orders = draw.permuted(np.tile(as_is, (RESAMPLES, 1)), axis=1)
    shuffled = _spearman(_picked(inside, as_is), _picked(outside, orders))
    tails = [
        (1 + int((side * shuffled >= side * rho - 1e-12).sum())) / (1 + RESAMPLES)
        for side in (1, -1)
    ]
    again = draw.integers(len(traits), size=(RESAMPLES, len(traits)))
    low, high = np.nanquantile(
        _spearman(_picked(inside, again), _picked(outside, again)), [0.025, 0.975]
    )
    known = Interval(float(rho), float(low), float(high))
    return Agreement(measure, points, len(traits), known, min(1.0, 2 * min(tails)))


def _picked(table: Table, traits: npt.NDArray[np.integer]) -> Table:
    """[arms, traits] under each of many choices of traits [draws, chosen] -> [draws, points]."""
    return table[:, traits].swapaxes(0, 1).reshape(len(traits), -1)


def _spearman(a: Table, b: Table) -> Table:
    """[draws, points] -> [draws]; NaN where one of the two is the same at every point."""
    x, y = (
        ranks - ranks.mean(-1, keepdims=True)
        for ranks in (rankdata(a, axis=-1), rankdata(b, axis=-1))
    )
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.where(size > 0, (x * y).sum(-1) / np.where(size > 0, size, 1), np.nan)


def load(run: Path) -> Inside | None:
    """What `colorfast inside` found in a run; None where it was not asked. Raises ColorfastError
    when the file is damaged."""
    path = run / FOLDER / "shifts.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = read_json(path)
    parts = {"directions": Quality, "shifts": Shift, "agreements": Agreement}
    try:
        return Inside(
            **found
            | {key: tuple(unflat(make, row) for row in found[key]) for key, make in parts.items()}
        )
    except (KeyError, TypeError):
        raise ColorfastError(
            f"{path}: damaged, or of another version; run again: colorfast inside {run}"
        ) from None
