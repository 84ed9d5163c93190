"""How many scenarios there are, of which kinds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from colorfast.corpus.contamination import conversation
from colorfast.rewards.text import words
from colorfast.types import Scenario


def _kinds(scenarios: Sequence[Scenario]) -> dict[str, int]:
    multi_turn = 0
    for scenario in scenarios:
        multi_turn += any(message.role == "assistant" for message in scenario.messages)
    return {
        "train": sum(s.split == "train" for s in scenarios),
        "held out": sum(s.split == "heldout" for s in scenarios),
        "contrast": sum(s.contrast for s in scenarios),
        "multi-turn": multi_turn,
    }


def _cells(scenarios: Sequence[Scenario]) -> dict[tuple[str, str], list[Scenario]]:
    """The scenarios of each trait and domain."""
    cells = defaultdict(list)
    for scenario in scenarios:
        cells[scenario.trait, scenario.domain].append(scenario)
    return cells


def by_cell(scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """Counts for each trait and domain."""
    return [
        {"trait": trait, "domain": domain} | _kinds(cell)
        for (trait, domain), cell in sorted(_cells(scenarios).items())
    ]


def counts(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Counts over all scenarios, and mean numbers of words."""
    cells = _cells(scenarios)
    negatives: Counter[str] = Counter()
    for scenario in scenarios:
        negatives.update(scenario.replies.keys() - {"good", "bad"})
    table: dict[str, Any] = {
        "scenarios": len(scenarios),
        "traits": len({trait for trait, _ in cells}),
        "domains": len({domain for _, domain in cells}),
        "cells": len(cells),
        "smallest cell": min(len(cell) for cell in cells.values()),
        **_kinds(scenarios),
        "with facts to check": sum(bool(s.facts) for s in scenarios),
        "with hard negatives": sum(len(s.replies) > 2 for s in scenarios),
    }
    for kind, n in sorted(negatives.items()):
        table[f"hard negatives, {kind}"] = n
    texts = {
        "a prompt": [conversation(s) for s in scenarios],
        "a good reply": [s.replies["good"] for s in scenarios],
        "a bad reply": [s.replies["bad"] for s in scenarios],
    }
    for what, own in texts.items():
        mean = float(np.mean([len(words(text)) for text in own]))
        table[f"words of {what}, mean"] = round(mean, 1)
    return table
