"""What experiments beside each other have in common is trained and scored once: cells of one key
have the same weights.

The key of a cell is the hash of all that the engine is given, and of the code (`ingredients.py`)
and libraries that work on it. Files are taken by hard link (or copied, where there are none), so
that either run may be deleted.
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
from colorfast.io.console import console
from colorfast.io.storage import digest, file_sha256, load_or_quarantine, read_json, write_json
from colorfast.io.tables import read_stamps
from colorfast.models.resolve import weights_sha256
from colorfast.training.ledger import SHARED
from colorfast.training.schedule import schedule_hash
from colorfast.types import ColorfastError, Slot

IDLE = {"save_every", "keep_rollouts_every", "report_to"}
"""Training settings that do not reach the weights."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Of this package and the libraries it computes with."""
    return {"colorfast": __version__} | {
        name: importlib.metadata.version(name) for name in LIBRARIES
    }


def untrained(model_sha256: str) -> dict[str, Any]:
    """What the answers of the untrained model come from, beside what is asked."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "model": model_sha256,
        "code": ingredients.answering(),
        "versions": versions(),
        "device": device,
    }


def trained(
    model_sha256: str, slots: Sequence[Slot], training: Training, seed: int
) -> dict[str, Any]:
    """What a cell's weights come from. The user's own graders count by what stands in them."""
    files = sorted(
        {c.grader for slot in slots for c in slot.task.rubric if c.grader.endswith(".py")}
    )
    from colorfast.models.precision import precision

    settings = training.model_dump(mode="json", exclude=IDLE) | {
        "precision": precision(training.precision)
    }
    own = {
        "slots": schedule_hash(slots),
        "graders": [file_sha256(Path(f)) for f in files],
        "training": settings,
        "seed": seed,
    }
    code = {"code": ingredients.training(), "grading": ingredients.grading(training.grading)}
    return untrained(model_sha256) | code | own


def settle(cell: Path, of: Mapping[str, Any]) -> None:
    """Write the key of a cell that is not trained yet. One that was begun under another key is of
    neither, and has none."""
    path = cell / "key.json"
    if (cell / "ledger.json").is_file() or (cell / "scores.parquet").is_file():
        return
    begun = (cell / "metrics.jsonl").is_file() or (cell / "scores").is_dir()
    known = load_or_quarantine(path, read_json)
    if known is None or known.get("of") != of:
        write_json(path, {"key": None if begun else digest(of), "of": of})


def _key(cell: Path) -> str | None:
    try:
        return read_json(cell / "key.json")["key"]
    except (ColorfastError, KeyError, TypeError):
        return None


def _weights(cell: Path) -> str | None:
    """The hash of a trained cell's weights; None for one that is not trained, like the untrained
    model's."""
    try:
        return read_json(cell / "ledger.json").get("weights")
    except ColorfastError:
        return None


def twins(cell: Path) -> Iterator[Path]:
    """Other cells with this one's key, of any run in the same folder."""
    key = _key(cell)
    for path in sorted(cell.parent.parent.glob("*/*/key.json")) if key else ():
        if path.parent != cell and _key(path.parent) == key:
            yield path.parent


def is_shared(cell: Path) -> bool:
    """Whether another cell has the weights that this one would be trained to."""
    return any(_weights(twin) for twin in twins(cell))


def take_weights(cell: Path) -> None:
    """Take model and record of a trained twin, if there is one and its weights are as its ledger
    says."""
    if (cell / "ledger.json").is_file():
        return
    for twin in twins(cell):
        try:
            _take_all(twin, cell)
        except (ColorfastError, OSError):  # not trained to its end, damaged, or being deleted
            continue
        console.print(f"{cell.name}: trained already, in {twin}", markup=False)
        return


def _take_all(twin: Path, cell: Path) -> None:
    """The ledger comes last, as in training."""
    ledger, part = read_json(twin / "ledger.json"), cell / "checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(twin / "checkpoint", part, copy_function=_take)
    if weights_sha256(part) != ledger["weights"]:
        shutil.rmtree(part)
        raise ColorfastError(f"{twin}: its weights are not those of its ledger")
    for begun in ("checkpoint", "rollouts", "adapter", "training"):
        shutil.rmtree(cell / begun, ignore_errors=True)
    for kept in ("rollouts", "adapter"):
        if (twin / kept).is_dir():
            shutil.copytree(twin / kept, cell / kept, copy_function=_take)
    shutil.copyfile(twin / "metrics.jsonl", cell / "metrics.jsonl")
    part.replace(cell / "checkpoint")
    write_json(
        cell / "ledger.json",
        ledger | {SHARED: ledger.get(SHARED) or f"{twin.parent.name}/{twin.name}"},
    )


def take_scores(cell: Path, stamps: Mapping[str, str]) -> None:
    """Take the evals that a twin of equal weights was asked in the same way (`evaluate.stamps`)."""
    for twin in twins(cell):
        for name, stamp in stamps.items() if _weights(twin) == _weights(cell) else ():
            ours, theirs = (folder / "scores" / f"{name}.parquet" for folder in (cell, twin))
            if not ours.exists() and _stamp(theirs, name) == stamp:
                ours.parent.mkdir(parents=True, exist_ok=True)
                _take(theirs, ours)
                if name == HELDOUT and (twin / "judge.json").is_file():
                    _take(twin / "judge.json", cell / "judge.json")


def _stamp(path: Path, name: str) -> str | None:
    try:
        return read_stamps(path).get(name)
    except ColorfastError:
        return None


def _take(source: str | Path, target: str | Path) -> None:
    part = Path(f"{target}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:  # another disk, or a file system without links
        shutil.copy2(source, part)
    part.replace(target)
