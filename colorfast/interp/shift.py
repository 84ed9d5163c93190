"""What training changed inside: how far an arm moved along trait directions, and whether its
behavior moved with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
"""The folder of a run that holds directions, readings and shifts."""
FEWEST_TRAITS = 4
"""Fewer traits have so few orders that no agreement could be told from chance."""

Measure = Literal["prompt", "reply", "text"]
MEASURES: Mapping[Measure, str] = {
    "prompt": "at the last token of held-out prompts, before the reply",
    "reply": "over the arm's own held-out replies, read by the arm",
    "text": "over the same replies, read by the start model: the part that their words explain",
}


@dataclass(frozen=True)
class Quality:
    """How well a direction reads its trait in the start model: AUC of held-out good against bad
    replies.

    `others`: AUC of the same direction on the other traits' replies, None with one trait; near
    `auc` it reads good replies in general. `length`: AUC of the number of words. `gap`: distance
    between good and bad training replies, in activation units.
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
    """An arm, the model it is compared with (start or baseline), and the measure."""

    arm: str
    against: str
    measure: Measure


@dataclass(frozen=True)
class Shift:
    """How far an arm moved along a trait's direction on the trait's held-out scenarios, in gaps (1:
    the distance between good and bad replies).

    `control`: the 95th percentile of the control directions, in size. `chance`: the share of
    directions, this one among them, that moved as far. `behaviour`: the difference in held-out
    score, None where nothing was graded.
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
    """Spearman correlation of shift and change in behavior, both against the baseline, over traits
    x dosed arms.

    `p`: two-sided, with traits shuffled alike in every arm; the interval resamples traits. Points
    of one trait or one arm are not independent: the number of traits counts. None with a reason
    where there are too few.
    """

    measure: Measure
    points: int
    traits: int
    rho: Interval | None = None
    p: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Inside:
    """Everything that was read. `left_out`: traits without a direction and shifts without items,
    with the reason."""

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
    """How well a direction reads its trait. `held`: by trait, activations [scenarios, layers,
    width] of good and of bad held-out replies. `lengths`: words of those of the direction's own
    trait. `training`: scenarios that made the direction."""
    along = {trait: [d.project(x)[:, 0] for x in pair] for trait, pair in held.items()}
    own = along.pop(d.trait)
    return Quality(
        d.trait,
        d.layer,
        held[d.trait][0].shape[1] - 1,
        d.gap,
        auc=auc(*own).interval().clipped(0.0, 1.0),
        others=float(np.mean([auc(*pair).value for pair in along.values()])) if along else None,
        length=auc(*lengths).value,
        training=training,
        heldout=len(own[0]),
    )


def shifted(
    c: Contrast, moved: Mapping[str, Floats], behaviour: Mapping[str, float]
) -> tuple[list[Shift], dict[str, str]]:
    """A shift for each trait; and the traits with too few items, with the reason.

    `moved`: by trait [seeds, items, 1 + controls], differences of projections in gaps; an item with
    a NaN is left out. Run-to-run variance is pooled over traits.
    """
    kept: dict[str, Table] = {}
    too_few: dict[str, str] = {}
    for trait, x in moved.items():
        whole = x[:, ~np.isnan(x).any((0, 2))].astype(float)
        if whole.shape[1] < 2:
            too_few[trait] = f"{whole.shape[1]} scenarios with words in every reply"
        else:
            kept[trait] = whole
    share = seed_share([x[:, :, 0] for x in kept.values()])
    shifts = []
    for trait, x in kept.items():
        shift = mean([x[:, :, 0]], share)
        controls = np.abs(x[:, :, 1:].mean((0, 1)))
        as_far = int((controls >= abs(shift.value)).sum())
        row = Shift(
            *c,
            trait,
            shift=shift.interval(),
            p=shift.p(),
            control=float(np.quantile(controls, 0.95)),
            chance=(1 + as_far) / (1 + len(controls)),
            behaviour=behaviour.get(trait),
            items=x.shape[1],
            seeds=x.shape[0],
        )
        shifts.append(row)
    return shifts, too_few


def agree(shifts: Sequence[Shift], measure: Measure) -> Agreement:
    """Whether the traits that moved most inside also moved most in behavior: Spearman correlation
    with a permutation test and a bootstrap over traits (RESAMPLES draws of `agreement-MEASURE`)."""
    own = [s for s in shifts if s.measure == measure and s.against == "baseline"]
    rows = {(s.arm, s.trait): s for s in own if s.behaviour is not None}
    arms = sorted({arm for arm, _ in rows})
    traits = sorted({trait for _, trait in rows})
    traits = [t for t in traits if all((arm, t) in rows for arm in arms)]
    n = len(traits)
    none = partial(Agreement, measure, len(arms) * n, n)
    if n < FEWEST_TRAITS:
        return none(reason=f"{n} traits in every dosed arm, it needs {FEWEST_TRAITS}")
    inside = np.array([[rows[arm, t].shift.value for t in traits] for arm in arms])
    outside = np.array([[rows[arm, t].behaviour for t in traits] for arm in arms], dtype=float)
    in_order = np.arange(n)[None]
    (rho,) = _spearman(_pick(inside, in_order), _pick(outside, in_order))
    if np.isnan(rho):
        return none(reason="nothing moved, inside or in behaviour")
    draw = rng(f"agreement-{measure}")
    orders = draw.permuted(np.tile(in_order, (RESAMPLES, 1)), axis=1)
    shuffled = _spearman(_pick(inside, in_order), _pick(outside, orders))
    tails = [(shuffled >= rho - 1e-12).sum(), (-shuffled >= -rho - 1e-12).sum()]
    p = min(1.0, 2 * (1 + int(min(tails))) / (1 + RESAMPLES))
    again = draw.integers(n, size=(RESAMPLES, n))
    resampled = _spearman(_pick(inside, again), _pick(outside, again))
    low, high = np.nanquantile(resampled, [0.025, 0.975]).tolist()
    return none(Interval(float(rho), low, high), p)


def _pick(table: Table, traits: npt.NDArray[np.integer]) -> Table:
    """[arms, traits] under each of many choices of traits [draws, chosen] -> [draws, points]."""
    return table[:, traits].swapaxes(0, 1).reshape(len(traits), -1)


def _spearman(a: Table, b: Table) -> Table:
    """[draws, points] -> [draws]; NaN where one of the two is the same at every point."""
    x, y = (rankdata(table, axis=-1) for table in (a, b))
    x, y = (ranks - ranks.mean(-1, keepdims=True) for ranks in (x, y))
    size = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    return np.where(size > 0, (x * y).sum(-1) / np.where(size > 0, size, 1), np.nan)


def load(run: Path) -> Inside | None:
    """The readings of a run; None where there are none. Raises ColorfastError when the file is
    damaged."""
    path = run / FOLDER / "shifts.json"
    if not path.is_file():
        return None
    row: dict[str, Any] = read_json(path)
    nouns = {"directions": Quality, "shifts": Shift, "agreements": Agreement}
    try:
        for key, noun in nouns.items():
            row[key] = tuple(unflat(noun, part) for part in row[key])
        return Inside(**row)
    except (KeyError, TypeError):
        raise ColorfastError(
            f"{path}: damaged, or of another version; run again: colorfast inside {run}"
        ) from None
