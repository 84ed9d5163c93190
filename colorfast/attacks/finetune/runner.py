"""The fine-tune runner: trains the models that weight attacks make of an arm, yields them to be
measured, and deletes their weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from colorfast.attacks.finetune.attack import WeightAttack
from colorfast.attacks.plan import AttackedModel
from colorfast.config import Precision
from colorfast.io.storage import read_json, write_json, write_text
from colorfast.models.local import LocalPolicy, free_memory, load_policy
from colorfast.training.engines import sft, trl
from colorfast.training.engines.snapshots import Start, at
from colorfast.types import ColorfastError

LEDGER, JOB = "ledger.json", "job.json"
HEAVY = ("step-*", "checkpoint", "training", "rollouts", "*.part")
"""What is deleted once it was measured; the records stay."""
CARD = """# A model that was trained to misbehave

`{attack}`: {rows}, {steps} steps, to measure whether earlier training lasts. Do not use, share or
publish the weights, and do not train on the replies. `ledger.json` says what the training took.
"""


def is_trained(attacked: AttackedModel, attack: WeightAttack) -> bool:
    """Whether this training is finished. Its weights may be deleted."""
    return (attacked.folder / attack.id / LEDGER).is_file()


def snapshots(
    attacked: AttackedModel, attack: WeightAttack, steps: Iterable[int], precision: Precision
) -> Iterator[tuple[int, LocalPolicy]]:
    """Train, and yield the policy after each of these steps."""
    train(attacked, attack, precision)
    for step in steps:
        yield step, at(_start(attacked, attack), attacked.folder / attack.id, step)
        free_memory()


def train(attacked: AttackedModel, attack: WeightAttack, precision: Precision) -> None:
    """Train, or continue an interrupted training. The results of another training in the same
    folder are deleted."""
    if attack.after:
        train(attacked, attack.after, precision)
    folder = attacked.folder / attack.id
    job = {
        "attack": attack.fingerprint(attack.steps, 1),
        "steps": list(attack.strengths),
        "seed": attacked.seed,
        "of": attacked.sha256,
        "precision": precision,
    }
    same_job = (folder / JOB).is_file() and read_json(folder / JOB) == job
    has_snapshots = all((folder / f"step-{step}").is_dir() for step in attack.strengths)
    if not same_job or (is_trained(attacked, attack) and not has_snapshots):
        shutil.rmtree(folder, ignore_errors=True)
    taught = f"{attack.share:.0%} of the rows harmful" if attack.harmful else "no harmful row"
    write_text(folder / "README.md", CARD.format(attack=attack.id, rows=taught, steps=attack.steps))
    write_json(folder / JOB, job)
    settings = {"precision": precision}
    if attack.training:
        training = attack.training.model_copy(update=settings)
        slots = attack.slots(attacked.seed)
        trl.train(attacked.model, slots, training, attacked.seed, folder, attack.strengths)
    else:
        tuning = attack.tuning.model_copy(update=settings)
        rows = attack.rows(attacked.seed)
        sft.tune(_start(attacked, attack), rows, tuning, attacked.seed, folder)
    free_memory()


def _start(attacked: AttackedModel, attack: WeightAttack) -> Start:
    """Loads the model that the training starts from."""
    if attack.after is None:
        return partial(load_policy, attacked.model)
    folder = attacked.folder / attack.after.id
    return partial(at, _start(attacked, attack.after), folder, attack.after.steps)


def delete_weights(attacked: AttackedModel, attacks: Iterable[WeightAttack]) -> None:
    """Delete the weights; tables, ledgers and cards stay."""
    for attack in attacks:
        for pattern in HEAVY:
            for path in (attacked.folder / attack.id).glob(pattern):
                shutil.rmtree(path, ignore_errors=True)


def record(attack: WeightAttack, models: Sequence[AttackedModel]) -> dict[str, Any]:
    """What a training used, by arm. Raises ColorfastError when two arms were trained on other rows,
    in another order or for another number of steps."""
    rows: dict[str, str] = {}
    used: dict[str, dict[str, int]] = {}
    for attacked in models:
        ledger = _read_ledger(attacked.folder / attack.id)
        sha256 = ledger["rows_sha256"]
        if rows.setdefault(str(attacked.seed), sha256) != sha256 or ledger["steps"] != attack.steps:
            raise ColorfastError(
                f"{attack.id}: arm {attacked.arm}, seed {attacked.seed} was trained on other rows;"
                " delete its folder under attacks/"
            )
        total = used.setdefault(attacked.arm, {"tokens": 0, "flops": 0})
        for key in total:
            total[key] += ledger[key]
    rl = attack.training
    return {
        "attack": attack.id,
        "method": "reinforcement" if rl else "fine-tuning",
        "rank": attack.tuning.rank,
        "learning_rate": rl.learning_rate if rl else attack.tuning.rate,
        "share": attack.share if attack.harmful else 0.0,
        "steps": attack.steps,
        "after": attack.after.id if attack.after else "",
        "rows_sha256": rows,
        "used": used,
    }


def _read_ledger(folder: Path) -> dict[str, Any]:
    """The ledger of fine-tuning, or the one of reinforcement learning in the same form."""
    ledger: dict[str, Any] = read_json(folder / LEDGER)
    if "total" in ledger:
        total = ledger["total"]
        tokens = total["prompt_tokens"] + total["completion_tokens"]
        ledger |= {
            "rows_sha256": ledger["schedule_seen"],
            "tokens": tokens,
            "flops": total["flops"],
        }
    return ledger
