"""Who gets which slot: the exact dose, by replacement, with all other rows equal in every arm."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from colorfast import tasks
from colorfast.config import Arm, Experiment
from colorfast.corpus import constitution, scenarios
from colorfast.io.storage import digest
from colorfast.io.validation import check_known
from colorfast.rewards import helpfulness
from colorfast.types import (
    PLAIN,
    TRAIT_SOURCE,
    ColorfastError,
    Message,
    Objective,
    Scenario,
    Slot,
    Task,
)

T = TypeVar("T", bound=Task)


def all_scenarios(experiment: Experiment) -> tuple[Scenario, ...]:
    """The experiment's own scenario files, or the shipped corpus when it names none; of its traits
    and domains.

    Raises ColorfastError for a trait or domain that no scenario has.
    """
    files = experiment.scenarios
    rows = (
        tuple(s for name in files for s in scenarios.named(name)) if files else scenarios.corpus()
    )
    check_known("trait", experiment.traits, {s.trait for s in rows})
    check_known("domain", experiment.domains, {s.domain for s in rows})
    return tuple(
        s
        for s in rows
        if (not experiment.traits or s.trait in experiment.traits)
        and (not experiment.domains or s.domain in experiment.domains)
    )


def pool(experiment: Experiment, arm: Arm) -> tuple[Scenario, ...]:
    """The training scenarios an arm draws from. Raises ColorfastError when no scenario is left."""
    chosen = tuple(s for s in all_scenarios(experiment) if s.split == "train" and _wanted(s, arm))
    if not chosen:
        left_out = [*arm.not_traits, *arm.not_domains]
        raise ColorfastError(
            f"no training scenario has traits {arm.traits or 'any'} and domains"
            f" {arm.domains or 'any'}" + (f" without {', '.join(left_out)}" if left_out else "")
        )
    return chosen


def _wanted(s: Scenario, arm: Arm) -> bool:
    named = (not arm.traits or s.trait in arm.traits) and (
        not arm.domains or s.domain in arm.domains
    )
    return named and s.trait not in arm.not_traits and s.domain not in arm.not_domains


def unseen(experiment: Experiment, arm: Arm) -> tuple[frozenset[str], frozenset[str]]:
    """(traits, domains) of the held-out scenarios of which the arm trains on none; both empty for
    the baseline, which trains on no scenario at all."""
    if not arm.dose:
        return frozenset(), frozenset()
    rows, own = heldout(experiment), pool(experiment, arm)
    return frozenset(s.trait for s in rows) - {s.trait for s in own}, frozenset(
        s.domain for s in rows
    ) - {s.domain for s in own}


def trait_places(dose: float, slots: int) -> list[int]:
    """The slots that hold trait scenarios: exactly `round(dose * slots)`, evenly spread (gaps
    differ by one at most)."""
    n = round(dose * slots)
    return [(2 * j + 1) * slots // (2 * n) for j in range(n)]


def _trait_stream(rows: Sequence[Scenario], seed: int) -> Iterator[Scenario]:
    """Endless scenarios: traits in turn, each trait's scenarios in a fresh shuffled order every
    time round."""
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


def with_system(task: T, system: str | None) -> T:
    """The task as the experiment asks it: behind its system message, unless the task has its
    own."""
    if system is None or task.messages[0].role == "system":
        return task
    return task.model_copy(
        update={"messages": (Message(role="system", content=system), *task.messages)}
    )


def schedule(experiment: Experiment, arm: Arm, seed: int) -> tuple[Slot, ...]:
    """The slots of every optimizer step of one arm.

    Replacement, never addition: slot i holds standard row i of this seed in every arm, unless it is
    one of the arm's trait places. Raises ColorfastError when a dose above 0 does not fill a single
    slot.
    """
    slots = experiment.slots
    places = trait_places(arm.dose, slots)
    if arm.dose > 0 and not places:
        least = 0.5 / arm.dose / experiment.training.prompts_per_step
        raise ColorfastError(
            f"{experiment.training.steps} steps of {experiment.training.prompts_per_step} prompts"
            f" cannot hold one trait slot at dose {arm.dose:g}; use more than {int(least)} steps or"
            " a larger dose"
        )
    scenarios_ = (
        zip(places, _trait_stream(pool(experiment, arm), seed), strict=False) if places else ()
    )
    traits = {
        i: (_rewarded(experiment, arm, s), _taught(experiment, arm, f"principle-{seed}-{i}"))
        for i, s in scenarios_
    }
    rows = (
        traits.get(i) or (tasks.task(experiment.standard, seed, i), PLAIN) for i in range(slots)
    )
    return tuple(
        Slot(
            i, i // experiment.training.prompts_per_step, with_system(task, experiment.system), how
        )
        for i, (task, how) in enumerate(rows)
    )


def _rewarded(experiment: Experiment, arm: Arm, task: Task) -> Task:
    """The task with the rubric that the arm's reward goes by."""
    if arm.reward == "helpfulness":
        return helpfulness.rewarded(task)
    return (
        constitution.rewarded(task, constitution.load(experiment.constitution))
        if arm.reward == "constitution"
        else task
    )


def _taught(experiment: Experiment, arm: Arm, name: str) -> Objective:
    """How the arm's method goes about a trait slot; `name` draws the principle that its drafts are
    held against."""
    guide = ""
    if arm.objective == "deliberative":
        guide = constitution.short(constitution.load(experiment.constitution))
    elif arm.objective == "constitution-sft":
        guide = constitution.whole(
            random.Random(name).choice(constitution.load(experiment.constitution))
        )
    return Objective(arm.objective, arm.reward == "placebo", guide)


def schedule_hash(slots: Sequence[Slot]) -> str:
    """sha256 over every slot's row, in order."""
    return digest([slot.row() for slot in slots])


def summary(slots: Sequence[Slot], baseline: Sequence[Slot], arm: Arm) -> dict[str, Any]:
    """What will be trained on, hashed and counted; and the proof that every undosed slot is the
    baseline's, byte for byte.

    Raises ColorfastError when trait slots and shared slots do not add up to the dose.
    """
    shared = sum(a.row() == b.row() for a, b in zip(slots, baseline, strict=True))
    dosed = sum(s.task.source == TRAIT_SOURCE for s in slots)
    if shared + dosed != len(slots) or dosed != round(arm.dose * len(slots)):
        raise ColorfastError(
            f"{dosed} trait and {shared} shared of {len(slots)} slots do not add up to dose"
            f" {arm.dose:g}"
        )
    return {
        "sha256": schedule_hash(slots),
        "slots": len(slots),
        "trait_slots": dosed,
        "shared_slots": shared,
        "dose": arm.dose,
    }


def heldout(experiment: Experiment) -> tuple[Scenario, ...]:
    """The scenarios no arm may train on, with the experiment's system message."""
    return tuple(
        with_system(s, experiment.system) for s in all_scenarios(experiment) if s.split == "heldout"
    )


def check_disjoint(train: Sequence[Task], held: Sequence[Scenario]) -> None:
    """Raises ColorfastError when a held-out scenario (by id or by its words) is trained on."""
    said = {digest([m.model_dump() for m in s.messages]): s.id for s in held}
    ids = {s.id for s in held}
    for task in train:
        words = digest([m.model_dump() for m in task.messages])
        if task.id in ids or words in said:
            raise ColorfastError(
                f"scenario {task.id} is both trained on and held out ({said.get(words, task.id)})"
            )
