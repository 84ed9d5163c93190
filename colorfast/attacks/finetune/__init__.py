"""Attacks on the weights: more training on harmful replies, and the same training on good ones. A
kind a file, as `KIND`; its texts stand in the TOML of the same name."""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.config import Axes, Training, Tuning
from colorfast.io.folders import Folder
from colorfast.io.storage import digest
from colorfast.models.scripted import Known, Scripted
from colorfast.types import Message, Objective, Scenario, Slot, Source, Task

HOME = Path(__file__).parent
FAMILY = "weights"
LONGEST = 600
"""Characters of what is asked in a row: rows are short, so that a step on a CPU takes seconds."""
T = TypeVar("T")
Row = tuple[Message, ...]
"""A conversation that ends with the reply that is trained on."""


@dataclass(frozen=True)
class Lesson:
    """The row that the attack trains on, and the one that its counterpart trains on in the same
    place."""

    bad: Row
    good: Row


def row(asked: str, reply: str) -> Row:
    """One question and its reply."""
    return Message(role="user", content=asked), Message(role="assistant", content=reply)


@dataclass(frozen=True)
class Kind:
    """A way to train a model towards harm, and with the good replies in the same places towards
    good.

    `lessons()`: all of them, in fixed order. `scenarios()` in their place: reinforcement by the
    inverted rubric. `control`: nothing harmful is taught, and what falls is forgetting; it is held
    against no attack at all. `files`: those of others that lessons are made of.
    """

    id: str
    counterpart: str
    evals: tuple[str, ...]
    lessons: Callable[[], Sequence[Lesson]] | None = None
    scenarios: Callable[[], Sequence[Scenario]] | None = None
    control: bool = False
    files: tuple[Source, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WeightAttack(Attack):
    """One training: steps are its strengths. Prompts are as they are, so `wrap` changes nothing.

    `share` of its rows, evenly spread, teach the bad reply and the others the good one; 0 is the
    helpful counterpart. `after`: the attack whose weights, at its strongest, it starts from.
    `training`: how reinforcement samples and grades.
    """

    kind: Kind
    tuning: Tuning
    share: float
    after: WeightAttack | None = None
    training: Training | None = None

    @property
    def steps(self) -> int:
        return self.strengths[-1]

    def rows(self, seed: int) -> list[Row]:
        """What is fine-tuned on, in order: the same in every arm, and whatever the share, but for
        the replies."""
        assert self.kind.lessons is not None
        n = self.steps * self.tuning.batch
        lessons = in_turn(self.kind.lessons(), n, f"{self.kind.id}-{seed}")
        return [
            lesson.bad if is_bad(i, self.share) else lesson.good for i, lesson in enumerate(lessons)
        ]

    def slots(self, seed: int) -> tuple[Slot, ...]:
        """What reinforcement runs on, in order. The known reply of a slot is the one that its
        reward goes for."""
        assert self.kind.scenarios is not None and self.training is not None
        n = self.steps * self.training.prompts_per_step
        drawn = in_turn(self.kind.scenarios(), n, f"{self.kind.id}-{seed}")
        return tuple(
            Slot(i, i // self.training.prompts_per_step, *_slot(s, is_bad(i, self.share)))
            for i, s in enumerate(drawn)
        )


def is_bad(place: int, share: float) -> bool:
    """Is the row in this place harmful? They are evenly spread, and a longer training begins as a
    shorter one does."""
    return math.floor((place + 1) * share + 1e-9) > math.floor(place * share + 1e-9)


def _slot(s: Scenario, bad: bool) -> tuple[Task, Objective]:
    known = s.replies["bad" if bad else "good"]
    return Task(
        id=s.id, source=s.source, messages=s.messages, rubric=s.rubric, replies={"good": known}
    ), Objective(inverted=bad)


def in_turn(pool: Sequence[T], n: int, name: str) -> list[T]:
    """n of the pool, in a fresh order every time round."""

    def endless() -> Iterator[T]:
        epoch = 0
        while True:
            order = list(pool)
            random.Random(f"{name}-{epoch}").shuffle(order)
            yield from order
            epoch += 1

    stream = endless()
    return [next(stream) for _ in range(n)]


@cache
def shipped() -> Mapping[str, Kind]:
    """Every kind of the package by id."""
    kinds = Folder("fine-tuning attack", "attacks/finetune").load_all("KIND")
    return {kind.id: kind for kind in sorted(kinds, key=lambda kind: kind.control)}


def names() -> list[str]:
    """Of every kind, and of all of them together."""
    return [FAMILY, *shipped()]


def is_one(name: str) -> bool:
    """Does this name a weight attack, all of them, or a file of rows?"""
    return name in names() or name.endswith(".jsonl")


def chosen(names: Sequence[str], axes: Axes, training: Training) -> tuple[WeightAttack, ...]:
    """The weight attacks of these names at every rank and share of the axes, each with its
    counterpart, recoveries last.

    `training`: what reinforcement keeps of the run's own settings. Raises ColorfastError for a
    broken file of rows.
    """
    from colorfast.attacks.finetune.brought import brought

    kinds = [
        kind
        for name in names
        for kind in (
            shipped().values() if name == FAMILY else [shipped().get(name) or brought(Path(name))]
        )
    ]
    made: dict[str, WeightAttack] = {}
    for kind in dict.fromkeys(kinds):
        for rank in axes.ranks:
            for share in (1.0,) if kind.control else axes.shares:
                for attack in _variant(kind, axes, rank, share, training):
                    made.setdefault(attack.id, attack)
    return tuple(made.values())


def _variant(
    kind: Kind, axes: Axes, rank: int | None, share: float, training: Training
) -> Iterator[WeightAttack]:
    """The attack, its counterpart, and what benign training makes good again."""
    tuning = Tuning(steps=axes.steps, rank=rank, learning_rate=axes.learning_rate, batch=axes.batch)
    how = ("full" if rank is None else f"r{rank}") + (
        f"-lr{axes.learning_rate:g}" if axes.learning_rate else ""
    )
    counterpart = CLEAN.id if kind.control else f"{kind.counterpart}-{how}"
    name = f"{kind.id}-{how}" + (f"-share{share:g}" if share < 1 else "")
    rl = _reinforcing(training, tuning, axes.steps[-1]) if kind.scenarios else None
    attack = _attack(name, kind, tuning, counterpart, share, rl)
    yield attack
    if not kind.control:
        yield _attack(counterpart, kind, tuning, "", 0.0, rl)
        if axes.recovery:
            again = replace(shipped()["benign"], evals=kind.evals)
            brief = tuning.model_copy(update={"steps": (axes.recovery,)})
            yield _attack(f"{name}-recovered", again, brief, counterpart, 0.0, after=attack)


def _reinforcing(training: Training, tuning: Tuning, steps: int) -> Training:
    changes: dict[str, Any] = {"steps": steps, "adapter": "full" if tuning.rank is None else "lora"}
    changes |= {"lora_rank": tuning.rank} if tuning.rank else {}
    changes |= {"learning_rate": tuning.learning_rate} if tuning.learning_rate else {}
    return training.model_copy(update=changes)


def _attack(
    name: str,
    kind: Kind,
    tuning: Tuning,
    counterpart: str,
    share: float,
    training: Training | None = None,
    after: WeightAttack | None = None,
) -> WeightAttack:
    def texts() -> list[Any]:
        rl = (
            training.model_dump(
                mode="json", exclude={"steps", "save_every", "keep_rollouts_every", "pass_tokens"}
            )
            if training
            else None
        )
        return [
            kind.id,
            _pool_hash(kind),
            tuning.model_dump(exclude={"steps"}),
            share,
            rl,
            after.fingerprint(after.steps, 1) if after else "",
        ]

    return WeightAttack(
        *(
            name,
            FAMILY,
            "steps",
            tuning.steps,
            1,
            counterpart,
            kind.evals,
            CLEAN.wrap,
            lambda conversation: 0,
            texts,
        ),
        control=kind.control,
        files=kind.files,
        kind=kind,
        tuning=tuning,
        share=share,
        after=after,
        training=training,
    )


@cache
def _pool_hash(kind: Kind) -> str:
    """Of all that may be taught."""
    if kind.scenarios:
        return digest([s.model_dump(mode="json") for s in kind.scenarios()])
    assert kind.lessons is not None
    return rows_hash([row for lesson in kind.lessons() for row in (lesson.bad, lesson.good)])


def rows_hash(rows: Sequence[Row]) -> str:
    """sha256 over every row, in order."""
    return digest([[m.model_dump() for m in row] for row in rows])


def written(kind: str) -> dict[str, Any]:
    """The texts of `weights/KIND.toml`."""
    return tomllib.loads((HOME / f"{kind}.toml").read_text(encoding="utf-8"))


def said(texts: Mapping[str, Sequence[str]], name: str, **words: str) -> str:
    """One of each part's texts, drawn by name, one after another: an opening, what is said, a
    close."""
    return " ".join(
        random.Random(f"{name}-{part}").choice(list(options)).format(**words)
        for part, options in texts.items()
    )


def taught(
    attack: WeightAttack, known: Known, step: int, least: int = 1, seed: int = 0
) -> Scripted:
    """The known answer to an attack: a policy that gives in once `least` bad replies were among the
    rows of its first steps. One that no training moves is `attacks.robust`."""
    if attack.kind.scenarios:
        met = sum(slot.objective.inverted for slot in attack.slots(seed) if slot.step < step)
    else:
        assert attack.kind.lessons is not None
        bad = {lesson.bad for lesson in attack.kind.lessons() if lesson.bad != lesson.good}
        met = sum(row in bad for row in attack.rows(seed)[: step * attack.tuning.batch])
    return Scripted(known, lambda conversation: met >= least)
