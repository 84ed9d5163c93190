"""What scenarios have in common with each other, and with the benchmarks a model will be scored
on."""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from colorfast.rewards.encoder import Encoder
from colorfast.rewards.text import words
from colorfast.types import ColorfastError, Scenario

SHARED_WORDS = 8
"""A run of so many equal words between a scenario and a benchmark is counted as contamination."""
ALIKE = {"words": 0.25, "meaning": 0.9}
"""Above this share of common word triples, or this cosine, two scenarios are called near
duplicates."""
_TEXT = {".gz", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".yaml", ".yml", ".prompt"}


def said(scenario: Scenario) -> str:
    """Everything a scenario's user and earlier assistant say."""
    return "\n".join(m.content for m in scenario.messages if m.role != "system")


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    tokens = words(text)
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


def by_words(scenarios: Sequence[Scenario]) -> np.ndarray:
    """[scenarios, scenarios] Jaccard index of the word triples of what is said."""
    grams = [_grams(said(s), 3) for s in scenarios]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, own in enumerate(grams):
        for gram in own:
            holders[gram].append(i)
    common: Counter[tuple[int, int]] = Counter()
    for found in holders.values():
        common.update((a, b) for k, a in enumerate(found) for b in found[k + 1 :])
    table = np.zeros((len(scenarios), len(scenarios)))
    for (a, b), n in common.items():
        table[a, b] = table[b, a] = n / (len(grams[a]) + len(grams[b]) - n)
    return table


def by_meaning(scenarios: Sequence[Scenario], encode: Encoder) -> np.ndarray:
    """[scenarios, scenarios] cosine of the encoder's vectors of what is said; the diagonal is 0."""
    vectors = encode([said(s) for s in scenarios])
    table = vectors @ vectors.T
    np.fill_diagonal(table, 0)
    return table


def nearest(
    scenarios: Sequence[Scenario], table: np.ndarray, where: Literal["within", "across"], most: int
) -> list[dict[str, Any]]:
    """The most alike pairs within one cell (trait and domain), or across cells."""
    cell = np.array([f"{s.trait}/{s.domain}" for s in scenarios])
    same = cell[:, None] == cell[None, :]
    upper = np.triu(np.where(same if where == "within" else ~same, table, -1), 1)
    order = np.argsort(-upper, axis=None, kind="stable")[:most]
    pairs = [tuple(map(int, np.unravel_index(k, upper.shape))) for k in order]
    return [
        {"a": scenarios[a].id, "b": scenarios[b].id, "likeness": float(table[a, b])}
        for a, b in pairs
    ]


def contaminated(scenarios: Sequence[Scenario], mirror: Path) -> list[dict[str, Any]]:
    """Every scenario that shares a run of SHARED_WORDS words with a file under `mirror`: id, file
    and the words.

    Known replies count as well as what is said. Raises ColorfastError when the folder holds no
    readable file.
    """
    ours: dict[tuple[str, ...], str] = {}
    for s in scenarios:
        for text in (said(s), *s.replies.values()):
            ours |= dict.fromkeys(_grams(text, SHARED_WORDS), s.id)
    found: dict[tuple[str, str], str] = {}
    for path in texts(mirror):
        for gram in _runs(path):
            if gram in ours:
                found.setdefault((ours[gram], str(path.relative_to(mirror))), " ".join(gram))
    return [
        {"id": name, "file": file, "words": shared}
        for (name, file), shared in sorted(found.items())
    ]


def texts(mirror: Path) -> list[Path]:
    """The readable files of a mirror of benchmarks. Raises ColorfastError when there are none."""
    files = [
        p
        for p in sorted(mirror.rglob("*"))
        if p.suffix in _TEXT and p.name not in ("MANIFEST.json", "README.md")
    ]
    if not files:
        raise ColorfastError(
            f"{mirror}: no benchmark files here; set COLORFAST_MIRROR to the folder that holds them"
        )
    return files


def _runs(path: Path) -> Iterator[tuple[str, ...]]:
    """Runs of words in a file, as in scenarios; escapes such as \\n in JSON strings are blanks."""
    packed = path.suffix == ".gz"
    content = (
        gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        if packed
        else path.read_text("utf-8", "replace")
    )
    for line in content.split("\n"):
        tokens = words(re.sub(r"\\[nrt]", " ", line))
        yield from zip(*(tokens[i:] for i in range(SHARED_WORDS)), strict=False)


def counts(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """How many scenarios there are, and of which kind."""
    negatives = Counter(
        kind for s in scenarios for kind in s.replies if kind not in ("good", "bad")
    )
    return {
        "scenarios": len(scenarios),
        "traits": len({s.trait for s in scenarios}),
        "domains": len({s.domain for s in scenarios}),
        "cells": len({(s.trait, s.domain) for s in scenarios}),
        "smallest cell": min(Counter((s.trait, s.domain) for s in scenarios).values()),
        "train": sum(s.split == "train" for s in scenarios),
        "held out": sum(s.split == "heldout" for s in scenarios),
        "multi-turn": sum(any(m.role == "assistant" for m in s.messages) for s in scenarios),
        "contrast": sum(s.contrast for s in scenarios),
        "with facts to check": sum(bool(s.facts) for s in scenarios),
        "with hard negatives": sum(len(s.replies) > 2 for s in scenarios),
        **{f"hard negatives, {kind}": n for kind, n in sorted(negatives.items())},
        "words of a prompt, mean": round(
            float(np.mean([len(words(said(s))) for s in scenarios])), 1
        ),
        "words of a good reply, mean": round(
            float(np.mean([len(words(s.replies["good"])) for s in scenarios])), 1
        ),
        "words of a bad reply, mean": round(
            float(np.mean([len(words(s.replies["bad"])) for s in scenarios])), 1
        ),
    }
