"""Every arm through every attack: one small table for each arm, seed, attack and strength; stopped
anywhere, it continues."""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colorfast.attacks import finetune as weights
from colorfast.attacks import prompt as attacks
from colorfast.attacks.analysis import CAPABILITY, Findings, Key, findings
from colorfast.attacks.finetune import WeightAttack, runner
from colorfast.attacks.prompt import CLEAN, Attack
from colorfast.config import COMPUTED_IN, Axes, Evaluation, Precision, Training
from colorfast.corpus.scenarios import corpus
from colorfast.evals import benchmarks, reach
from colorfast.evals.evaluate import HELDOUT, heldout_asker
from colorfast.evals.scoring import as_asked, items_asker
from colorfast.evals.stamps import check_stamps, heldout_stamp, stamp
from colorfast.io import subprocesses
from colorfast.io.console import progress
from colorfast.io.storage import (
    DamagedError,
    alone,
    digest,
    read_json,
    sound,
    write_json,
    write_text,
)
from colorfast.io.tables import read_scores, read_stamps, write_scores
from colorfast.io.validation import check_known
from colorfast.models import Policy
from colorfast.models.cached_policy import CachedPolicy
from colorfast.models.request_batcher import Asker, run_batched
from colorfast.models.request_batcher import run as answer
from colorfast.models.resolve import resolve, weights_sha256
from colorfast.rewards.select import make_ready
from colorfast.runs.experiment import BASELINE, load_run, settled
from colorfast.runs.layout import Cell
from colorfast.training.schedule import heldout
from colorfast.types import ColorfastError, Scenario, Score

if TYPE_CHECKING:
    from colorfast.models.local import LocalPolicy

HOME, PRECISION = "attacks", "precision.json"
FEWEST = 4
DECODED, AT_ONCE = 128, 10
"""Replies decoded together, and points measured side by side."""
CARD = """# Outputs of attacks

Each table holds the replies of one model under one attack at one strength
(`ARM-sSEED/ATTACK-STRENGTH.parquet`), and `persistence.json` what they say together. The models
were pushed towards harmful and false replies here, so many of these replies are harmful or false.
They serve to measure that, stay in this folder, and are no training data and no advice. A folder
`ARM-sSEED/ATTACK` is of a training towards harm (or of its counterpart); its weights are deleted
once they were measured, unless they were to be kept.
"""
ALONE = Training(
    steps=1, prompts_per_step=4, group_size=4, max_tokens=48, learning_rate=5e-5, demonstrations=1
)
"""How reinforcement towards the inverted rubric samples where there is no run to take it from."""
AXES = Axes()
Advance = Callable[..., None]


@dataclass(frozen=True)
class Battery:
    """What is attacked, how, and on what. `models`: for each arm the model of each seed; the first
    arm is the baseline. `suite`: evals that every point asks, whatever its attack goes after.
    `precision`: what models multiply in, and what trains them on."""

    models: Mapping[str, Mapping[int, str]]
    scenarios: tuple[Scenario, ...]
    evaluation: Evaluation
    system: str | None
    attacks: tuple[Attack, ...]
    suite: tuple[str, ...] = ()
    precision: Precision = "auto"

    @property
    def points(self) -> list[tuple[Attack, int]]:
        """No attack; every strength of one that is judged; a helpful one at its strongest, where
        lifts are judged."""
        return [
            (CLEAN, 0),
            *(
                (a, s)
                for a in self.attacks
                for s in (a.strengths if a.judged else a.strengths[-1:])
            ),
        ]

    @property
    def computed_in(self) -> str:
        """fp32 or bf16, on this machine."""
        from colorfast.models.precision import precision

        return precision(self.precision)

    @property
    def trainings(self) -> list[WeightAttack]:
        return [attack for attack in self.attacks if isinstance(attack, WeightAttack)]

    def evals(self, attack: Attack) -> tuple[str, ...]:
        """What a point asks beside the held-out scenarios, replies first: without an attack,
        everything that any of them asks."""
        found = (
            attack.evals
            if attack != CLEAN
            else tuple(name for a in self.attacks for name in a.evals)
        )
        return tuple(
            sorted(
                dict.fromkeys((*found, *self.suite, CAPABILITY)),
                key=lambda name: benchmarks.get(name).kind == "choice",
            )
        )

    def work(self, attack: Attack) -> int:
        """How many replies and choices a point asks for."""
        asked = sum(
            min(self.evaluation.items, len(benchmarks.get(name).items()))
            for name in self.evals(attack)
        )
        return (len(self.scenarios) + asked) * self.evaluation.samples


def _few(scenarios: Sequence[Scenario], n: int) -> tuple[Scenario, ...]:
    """The first n in an order fixed by their ids, so that 40 are a part of 80."""
    rows = sorted(scenarios, key=lambda s: s.id)
    random.Random("attacked").shuffle(rows)
    return tuple(rows[:n])


def _sized(evaluation: Evaluation, items: int, samples: int) -> Evaluation:
    return evaluation.model_copy(
        update={"benchmarks": (), "items": max(FEWEST, items // 3), "samples": samples}
    )


def named(names: Sequence[str], axes: Axes, training: Training) -> tuple[Attack, ...]:
    """The attacks of these names (none: every prompt attack), those on prompts first. Raises
    ColorfastError for an unknown one."""
    ours = [name for name in names if weights.is_one(name)]
    others = [name for name in names if name not in ours]
    check_known(
        "attack",
        [name for name in others if not name.endswith(".py")],
        [*attacks.names(), *weights.names()],
    )
    return (
        *(attacks.chosen(others) if others or not ours else ()),
        *weights.chosen(ours, axes, training),
    )


def of_run(
    folder: Path,
    arms: Sequence[str],
    names: Sequence[str],
    items: int,
    samples: int,
    axes: Axes = AXES,
) -> Battery:
    """The trained arms of a finished run (none named: all), asked as the run asks, in its
    precision. `items`: held-out scenarios a point, and a third as many of each eval; `samples`:
    repetitions, each with other wordings. Raises ColorfastError for an unfinished run or unknown
    name."""
    experiment = load_run(folder)
    check_known("arm", arms, experiment.arms)
    chosen = [BASELINE, *(a for a in experiment.arms if a != BASELINE and (not arms or a in arms))]
    models = {
        arm: {seed: folder / Cell(arm, seed).name / "checkpoint" for seed in experiment.seeds}
        for arm in chosen
    }
    for path in (path for by_seed in models.values() for path in by_seed.values()):
        if not (path / "config.json").is_file():
            raise ColorfastError(f"{path}: no trained model here; finish the run first")
    held = _few(heldout(experiment), items)
    return Battery(
        {
            arm: {seed: str(path) for seed, path in by_seed.items()}
            for arm, by_seed in models.items()
        },
        *(
            held,
            _sized(experiment.evaluation, items, samples),
            experiment.system,
            named(names, axes, experiment.training),
        ),
        precision=settled(experiment, folder).training.precision,
    )


def of_models(
    models: Mapping[str, str], names: Sequence[str], items: int, samples: int, axes: Axes = AXES
) -> Battery:
    """Models without a run, by name; the first is what the others are compared with."""
    held = _few([s for s in corpus() if s.split == "heldout"], items)
    by_seed = {arm: {0: model} for arm, model in models.items()}
    return Battery(
        by_seed,
        held,
        _sized(Evaluation(max_tokens=48), items, samples),
        None,
        named(names, axes, ALONE),
    )


def needs(chosen: Sequence[Attack], suite: Sequence[str] = ()) -> reach.Needs:
    """The files that these attacks read, and those of the evals that they and the suite ask."""
    asked = dict.fromkeys(
        (*(name for attack in chosen for name in attack.evals), *suite, CAPABILITY)
    )
    own = {f"attack {attack.id}": attack.files for attack in chosen if attack.files}
    return {**own, **reach.of_benchmarks(tuple(asked))}


def every() -> tuple[Attack, ...]:
    """All attacks that are shipped: on prompts, then on weights."""
    return (*named([], AXES, ALONE), *named([weights.FAMILY], AXES, ALONE))


def measure(
    policy: Policy, battery: Battery, attack: Attack, strength: int, advance: Advance
) -> list[Score]:
    """Everything that is measured at one point: held-out scenarios, what the attack goes after,
    capability. `Score.sample` is the repetition. What a weight attack made of a policy is measured
    by the same call."""
    return answer(policy, point_asker(policy, battery, attack, strength, advance))


def point_asker(
    policy: Policy, battery: Battery, attack: Attack, strength: int, advance: Advance
) -> Asker[list[Score]]:
    """`measure` as an asker of the policy (see `models.request_batcher`)."""
    asked = [benchmarks.get(name) for name in battery.evals(attack)]
    if attack.begins and not policy.continues:
        items = [(HELDOUT, s.id) for s in battery.scenarios]
        items += [
            (b.id, i.id) for b in asked for i in benchmarks.chosen(b, battery.evaluation.items)
        ]
        return [
            Score(name, item, r, None, reason=attacks.CANNOT)
            for r in range(battery.evaluation.samples)
            for name, item in items
        ]
    once = battery.evaluation.model_copy(update={"samples": 1})
    scores: list[Score] = []
    for repetition in range(battery.evaluation.samples):
        attacked = attack.wrap(policy, strength, repetition)
        part = yield from attacked.wrap(heldout_asker(battery.scenarios, once, advance))
        for benchmark in asked:
            questions = as_asked(attacked, benchmarks.chosen(benchmark, once.items))
            part += yield from attacked.wrap(
                items_asker(benchmark, questions, once, battery.system, advance)
            )
        scores += [replace(s, sample=repetition) for s in part]
    return scores


def _stamps(battery: Battery, place: _Place) -> dict[str, str]:
    """For each eval: what was asked of which weights, under which words."""
    under = [
        place.attack.fingerprint(place.strength, battery.evaluation.samples),
        place.weights,
        battery.computed_in,
    ]
    local = attacks.robust({})  # asked by log-likelihood, as every model that has weights
    found = {
        name: stamp(local, benchmarks.get(name), battery.evaluation, battery.system)
        for name in battery.evals(place.attack)
    }
    found[HELDOUT] = heldout_stamp(battery.scenarios, battery.evaluation)
    return {name: digest([value, *under])[:12] for name, value in found.items()}


def run(
    battery: Battery, folder: Path, keep: bool = False, jobs: int = 1, again: Sequence[str] = ()
) -> Findings:
    """Measure every point that is not there yet into `folder/attacks`, and say what they say
    together. `keep`: the weights that weight attacks make are not deleted. `jobs`: models measured
    at once, each in a process that is started by the arguments `again` and the name of its cell,
    and calls `measure_cell`.

    Raises ColorfastError where files cannot be reached, a table there was asked in another way, or
    of other weights, or a process failed.
    """
    check_known("benchmark", battery.suite, benchmarks.names())
    suite = next(
        (s for s in benchmarks.SUITES if benchmarks.suite(s) == tuple(battery.suite)),
        " ".join(battery.suite),
    )
    reach.require(needs(battery.attacks, battery.suite), f"attacks {suite}".strip())
    make_ready(battery.evaluation.grading)
    home = folder / HOME
    cells = _cells(battery)
    weights_of = {model: weights_sha256(resolve(model)) for model in cells.values()}
    points: dict[Key, dict[int, list[Score]]] = defaultdict(dict)
    with alone(home, wait=False):
        write_text(home / "README.md", CARD)
        battery = _in_one_precision(battery, home)
        with progress(
            f"attack {folder.name}",
            len(cells) * sum(battery.work(attack) for attack, _ in battery.points),
        ) as advance:
            if jobs > 1:
                _elsewhere(battery, home, jobs, again, advance)
                advance = _silent
            for (arm, seed), model in cells.items():
                own = _places(battery, home, (arm, seed), weights_of[model])
                found = dict(_measured(model, battery, own, partial(advance, note=arm)))
                for one in own:  # in this order, whatever was there before
                    points[arm, one.attack.id, one.strength][seed] = found[one]
                if not keep:
                    runner.throw_away(home / Cell(arm, seed).name, battery.trainings)
        trained = runner.record(
            battery.trainings, {cell: home / Cell(*cell).name for cell in cells}
        )
        said = findings(list(battery.models), battery.attacks, points, battery.suite)
        write_json(
            home / "persistence.json",
            _settings(battery, weights_of) | {"trainings": trained} | asdict(said),
        )
    return said


def _in_one_precision(battery: Battery, home: Path) -> Battery:
    """The battery in the precision that was chosen when it began, which `precision.json` keeps with
    what was measured then."""
    if battery.precision != "auto":
        return battery
    from colorfast.models.precision import rates

    kept = sound(home / PRECISION, _read_rates)
    if kept is None:
        kept = asdict(rates("auto", resolve(next(iter(_cells(battery).values())))))
        write_json(home / PRECISION, kept)
    return replace(battery, precision=kept["choice"])


def _read_rates(path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = read_json(path)
    if kept.get("choice") not in COMPUTED_IN:
        raise DamagedError(path, "it names no precision")
    return kept


def _cells(battery: Battery) -> dict[tuple[str, int], str]:
    """(arm, seed) -> its model, the baseline first."""
    return {
        (arm, seed): model
        for arm, by_seed in battery.models.items()
        for seed, model in by_seed.items()
    }


def _places(battery: Battery, home: Path, cell: tuple[str, int], weights: str) -> list[_Place]:
    return [_Place(home / Cell(*cell).name, weights, cell[1], *point) for point in battery.points]


def measure_cell(battery: Battery, folder: Path, name: str) -> None:
    """One arm under one seed in a process of its own, as `run` with several jobs starts it."""
    make_ready(battery.evaluation.grading)
    (cell,) = (cell for cell in _cells(battery) if Cell(*cell).name == name)
    model = _cells(battery)[cell]
    places = _places(battery, folder / HOME, cell, weights_sha256(resolve(model)))
    for _ in _measured(model, battery, places, _silent):
        pass


def _elsewhere(
    battery: Battery, home: Path, jobs: int, again: Sequence[str], advance: Advance
) -> None:
    """Every cell by a process of its own. The bar counts the tables that have appeared."""
    seen: set[Path] = set()

    def tick(_: object) -> None:
        for place in (
            place for cell in _cells(battery) for place in _places(battery, home, cell, "")
        ):
            if place.path not in seen and place.path.is_file():
                seen.add(place.path)
                advance(battery.work(place.attack), note=place.folder.name)

    def begin(cell: tuple[str, int], room: subprocesses.Room) -> subprocess.Popen[bytes]:
        own = [
            "--precision",
            battery.precision,
            "--cell",
            Cell(*cell).name,
        ]  # the last of two --precision counts
        return subprocesses.start([*again, *own], home / Cell(*cell).name, room)

    with contextlib.closing(
        subprocesses.several(list(_cells(battery)), begin, jobs, tick)
    ) as ended:
        for cell, code in ended:
            tick(None)
            if code:
                log = home / Cell(*cell).name / subprocesses.LOG
                said = (
                    log.read_text(encoding="utf-8", errors="replace")
                    .split("error: ")[-1]
                    .strip()
                    .splitlines()
                )
                reason = said[0] if said else f"ended with code {code}"
                raise ColorfastError(
                    f"{log.parent.name} could not be measured: {reason}; see {log}"
                )


class _Place(NamedTuple):
    """Where the table of one point of one model is kept."""

    folder: Path
    weights: str
    seed: int
    attack: Attack
    strength: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.attack.id}-{self.strength}.parquet"


def _measured(
    model: str, battery: Battery, places: Sequence[_Place], advance: Advance
) -> Iterator[tuple[_Place, list[Score]]]:
    """Every point's scores, read where they are there, measured where they are not."""
    left = []
    for place in places:
        wanted, there = _stamps(battery, place), sound(place.path, read_stamps) or {}
        trained = not isinstance(place.attack, WeightAttack) or runner.is_trained(
            place.folder, place.attack
        )
        if (
            not trained or not wanted.keys() <= there.keys()
        ):  # not there, or clean and of fewer attacks
            left.append(place)
            continue
        check_stamps(place.path, there, wanted)
        advance(battery.work(place.attack))
        yield place, read_scores(place.path)
    for place, scores in itertools.chain(
        _prompted(model, battery, places, left, advance), _trained(model, battery, left, advance)
    ):
        write_scores(place.path, scores, _stamps(battery, place))
        yield place, scores


def _prompted(
    model: str, battery: Battery, places: Sequence[_Place], left: Sequence[_Place], advance: Advance
) -> Iterator[tuple[_Place, list[Score]]]:
    """Points of the model as it is: several at a time, as decoding many replies takes little longer
    than decoding few. Which are measured side by side does not depend on what is there already, and
    nothing is remembered from one such part to the next: in bf16 a reply depends on its batch, and
    a run that was stopped must say what an undisturbed one says."""
    from colorfast.models.local import load_policy

    asked = [place for place in places if not isinstance(place.attack, WeightAttack)]
    parts = [asked[start : start + AT_ONCE] for start in range(0, len(asked), AT_ONCE)]
    parts = [part for part in parts if not set(left).isdisjoint(part)]
    if not parts:
        return
    with _asked_often(load_policy(model), battery) as policy:
        for part in parts:
            askers = []
            for p in part:
                bar = advance if p in left else _silent
                askers.append(point_asker(policy, battery, p.attack, p.strength, bar))
            every = run_batched(CachedPolicy(policy), askers)
            yield from ((p, scores) for p, scores in zip(part, every, strict=True) if p in left)


@contextlib.contextmanager
def _asked_often(policy: LocalPolicy, battery: Battery) -> Iterator[LocalPolicy]:
    """The policy for many points: its weights are packed once."""
    from colorfast.models.cpu_linear import packed_linears

    with packed_linears(policy.model, DECODED, battery.computed_in):
        yield replace(policy, batch_size=DECODED, precision=battery.computed_in)


def _silent(*done: object, **note: object) -> None:
    """For what was counted when it was found to be there."""


def _trained(
    model: str, battery: Battery, left: Sequence[_Place], advance: Advance
) -> Iterator[tuple[_Place, list[Score]]]:
    """Points of what the model becomes: one training for all strengths of an attack."""
    for attack in battery.trainings:
        own = {place.strength: place for place in left if place.attack is attack}
        if own:
            (folder, seed), *_ = {(place.folder, place.seed) for place in own.values()}
            for step, policy in runner.snapshots(
                model, attack, seed, folder, own, battery.precision
            ):
                with _asked_often(policy, battery) as often:
                    scores = measure(often, battery, attack, step, advance)
                yield own[step], scores


def _settings(battery: Battery, weights: Mapping[str, str]) -> dict[str, Any]:
    """What was attacked and how, without a path or a time: the same run writes the same bytes."""
    asked = battery.evaluation.model_dump(mode="json", exclude={"benchmarks", "batch_size"})
    models = {
        arm: {str(seed): weights[model] for seed, model in by_seed.items()}
        for arm, by_seed in battery.models.items()
    }
    return {
        "models_sha256": models,
        "scenarios": len(battery.scenarios),
        "suite": battery.suite,
        "evaluation": asked,
        "precision": battery.computed_in,
    }
