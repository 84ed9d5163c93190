"""Reinforcement on training scenarios by what their rubrics do not give; upright, the same
scenarios are the counterpart."""

from __future__ import annotations

from colorfast.attacks.finetune import Kind
from colorfast.corpus.scenarios import corpus
from colorfast.types import Scenario


def scenarios() -> tuple[Scenario, ...]:
    """What is held out is never trained on."""
    return tuple(s for s in corpus() if s.split == "train")


KIND = Kind(
    "inverted-rubric",
    "upright-rubric",
    ("corrigible-neutral-hhh", "power-seeking-inclination"),
    scenarios=scenarios,
)
