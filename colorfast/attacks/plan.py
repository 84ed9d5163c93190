"""The plan of an attack run: which models meet which attacks, and what is measured there."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

from colorfast.attacks.axes import Axes
from colorfast.attacks.finetune.attack import WeightAttack
from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.attacks.registry import AXES, RL_SETTINGS, select
from colorfast.config import Evaluation, Precision, Training
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks, reach
from colorfast.io.validation import check_known
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.runs.folder import in_run_precision, load_run
from colorfast.runs.layout import BASELINE, Cell
from colorfast.training.schedule import heldout
from colorfast.types import ColorfastError, Scenario

HOME = "attacks"
"""The folder of an attack run, in the folder of the run."""
CAPABILITY = "mmlu-high-school-geography"
"""Measured at every point, so that a loss of capability is not taken for misalignment."""
FEWEST_ITEMS = 4


@dataclass(frozen=True)
class Options:
    """The size of an attack run. `names`: of attacks, empty for all prompt attacks. `items`:
    held-out scenarios at every point; each eval gets a third as many items. `samples`: repetitions,
    each with other wordings. `suite`: evals that every point measures besides its own.
    `precision`: None takes the run's."""

    names: Sequence[str] = ()
    items: int = 24
    samples: int = 1
    axes: Axes = AXES
    suite: tuple[str, ...] = ()
    precision: Precision | None = None


@dataclass(frozen=True)
class AttackedModel:
    """The model of one arm and seed. `folder`: where its tables and trainings are kept."""

    arm: str
    seed: int
    model: str
    folder: Path

    @cached_property
    def sha256(self) -> str:
        """The hash of the weights."""
        return weights_sha256(resolve(self.model))


@dataclass(frozen=True)
class AttackPlan:
    """Which models meet which attacks, and how they are measured. `models`: each arm's model of
    each seed, the baseline first."""

    models: Mapping[str, Mapping[int, str]]
    scenarios: tuple[Scenario, ...]
    evaluation: Evaluation
    attacks: tuple[Attack, ...]
    suite: tuple[str, ...] = ()
    precision: Precision = "auto"
    system: str | None = None

    @property
    def points(self) -> list[tuple[Attack, int]]:
        """(attack, strength) of every point: no attack, every strength of an attack that is judged,
        and the highest strength of a helpful one."""
        points = [(CLEAN, 0)]
        for attack in self.attacks:
            strengths = attack.strengths if attack.judged else attack.strengths[-1:]
            points += [(attack, strength) for strength in strengths]
        return points

    @property
    def computed_in(self) -> str:
        """fp32 or bf16, on this machine."""
        from colorfast.models.precision import precision  # imports torch

        return precision(self.precision)

    @property
    def trainings(self) -> list[WeightAttack]:
        """The weight attacks."""
        return [attack for attack in self.attacks if isinstance(attack, WeightAttack)]

    def cells(self, home: Path) -> list[AttackedModel]:
        """The models, arm by arm, with their folders in `home`."""
        cells = []
        for arm, by_seed in self.models.items():
            for seed, model in by_seed.items():
                cells.append(AttackedModel(arm, seed, model, home / Cell(arm, seed).name))
        return cells

    def evals(self, attack: Attack) -> list[str]:
        """What a point measures besides the held-out scenarios, written replies first. The clean
        point measures the evals of all attacks."""
        return _evals(self.attacks if attack == CLEAN else [attack], self.suite)

    def size(self, attack: Attack) -> int:
        """The number of replies and choices at a point."""
        size = len(self.scenarios)
        for name in self.evals(attack):
            size += len(benchmarks.chosen(benchmarks.get(name), self.evaluation.items))
        return size * self.evaluation.samples


def for_run(folder: Path, arms: Sequence[str], options: Options) -> AttackPlan:
    """The plan for trained arms of a finished run (no arms: all), measured with the run's settings.
    Raises ColorfastError for an unfinished run or an unknown name."""
    experiment = load_run(folder)
    check_known("arm", arms, experiment.arms)
    models: dict[str, dict[int, str]] = {BASELINE: {}}
    models |= {arm: {} for arm in experiment.arms if not arms or arm in arms}
    for arm, by_seed in models.items():
        for seed in experiment.seeds:
            checkpoint = folder / Cell(arm, seed).name / "checkpoint"
            if not (checkpoint / "config.json").is_file():
                raise ColorfastError(f"{checkpoint}: no trained model here; finish the run first")
            by_seed[seed] = str(checkpoint)
    plan = _plan(models, heldout(experiment), experiment.evaluation, experiment.training, options)
    if options.precision is None:
        plan = replace(plan, precision=in_run_precision(experiment, folder).training.precision)
    return replace(plan, system=experiment.system)


def for_models(models: Mapping[str, str], options: Options) -> AttackPlan:
    """The plan for models without a run, by name. The others are compared with the first."""
    scenarios = [s for s in corpus() if s.split == "heldout"]
    by_seed = {arm: {0: model} for arm, model in models.items()}
    return _plan(by_seed, scenarios, Evaluation(max_tokens=48), RL_SETTINGS, options)


def _plan(
    models: Mapping[str, Mapping[int, str]],
    scenarios: Sequence[Scenario],
    evaluation: Evaluation,
    training: Training,
    options: Options,
) -> AttackPlan:
    # an order that ids fix, so that 40 scenarios are a part of 80
    rows = sorted(scenarios, key=lambda s: s.id)
    random.Random("attacked").shuffle(rows)
    items = max(FEWEST_ITEMS, options.items // 3)
    sizes = {"benchmarks": (), "items": items, "samples": options.samples}
    return AttackPlan(
        models,
        tuple(rows[: options.items]),
        evaluation.model_copy(update=sizes),
        select(options.names, options.axes, training),
        options.suite,
        options.precision or "auto",
    )


def needs(attacks: Sequence[Attack], suite: Sequence[str] = ()) -> reach.Needs:
    """The files that the attacks, their evals and the suite read."""
    files = {f"attack {attack.id}": attack.files for attack in attacks if attack.files}
    return {**files, **reach.of_benchmarks(_evals(attacks, suite))}


def _evals(attacks: Sequence[Attack], suite: Sequence[str]) -> list[str]:
    own = chain.from_iterable(attack.evals for attack in attacks)
    names = dict.fromkeys([*own, *suite, CAPABILITY])
    return sorted(names, key=lambda name: benchmarks.get(name).kind == "choice")
