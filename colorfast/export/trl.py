"""The trait scenarios for TRL's GRPOTrainer: a prompt data set, and a reward function that grades
each reply by the rubric in its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from colorfast.config import Grading
from colorfast.export.corpus import MESSAGES, by_split, counts
from colorfast.export.folder import copy_text, new_folder, write_template
from colorfast.io.storage import write_json
from colorfast.io.tables import write_rows
from colorfast.types import Scenario

GraderKind = Literal["code", "offline"]
SCHEMA = pa.schema(
    {
        "prompt": MESSAGES,
        "id": pa.string(),
        "trait": pa.string(),
        "domain": pa.string(),
        "task": pa.string(),
    }
)


def row(scenario: Scenario) -> dict[str, Any]:
    """The prompt, and the task as JSON, which the reward grades against."""
    return {
        "prompt": [m.model_dump() for m in scenario.messages],
        "id": scenario.id,
        "trait": scenario.trait,
        "domain": scenario.domain,
        "task": scenario.model_dump_json(include={"id", "source", "messages", "rubric"}),
    }


def write(folder: Path, kind: GraderKind = "offline") -> dict[str, Any]:
    """Write the splits as parquet, `reward.py`, `grading.json` and a card into a new folder.
    Returns the number of scenarios in each split."""
    with new_folder(folder) as part:
        for split, scenarios in by_split().items():
            write_rows(part / f"{split}.parquet", [row(s) for s in scenarios], SCHEMA)
        write_json(part / "grading.json", Grading(kind=kind).model_dump(mode="json"))
        copy_text("trl_reward.py", part / "reward.py")
        write_template(part / "README.md", "trl.md.j2", kind=kind, **counts())
    return counts()["splits"]
