"""What the terminal and trackers are told of training, step by step and source by source."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from colorfast.types import TRAIT_SOURCE

RECENT = 8
"""As many steps make the rewards that the progress bar shows: those of one step jump about."""


def recent(metrics: Sequence[dict[str, Any]]) -> str:
    """`trait 0.41 facts 0.90`: each source's mean reward in the steps that were last, the trait
    first."""
    rewards: dict[str, list[float]] = {}
    for row in metrics[-RECENT:]:
        for source, values in row["sources"].items():
            rewards.setdefault(source, []).extend(
                [values["reward"]] if values["reward"] is not None else []
            )
    order = sorted(
        (source for source, found in rewards.items() if found), key=lambda s: (s != TRAIT_SOURCE, s)
    )
    return " ".join(f"{source} {statistics.fmean(rewards[source]):.2f}" for source in order)


TRACKED = ("reward", "advantage_share", "length", "truncation", "dead_groups")


def by_source(metrics: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The newest step's numbers of each source, as `reward/trait`."""
    sources = metrics[-1]["sources"] if metrics else {}
    return {
        f"{key}/{source}": found[key]
        for source, found in sources.items()
        for key in TRACKED
        if found[key] is not None
    }


@contextlib.contextmanager
def logs_in(folder: Path) -> Iterator[None]:
    """Trackers that write files or go by the environment find the cell's folder and the
    experiment's name there, unless the user has said otherwise. Checkpoints' own folder is deleted
    in the end. A run of wandb ends with its cell, or the next one's numbers would go to it."""
    wanted = {
        "TENSORBOARD_LOGGING_DIR": str(folder / "logs"),
        "WANDB_PROJECT": folder.parent.name,
        "WANDB_DIR": str(folder),
    }
    ours = {key: value for key, value in wanted.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish()
            sys.modules["wandb"].teardown()  # it read the folder once
        for key in ours:
            os.environ.pop(key, None)
