"""Checkpoints that a killed training continues from, and snapshots of a model during training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import TrainerCallback

from colorfast.io.storage import (
    DamagedError,
    file_sha256,
    load_or_quarantine,
    read_json,
    write_json,
)
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.training.engines.trainers import processes

Start = Callable[[], LocalPolicy]
"""Loads the model that a training starts from."""
WHOLE = "whole"
"""The file that marks a complete checkpoint: the sha256 of each of its files."""


class Whole(TrainerCallback):
    """Marks each checkpoint as complete once all of it is written."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See `TrainerCallback`."""
        processes().wait_for_everyone()  # each writes files of its own
        if state.is_world_process_zero:
            saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(saved / WHOLE, _hashes(saved))


def _hashes(checkpoint: Path) -> dict[str, str]:
    files = [p for p in sorted(checkpoint.iterdir()) if p.is_file() and p.name != WHOLE]
    return {p.name: file_sha256(p) for p in files}


def _unchanged(checkpoint: Path) -> Path:
    """The checkpoint. Raises DamagedError unless all of its files are as they were saved."""
    saved, present = read_json(checkpoint / WHOLE), _hashes(checkpoint)
    for name in sorted(saved.keys() | present):
        if saved.get(name) != present.get(name):
            raise DamagedError(checkpoint, f"{name} is not as it was saved")
    return checkpoint


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint. Incomplete ones are deleted, damaged ones set aside."""
    checkpoints = [path for path in folder.glob("checkpoint-*") if path.suffix != ".broken"]
    for path in sorted(checkpoints, key=step_of, reverse=True):
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
        elif load_or_quarantine(path, _unchanged):
            return path
    return None


def step_of(checkpoint: Path | None) -> int:
    """The step of a checkpoint folder; 0 without one."""
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


class Snapshots(TrainerCallback):
    """Keeps the model after each of these steps: its adapter, or all weights without one."""

    def __init__(self, folder: Path, steps: Sequence[int]):
        self.folder, self.steps = folder, frozenset(steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **trained: Any) -> None:
        """See `TrainerCallback`."""
        step = state.global_step
        if step in self.steps and state.is_world_process_zero:
            save_model(snapshot(self.folder, step), trained["model"], trained["processing_class"])


def save_model(
    folder: Path, model: Any, tokenizer: Any, state: dict[str, Any] | None = None
) -> None:
    """Write a model and its tokenizer; the folder appears when it is complete. `state`: the weights
    of a sharded model."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part, state_dict=state)
    tokenizer.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def snapshot(folder: Path, step: int) -> Path:
    """The folder of a snapshot in the folder of its training."""
    return folder / f"step-{step}"


def at(start: Start, folder: Path, step: int) -> LocalPolicy:
    """The policy after a step of the training in `folder`, which started from `start()`."""
    path = snapshot(folder, step)
    if not (path / "adapter_config.json").is_file():
        return load_policy(str(path))
    policy = start()
    adapted = PeftModel.from_pretrained(policy.model, str(path))
    return replace(policy, model=adapted.merge_and_unload())
