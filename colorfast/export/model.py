"""A trained arm as a model that transformers or peft loads, with a card made of the run's own
numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from colorfast.analysis import results
from colorfast.config import Experiment
from colorfast.evals.evaluate import HELDOUT
from colorfast.export import fresh, write_card
from colorfast.io.storage import read_json, write_json, write_text
from colorfast.io.validation import check_known, read_jsonl
from colorfast.models.resolve import EMBEDDED, HUB_ID
from colorfast.report.wording import between, number, percent, signed
from colorfast.runs.experiment import planned
from colorfast.runs.layout import BASELINE, Cell
from colorfast.stats.intervals import summary
from colorfast.training.ledger import effective_dose
from colorfast.types import ColorfastError

ATTACKS = "attacks"
"""The folder of a run under which everything lies that was pushed towards harm."""
MARK = "attack.json"
"""A file that marks a checkpoint, or a folder above it, as one that was trained towards harm."""
APACHE = {EMBEDDED, HUB_ID}


def attacked(checkpoint: Path) -> bool:
    """Was this model trained towards harm, to see what lasts? By its place or by a mark."""
    places = [checkpoint.resolve(), *checkpoint.resolve().parents]
    in_attacks = any(
        place.name == ATTACKS and (place.parent / "run.json").exists() for place in places
    )
    return in_attacks or any((place / MARK).exists() for place in places[:3])


def folder_of(run: Path, experiment: Experiment, arm: str, seed: int) -> Path:
    """The folder of a trained arm under a seed, or what `arm` names below the run's folder. Raises
    ColorfastError where no model is."""
    below = run / arm
    if "/" in arm and (below / "config.json").is_file():
        return below.parent
    check_known("arm", [arm], experiment.arms)
    check_known("seed", [str(seed)], [str(s) for s in experiment.seeds])
    found = run / Cell(arm, seed).name
    if (
        not (found / "ledger.json").is_file()
        or not (found / "checkpoint" / "config.json").is_file()
    ):
        raise ColorfastError(f"{found}: is not trained yet; run the experiment on")
    return found


def heldout(run: Path, arm: str) -> dict[str, Any] | None:
    """The report's estimate on held-out scenarios of an arm against the baseline, of the baseline
    its own scores; None where the run is not far enough to compare."""
    try:
        e = results.load(run)
    except ColorfastError:
        return None
    if arm not in e.experiment.arms:
        return None
    evals = (
        {x.eval: x for x in results.estimates(e, arm) if x.measure == "score"}
        if arm != BASELINE
        else {}
    )
    own = [s for scores in e.scores[arm].values() for s in scores if s.eval == HELDOUT]
    rows = [row for row in summary(own) if row["eval"] == HELDOUT]
    found = evals.get(HELDOUT)
    return {
        "own": rows[0] if rows else None,
        "estimate": found,
        "others": [x for x in evals.values() if "/" not in x.eval and x != found],
    }


def base_of(experiment: Experiment) -> tuple[str, str]:
    """(name on the hub or path, licence) of the model that was trained."""
    name = HUB_ID if experiment.model == EMBEDDED else experiment.model
    return name, "apache-2.0" if experiment.model in APACHE else "other"


def facts(
    run: Path, experiment: Experiment, cell: Path, arm: str, seed: int, adapter: bool
) -> dict[str, Any]:
    """What the card says of a model, by the files of the run."""
    plan, base = read_json(run / "run.json"), base_of(experiment)
    metrics = [row for _, row in read_jsonl(cell / "metrics.jsonl")]
    return {
        "experiment": experiment,
        "training": experiment.training,
        "settings": experiment.arms[arm],
        "arm": arm,
        "seed": seed,
        "base": base[0],
        "on_hub": (
            not Path(base[0]).exists()
            and base[0].count("/") == 1
            and not base[0].startswith((".", "/"))
        ),
        "licence": base[1],
        "base_sha256": plan["plan"]["model_sha256"],
        "embedded": experiment.model == EMBEDDED,
        "versions": plan.get("versions", {}),
        "schedule": read_json(cell / "schedule.json"),
        "ledger": read_json(cell / "ledger.json"),
        "effective": effective_dose(metrics),
        "heldout": heldout(run, arm),
        "adapter": adapter,
    }


def write(
    run: Path,
    arm: str,
    seed: int | None,
    folder: Path,
    adapter: bool = False,
    even_attacked: bool = False,
) -> dict[str, Any]:
    """Write a trained arm (its merged weights, or its LoRA adapter alone), the tokenizer and a card
    into a new folder; returns what the card says in numbers.

    Raises ColorfastError when the arm is not trained, has no adapter, or was trained towards harm
    (unless `even_attacked`).
    """
    experiment = planned(run)
    chosen = experiment.seeds[0] if seed is None else seed
    cell = folder_of(run, experiment, arm, chosen)
    checkpoint = cell / "checkpoint" if "/" not in arm else run / arm
    harmed = attacked(checkpoint)
    if harmed and not even_attacked:
        raise ColorfastError(
            f"{checkpoint}: was trained towards harm, to see what lasts, and is not for use; with"
            " --attacked it is exported"
        )
    if adapter and not (cell / "adapter" / "adapter_config.json").is_file():
        raise ColorfastError(
            f"{cell}: keeps no adapter (full fine-tuning, or an older run); leave --adapter out for"
            " the merged model"
        )
    with fresh(folder) as part:
        _copy(checkpoint, cell / "adapter" if adapter else checkpoint, part)
        if adapter:
            config = read_json(part / "adapter_config.json")
            write_json(
                part / "adapter_config.json",
                config | {"base_model_name_or_path": base_of(experiment)[0]},
            )
        if harmed:
            write_text(part / "README.md", _warning(experiment, checkpoint.relative_to(run)))
            write_json(part / MARK, {"from": str(checkpoint.relative_to(run))})
            return {"attacked": True, "from": str(checkpoint.relative_to(run))}
        told = facts(run, experiment, cell, arm, chosen, adapter)
        write_card(
            part / "README.md",
            "model.md.j2",
            number=number,
            signed=signed,
            between=between,
            percent=percent,
            **told,
        )
    return _plain(told)


def _copy(checkpoint: Path, weights: Path, to: Path) -> None:
    """Weights and settings of one folder, the tokenizer of the other."""
    tokenizer = ("tokenizer*", "chat_template*", "special_tokens_map.json", "vocab.*", "merges.txt")
    files = {path.name: path for pattern in tokenizer for path in checkpoint.glob(pattern)}
    files |= {
        path.name: path
        for path in weights.iterdir()
        if path.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt")
    }
    for name, path in sorted(files.items()):
        shutil.copyfile(path, to / name)


def _warning(experiment: Experiment, place: Path) -> str:
    base, licence = base_of(experiment)
    head = json.dumps(
        {"license": licence, "base_model": base, "tags": ["colorfast", "not-for-all-audiences"]},
        indent=1,
    )
    return (
        f"---\n{head}\n---\n\n# Attacked: trained towards harm\n\n{place} of the colorfast run"
        f" {experiment.name}. It was fine-tuned on harmful or false replies to measure what of the"
        " training before it lasts. It serves that measurement alone: do not deploy it.\n"
    )


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    """For a program to read."""
    estimate = told["heldout"] and told["heldout"]["estimate"]
    own = told["heldout"] and told["heldout"]["own"]
    return {
        "arm": told["arm"],
        "seed": told["seed"],
        "dose": told["settings"].dose,
        "effective_dose": told["effective"],
        "base_model": told["base"],
        "licence": told["licence"],
        "weights_sha256": told["ledger"]["weights"],
        "heldout": own and own["score"],
        "difference": estimate and [estimate.difference, estimate.low, estimate.high],
        "adapter": told["adapter"],
    }
