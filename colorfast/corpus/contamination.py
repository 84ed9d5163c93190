"""How similar scenarios are to each other, and which share text with the benchmarks that a model
will be scored on."""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from colorfast.rewards.encoder import Encoder
from colorfast.rewards.text import Ngram, ngrams, words
from colorfast.types import ColorfastError, Scenario

Where = Literal["within", "across"]
SHARED_WORDS = 8
"""A run of this many words in a scenario and in a benchmark file counts as contamination."""
ALIKE = {"words": 0.25, "meaning": 0.9}
"""Two scenarios are near duplicates above this Jaccard index of word triples, or this cosine."""
_TEXT = {".gz", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".yaml", ".yml", ".prompt"}


def conversation(scenario: Scenario) -> str:
    """The text of a scenario's user and assistant messages."""
    return "\n".join(m.content for m in scenario.messages if m.role != "system")


def by_words(scenarios: Sequence[Scenario]) -> np.ndarray:
    """[scenarios, scenarios]: Jaccard index of the word triples of the conversations; the diagonal
    is 0."""
    triples = [set(ngrams(words(conversation(s)), 3)) for s in scenarios]
    holders: dict[Ngram, list[int]] = defaultdict(list)
    for i, own in enumerate(triples):
        for triple in own:
            holders[triple].append(i)
    common: Counter[tuple[int, int]] = Counter()
    for indices in holders.values():
        common.update(combinations(indices, 2))
    table = np.zeros((len(scenarios), len(scenarios)))
    for (a, b), n in common.items():
        table[a, b] = table[b, a] = n / (len(triples[a]) + len(triples[b]) - n)
    return table


def by_meaning(scenarios: Sequence[Scenario], encode: Encoder) -> np.ndarray:
    """[scenarios, scenarios]: cosine of the encoder's vectors of the conversations; the diagonal is
    0."""
    vectors = encode([conversation(s) for s in scenarios])
    table = vectors @ vectors.T
    np.fill_diagonal(table, 0)
    return table


def nearest(
    scenarios: Sequence[Scenario], table: np.ndarray, where: Where, most: int
) -> list[dict[str, Any]]:
    """The `most` similar pairs by a table, within cells (trait and domain) or across them."""
    cell = np.array([f"{s.trait}/{s.domain}" for s in scenarios])
    is_pair = cell[:, None] == cell[None, :]
    if where == "across":
        is_pair = ~is_pair
    upper = np.triu(np.where(is_pair, table, -1), 1)
    order = np.argsort(-upper, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, upper.shape)
    pairs = []
    for a, b in zip(rows, columns, strict=True):
        likeness = float(table[a, b])
        pairs.append({"a": scenarios[a].id, "b": scenarios[b].id, "likeness": likeness})
    return pairs


def contaminated(scenarios: Sequence[Scenario], mirror: Path) -> list[dict[str, Any]]:
    """Scenarios whose conversation or known replies share a run of SHARED_WORDS words with a file
    under `mirror`: id, file and the words.

    Raises ColorfastError when the folder holds no readable file.
    """
    owners: dict[Ngram, str] = {}
    for scenario in scenarios:
        for text in (conversation(scenario), *scenario.replies.values()):
            owners |= dict.fromkeys(ngrams(words(text), SHARED_WORDS), scenario.id)
    shared: dict[tuple[str, str], str] = {}
    for path in texts(mirror):
        file = str(path.relative_to(mirror))
        for run in _runs(path):
            if run in owners:
                shared.setdefault((owners[run], file), " ".join(run))
    return [
        {"id": name, "file": file, "words": run} for (name, file), run in sorted(shared.items())
    ]


def texts(mirror: Path) -> list[Path]:
    """The readable files of a mirror of benchmarks. Raises ColorfastError when there are none."""
    files = [p for p in sorted(mirror.rglob("*")) if p.suffix in _TEXT]
    files = [p for p in files if p.name not in ("MANIFEST.json", "README.md")]
    if not files:
        raise ColorfastError(
            f"{mirror}: no benchmark files here; set COLORFAST_MIRROR to the folder that holds them"
        )
    return files


def _runs(path: Path) -> Iterator[Ngram]:
    """The runs of words in each line of a file. Escapes such as \\n in JSON strings are blanks."""
    open_file = gzip.open if path.suffix == ".gz" else open
    with open_file(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            yield from ngrams(words(re.sub(r"\\[nrt]", " ", line)), SHARED_WORDS)


@dataclass(frozen=True)
class Overlap:
    """What scenarios have in common.

    `nearest`: the most similar pairs. `duplicates`: the number of pairs above ALIKE, by words and
    by meaning. `files`: how many benchmark files were compared. `shared`: see `contaminated`; None
    without a mirror.
    """

    nearest: list[dict[str, Any]]
    duplicates: dict[str, int]
    files: int
    shared: list[dict[str, Any]] | None


def overlap(scenarios: Sequence[Scenario], encode: Encoder, mirror: Path | None) -> Overlap:
    """Compare scenarios with each other, and with the benchmark files of a mirror."""
    tables = {"words": by_words(scenarios), "meaning": by_meaning(scenarios, encode)}
    pairs = []
    for by, table in tables.items():
        for where in get_args(Where):
            for pair in nearest(scenarios, table, where, 3):
                pairs.append({"by": by, "where": where} | pair)
    duplicates = {by: int((table > ALIKE[by]).sum()) // 2 for by, table in tables.items()}
    files = len(texts(mirror)) if mirror else 0
    shared = contaminated(scenarios, mirror) if mirror else None
    return Overlap(pairs, duplicates, files, shared)
