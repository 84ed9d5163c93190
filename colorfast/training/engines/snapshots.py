"""Checkpoints that a killed training continues from, and snapshots of a model along its way, to be
measured."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers
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
from colorfast.training.engines.processes import processes

Start = Callable[[], LocalPolicy]
"""Loads the model that a training starts from."""
WHOLE = "whole"
"""In a checkpoint that was written to its end: the sha256 of each of its files."""


class Whole(TrainerCallback):
    """Marks each checkpoint as whole once all of it is written."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        processes().wait_for_everyone()  # each writes files of its own
        if state.is_world_process_zero:
            saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(saved / WHOLE, _hashes(saved))


def _hashes(checkpoint: Path) -> dict[str, str]:
    return {
        p.name: file_sha256(p)
        for p in sorted(checkpoint.iterdir())
        if p.is_file() and p.name != WHOLE
    }


def _as_saved(checkpoint: Path) -> Path:
    """The checkpoint, when all of it is as it was saved; raises DamagedError otherwise."""
    wanted, found = read_json(checkpoint / WHOLE), _hashes(checkpoint)
    if changed := [
        name for name in sorted(wanted.keys() | found) if wanted.get(name) != found.get(name)
    ]:
        raise DamagedError(checkpoint, f"{changed[0]} is not as it was saved")
    return checkpoint


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; torn ones are deleted, damaged ones set
    aside."""
    found = [path for path in folder.glob("checkpoint-*") if path.suffix != ".broken"]
    for path in sorted(found, key=step_of, reverse=True):
        if not (path / WHOLE).exists():
            shutil.rmtree(path)
        elif load_or_quarantine(path, _as_saved):
            return path
    return None


def step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint else 0


class Snapshots(TrainerCallback):
    """Keeps the model after each of these steps: its adapter, or all of it where all of it is
    trained."""

    def __init__(self, folder: Path, steps: Sequence[int]):
        self.folder, self.steps = folder, frozenset(steps)

    def on_step_end(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        if state.global_step in self.steps and state.is_world_process_zero:
            final = snapshot(self.folder, state.global_step)
            part = final.with_name(f"{final.name}.part")
            for torn in (part, final):
                shutil.rmtree(torn, ignore_errors=True)
            model.save_pretrained(part)
            processing_class.save_pretrained(part)
            part.replace(final)


def snapshot(folder: Path, step: int) -> Path:
    return folder / f"step-{step}"


def at(start: Start, folder: Path, step: int) -> LocalPolicy:
    """The policy as it was after a step of the training in `folder`, which began at `start`."""
    path = snapshot(folder, step)
    if not (path / "adapter_config.json").is_file():
        return load_policy(str(path))
    policy = start()
    return replace(
        policy, model=PeftModel.from_pretrained(policy.model, str(path)).merge_and_unload()
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Libraries' own bars and notices off: the progress bar is ours."""
    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)
