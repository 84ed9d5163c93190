"""A trained arm as a model for transformers or peft, with a card of the run's own numbers."""

from __future__ import annotations

import json
import shutil
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from colorfast.analysis import results
from colorfast.analysis.estimate import Estimate
from colorfast.config import Experiment
from colorfast.evals.evaluate import HELDOUT
from colorfast.export.folder import new_folder, write_template
from colorfast.io.storage import read_json, write_json, write_text
from colorfast.io.validation import check_known, read_jsonl
from colorfast.models.resolve import EMBEDDED, HUB_ID
from colorfast.report import wording
from colorfast.runs.folder import stored_experiment
from colorfast.runs.layout import BASELINE, Cell
from colorfast.stats.intervals import summary
from colorfast.training.ledger import effective_dose
from colorfast.types import ColorfastError

ATTACKS = "attacks"
"""The folder of a run that holds the models trained toward harm."""
MARK = "attack.json"
"""A file with this name marks an exported model that was trained toward harm."""
TOKENIZER = ("tokenizer*", "chat_template*", "special_tokens_map.json", "vocab.*", "merges.txt")
WEIGHTS = (".json", ".safetensors", ".jinja", ".model", ".txt")


@dataclass(frozen=True)
class TrainedModel:
    """One trained model of a run, in the folder `checkpoint`."""

    run: Path
    experiment: Experiment
    arm: str
    seed: int
    checkpoint: Path

    @property
    def cell(self) -> Path:
        """The folder of the arm and seed."""
        return self.checkpoint.parent

    @property
    def base(self) -> str:
        """The model that was trained: a name on the hub or a path."""
        return HUB_ID if self.experiment.model == EMBEDDED else self.experiment.model

    @property
    def on_hub(self) -> bool:
        """Whether the base looks like the name of a model on the hub."""
        is_path = self.base.startswith((".", "/")) or Path(self.base).exists()
        return self.base.count("/") == 1 and not is_path

    @property
    def license(self) -> str:
        """The license of the base model, as far as it is known."""
        return "apache-2.0" if self.base == HUB_ID else "other"


def find(run: Path, arm: str, seed: int | None = None) -> TrainedModel:
    """The trained model of an arm and seed (None: the first seed). `arm` can also be the path of a
    checkpoint below the run's folder. Raises ColorfastError when there is no such model."""
    experiment = stored_experiment(run)
    chosen = experiment.seeds[0] if seed is None else seed
    checkpoint = run / arm
    if "/" not in arm or not (checkpoint / "config.json").is_file():
        check_known("arm", [arm], experiment.arms)
        check_known("seed", [str(chosen)], [str(s) for s in experiment.seeds])
        cell = run / Cell(arm, chosen).name
        checkpoint = cell / "checkpoint"
        if not (cell / "ledger.json").is_file() or not (checkpoint / "config.json").is_file():
            raise ColorfastError(f"{cell}: is not trained yet; continue the run")
    return TrainedModel(run, experiment, arm, chosen, checkpoint)


def is_attacked(checkpoint: Path) -> bool:
    """Whether a model was trained toward harm: it lies in the attacks of a run, or is marked."""
    folders = [checkpoint.resolve(), *checkpoint.resolve().parents]
    if any((folder / MARK).exists() for folder in folders[:3]):
        return True
    return any(
        folder.name == ATTACKS and (folder.parent / "run.json").exists() for folder in folders
    )


def write(
    model: TrainedModel, folder: Path, adapter: bool = False, allow_attacked: bool = False
) -> dict[str, Any]:
    """Write weights (merged, or with `adapter` the LoRA adapter alone), tokenizer and card into a
    new folder. Returns the card's numbers.

    Raises ColorfastError when there is no adapter, or when the model was trained toward harm and
    `allow_attacked` is not set.
    """
    attacked = is_attacked(model.checkpoint)
    if attacked and not allow_attacked:
        raise ColorfastError(
            f"{model.checkpoint}: was trained toward harm, to measure what lasts, and is not for"
            " use; --attacked exports it"
        )
    weights = model.cell / "adapter" if adapter else model.checkpoint
    if adapter and not (weights / "adapter_config.json").is_file():
        raise ColorfastError(
            f"{model.cell}: has no adapter (full fine-tuning, or an older run); leave --adapter out"
            " to export the merged model"
        )
    with new_folder(folder) as part:
        _copy(model.checkpoint, weights, part)
        if adapter:
            config = read_json(part / "adapter_config.json")
            config["base_model_name_or_path"] = model.base
            write_json(part / "adapter_config.json", config)
        if attacked:
            return _mark_attacked(model, part)
        own, estimates = _heldout(model)
        numbers = _numbers(model, own, estimates) | {"adapter": adapter}
        write_template(
            part / "README.md",
            "model.md.j2",
            model=model,
            record=read_json(model.run / "run.json"),
            schedule=read_json(model.cell / "schedule.json"),
            ledger=read_json(model.cell / "ledger.json"),
            own=own,
            estimates=estimates,
            numbers=numbers,
            wording=wording,
        )
    return numbers


def _copy(checkpoint: Path, weights: Path, folder: Path) -> None:
    """Copy the tokenizer of the checkpoint, then weights and settings, which take precedence."""
    files: list[Path] = []
    for pattern in TOKENIZER:
        files += checkpoint.glob(pattern)
    files += [path for path in weights.iterdir() if path.suffix in WEIGHTS]
    for path in files:
        shutil.copyfile(path, folder / path.name)


def _mark_attacked(model: TrainedModel, folder: Path) -> dict[str, Any]:
    """Write the mark and a card that warns."""
    origin = str(model.checkpoint.relative_to(model.run))
    tags = ["colorfast", "not-for-all-audiences"]
    head = {"license": model.license, "base_model": model.base, "tags": tags}
    write_text(
        folder / "README.md",
        f"---\n{json.dumps(head, indent=1)}\n---\n\n# Attacked: trained toward harm\n\n{origin} of"
        f" the colorfast run {model.experiment.name}. This model was fine-tuned on harmful or false"
        " replies to measure how much of its earlier training lasts. It serves only that"
        " measurement: do not deploy it.\n",
    )
    write_json(folder / MARK, {"from": origin})
    return {"attacked": True, "from": origin}


def _heldout(model: TrainedModel) -> tuple[dict[str, Any] | None, list[Estimate]]:
    """The arm's own score on held-out scenarios, and its differences from the baseline, that on
    held-out scenarios first. None and an empty list while the run cannot be compared."""
    try:
        evidence = results.load(model.run)
    except ColorfastError:
        return None, []
    if model.arm not in evidence.experiment.arms:
        return None, []
    scores = chain.from_iterable(evidence.scores[model.arm].values())
    rows = [score for score in scores if score.eval == HELDOUT]
    own = summary(rows)[0] if rows else None
    if model.arm == BASELINE:
        return own, []
    every = results.estimates(evidence, model.arm)
    estimates = [e for e in every if e.measure == "score" and "/" not in e.eval]
    return own, sorted(estimates, key=lambda e: e.eval != HELDOUT)


def _numbers(
    model: TrainedModel, own: dict[str, Any] | None, estimates: list[Estimate]
) -> dict[str, Any]:
    """The card's numbers as plain data."""
    metrics = [row for _, row in read_jsonl(model.cell / "metrics.jsonl")]
    heldout = [list(astuple(e.difference)) for e in estimates if e.eval == HELDOUT]
    return {
        "arm": model.arm,
        "seed": model.seed,
        "dose": model.experiment.arms[model.arm].dose,
        "effective_dose": effective_dose(metrics),
        "base_model": model.base,
        "licence": model.license,
        "weights_sha256": read_json(model.cell / "ledger.json")["weights"],
        "heldout": own and own["score"],
        "difference": heldout[0] if heldout else None,
    }
