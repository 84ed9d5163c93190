"""The trait corpus as a Hugging Face data set: two parquet splits and a data card, for
`datasets.load_dataset(FOLDER)`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from colorfast import __version__
from colorfast.corpus.scenarios import card, corpus
from colorfast.export import fresh, write_card
from colorfast.io.tables import write_rows
from colorfast.types import ReplyKind, Scenario, Split

SPLITS: tuple[Split, ...] = get_args(Split)
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
CRITERION = pa.struct(
    [
        ("text", pa.string()),
        ("weight", pa.float64()),
        ("grader", pa.string()),
        ("args", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "trait", "domain")),
        ("contrast", pa.bool_()),
        ("messages", MESSAGES),
        ("rubric", pa.list_(CRITERION)),
        ("replies", pa.struct([(kind, pa.string()) for kind in get_args(ReplyKind)])),
        ("facts", pa.string()),
    ]
)


def row(scenario: Scenario) -> dict[str, Any]:
    """A scenario as a flat row; a criterion's `args` are JSON, as they differ by grader. Kinds of
    reply that it lacks are null."""
    plain = scenario.model_dump(mode="json", include=set(SCHEMA.names))
    rubric = [
        criterion | {"args": json.dumps(criterion["args"], ensure_ascii=False)}
        for criterion in plain["rubric"]
    ]
    return plain | {
        "rubric": rubric,
        "replies": {kind: scenario.replies.get(kind) for kind in get_args(ReplyKind)},
    }


def scenario(row: dict[str, Any]) -> Scenario:
    """The scenario that a row of the exported data set holds."""
    rubric = [criterion | {"args": json.loads(criterion["args"])} for criterion in row["rubric"]]
    return Scenario.model_validate(
        row
        | {
            "rubric": rubric,
            "replies": {kind: text for kind, text in row["replies"].items() if text},
        }
    )


def by_split(rows: Sequence[Scenario]) -> dict[Split, list[Scenario]]:
    return {split: [s for s in rows if s.split == split] for split in SPLITS}


def counts() -> dict[str, Any]:
    """What the cards say of the corpus."""
    rows = corpus()
    traits = [
        {"name": name, "about": card(name), "rows": n}
        for name, n in sorted(Counter(s.trait for s in rows).items())
    ]
    return {
        "rows": len(rows),
        "splits": {split: len(part) for split, part in by_split(rows).items()},
        "traits": traits,
        "domains": sorted({s.domain for s in rows}),
        "multi_turn": sum(any(m.role == "assistant" for m in s.messages) for s in rows),
        "contrast": sum(s.contrast for s in rows),
        "version": __version__,
    }


def write(folder: Path) -> dict[str, Any]:
    """Write `train.parquet`, `heldout.parquet` and `README.md` into a new folder. Returns the
    counts of the splits."""
    with fresh(folder) as part:
        for split, rows in by_split(corpus()).items():
            write_rows(part / f"{split}.parquet", [row(s) for s in rows], SCHEMA)
        write_card(part / "README.md", "corpus.md.j2", **counts())
    return counts()["splits"]
