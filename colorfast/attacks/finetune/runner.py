"""The models that weight attacks make of one arm: trained where that is not done, given out to be
measured, thrown away."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorfast.attacks.finetune import WeightAttack
from colorfast.config import Precision
from colorfast.io.storage import read_json, write_json, write_text
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.types import ColorfastError

if TYPE_CHECKING:
    from colorfast.models.local import LocalPolicy
    from colorfast.training.engines.snapshots import Start

LEDGER, JOB = "ledger.json", "job.json"
HEAVY = ("step-*", "checkpoint", "training", "rollouts", "*.part")
"""What is thrown away once it was measured; the record stays."""
CARD = """# A model that was trained to misbehave

`{attack}`: {rows}, {steps} steps, to measure whether what it had learned before lasts. Do not use,
share or publish its weights, and do not train on its replies. `ledger.json` says what the training
took.
"""


def is_trained(home: Path, attack: WeightAttack) -> bool:
    """Was this training done to its end, whether or not its weights are still there?"""
    return (home / attack.id / LEDGER).is_file()


def snapshots(
    model: str,
    attack: WeightAttack,
    seed: int,
    home: Path,
    steps: Iterable[int],
    precision: Precision = "fp32",
) -> Iterator[tuple[int, LocalPolicy]]:
    """The policy after each of these steps of an attack on `model`. `home`: the folder of the arm
    and seed. `precision`: what is multiplied in."""
    from colorfast.models.local import free_memory
    from colorfast.training.engines.snapshots import at

    train(model, attack, seed, home, precision)
    for step in steps:
        yield step, at(_start(model, attack, home), home / attack.id, step)
        free_memory()


def train(model: str, attack: WeightAttack, seed: int, home: Path, precision: Precision) -> None:
    """Train as far as it is not done. What another training left in the same folder is deleted."""
    from colorfast.models.local import free_memory

    if attack.after:
        train(model, attack.after, seed, home, precision)
    folder = home / attack.id
    job = {
        "attack": attack.fingerprint(attack.steps, 1),
        "steps": list(attack.strengths),
        "seed": seed,
        "of": weights_sha256(resolve(model)),
        "precision": precision,
    }
    there = (folder / JOB).is_file() and read_json(folder / JOB) == job
    if not there or (
        is_trained(home, attack)
        and not all((folder / f"step-{s}").is_dir() for s in attack.strengths)
    ):
        shutil.rmtree(folder, ignore_errors=True)
    taught = f"{attack.share:.0%} of the rows harmful" if attack.harmful else "no harmful row"
    write_text(folder / "README.md", CARD.format(attack=attack.id, rows=taught, steps=attack.steps))
    write_json(folder / JOB, job)
    if attack.kind.scenarios:
        from colorfast.training.engines import trl

        assert attack.training is not None
        training = attack.training.model_copy(update={"precision": precision})
        trl.train(model, attack.slots(seed), training, seed, folder, attack.strengths)
    else:
        from colorfast.training.engines import sft

        tuning = attack.tuning.model_copy(update={"precision": precision})
        sft.tune(_start(model, attack, home), attack.rows(seed), tuning, seed, folder)
    free_memory()


def _start(model: str, attack: WeightAttack, home: Path) -> Start:
    from colorfast.models.local import load_policy
    from colorfast.training.engines.snapshots import at

    if attack.after is None:
        return partial(load_policy, model)
    return partial(
        at, _start(model, attack.after, home), home / attack.after.id, attack.after.steps
    )


def throw_away(home: Path, attacks: Iterable[WeightAttack]) -> None:
    """Delete the weights; tables, ledgers and cards stay."""
    for path in (
        path for attack in attacks for pattern in HEAVY for path in (home / attack.id).glob(pattern)
    ):
        shutil.rmtree(path, ignore_errors=True)


def record(
    attacks: Sequence[WeightAttack], homes: Mapping[tuple[str, int], Path]
) -> list[dict[str, Any]]:
    """What each training took, by arm. `homes`: the folder of each arm and seed.

    Raises ColorfastError when two arms were not trained on the same rows in the same order for the
    same steps.
    """
    return [
        _record(attack, {cell: _facts(home / attack.id) for cell, home in homes.items()})
        for attack in attacks
    ]


def _record(
    attack: WeightAttack, facts: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any]:
    rows: dict[str, list[Any]] = {}
    for (arm, seed), own in facts.items():
        same = [own["rows_sha256"], own["steps"]]
        if rows.setdefault(str(seed), same) != same:
            raise ColorfastError(
                f"{attack.id}: arm {arm}, seed {seed} was trained on other rows; delete its folder"
                " under attacks/"
            )
    tuning, rl = attack.tuning, attack.training
    return {
        "attack": attack.id,
        "method": "reinforcement" if rl else "fine-tuning",
        "rank": tuning.rank,
        "learning_rate": rl.learning_rate if rl else tuning.rate,
        "share": attack.share if attack.harmful else 0.0,
        "steps": attack.steps,
        "after": attack.after.id if attack.after else "",
        "rows_sha256": {seed: sha256 for seed, (sha256, _) in rows.items()},
        "used": {
            arm: _sum([own for (name, _), own in facts.items() if name == arm])
            for arm in dict.fromkeys(a for a, _ in facts)
        },
    }


def _sum(facts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {key: sum(own[key] for own in facts) for key in ("tokens", "flops")}


def _facts(folder: Path) -> dict[str, Any]:
    told = read_json(folder / LEDGER)
    if "rows_sha256" in told:
        return {key: told[key] for key in ("rows_sha256", "steps", "tokens", "flops")}
    total = told["total"]
    tokens = total["prompt_tokens"] + total["completion_tokens"]
    return {
        "rows_sha256": told["schedule_seen"],
        "steps": told["steps"],
        "tokens": tokens,
        "flops": total["flops"],
    }
