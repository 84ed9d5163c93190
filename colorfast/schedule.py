"""Who gets which slot: the exact dose, by replacement, with all other rows equal in every arm."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from colorfast import scenarios, standard
from colorfast.helpfulness import rewarded
from colorfast.names import check_known
from colorfast.rundir import digest
from colorfast.types import TRAIT_SOURCE, Arm, ColorfastError, Experiment, Message, Scenario, Slot, Task


def all_scenarios(experiment: Experiment) -> tuple[Scenario, ...]:
    """The experiment's own scenario files, or the shipped corpus when it names none; of its traits and domains.

    Raises ColorfastError for a trait or domain that no scenario has.
    """
    files = [Path(path) for path in experiment.scenarios]
    rows = tuple(s for f in files for s in scenarios.load(f)) if files else scenarios.corpus()
    check_known("trait", experiment.traits, {s.trait for s in rows})
    check_known("domain", experiment.domains, {s.domain for s in rows})
    return tuple(
        s
        for s in rows
        if (not experiment.traits or s.trait in experiment.traits) and (not experiment.domains or s.domain in experiment.domains)
    )


def pool(experiment: Experiment, arm: Arm) -> tuple[Scenario, ...]:
    """The training scenarios an arm draws from. Raises ColorfastError when no scenario is left."""
    chosen = tuple(
        s
        for s in all_scenarios(experiment)
        if s.split == "train" and (not arm.traits or s.trait in arm.traits) and (not arm.domains or s.domain in arm.domains)
    )
    if not chosen:
        raise ColorfastError(f"no training scenario has traits {arm.traits or 'any'} and domains {arm.domains or 'any'}")
    return chosen


def trait_places(dose: float, slots: int) -> list[int]:
    """The slots that hold trait scenarios: exactly `round(dose * slots)`, evenly spread (gaps differ by one at most)."""
    n = round(dose * slots)
    return [(2 * j + 1) * slots // (2 * n) for j in range(n)]


def _trait_stream(rows: Sequence[Scenario], seed: int) -> Iterator[Scenario]:
    """Endless scenarios: traits in turn, each trait's scenarios in a fresh shuffled order every time round."""
    by_trait: dict[str, list[Scenario]] = defaultdict(list)
    for row in sorted(rows, key=lambda s: s.id):
        by_trait[row.trait].append(row)

    def one(trait: str) -> Iterator[Scenario]:
        for epoch in itertools.count():
            order = list(by_trait[trait])
            random.Random(f"trait-{trait}-{seed}-{epoch}").shuffle(order)
            yield from order

    traits = sorted(by_trait)
    random.Random(f"traits-{seed}").shuffle(traits)
    streams = [one(trait) for trait in traits]
    for stream in itertools.cycle(streams):
        yield next(stream)


def _with_system(task: Task, system: str | None) -> Task:
    if system is None or task.messages[0].role == "system":
        return task
    return task.model_copy(update={"messages": (Message(role="system", content=system), *task.messages)})


def schedule(experiment: Experiment, arm: Arm, seed: int) -> tuple[Slot, ...]:
    """The slots of every optimizer step of one arm.

    Replacement, never addition: slot i holds standard row i of this seed in every arm, unless it is one of the
    arm's trait places. Raises ColorfastError when a dose above 0 does not fill a single slot.
    """
    slots = experiment.slots
    places = trait_places(arm.dose, slots)
    if arm.dose > 0 and not places:
        least = 0.5 / arm.dose / experiment.training.prompts_per_step
        raise ColorfastError(
            f"{experiment.training.steps} steps of {experiment.training.prompts_per_step} prompts cannot hold one "
            f"trait slot at dose {arm.dose:g}; use more than {int(least)} steps or a larger dose"
        )
    traits: dict[int, Task] = dict(zip(places, _trait_stream(pool(experiment, arm), seed), strict=False)) if places else {}
    if arm.reward == "helpfulness":
        traits = {i: rewarded(task) for i, task in traits.items()}
    rows = (traits.get(i) or standard.task(experiment.standard, seed, i) for i in range(slots))
    return tuple(Slot(i, i // experiment.training.prompts_per_step, _with_system(task, experiment.system)) for i, task in enumerate(rows))


def schedule_hash(slots: Sequence[Slot]) -> str:
    """sha256 over every slot's row, in order."""
    return digest([slot.row() for slot in slots])


def summary(slots: Sequence[Slot], baseline: Sequence[Slot], arm: Arm) -> dict[str, Any]:
    """What will be trained on, hashed and counted; and the proof that every undosed slot is the baseline's, byte for byte.

    Raises ColorfastError when trait slots and shared slots do not add up to the dose.
    """
    shared = sum(a.row() == b.row() for a, b in zip(slots, baseline, strict=True))
    dosed = sum(s.task.source == TRAIT_SOURCE for s in slots)
    if shared + dosed != len(slots) or dosed != round(arm.dose * len(slots)):
        raise ColorfastError(f"{dosed} trait and {shared} shared of {len(slots)} slots do not add up to dose {arm.dose:g}")
    return {"sha256": schedule_hash(slots), "slots": len(slots), "trait_slots": dosed, "shared_slots": shared, "dose": arm.dose}


def heldout(experiment: Experiment) -> tuple[Scenario, ...]:
    """The scenarios no arm may train on, with the experiment's system message."""
    return tuple(
        s.model_copy(update={"messages": _with_system(s, experiment.system).messages})
        for s in all_scenarios(experiment)
        if s.split == "heldout"
    )


def check_disjoint(train: Sequence[Task], held: Sequence[Scenario]) -> None:
    """Raises ColorfastError when a held-out scenario (by id or by its words) is trained on."""
    said = {digest([m.model_dump() for m in s.messages]): s.id for s in held}
    ids = {s.id for s in held}
    for task in train:
        words = digest([m.model_dump() for m in task.messages])
        if task.id in ids or words in said:
            raise ColorfastError(f"scenario {task.id} is both trained on and held out ({said.get(words, task.id)})")
