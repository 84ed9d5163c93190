"""Read the models of a finished run: trait directions from the start model, then every arm along
them; stopped anywhere, it continues."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colorfast.analysis.compare import estimate
from colorfast.config import Experiment
from colorfast.corpus.scenarios import corpus
from colorfast.evals.evaluate import HELDOUT
from colorfast.interp.directions import CONTROLS, FEWEST, Direction, Floats, direction
from colorfast.interp.shift import (
    FOLDER,
    MEASURES,
    Contrast,
    Inside,
    Measure,
    Quality,
    Shift,
    agree,
    quality,
    shifted,
)
from colorfast.io.console import progress
from colorfast.io.storage import digest, folder_lock, read_json, write_json, writing
from colorfast.io.tables import read_scores
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.rewards.text import words
from colorfast.runs.folder import load_run, load_scores
from colorfast.runs.layout import BASELINE, START
from colorfast.stats.rows import flat, unflat
from colorfast.training.schedule import all_scenarios, heldout, with_system
from colorfast.types import ColorfastError, Scenario, Score, Scores

if TYPE_CHECKING:
    from colorfast.models.local import LocalPolicy

SCENARIOS = 24
"""Most scenarios of a trait that are read on either side of the split, drawn by name: what keeps it
to minutes on two cores."""
SAMPLES = 2
"""Most replies of an arm to a held-out scenario that are read."""

Chosen = Mapping[str, tuple[Sequence[Scenario], Sequence[Scenario]]]
"""By trait: the training scenarios and the held-out ones that are read."""
Reading = Mapping[Measure, Floats]
"""One model: [held-out scenarios, 1 + CONTROLS], each along its own trait's direction and that
one's controls, in gaps."""


def choose(scenarios: Sequence[Scenario]) -> tuple[Chosen, dict[str, str]]:
    """The scenarios to read; and the traits that have too few, with the reason."""
    by_trait: dict[str, list[Scenario]] = {}
    for s in sorted(scenarios, key=lambda s: s.id):
        by_trait.setdefault(s.trait, []).append(s)
    chosen, left_out = {}, {}
    for trait, rows in by_trait.items():
        training, held = ([s for s in rows if s.split == split] for split in ("train", "heldout"))
        if len(training) < FEWEST or len(held) < 2:
            left_out[trait] = (
                f"{len(training)} training and {len(held)} held-out scenarios, it needs {FEWEST}"
                " and 2"
            )
        else:
            chosen[trait] = (
                _drawn(training, f"inside-training-{trait}"),
                _drawn(held, f"inside-heldout-{trait}"),
            )
    return chosen, left_out


def _drawn(rows: Sequence[Scenario], name: str) -> list[Scenario]:
    return random.Random(name).sample(rows, min(SCENARIOS, len(rows)))


@dataclass(frozen=True)
class _Probe:
    """What is read of a run, and where it is kept. `stamp`: what every reading depends on; a file
    of another stamp is made again."""

    folder: Path
    model: str
    stamp: str
    chosen: Chosen

    @cached_property
    def start(self) -> LocalPolicy:
        """The untrained model, loaded when it is first needed."""
        from colorfast.models.local import load_policy

        return load_policy(self.model)

    @cached_property
    def held(self) -> list[Scenario]:
        """The held-out scenarios, in the order of every reading."""
        return [s for _, held in self.chosen.values() for s in held]

    @cached_property
    def qualities(self) -> list[Quality]:
        """Of `directions`, in the same order."""
        assert self.directions  # writes the file
        return [unflat(Quality, row) for row in read_json(self.folder / "directions.json", list)]

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """By trait; from `directions.npz`, or made and written there."""
        path = self.folder / "directions.npz"
        kept = _load(path, self.stamp)
        if kept is None:
            made = self._make_directions()
            kept = {
                key: np.stack([getattr(d, key) for d in made])
                for key in ("trait", "layer", "gap", "vector", "controls")
            }
            _save(path, self.stamp, kept)
        rows = zip(
            *(kept[key] for key in ("trait", "layer", "gap", "vector", "controls")), strict=True
        )
        return {
            str(trait): Direction(str(trait), int(layer), float(gap), *vectors)
            for trait, layer, gap, *vectors in rows
        }

    def _make_directions(self) -> list[Direction]:
        total = sum(2 * len(side) for sides in self.chosen.values() for side in sides)
        with progress("read good and bad replies", total) as advance:
            made = [
                direction(trait, *self._known(training, advance))
                for trait, (training, _) in self.chosen.items()
            ]
            held = {trait: self._known(side, advance) for trait, (_, side) in self.chosen.items()}
        rows = []
        for d in made:
            training, side = self.chosen[d.trait]
            good, bad = (
                np.array([len(words(s.replies[kind])) for s in side], dtype=float)
                for kind in ("good", "bad")
            )
            rows.append(flat(quality(d, held, (good, bad), len(training))))
        write_json(self.folder / "directions.json", rows)
        return made

    def _known(
        self, scenarios: Sequence[Scenario], advance: Callable[[int], None]
    ) -> tuple[Floats, Floats]:
        """Activations of the good and of the bad replies to these scenarios, in the start model."""
        from colorfast.models.activations import activations

        _, means = activations(
            self.start,
            [(s.messages, s.replies[kind]) for s in scenarios for kind in ("good", "bad")],
            advance,
        )
        return means[::2], means[1::2]

    def read(self, cell: Path | None, scores: Sequence[Score]) -> Reading:
        """An arm's readings under one seed (without a cell: the start model's), from their file, or
        made and written there."""
        said: dict[str, list[str]] = {}
        for s in scores:
            if s.eval == HELDOUT and s.sample < SAMPLES:
                said.setdefault(s.item, []).append(s.reply)
        replies = [said[s.id] for s in self.held]
        path = self.folder / f"{cell.name if cell else START}.npz"
        stamp = digest(
            [self.stamp, read_json(cell / "ledger.json")["weights"] if cell else "", replies]
        )
        kept = _load(path, stamp)
        if kept is None:
            kept = self._own(replies) if cell is None else self._arms(cell, replies)
            _save(path, stamp, kept)
        return {measure: kept[measure] for measure in MEASURES}

    def _own(self, replies: Sequence[Sequence[str]]) -> dict[str, Floats]:
        prompt, reply = self._along(self.start, replies, f"read {START}")
        return {"prompt": prompt, "reply": reply, "text": reply}

    def _arms(self, cell: Path, replies: Sequence[Sequence[str]]) -> dict[str, Floats]:
        from colorfast.models.local import load_policy

        if not (cell / "checkpoint" / "config.json").is_file():
            raise ColorfastError(
                f"{cell}/checkpoint: no trained model here; run the experiment again to its end"
            )
        prompt, reply = self._along(
            load_policy(str(cell / "checkpoint")), replies, f"read {cell.name}"
        )
        _, text = self._along(self.start, replies, f"read the replies of {cell.name}")
        return {"prompt": prompt, "reply": reply, "text": text}

    def _along(
        self, policy: LocalPolicy, replies: Sequence[Sequence[str]], title: str
    ) -> tuple[Floats, Floats]:
        """[held-out scenarios, 1 + CONTROLS] at the prompt's last token, and over the replies: the
        mean over samples."""
        from colorfast.models.activations import activations

        rows = [(s, reply) for s, said in zip(self.held, replies, strict=True) for reply in said]
        with progress(title, len(rows)) as advance:
            found = activations(policy, [(s.messages, reply) for s, reply in rows], advance)
        along = (
            [
                self.directions[s.trait].project(x[None])[0]
                for (s, _), x in zip(rows, part, strict=True)
            ]
            for part in found
        )
        prompt, reply = (
            np.array(x, dtype=np.float32).reshape(len(self.held), -1, 1 + CONTROLS).mean(1)
            for x in along
        )
        return prompt, reply


def _save(path: Path, stamp: str, arrays: Mapping[str, Any]) -> None:
    with writing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, stamp=np.array(stamp), **arrays)


def _load(path: Path, stamp: str) -> dict[str, Any] | None:
    """The arrays of a file; None where there is none of this stamp, or it cannot be read: then they
    are made again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file) if str(file["stamp"]) == stamp else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _check_same(run: Path, experiment: Experiment, plan: Mapping[str, Any]) -> None:
    """Raises ColorfastError when the model or the scenarios are not those that the run was made
    of."""
    if (
        digest([s.model_dump(mode="json") for s in all_scenarios(experiment)])
        != plan["scenarios_sha256"]
    ):
        raise ColorfastError(
            f"{run}: the scenario files have changed since this run; run the experiment again into"
            " another --out"
        )
    if weights_sha256(resolve(experiment.model)) != plan["model_sha256"]:
        raise ColorfastError(
            f"{run}: the model {experiment.model} has changed since this run; run the experiment"
            " again into another --out"
        )


def directions(model: str, folder: Path) -> list[Quality]:
    """The trait directions of any model, from the shipped corpus, into `folder`: `directions.npz`
    and `directions.json`."""
    depends = [
        weights_sha256(resolve(model)),
        [s.model_dump(mode="json") for s in corpus()],
        SCENARIOS,
        CONTROLS,
    ]
    return _Probe(folder, model, digest(depends), choose(corpus())[0]).qualities


def look(run: Path) -> Inside:
    """Read every model of a finished run into RUN/inside: `directions.npz` and `.json`, a file a
    model, and at last `shifts.json`. What stands there and is still true is not made again.

    Raises ColorfastError when the run is not finished, or its model or scenarios are no longer what
    they were.
    """
    experiment = load_run(run)
    made = read_json(run / "run.json")
    _check_same(run, experiment, made["plan"])
    scores, untrained = load_scores(run, experiment), read_scores(run / START / "scores.parquet")
    chosen, left_out = choose(
        [with_system(s, experiment.system) for s in all_scenarios(experiment)]
    )
    if not chosen:
        raise ColorfastError(
            f"{run}: no trait has scenarios enough ({next(iter(left_out.values()))})"
        )
    probe = _Probe(
        run / FOLDER, experiment.model, digest([made["plan"], SCENARIOS, SAMPLES, CONTROLS]), chosen
    )
    with folder_lock(probe.folder, wait=False):
        start = _Side(
            START,
            dict.fromkeys(experiment.seeds, probe.read(None, untrained)),
            dict.fromkeys(experiment.seeds, untrained),
        )
        arms = [
            _Side(
                arm,
                {
                    seed: probe.read(run / f"{arm}-s{seed}", scores[arm][seed])
                    for seed in experiment.seeds
                },
                scores[arm],
            )
            for arm in experiment.arms
        ]
        baseline = next(side for side in arms if side.name == BASELINE)
        shifts: list[Shift] = []
        for ours, theirs in [
            *((arm, start) for arm in arms),
            *((arm, baseline) for arm in arms if arm is not baseline),
        ]:
            found, few = _compare(experiment, probe.held, ours, theirs)
            shifts += found
            left_out |= few
        inside = Inside(
            experiment.model,
            tuple(probe.qualities),
            tuple(shifts),
            tuple(agree(shifts, m) for m in MEASURES),
            left_out,
        )
        write_json(probe.folder / "shifts.json", flat(inside))
    return inside


class _Side(NamedTuple):
    """A model as one side of a comparison: what was read in it, and its scores, by seed."""

    name: str
    readings: Mapping[int, Reading]
    scores: Scores


def _compare(
    experiment: Experiment, held: Sequence[Scenario], ours: _Side, theirs: _Side
) -> tuple[list[Shift], dict[str, str]]:
    """Every measure's shifts, and what has none with the reason."""
    shifts: list[Shift] = []
    left_out: dict[str, str] = {}
    traits = {s.id: s.trait for s in heldout(experiment)}
    alone_heldout = experiment.evaluation.model_copy(update={"benchmarks": ()})
    changed = {
        e.eval.partition("/")[2]: e.difference.value
        for e in estimate(ours.name, ours.scores, theirs.scores, alone_heldout, traits)
    }
    for measure in MEASURES:
        apart = np.stack(
            [
                ours.readings[seed][measure] - theirs.readings[seed][measure]
                for seed in experiment.seeds
            ]
        )
        moved = {
            trait: apart[:, [k for k, s in enumerate(held) if s.trait == trait]]
            for trait in dict.fromkeys(s.trait for s in held)
        }
        found, few = shifted(Contrast(ours.name, theirs.name, measure), moved, changed)
        shifts += found
        left_out |= {
            f"{trait}: {ours.name} against {theirs.name}, {measure}": reason
            for trait, reason in few.items()
        }
    return shifts, left_out
