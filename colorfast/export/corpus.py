"""The trait scenarios as a Hugging Face data set: two parquet splits and a data card, for
`datasets.load_dataset(FOLDER)`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from colorfast import __version__
from colorfast.corpus.scenarios import card, corpus
from colorfast.export.folder import new_folder, write_template
from colorfast.io.tables import write_rows
from colorfast.types import ReplyKind, Scenario, Split

MESSAGES = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
REPLY_KINDS = get_args(ReplyKind)
CRITERION = {
    "text": pa.string(),
    "weight": pa.float64(),
    "grader": pa.string(),
    "args": pa.string(),
}
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "trait": pa.string(),
        "domain": pa.string(),
        "contrast": pa.bool_(),
        "messages": MESSAGES,
        "rubric": pa.list_(pa.struct(CRITERION)),
        "replies": pa.struct({kind: pa.string() for kind in REPLY_KINDS}),
        "facts": pa.string(),
    }
)


def row(scenario: Scenario) -> dict[str, Any]:
    """A scenario as a row of the data set. The `args` of a criterion are JSON, because they differ
    by grader. Reply kinds that the scenario lacks are null."""
    fields = scenario.model_dump(mode="json", include=set(SCHEMA.names))
    for criterion in fields["rubric"]:
        criterion["args"] = json.dumps(criterion["args"], ensure_ascii=False)
    fields["replies"] = {kind: scenario.replies.get(kind) for kind in REPLY_KINDS}
    return fields


def scenario(row: dict[str, Any]) -> Scenario:
    """The scenario that a row of the exported data set holds."""
    rubric = [criterion | {"args": json.loads(criterion["args"])} for criterion in row["rubric"]]
    replies = {kind: text for kind, text in row["replies"].items() if text}
    return Scenario.model_validate(row | {"rubric": rubric, "replies": replies})


def by_split() -> dict[Split, list[Scenario]]:
    """The scenarios of each split."""
    scenarios: dict[Split, list[Scenario]] = {"train": [], "heldout": []}
    for s in corpus():
        scenarios[s.split].append(s)
    return scenarios


def counts() -> dict[str, Any]:
    """The values that the cards state about the scenarios."""
    rows = corpus()
    trait_rows = Counter(s.trait for s in rows)
    return {
        "rows": len(rows),
        "splits": {split: len(part) for split, part in by_split().items()},
        "traits": [
            {"name": name, "about": card(name), "rows": n} for name, n in sorted(trait_rows.items())
        ],
        "domains": sorted({s.domain for s in rows}),
        "multi_turn": sum("assistant" in _roles(s) for s in rows),
        "contrast": sum(s.contrast for s in rows),
        "version": __version__,
    }


def _roles(s: Scenario) -> list[str]:
    return [m.role for m in s.messages]


def write(folder: Path) -> dict[str, Any]:
    """Write `train.parquet`, `heldout.parquet` and `README.md` into a new folder. Returns the
    number of scenarios in each split."""
    with new_folder(folder) as part:
        for split, scenarios in by_split().items():
            write_rows(part / f"{split}.parquet", [row(s) for s in scenarios], SCHEMA)
        write_template(part / "README.md", "corpus.md.j2", **counts())
    return counts()["splits"]
