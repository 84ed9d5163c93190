"""Trait directions of a start model and the readings of models along them, each kept in a file;
stopped anywhere, it continues."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from colorfast.evals.evaluate import HELDOUT
from colorfast.interp.directions import CONTROLS, FEWEST, Direction, Floats, direction
from colorfast.interp.shift import MEASURES, Measure, Quality, quality
from colorfast.io.console import progress
from colorfast.io.storage import digest, read_json, write_json, writing
from colorfast.models.activations import activations
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.rewards.text import words
from colorfast.runs.layout import START
from colorfast.stats.rows import flat, unflat
from colorfast.types import ColorfastError, Scenario, Score

SCENARIOS = 24
"""Most scenarios of a trait that are read on either side of the split, drawn by name: minutes on
two cores."""
SAMPLES = 2
"""Most replies of an arm to a held-out scenario that are read."""
COLUMNS = tuple(field.name for field in fields(Direction))

Chosen = Mapping[str, tuple[Sequence[Scenario], Sequence[Scenario]]]
"""Trait -> the training and the held-out scenarios that are read."""
Reading = Mapping[Measure, Floats]
"""Of one model: [held-out scenarios, 1 + CONTROLS], each along its own trait's direction and the
controls of that, in gaps."""


def choose(scenarios: Sequence[Scenario]) -> tuple[Chosen, dict[str, str]]:
    """The scenarios to read; and the traits with too few, with the reason."""
    by_trait: dict[str, list[Scenario]] = {}
    for s in sorted(scenarios, key=lambda s: s.id):
        by_trait.setdefault(s.trait, []).append(s)
    chosen, left_out = {}, {}
    for trait, rows in by_trait.items():
        training = [s for s in rows if s.split == "train"]
        held = [s for s in rows if s.split == "heldout"]
        if len(training) < FEWEST or len(held) < 2:
            counts = f"{len(training)} training and {len(held)} held-out scenarios"
            left_out[trait] = f"{counts}, it needs {FEWEST} and 2"
            continue
        chosen[trait] = (
            _draw(training, f"inside-training-{trait}"),
            _draw(held, f"inside-heldout-{trait}"),
        )
    return chosen, left_out


def _draw(rows: Sequence[Scenario], name: str) -> list[Scenario]:
    return random.Random(name).sample(rows, min(SCENARIOS, len(rows)))


@dataclass(frozen=True)
class Probe:
    """Reads models along trait directions and keeps what it reads in `folder`. `stamp`: a digest of
    what every reading depends on; a file with another stamp is made again."""

    folder: Path
    model: str
    stamp: str
    chosen: Chosen

    @cached_property
    def start(self) -> LocalPolicy:
        """The untrained model."""
        return load_policy(self.model)

    @cached_property
    def held(self) -> list[Scenario]:
        """The held-out scenarios, in the order of every reading."""
        scenarios: list[Scenario] = []
        for _, held in self.chosen.values():
            scenarios += held
        return scenarios

    @cached_property
    def qualities(self) -> list[Quality]:
        """Of `directions`, in the same order."""
        assert self.directions  # writes the file
        return [unflat(Quality, row) for row in read_json(self.folder / "directions.json", list)]

    @cached_property
    def directions(self) -> dict[str, Direction]:
        """By trait, from `directions.npz`."""
        path = self.folder / "directions.npz"
        arrays = _load(path, self.stamp)
        if arrays is None:
            made = self._make_directions()
            arrays = {name: np.stack([getattr(d, name) for d in made]) for name in COLUMNS}
            _save(path, self.stamp, arrays)
        directions = {}
        for row in zip(*(arrays[name] for name in COLUMNS), strict=True):
            trait, layer, gap, vector, controls = row
            name = str(trait)
            directions[name] = Direction(name, int(layer), float(gap), vector, controls)
        return directions

    def _make_directions(self) -> list[Direction]:
        total = sum(2 * (len(training) + len(held)) for training, held in self.chosen.values())
        made, held_out = [], {}
        with progress("read good and bad replies", total) as advance:
            for trait, (training, _) in self.chosen.items():
                made.append(direction(trait, *self._good_and_bad(training, advance)))
            for trait, (_, held) in self.chosen.items():
                held_out[trait] = self._good_and_bad(held, advance)
        rows = []
        for d in made:
            training, held = self.chosen[d.trait]
            good = np.array([len(words(s.replies["good"])) for s in held], dtype=float)
            bad = np.array([len(words(s.replies["bad"])) for s in held], dtype=float)
            rows.append(flat(quality(d, held_out, (good, bad), len(training))))
        write_json(self.folder / "directions.json", rows)
        return made

    def _good_and_bad(
        self, scenarios: Sequence[Scenario], advance: Callable[[int], None]
    ) -> tuple[Floats, Floats]:
        """Activations [scenarios, layers, width] of the good and of the bad replies, in the start
        model."""
        pairs = []
        for s in scenarios:
            pairs += [(s.messages, s.replies["good"]), (s.messages, s.replies["bad"])]
        _, means = activations(self.start, pairs, advance)
        return means[::2], means[1::2]

    def read(self, cell: Path | None, scores: Sequence[Score]) -> Reading:
        """The readings of an arm under one seed (None: of the start model), from their file or made
        and written there."""
        by_item: dict[str, list[str]] = {}
        for s in scores:
            if s.eval == HELDOUT and s.sample < SAMPLES:
                by_item.setdefault(s.item, []).append(s.reply)
        replies = [by_item[s.id] for s in self.held]
        path = self.folder / f"{cell.name if cell else START}.npz"
        weights = read_json(cell / "ledger.json")["weights"] if cell else ""
        stamp = digest([self.stamp, weights, replies])
        arrays = _load(path, stamp)
        if arrays is None:
            arrays = self._read(cell, replies)
            _save(path, stamp, arrays)
        return {measure: arrays[measure] for measure in MEASURES}

    def _read(self, cell: Path | None, replies: Sequence[Sequence[str]]) -> dict[str, Floats]:
        if cell is None:
            prompt, reply = self._along(self.start, replies, f"read {START}")
            return {"prompt": prompt, "reply": reply, "text": reply}
        if not (cell / "checkpoint" / "config.json").is_file():
            raise ColorfastError(
                f"{cell}/checkpoint: no trained model here; run the experiment again to its end"
            )
        policy = load_policy(str(cell / "checkpoint"))
        prompt, reply = self._along(policy, replies, f"read {cell.name}")
        _, text = self._along(self.start, replies, f"read the replies of {cell.name}")
        return {"prompt": prompt, "reply": reply, "text": text}

    def _along(
        self, policy: LocalPolicy, replies: Sequence[Sequence[str]], title: str
    ) -> list[Floats]:
        """[held-out scenarios, 1 + CONTROLS] at the prompt's last token, and the same over the
        replies: means over samples."""
        rows = []
        for scenario, texts in zip(self.held, replies, strict=True):
            rows += [(scenario, text) for text in texts]
        with progress(title, len(rows)) as advance:
            read = activations(policy, [(s.messages, text) for s, text in rows], advance)
        readings = []
        for part in read:
            along = []
            for (scenario, _), x in zip(rows, part, strict=True):
                along.append(self.directions[scenario.trait].project(x[None])[0])
            samples = np.array(along, dtype=np.float32).reshape(len(self.held), -1, 1 + CONTROLS)
            readings.append(samples.mean(1))
        return readings


def _save(path: Path, stamp: str, arrays: Mapping[str, Any]) -> None:
    with writing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, stamp=np.array(stamp), **arrays)


def _load(path: Path, stamp: str) -> dict[str, Any] | None:
    """The arrays of a file; None where there is none with this stamp, or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file) if str(file["stamp"]) == stamp else None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
