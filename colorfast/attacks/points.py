"""Measuring points: one model under one attack at one strength, several points side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from colorfast.attacks.finetune import runner
from colorfast.attacks.finetune.attack import WeightAttack
from colorfast.attacks.plan import AttackedModel, AttackPlan
from colorfast.attacks.prompt import Attack, robust
from colorfast.evals import benchmarks
from colorfast.evals.evaluate import HELDOUT, heldout_asker
from colorfast.evals.scoring import as_asked, items_asker
from colorfast.evals.stamps import check_stamps, heldout_stamp, stamp
from colorfast.io.storage import digest, load_or_quarantine
from colorfast.io.tables import read_scores, read_stamps, write_scores
from colorfast.models import Policy
from colorfast.models.cached_policy import CachedPolicy
from colorfast.models.cpu_linear import packed_linears
from colorfast.models.local import LocalPolicy, load_policy
from colorfast.models.request_batcher import Asker, run, run_batched
from colorfast.types import Score

BATCH, POINTS_AT_ONCE = 128, 10
"""Replies decoded together, and points measured side by side."""
NO_PREFILL = "this policy cannot be given the first words of its reply"
Advance = Callable[..., None]


@dataclass(frozen=True)
class Point:
    """One model under one attack at one strength."""

    attacked: AttackedModel
    attack: Attack
    strength: int

    @property
    def table(self) -> Path:
        """The file of its scores."""
        return self.attacked.folder / f"{self.attack.id}-{self.strength}.parquet"

    def stamps(self, plan: AttackPlan) -> dict[str, str]:
        """For each eval, a hash of the questions, the attack, the weights and the precision."""
        repetitions = plan.evaluation.samples
        how = [
            self.attack.fingerprint(self.strength, repetitions),
            self.attacked.sha256,
            plan.computed_in,
        ]
        # models on this machine give log-likelihoods, as scripted ones do
        stamps = {HELDOUT: heldout_stamp(plan.scenarios, plan.evaluation)}
        for name in plan.evals(self.attack):
            stamps[name] = stamp(robust({}), benchmarks.get(name), plan.evaluation, plan.system)
        return {name: digest([value, *how])[:12] for name, value in stamps.items()}

    def is_measured(self, plan: AttackPlan) -> bool:
        """Whether its table holds all evals. The clean table lacks some after a run with fewer
        attacks. Raises ColorfastError for a table that was measured in another way."""
        attack = self.attack
        if isinstance(attack, WeightAttack) and not runner.is_trained(self.attacked, attack):
            return False
        stamps, kept = self.stamps(plan), load_or_quarantine(self.table, read_stamps) or {}
        if not stamps.keys() <= kept.keys():
            return False
        check_stamps(self.table, kept, stamps)
        return True


def point_asker(
    policy: Policy, plan: AttackPlan, attack: Attack, strength: int, advance: Advance
) -> Asker[list[Score]]:
    """Measure a point: held-out scenarios, the evals of the attack, and capability.
    `Score.sample` is the repetition."""
    once = plan.evaluation.model_copy(update={"samples": 1})
    evals = []
    for benchmark in map(benchmarks.get, plan.evals(attack)):
        evals.append((benchmark, benchmarks.chosen(benchmark, once.items)))
    scores: list[Score] = []
    for repetition in range(plan.evaluation.samples):
        attacked = attack.wrap(policy, strength, repetition)
        part: list[Score] = []
        if attack.prefills and not policy.continues:
            part += [Score(HELDOUT, s.id, 0, None, reason=NO_PREFILL) for s in plan.scenarios]
            for benchmark, items in evals:
                part += [Score(benchmark.id, i.id, 0, None, reason=NO_PREFILL) for i in items]
        else:
            part += yield from attacked.wrap(heldout_asker(plan.scenarios, once, advance))
            for benchmark, items in evals:
                questions = as_asked(attacked, items)
                asker = items_asker(benchmark, questions, once, plan.system, advance)
                part += yield from attacked.wrap(asker)
        scores += [replace(s, sample=repetition) for s in part]
    return scores


def measure(attacked: AttackedModel, plan: AttackPlan, advance: Advance) -> list[list[Score]]:
    """Measure every point of a model that has no table yet. Returns the scores of all of them."""
    points = [Point(attacked, attack, strength) for attack, strength in plan.points]
    todo = [point for point in points if not point.is_measured(plan)]
    advance(sum(plan.size(point.attack) for point in points if point not in todo))
    _measure_prompts(points, todo, plan, advance)
    _measure_trainings(attacked, todo, plan, advance)
    return [read_scores(point.table) for point in points]


def _measure_prompts(
    points: Sequence[Point], todo: Collection[Point], plan: AttackPlan, advance: Advance
) -> None:
    """Measure points of the model as it is, in fixed parts, because decoding many replies takes
    little longer than decoding few.

    In bf16 a reply depends on its batch. So that a stopped run ends with the same scores, the parts
    do not depend on what is measured already, and the cache does not outlive a part.
    """
    prompts = [point for point in points if not isinstance(point.attack, WeightAttack)]
    parts = [prompts[i : i + POINTS_AT_ONCE] for i in range(0, len(prompts), POINTS_AT_ONCE)]
    parts = [part for part in parts if not set(part).isdisjoint(todo)]
    if not parts:
        return
    with _many_points(load_policy(points[0].attacked.model), plan) as policy:
        for part in parts:
            askers = []
            for point in part:
                report = advance if point in todo else ignore
                askers.append(point_asker(policy, plan, point.attack, point.strength, report))
            for point, scores in zip(part, run_batched(CachedPolicy(policy), askers), strict=True):
                if point in todo:
                    write_scores(point.table, scores, point.stamps(plan))


def _measure_trainings(
    attacked: AttackedModel, todo: Collection[Point], plan: AttackPlan, advance: Advance
) -> None:
    """Measure points of the models that trainings make: one training for all strengths."""
    for attack in plan.trainings:
        own = {point.strength: point for point in todo if point.attack is attack}
        if own:
            for step, policy in runner.snapshots(attacked, attack, own, plan.precision):
                with _many_points(policy, plan) as batched:
                    scores = run(batched, point_asker(batched, plan, attack, step, advance))
                write_scores(own[step].table, scores, own[step].stamps(plan))


@contextmanager
def _many_points(policy: LocalPolicy, plan: AttackPlan) -> Iterator[LocalPolicy]:
    """The policy with large batches, and with its weights packed once for all points."""
    with packed_linears(policy.model, BATCH, plan.computed_in):
        yield replace(policy, batch_size=BATCH, precision=plan.computed_in)


def ignore(*progress: object, **note: object) -> None:
    """Report no progress: these points were counted already."""
