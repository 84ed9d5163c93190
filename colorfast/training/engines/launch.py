"""The same engine in several processes: a cell's training as a job under `accelerate launch`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colorfast.config import Training
from colorfast.io.console import console
from colorfast.io.storage import write_text
from colorfast.types import ColorfastError, Frozen, Objective, Scenario, Slot, Task

JOB = "job.json"
SAYS = "colorfast says: "
"""Marks the line that says why a process failed."""


@dataclass(frozen=True)
class Launched:
    """An engine that trains in the processes of an accelerate configuration."""

    config: Path

    def train(
        self, model: str, slots: Sequence[Slot], training: Training, seed: int, folder: Path
    ) -> Path:
        """See `Engine.train`. Raises ColorfastError with the reason of a failing process."""
        final = folder / "checkpoint"
        if (folder / "ledger.json").is_file() and final.is_dir():
            return final
        if not self.config.is_file():
            raise ColorfastError(
                f"{self.config}: no such accelerate configuration; configs/ holds some to start"
                " from"
            )
        rows = tuple(JobSlot(**vars(slot)) for slot in slots)
        job = Job(model=model, slots=rows, training=training, seed=seed)
        write_text(folder / JOB, job.model_dump_json())
        console.print(f"train {folder.name} under {self.config.name} ...", markup=False)
        command = [sys.executable, "-m", "accelerate.commands.launch"]
        command += ["--config_file", str(self.config)]
        command += ["-m", "colorfast.training.engines.launch", str(folder)]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise ColorfastError(
                f"{folder}: {_reason(done.stderr)[:300]} (under accelerate launch; the same command"
                " continues from the last checkpoint)"
            )
        (folder / JOB).unlink(missing_ok=True)
        return final


def _reason(stderr: str) -> str:
    """The line that a failing process marked, or else the first one with an error."""
    lines = stderr.splitlines()
    marked = [line.partition(SAYS)[2] for line in lines if SAYS in line]
    errors = [line for line in lines if "Error: " in line]
    return [*marked, *errors, "no reason given"][0]


class JobSlot(Frozen):
    """A slot that is read back with the class of its task."""

    index: int
    step: int
    task: Scenario | Task
    objective: Objective


class Job(Frozen):
    """The arguments of `trl.train`, as a file for every process."""

    model: str
    slots: tuple[JobSlot, ...]
    training: Training
    seed: int


def main(folder: Path) -> None:
    """Train the job that lies in `folder`, as one of its processes."""
    from colorfast.training.engines import trl

    job = Job.model_validate_json((folder / JOB).read_text(encoding="utf-8"))
    slots = [Slot(**vars(slot)) for slot in job.slots]
    trl.train(job.model, slots, job.training, job.seed, folder)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ColorfastError as error:
        sys.exit(f"{SAYS}{error}")
