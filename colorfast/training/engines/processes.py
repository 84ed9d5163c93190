"""This process among those that train together."""

from __future__ import annotations

import torch
from accelerate import PartialState


def processes() -> PartialState:
    """The same object at every call; the first one joins the others."""
    return PartialState(cpu=not torch.cuda.is_available())
