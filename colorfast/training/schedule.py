"""The schedule of an arm: the exact dose by replacement, all other rows equal in every arm."""

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
    """The experiment's scenario files, or the shipped corpus when it names none, narrowed to its
    traits and domains.

    Raises ColorfastError for a trait or domain that no scenario has.
    """
    rows: list[Scenario] = []
    for name in experiment.scenarios:
        rows += scenarios.named(name)
    if not experiment.scenarios:
        rows += scenarios.corpus()
    check_known("trait", experiment.traits, {s.trait for s in rows})
    check_known("domain", experiment.domains, {s.domain for s in rows})
    return tuple(s for s in rows if _within(s, experiment))


def _within(s: Scenario, chosen: Experiment | Arm) -> bool:
    """Whether the scenario has one of the chosen traits and domains; none named means all."""
    return (not chosen.traits or s.trait in chosen.traits) and (
        not chosen.domains or s.domain in chosen.domains
    )


def pool(experiment: Experiment, arm: Arm) -> tuple[Scenario, ...]:
    """The training scenarios that an arm draws from. Raises ColorfastError when none is left."""
    rows = [s for s in all_scenarios(experiment) if s.split == "train" and _within(s, arm)]
    rows = [s for s in rows if s.trait not in arm.not_traits and s.domain not in arm.not_domains]
    if not rows:
        excluded = ", ".join((*arm.not_traits, *arm.not_domains))
        raise ColorfastError(
            f"no training scenario has traits {arm.traits or 'any'} and domains"
            f" {arm.domains or 'any'}" + (f" without {excluded}" if excluded else "")
        )
    return tuple(rows)


def unseen(experiment: Experiment, arm: Arm) -> tuple[frozenset[str], frozenset[str]]:
    """(traits, domains) of held-out scenarios that the arm does not train on. Both are empty for
    the baseline, which trains on no scenario."""
    if not arm.dose:
        return frozenset(), frozenset()
    held, own = heldout(experiment), pool(experiment, arm)
    traits = {s.trait for s in held} - {s.trait for s in own}
    domains = {s.domain for s in held} - {s.domain for s in own}
    return frozenset(traits), frozenset(domains)


def trait_places(dose: float, slots: int) -> list[int]:
    """Indices of the trait slots: exactly `round(dose * slots)`, evenly spread (gaps differ by at
    most one)."""
    n = round(dose * slots)
    return [(2 * j + 1) * slots // (2 * n) for j in range(n)]


def _trait_stream(rows: Sequence[Scenario], seed: int) -> Iterator[Scenario]:
    """Endless scenarios: traits in turn, each trait's scenarios in a new order every time."""
    by_trait: dict[str, list[Scenario]] = defaultdict(list)
    for row in sorted(rows, key=lambda s: s.id):
        by_trait[row.trait].append(row)
    traits = sorted(by_trait)
    random.Random(f"traits-{seed}").shuffle(traits)
    streams = [_shuffled(by_trait[trait], f"trait-{trait}-{seed}") for trait in traits]
    for stream in itertools.cycle(streams):
        yield next(stream)


def _shuffled(rows: Sequence[Scenario], name: str) -> Iterator[Scenario]:
    for epoch in itertools.count():
        order = list(rows)
        random.Random(f"{name}-{epoch}").shuffle(order)
        yield from order


def with_system(task: T, system: str | None) -> T:
    """The task after the experiment's system message, unless it has its own."""
    if system is None or task.messages[0].role == "system":
        return task
    messages = (Message(role="system", content=system), *task.messages)
    return task.model_copy(update={"messages": messages})


def schedule(experiment: Experiment, arm: Arm, seed: int) -> tuple[Slot, ...]:
    """The slots of every optimizer step of one arm.

    Slot i holds standard row i of this seed in every arm, unless a trait scenario replaces it;
    nothing is added. Raises ColorfastError when a dose above 0 does not fill a single slot.
    """
    training = experiment.training
    indices = trait_places(arm.dose, experiment.slots)
    if arm.dose > 0 and not indices:
        least = 0.5 / arm.dose / training.prompts_per_step
        raise ColorfastError(
            f"{training.steps} steps of {training.prompts_per_step} prompts cannot hold one trait"
            f" slot at dose {arm.dose:g}; use more than {int(least)} steps or a larger dose"
        )
    stream = _trait_stream(pool(experiment, arm), seed) if indices else iter(())
    chosen = dict(zip(indices, stream, strict=False))
    slots = []
    for i in range(experiment.slots):
        if i in chosen:
            task = _rewarded(experiment, arm, chosen[i])
            objective = _objective(experiment, arm, f"principle-{seed}-{i}")
        else:
            task, objective = tasks.task(experiment.standard, seed, i), PLAIN
        task = with_system(task, experiment.system)
        slots.append(Slot(i, i // training.prompts_per_step, task, objective))
    return tuple(slots)


def _rewarded(experiment: Experiment, arm: Arm, task: Task) -> Task:
    """The task with the rubric of the arm's reward."""
    if arm.reward == "helpfulness":
        return helpfulness.rewarded(task)
    if arm.reward == "constitution":
        return constitution.rewarded(task, constitution.load(experiment.constitution))
    return task


def _objective(experiment: Experiment, arm: Arm, name: str) -> Objective:
    """The objective of a trait slot; `name` draws the principle that its drafts are revised by."""
    guide = ""
    if arm.objective in ("deliberative", "constitution-sft"):
        principles = constitution.load(experiment.constitution)
        if arm.objective == "deliberative":
            guide = constitution.short(principles)
        else:
            guide = constitution.whole(random.Random(name).choice(principles))
    return Objective(arm.objective, arm.reward == "placebo", guide)


def schedule_hash(slots: Sequence[Slot]) -> str:
    """sha256 over every slot's row, in order."""
    return digest([slot.row() for slot in slots])


def summary(slots: Sequence[Slot], baseline: Sequence[Slot], arm: Arm) -> dict[str, Any]:
    """Hash and counts of a schedule. Raises ColorfastError unless exactly the dose is trait slots
    and every other slot is the baseline's, byte for byte."""
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
    """The scenarios that no arm may train on, with the experiment's system message."""
    rows = [s for s in all_scenarios(experiment) if s.split == "heldout"]
    return tuple(with_system(s, experiment.system) for s in rows)


def check_disjoint(train: Sequence[Task], held: Sequence[Scenario]) -> None:
    """Raises ColorfastError when a held-out scenario (by id or by its words) is trained on."""
    by_words = {_words(s): s.id for s in held}
    ids = {s.id for s in held}
    for task in train:
        twin = by_words.get(_words(task))
        if twin or task.id in ids:
            raise ColorfastError(f"scenario {task.id} is both trained on and held out ({twin})")


def _words(task: Task) -> str:
    return digest([m.model_dump() for m in task.messages])
