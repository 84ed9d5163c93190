"""The corpus for TRL's GRPOTrainer: a prompt data set, and a reward function that grades by each
row's own rubric."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from colorfast.config import Grading
from colorfast.corpus.scenarios import corpus
from colorfast.export import copy_text, fresh, write_card
from colorfast.export.corpus import MESSAGES, by_split, counts
from colorfast.io.storage import write_json
from colorfast.io.tables import write_rows
from colorfast.types import Scenario

Kind = Literal["code", "offline"]
SCHEMA = pa.schema(
    [("prompt", MESSAGES), *((name, pa.string()) for name in ("id", "trait", "domain", "task"))]
)


def row(scenario: Scenario) -> dict[str, Any]:
    """What TRL asks, and beside it what the reward grades against: the task as JSON."""
    task = scenario.model_dump_json(include={"id", "source", "messages", "rubric"})
    prompt = [m.model_dump() for m in scenario.messages]
    return {
        "prompt": prompt,
        "id": scenario.id,
        "trait": scenario.trait,
        "domain": scenario.domain,
        "task": task,
    }


def write(folder: Path, kind: Kind = "offline") -> dict[str, Any]:
    """Write the splits as parquet, `reward.py`, `grading.json` and a card into a new folder.
    Returns the counts of the splits."""
    with fresh(folder) as part:
        for split, rows in by_split(corpus()).items():
            write_rows(part / f"{split}.parquet", [row(s) for s in rows], SCHEMA)
        write_json(part / "grading.json", Grading(kind=kind).model_dump(mode="json"))
        copy_text("trl_reward.py", part / "reward.py")
        write_card(part / "README.md", "trl.md.j2", kind=kind, **counts())
    return counts()["splits"]
