"""The attacks by name: those of the package, and those of the user's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from colorfast.attacks.axes import Axes
from colorfast.attacks.finetune.attack import FAMILY, WeightAttack, variants
from colorfast.attacks.finetune.kind import Kind
from colorfast.attacks.finetune.user_rows import user_kind
from colorfast.attacks.prompt.attack import Attack
from colorfast.config import Training
from colorfast.io.folders import Folder, load_attribute
from colorfast.io.validation import check_known

AXES = Axes()
RL_SETTINGS = Training(
    steps=1, prompts_per_step=4, group_size=4, max_tokens=48, learning_rate=5e-5, demonstrations=1
)
"""Settings of reinforcement learning as an attack on models that come without a run."""


@cache
def prompt_attacks() -> Mapping[str, Attack]:
    """Every prompt attack of the package by id, family by family."""
    families = Folder("attack family", "attacks/prompt").load_all("ATTACKS")
    return {attack.id: attack for attack in chain.from_iterable(families)}


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of fine-tuning attack of the package by id, controls last."""
    loaded = Folder("fine-tuning attack", "attacks/finetune").load_all("KIND")
    return {kind.id: kind for kind in sorted(loaded, key=lambda kind: kind.control)}


def every() -> tuple[Attack, ...]:
    """All attacks of the package: on prompts, then on weights."""
    return (*select(), *select([FAMILY]))


def select(
    names: Sequence[str] = (), axes: Axes = AXES, training: Training = RL_SETTINGS
) -> tuple[Attack, ...]:
    """The attacks of these names with their counterparts, those on prompts first; without names,
    every prompt attack of the package.

    A name is a prompt attack, a family, a Python file with `ATTACKS`, a kind of fine-tuning attack,
    `weights` for all kinds, or a JSONL file of chat rows. `axes`, `training`: see `variants`.
    Raises ColorfastError for an unknown name, with the nearest one, and for a broken file.
    """
    prompt_names: list[str] = []
    chosen_kinds: list[Kind] = []
    for name in names:
        if name == FAMILY:
            chosen_kinds += kinds().values()
        elif name in kinds():
            chosen_kinds.append(kinds()[name])
        elif name.endswith(".jsonl"):
            chosen_kinds.append(user_kind(Path(name)))
        else:
            prompt_names.append(name)
    prompts = _prompt_attacks(prompt_names) if prompt_names or not names else ()
    trainings: dict[str, WeightAttack] = {}
    for kind in chosen_kinds:
        for attack in variants(kind, axes, training):
            trainings.setdefault(attack.id, attack)
    return (*prompts, *trainings.values())


def _prompt_attacks(names: Sequence[str]) -> Sequence[Attack]:
    available = dict(prompt_attacks())
    chosen: list[str] = []
    for name in names:
        own = load_attribute(name, "ATTACKS") or ()
        available |= {attack.id: attack for attack in own}
        chosen += [attack.id for attack in own] or [name]
    attacks = available.values()
    families = dict.fromkeys(attack.family for attack in attacks)
    check_known("attack", chosen, [*available, *families, FAMILY, *kinds()])
    ids = {a.id for a in attacks if not chosen or a.id in chosen or a.family in chosen}
    ids |= {available[name].counterpart for name in ids}
    return [attack for attack in attacks if attack.id in ids]
