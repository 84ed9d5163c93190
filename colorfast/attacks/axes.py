"""What a user varies in fine-tuning attacks."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from colorfast.types import Frozen


class Axes(Frozen):
    """What fine-tuning attacks vary: optimizer steps, LoRA rank (None: all weights), and the share
    of harmful rows. `recovery`: steps of benign training after an attack, 0 for none."""

    steps: tuple[int, ...] = (4, 8, 16)
    ranks: tuple[int | None, ...] = (32,)
    shares: tuple[float, ...] = (1.0,)
    learning_rate: PositiveFloat | None = None
    batch: PositiveInt = 8
    recovery: NonNegativeInt = 0

    @model_validator(mode="after")
    def _check_axes(self) -> Axes:
        if not self.steps or self.steps[0] < 1 or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(
                "steps: wants rising numbers above 0, found"
                f" {', '.join(map(str, self.steps)) or 'none'}"
            )
        if not self.ranks or any(rank is not None and rank < 1 for rank in self.ranks):
            raise ValueError("ranks: wants ranks of 1 or more, or full")
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ValueError("shares: wants shares above 0, up to 1")
        return self
