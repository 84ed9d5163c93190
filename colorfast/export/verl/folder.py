"""An arm as a folder for verl: prompts as parquet in the order of the schedule, the reward module
and the launch script."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from colorfast import __version__
from colorfast.config import Arm, Experiment
from colorfast.export.corpus import MESSAGES
from colorfast.export.folder import copy_text, write_template
from colorfast.io.storage import read_json, write_json
from colorfast.io.tables import write_rows
from colorfast.models.resolve import EMBEDDED, HUB_ID
from colorfast.training.schedule import check_disjoint, heldout, schedule, summary
from colorfast.types import ColorfastError, Scenario, Slot

VERL = "0.9.1"
"""The release of verl that these files follow."""
TEMPLATE_BYTES, MESSAGE_BYTES = 256, 32
"""Room for what a chat template adds: its own system message, and marks around each message."""
SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": MESSAGES,
        "ability": pa.string(),
        "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
        "extra_info": pa.struct({"index": pa.int64(), "split": pa.string()}),
    }
)


def rows(slots: Sequence[Slot], split: str) -> list[dict[str, Any]]:
    """One row per slot, in order, as verl's RLHFDataset reads it. The ground truth is the whole
    slot as JSON: verl passes it to the reward and writes it into its dumps."""
    return [_row(slot, split) for slot in slots]


def _row(slot: Slot, split: str) -> dict[str, Any]:
    truth = json.dumps(slot.row(), ensure_ascii=False)
    return {
        "data_source": slot.task.source,
        "prompt": [m.model_dump() for m in slot.task.messages],
        "ability": slot.task.trait if isinstance(slot.task, Scenario) else slot.task.source,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"index": slot.index, "split": split},
    }


def write(experiment: Experiment, arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """Write one arm's folder: train.parquet, val.parquet, reward.py, manager.py, launch.sh and,
    last, manifest.json, whose content is returned.

    Raises ColorfastError for a setting that verl does not have, and for a folder that holds another
    export.
    """
    if experiment.training.demonstrations:
        raise ColorfastError(
            f"training.demonstrations = {experiment.training.demonstrations}: verl samples every"
            " reply itself; set demonstrations = 0 to export"
        )
    model = _model(experiment.model)
    slots = schedule(experiment, experiment.arms[arm], seed)
    scenarios = heldout(experiment)
    check_disjoint([slot.task for slot in slots], scenarios)
    baseline = schedule(experiment, Arm(dose=0), seed)
    manifest = {
        "arm": arm,
        "seed": seed,
        **summary(slots, baseline, experiment.arms[arm]),
        "heldout": len(scenarios),
        "experiment": experiment.model_dump(mode="json"),
        "versions": {"colorfast": __version__, "verl": VERL},
    }
    path = folder / "manifest.json"
    if path.exists() and read_json(path) != manifest:
        raise ColorfastError(f"{folder}: holds another export; give another --out, or delete it")
    heldout_slots = [Slot(i, 0, scenario) for i, scenario in enumerate(scenarios)]
    write_rows(folder / "train.parquet", rows(slots, "train"), SCHEMA)
    write_rows(folder / "val.parquet", rows(heldout_slots, "heldout"), SCHEMA)
    copy_text("verl/reward.py", folder / "reward.py")
    copy_text("verl/manager.py", folder / "manager.py")
    write_template(
        folder / "launch.sh",
        "verl/launch.sh.j2",
        experiment=experiment,
        manifest=manifest,
        room=_prompt_room([*slots, *heldout_slots]),
        model=shlex.quote(model),
    )
    (folder / "launch.sh").chmod(0o755)
    write_json(path, manifest)
    return manifest


def _model(name: str) -> str:
    """The hub id or folder that verl loads. Raises ColorfastError for a GGUF file."""
    if name == EMBEDDED:
        return HUB_ID
    if name.endswith(".gguf"):
        raise ColorfastError(
            f"model {name!r}: verl reads safetensors; name a hub id or a folder that holds them"
        )
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def _prompt_room(slots: Sequence[Slot]) -> int:
    """A length in tokens that no prompt exceeds, a multiple of 128. A token is at least one
    byte."""
    longest = 0
    for slot in slots:
        contents = [m.content.encode() for m in slot.task.messages]
        size = TEMPLATE_BYTES + sum(len(content) + MESSAGE_BYTES for content in contents)
        longest = max(longest, size)
    return -(-longest // 128) * 128
