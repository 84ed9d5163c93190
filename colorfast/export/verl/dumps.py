"""The check of a finished training: which slots did verl's rewards see, and in which step?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colorfast.io.storage import digest, read_json
from colorfast.io.tables import read_rows
from colorfast.io.validation import read_jsonl
from colorfast.types import ColorfastError


def slot_rows(path: Path) -> list[dict[str, Any]]:
    """The slots that verl trains on: the messages of the prompt column, and everything else from
    the ground truth."""
    return [
        json.loads(row["reward_model"]["ground_truth"]) | {"messages": row["prompt"]}
        for row in read_rows(path)
    ]


def check(folder: Path, dumps: Path) -> dict[str, Any]:
    """Compare the slots that the rewards saw, according to verl's rollout dumps, with the export in
    `folder`. Returns the numbers of slots, replies and ungraded replies, and the hash of the slots.

    Raises ColorfastError when there is no dump, when a slot was trained on in another step than
    planned, and when a slot was never rewarded.
    """
    manifest = read_json(folder / "manifest.json")
    planned = slot_rows(folder / "train.parquet")
    # verl leaves a group out of its dumps when none of its replies could be graded
    lost = [row for row in _read(folder / "ungraded.jsonl") if row["split"] == "train"]
    seen = {row["slot"]: planned[row["slot"]] for row in lost}
    replies = list(_replies(dumps))
    for row in replies:
        seen[row["slot"]] = row
    missing = [row["slot"] for row in planned if row["slot"] not in seen]
    if missing:
        raise ColorfastError(
            f"{dumps}: {len(missing)} of {len(planned)} slots were never rewarded; the first is"
            f" {missing[0]}"
        )
    sha256 = digest([seen[row["slot"]] for row in planned])
    if sha256 != manifest["sha256"]:
        raise ColorfastError(f"{dumps}: the rewards saw other rows than the schedule")
    return {"slots": len(seen), "replies": len(replies), "ungraded": len(lost), "sha256": sha256}


def _replies(dumps: Path) -> Iterator[dict[str, Any]]:
    """The slot of every rewarded reply. Raises ColorfastError for a slot in another step than
    planned, and when there is no reply."""
    row = None
    for path in sorted(dumps.glob("*.jsonl")):
        for reply in _read(path):
            if reply["uid"].startswith("pad"):
                continue  # verl fills up a batch with rows of no weight
            row = json.loads(reply["gts"])
            step = reply["step"] - 1  # verl counts from 1
            if row["step"] != step:
                raise ColorfastError(
                    f"{path}: slot {row['slot']} was trained on in step {step}, and planned for"
                    f" {row['step']}"
                )
            yield row
    if row is None:
        raise ColorfastError(
            f"{dumps}: no rollout dumps of verl here; verl writes them while it trains"
            " (trainer.rollout_data_dir)"
        )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file; none when there is no such file."""
    if path.exists():
        for _number, row in read_jsonl(path):
            yield row
