"""One training as an attack, and the variants of a kind: rank, share of bad rows, steps."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from colorfast.attacks.axes import Axes
from colorfast.attacks.finetune import benign
from colorfast.attacks.finetune.kind import Kind, Row
from colorfast.attacks.prompt.attack import CLEAN, Attack
from colorfast.config import Training
from colorfast.io.storage import digest
from colorfast.training.tuning import Tuning
from colorfast.types import Objective, Scenario, Slot, Task

T = TypeVar("T")
FAMILY = "weights"
"""The family of all weight attacks, and the name that stands for all of them."""


@dataclass(frozen=True, kw_only=True)
class WeightAttack(Attack):
    """One training whose strengths are optimizer steps. Prompts stay unchanged.

    `share`: of the rows, evenly spread, teach the bad reply, and the others the good one; 0 is the
    helpful counterpart. `after`: the attack whose final weights this training starts from.
    `training`: the settings of reinforcement learning, None for supervised fine-tuning.
    """

    kind: Kind
    tuning: Tuning
    share: float
    after: WeightAttack | None = None
    training: Training | None = None

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""
        return self.strengths[-1]

    def rows(self, seed: int) -> list[Row]:
        """The rows for fine-tuning, in order. They are the same in every arm; another share changes
        only the replies."""
        lessons = self._draw(self.kind.lessons(), self.tuning.batch, seed)
        return [
            lesson.bad if is_bad(i, self.share) else lesson.good for i, lesson in enumerate(lessons)
        ]

    def slots(self, seed: int) -> tuple[Slot, ...]:
        """The slots for reinforcement learning, in order. The known reply of a slot is the one that
        its reward favors."""
        assert self.kind.scenarios is not None and self.training is not None
        per_step = self.training.prompts_per_step
        scenarios = self._draw(self.kind.scenarios(), per_step, seed)
        return tuple(
            Slot(i, i // per_step, *_task(s, is_bad(i, self.share)))
            for i, s in enumerate(scenarios)
        )

    def _draw(self, pool: Sequence[T], per_step: int, seed: int) -> list[T]:
        """The pool in random order, shuffled anew for every round through it, for all steps."""
        n = self.steps * per_step
        draws: list[T] = []
        for epoch in range(-(-n // len(pool))):
            order = list(pool)
            random.Random(f"{self.kind.id}-{seed}-{epoch}").shuffle(order)
            draws += order
        return draws[:n]

    def fingerprint(self, strength: int, repetitions: int) -> str:
        """The identity of the training, up to its length, in twelve hex digits."""
        rl = None
        if self.training:
            recorded = {"steps", "save_every", "keep_rollouts_every", "pass_tokens"}
            rl = self.training.model_dump(mode="json", exclude=recorded)
        tuning = self.tuning.model_dump(exclude={"steps"})
        after = self.after.fingerprint(self.after.steps, 1) if self.after else ""
        texts = [self.kind.id, _pool_hash(self.kind), tuning, self.share, rl, after]
        return digest([self.id, self.axis, strength, repetitions, self.wordings, texts])[:12]


def is_bad(index: int, share: float) -> bool:
    """Whether the row at this index teaches the bad reply. Bad rows are evenly spread, and the
    beginning does not depend on the length of the training."""
    return math.floor((index + 1) * share + 1e-9) > math.floor(index * share + 1e-9)


def _task(s: Scenario, bad: bool) -> tuple[Task, Objective]:
    reply = s.replies["bad" if bad else "good"]
    fields = s.model_dump(include={"id", "source", "messages", "rubric"})
    return Task(**fields, replies={"good": reply}), Objective(inverted=bad)


@cache
def _pool_hash(kind: Kind) -> str:
    """sha256 of everything that the kind can teach."""
    if kind.scenarios:
        return digest([s.model_dump(mode="json") for s in kind.scenarios()])
    rows: list[Any] = []
    for lesson in kind.lessons():
        rows += [[m.model_dump() for m in lesson.bad], [m.model_dump() for m in lesson.good]]
    return digest(rows)


def variants(kind: Kind, axes: Axes, training: Training) -> Iterator[WeightAttack]:
    """The kind at every rank and share of the axes. Each attack is followed by its counterpart and
    its recovery. `training`: the settings that reinforcement learning adopts."""
    for rank in axes.ranks:
        tuning = Tuning(
            steps=axes.steps, rank=rank, learning_rate=axes.learning_rate, batch=axes.batch
        )
        for share in (1.0,) if kind.control else axes.shares:
            attack = _variant(kind, tuning, share, training)
            yield attack
            if not kind.control:
                yield replace(attack, id=attack.counterpart, counterpart="", share=0.0)
                if axes.recovery:
                    yield _recovery(attack, axes.recovery)


def _variant(kind: Kind, tuning: Tuning, share: float, training: Training) -> WeightAttack:
    suffix = "full" if tuning.rank is None else f"r{tuning.rank}"
    if tuning.learning_rate:
        suffix += f"-lr{tuning.learning_rate:g}"
    return WeightAttack(
        id=f"{kind.id}-{suffix}" + (f"-share{share:g}" if share < 1 else ""),
        family=FAMILY,
        axis="steps",
        strengths=tuning.steps,
        evals=kind.evals,
        counterpart=CLEAN.id if kind.control else f"{kind.counterpart}-{suffix}",
        control=kind.control,
        files=kind.files,
        kind=kind,
        tuning=tuning,
        share=share,
        training=_reinforcement(training, tuning) if kind.scenarios else None,
    )


def _reinforcement(training: Training, tuning: Tuning) -> Training:
    """The run's training settings with the length, rank and learning rate of the attack."""
    changes: dict[str, Any] = {"steps": tuning.steps[-1], "adapter": "full"}
    if tuning.rank:
        changes |= {"adapter": "lora", "lora_rank": tuning.rank}
    if tuning.learning_rate:
        changes["learning_rate"] = tuning.learning_rate
    return training.model_copy(update=changes)


def _recovery(attack: WeightAttack, steps: int) -> WeightAttack:
    """Benign training that starts from the attacked weights."""
    return replace(
        attack,
        id=f"{attack.id}-recovered",
        strengths=(steps,),
        control=True,
        files=benign.KIND.files,
        kind=replace(benign.KIND, evals=attack.evals),
        tuning=attack.tuning.model_copy(update={"steps": (steps,)}),
        share=0.0,
        after=attack,
        training=None,
    )
