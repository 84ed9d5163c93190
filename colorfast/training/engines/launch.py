"""The same engine in several processes: one cell's training as a job of its own under `accelerate
launch`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorfast.config import Training
from colorfast.io.console import console
from colorfast.io.storage import write_json
from colorfast.types import ColorfastError, Objective, Scenario, Slot, Task

JOB = "job.json"
SAYS = "colorfast says: "
"""What marks the one line that a failing process is to be quoted by."""


@dataclass(frozen=True)
class Launched:
    """An engine that trains in as many processes as an accelerate configuration says."""

    config: Path

    def train(
        self, model: str, slots: Sequence[Slot], training: Training, seed: int, folder: Path
    ) -> Path:
        """See `Engine.train`. Raises ColorfastError with the last line that a failing process
        said."""
        final = folder / "checkpoint"
        if (folder / "ledger.json").is_file() and final.is_dir():
            return final
        if not self.config.is_file():
            raise ColorfastError(
                f"{self.config}: no such accelerate configuration; configs/ holds some to start"
                " from"
            )
        write_json(folder / JOB, _job(model, slots, training, seed))
        launched = [
            sys.executable,
            "-m",
            "accelerate.commands.launch",
            "--config_file",
            str(self.config),
        ]
        console.print(f"train {folder.name} under {self.config.name} ...", markup=False)
        done = subprocess.run(
            [*launched, "-m", "colorfast.training.engines.launch", str(folder)],
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            lines = done.stderr.splitlines()
            said = [line.partition(SAYS)[2] for line in lines if SAYS in line] or [
                line for line in lines if "Error: " in line
            ]
            cure = "under accelerate launch; the same command continues from the last checkpoint"
            raise ColorfastError(f"{folder}: {(said or ['no reason given'])[0][:300]} ({cure})")
        (folder / JOB).unlink(missing_ok=True)
        return final


def _job(model: str, slots: Sequence[Slot], training: Training, seed: int) -> dict[str, Any]:
    tasks = [
        {
            "scenario": isinstance(s.task, Scenario),
            "task": s.task.model_dump(mode="json"),
            "objective": vars(s.objective),
        }
        for s in slots
    ]
    rows = [{"index": s.index, "step": s.step} | task for s, task in zip(slots, tasks, strict=True)]
    return {
        "model": model,
        "seed": seed,
        "training": training.model_dump(mode="json"),
        "slots": rows,
    }


def main(folder: Path) -> None:
    """Train the job that lies in `folder`, as one of its processes."""
    from colorfast.training.engines import trl

    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    slots = [
        Slot(
            row["index"],
            row["step"],
            (Scenario if row["scenario"] else Task).model_validate(row["task"]),
            Objective(**row["objective"]),
        )
        for row in job["slots"]
    ]
    trl.train(job["model"], slots, Training.model_validate(job["training"]), job["seed"], folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ColorfastError as error:
        sys.exit(f"{SAYS}{error}")
