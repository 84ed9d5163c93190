"""Numbers of training for the terminal and for trackers, by step and source."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from colorfast.types import TRAIT_SOURCE

RECENT = 8
"""Steps that the progress bar's rewards are averaged over, because one step's are noisy."""


def recent(metrics: Sequence[dict[str, Any]]) -> str:
    """`trait 0.41 facts 0.90`: each source's mean reward in the last steps, the trait first."""
    rewards: dict[str, list[float]] = defaultdict(list)
    for row in metrics[-RECENT:]:
        for source, values in row["sources"].items():
            if values["reward"] is not None:
                rewards[source].append(values["reward"])
    order = sorted(rewards, key=lambda source: (source != TRAIT_SOURCE, source))
    return " ".join(f"{source} {statistics.fmean(rewards[source]):.2f}" for source in order)


TRACKED = ("reward", "advantage_share", "length", "truncation", "dead_groups")


def by_source(metrics: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The newest step's numbers of each source, as `reward/trait`."""
    numbers = {}
    for source, values in (metrics[-1]["sources"] if metrics else {}).items():
        for key in TRACKED:
            if values[key] is not None:
                numbers[f"{key}/{source}"] = values[key]
    return numbers


@contextlib.contextmanager
def logs_in(folder: Path) -> Iterator[None]:
    """Inside, environment variables give trackers the cell's folder and the experiment's name,
    unless the user has set them. (The checkpoints' folder, their default, is deleted at the end.) A
    wandb run ends with its cell, or it would get the next cell's numbers."""
    defaults = {
        "TENSORBOARD_LOGGING_DIR": str(folder / "logs"),
        "WANDB_PROJECT": folder.parent.name,
        "WANDB_DIR": str(folder),
    }
    ours = {key: value for key, value in defaults.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish()
            sys.modules["wandb"].teardown()  # it read the folder once
        for key in ours:
            os.environ.pop(key, None)
