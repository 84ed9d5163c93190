"""Damaged files of a cell are quarantined before a run continues, so that they are made again."""

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
SUMMED = ("prompts", "completions", "prompt_tokens", "completion_tokens")
"""Totals that the ledgers of all versions have."""


def quarantine(run: Path, cell: Cell) -> None:
    """Quarantine the damaged files of a cell. Without its record or its weights a cell is trained
    again, and its scores are quarantined too. Damaged rollouts alone do not cause another
    training."""
    folder = run / cell.name
    for path in sorted((folder / "rollouts").glob("*.parquet")):
        load_or_quarantine(path, partial(read_rows, schema=ROLLOUTS))
    load_or_quarantine(folder / "scores.parquet", read_scores)
    if cell == UNTRAINED or not (folder / "ledger.json").exists():
        return
    try:
        _check_trained(folder)
    except DamagedError as error:
        checkpoint = folder / "checkpoint"
        damaged = checkpoint if error.path.is_relative_to(checkpoint) else error.path
        others = [folder / name for name in OF_WEIGHTS if folder / name != damaged]
        reason = (
            f"{error.why}; with everything made with these weights: {cell.name} is trained and"
            " scored again"
        )
        set_aside(damaged, reason, others)


def _check_trained(folder: Path) -> None:
    """Raises DamagedError for the first part of a trained cell that is not as training left it. A
    missing checkpoint is not damage: users delete weights to save space, and scores stay valid."""
    ledger, metrics = folder / "ledger.json", folder / "metrics.jsonl"
    content: dict[str, Any] = read_json(ledger)
    sums, steps = dict.fromkeys(SUMMED, 0), 0
    try:
        for _, row in read_jsonl(metrics):
            steps += 1
            for values in row["sources"].values():
                for key in SUMMED:
                    sums[key] += values[key]
    except (ColorfastError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(metrics, error) from None
    try:
        totals = {key: content["total"][key] for key in SUMMED}
        matches = (content["steps"], totals) == (steps, sums)
    except (KeyError, TypeError) as error:
        raise DamagedError(ledger, f"not a ledger: {error!r}") from None
    if content.get(SEAL, seal(content)) != seal(content):
        raise DamagedError(ledger, "its hash is another")
    if not matches:
        raise DamagedError(metrics, "its rows do not add up to the ledger")
    checkpoint, weights = folder / "checkpoint", content.get("weights")
    if not checkpoint.is_dir():
        return
    for path in sorted(checkpoint.glob("*.json")):
        read_json(path)
    try:
        actual = weights_sha256(checkpoint)
    except ColorfastError:
        actual = "none"
    if weights is not None and actual != weights:
        raise DamagedError(checkpoint, f"its weights hash to {actual[:12]}, were {weights[:12]}")
