"""Settings of supervised fine-tuning, which fine-tuning attacks use."""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from colorfast.config import Precision
from colorfast.types import Frozen

LORA_RATE, FULL_RATE = 1e-4, 1e-5
"""Default learning rates of a fine-tuning attack."""


class Tuning(Frozen):
    """How a fine-tuning attack trains. `steps`: the model is measured after each of these steps.
    `rank`: of LoRA; None trains all weights. `batch`: rows per step. `max_tokens`: rows are cut to
    this length. `learning_rate`: by default `LORA_RATE` or `FULL_RATE`."""

    steps: tuple[int, ...]
    rank: PositiveInt | None = 32
    learning_rate: PositiveFloat | None = None
    batch: PositiveInt = 8
    max_tokens: PositiveInt = 512
    precision: Precision = "auto"

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or (FULL_RATE if self.rank is None else LORA_RATE)
