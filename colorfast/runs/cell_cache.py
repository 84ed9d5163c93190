"""Identical cells of experiments in one folder are trained and scored once: cells with the same key
have the same weights.

The key of a cell is the hash of all inputs of the engine, of the code that uses them
(`ingredients.py`), and of library versions. Files are reused by hard link (or copied, where the
file system has no links), so that either run may be deleted.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from colorfast import __version__
from colorfast.config import Training
from colorfast.evals import ingredients
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.console import note
from colorfast.io.storage import digest, file_sha256, load_or_quarantine, read_json, write_json
from colorfast.io.tables import read_stamps
from colorfast.models.resolve import weights_sha256
from colorfast.runs.layout import read_value
from colorfast.training.ledger import SHARED
from colorfast.training.schedule import schedule_hash
from colorfast.types import ColorfastError, Slot

IDLE = {"save_every", "keep_rollouts_every", "report_to"}
"""Training settings that do not reach the weights."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of this package and of the libraries that it computes with."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"colorfast": __version__, **libraries}


def untrained_inputs(model_sha256: str) -> dict[str, Any]:
    """What determines the answers of the untrained model, apart from the questions."""
    import torch

    return {
        "model": model_sha256,
        "code": ingredients.answering(),
        "versions": versions(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def trained_inputs(
    model_sha256: str, slots: Sequence[Slot], training: Training, seed: int
) -> dict[str, Any]:
    """What determines a cell's weights. A user's own graders count by their content."""
    from colorfast.models.precision import precision

    graders = {c.grader for slot in slots for c in slot.task.rubric}
    settings = training.model_dump(mode="json", exclude=IDLE)
    return untrained_inputs(model_sha256) | {
        "code": ingredients.training(),
        "grading": ingredients.grading(training.grading),
        "slots": schedule_hash(slots),
        "graders": [file_sha256(Path(name)) for name in sorted(graders) if name.endswith(".py")],
        "training": settings | {"precision": precision(training.precision)},
        "seed": seed,
    }


def write_key(cell: Path, inputs: Mapping[str, Any]) -> None:
    """Write the key of a cell that is not finished yet. A cell that was begun with other inputs
    matches no other cell, and its key is null."""
    path = cell / "key.json"
    if (cell / "ledger.json").is_file() or (cell / "scores.parquet").is_file():
        return
    begun = (cell / "metrics.jsonl").is_file() or (cell / "scores").is_dir()
    stored = load_or_quarantine(path, read_json)
    if stored is None or stored.get("of") != inputs:
        write_json(path, {"key": None if begun else digest(inputs), "of": inputs})


def _weights(cell: Path) -> Any:
    """The hash of a trained cell's weights; None for one that is not trained."""
    return read_value(cell / "ledger.json", "weights")


def matching_cells(cell: Path) -> Iterator[Path]:
    """Other cells with the same key, of any run in the same folder."""
    key = read_value(cell / "key.json", "key")
    for path in sorted(cell.parent.parent.glob("*/*/key.json")) if key else ():
        if path.parent != cell and read_value(path, "key") == key:
            yield path.parent


def is_shared(cell: Path) -> bool:
    """Whether another cell already has the weights that this one would be trained to."""
    return any(_weights(other) for other in matching_cells(cell))


def reuse_weights(cell: Path) -> None:
    """Take model and record of a matching cell, if there is one whose weights are as its ledger
    says."""
    if (cell / "ledger.json").is_file():
        return
    for other in matching_cells(cell):
        try:
            _reuse_training(other, cell)
        except (ColorfastError, OSError):  # not trained to its end, damaged, or being deleted
            continue
        note(f"{cell.name}: reuses the identical cell {other}")
        return


def _reuse_training(other: Path, cell: Path) -> None:
    ledger, part = read_json(other / "ledger.json"), cell / "checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(other / "checkpoint", part, copy_function=_link)
    if weights_sha256(part) != ledger["weights"]:
        shutil.rmtree(part)
        raise ColorfastError(f"{other}: its weights are not those of its ledger")
    for begun in ("checkpoint", "rollouts", "adapter", "training"):
        shutil.rmtree(cell / begun, ignore_errors=True)
    for kept in ("rollouts", "adapter"):
        if (other / kept).is_dir():
            shutil.copytree(other / kept, cell / kept, copy_function=_link)
    shutil.copyfile(other / "metrics.jsonl", cell / "metrics.jsonl")
    part.replace(cell / "checkpoint")
    # The ledger comes last, as in training: a cell with a ledger is trained.
    origin = ledger.get(SHARED) or f"{other.parent.name}/{other.name}"
    write_json(cell / "ledger.json", ledger | {SHARED: origin})


def reuse_scores(cell: Path, stamps: Mapping[str, str]) -> None:
    """Take the evals with these stamps (`evaluate.stamps`) from matching cells of equal weights."""
    for other in matching_cells(cell):
        for name, stamp in stamps.items():
            ours, theirs = (folder / "scores" / f"{name}.parquet" for folder in (cell, other))
            if ours.exists() or _weights(other) != _weights(cell) or _stamp(theirs, name) != stamp:
                continue
            ours.parent.mkdir(parents=True, exist_ok=True)
            _link(theirs, ours)
            if name == HELDOUT and (other / "judge.json").is_file():
                _link(other / "judge.json", cell / "judge.json")


def _stamp(path: Path, name: str) -> str | None:
    try:
        return read_stamps(path).get(name)
    except ColorfastError:
        return None


def _link(source: str | Path, target: str | Path) -> None:
    part = Path(f"{target}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # another disk, or a file system without links
        shutil.copy2(source, part)
    part.replace(target)
