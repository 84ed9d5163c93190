"""What of a cell was damaged since it was made is set aside before a run goes on, so that it is
made again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from colorfast.io.storage import DamagedError, load_or_quarantine, read_json, set_aside
from colorfast.io.tables import ROLLOUTS, read_rows, read_scores
from colorfast.io.validation import read_jsonl
from colorfast.models.resolve import weights_sha256
from colorfast.runs.layout import UNTRAINED, Cell
from colorfast.training.ledger import SEAL, seal
from colorfast.types import ColorfastError

OF_WEIGHTS = ("ledger.json", "metrics.jsonl", "checkpoint", "scores", "scores.parquet")
ADDED_UP = ("prompts", "completions", "prompt_tokens", "completion_tokens")
"""Of a ledger's totals, what every version has."""


def mend(run: Path, cell: Cell) -> None:
    """Set aside what is damaged of a cell. Without its record or its weights it is trained again,
    and what was scored of it goes too; rollouts of a trained cell cannot be had again but by
    training, and a cell is not trained again for their sake alone."""
    folder = run / cell.name
    for path in sorted((folder / "rollouts").glob("*.parquet")):
        load_or_quarantine(path, partial(read_rows, schema=ROLLOUTS))
    load_or_quarantine(folder / "scores.parquet", read_scores)
    if cell == UNTRAINED or not (folder / "ledger.json").exists():
        return
    try:
        check_trained(folder)
    except DamagedError as error:
        what = (
            checkpoint
            if error.path.is_relative_to(checkpoint := folder / "checkpoint")
            else error.path
        )
        others = [folder / name for name in OF_WEIGHTS if folder / name != what]
        set_aside(
            what,
            f"{error.why}; with all that is of these weights: {cell.name} is trained and scored"
            " again",
            others,
        )


def check_trained(folder: Path) -> None:
    """Raises DamagedError for the first part of a trained cell that is not as training left it. A
    checkpoint that is gone is not damaged: weights take room, and scores stand without them."""
    used: dict[str, Any] = read_json(folder / "ledger.json")
    try:
        rows = [row["sources"].values() for _, row in read_jsonl(folder / "metrics.jsonl")]
        added = {
            key: sum(values[key] for sources in rows for values in sources) for key in ADDED_UP
        }
    except (ColorfastError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(folder / "metrics.jsonl", error) from None
    try:
        told = used["steps"], {key: used["total"][key] for key in ADDED_UP}
    except (KeyError, TypeError) as error:
        raise DamagedError(folder / "ledger.json", f"not a ledger: {error!r}") from None
    if used.get(SEAL, seal(used)) != seal(used):
        raise DamagedError(folder / "ledger.json", "its hash is another")
    if told != (len(rows), added):
        raise DamagedError(folder / "metrics.jsonl", "its rows do not add up to the ledger")
    if (folder / "checkpoint").is_dir():
        _check_model(folder / "checkpoint", used.get("weights"))


def _check_model(checkpoint: Path, weights: str | None) -> None:
    for path in sorted(checkpoint.glob("*.json")):
        read_json(path)
    try:
        found = weights_sha256(checkpoint)
    except ColorfastError:
        found = "none"
    if weights is not None and found != weights:
        raise DamagedError(checkpoint, f"its weights hash to {found[:12]}, were {weights[:12]}")
