"""Engines: what turns slots into a trained policy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from colorfast.config import Training
from colorfast.types import Slot


class Engine(Protocol):
    """The seam between the experiment and the library that trains."""

    def train(
        self, model: str, slots: Sequence[Slot], training: Training, seed: int, folder: Path
    ) -> Path:
        """Train `model` on the slots, in order, and return the folder of the trained model.

        Everything the run must keep is written under `folder` (metrics.jsonl, rollouts.parquet,
        ledger.json, checkpoint/). Called again after an interruption it continues and ends with the
        same weights.
        """
        ...


ACCELERATE = "COLORFAST_ACCELERATE"
"""The environment variable that names an accelerate configuration: how a machine trains is the
machine's, not the experiment's."""


def engine() -> Engine:
    """TRL in this process, or in as many as the accelerate configuration says."""
    config = os.environ.get(ACCELERATE)
    if config:
        from colorfast.training.engines.launch import Launched

        return Launched(Path(config))
    from colorfast.training.engines import trl

    return trl
