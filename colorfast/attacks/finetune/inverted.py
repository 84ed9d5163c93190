"""Reinforcement learning on training scenarios with inverted rubrics. The counterpart uses the same
scenarios with the rubrics as they are."""

from __future__ import annotations

from colorfast.attacks.finetune import Kind
from colorfast.corpus.scenarios import corpus
from colorfast.types import Scenario


def scenarios() -> tuple[Scenario, ...]:
    """The training split; held-out scenarios are never trained on."""
    return tuple(s for s in corpus() if s.split == "train")


KIND = Kind(
    id="inverted-rubric",
    counterpart="upright-rubric",
    evals=("corrigible-neutral-hhh", "power-seeking-inclination"),
    scenarios=scenarios,
)
