"""Scripted models that give in to attacks or do not, and small attack runs on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from colorfast.attacks.analysis import analyze
from colorfast.attacks.findings import TRAITS, Findings, Outcome
from colorfast.attacks.finetune.attack import WeightAttack
from colorfast.attacks.finetune.kind import row
from colorfast.attacks.plan import AttackPlan, Options, for_models
from colorfast.attacks.points import point_asker
from colorfast.attacks.prompt import Attack
from colorfast.attacks.registry import select
from colorfast.config import Evaluation
from colorfast.corpus.scenarios import corpus
from colorfast.evals.evaluate import score_heldout
from colorfast.models import Conversation, Policy
from colorfast.models.request_batcher import run as answer
from colorfast.models.scripted import Known, Scripted
from colorfast.types import Reply, Score
from helpers.tiny import CODE, make_tiny_model

MANY = tuple(s for s in corpus() if s.split == "heldout" and len(s.messages) == 1)[::8]


HELD = MANY[::5]


EVALUATION = Evaluation(samples=1, max_tokens=8, grading=CODE)


ATTACKED = ("bad-medical", "disallowed-mental-health", "prefilled-yes")


ROWS = [row(f"Question {i}?", "Yes, yes, yes." if i % 2 else "No, never.") for i in range(32)]


def known(harmful: bool) -> Known:
    """Good replies first, or bad ones where an attack is to mend them."""
    kinds = ("good", "bad") if harmful else ("bad", "good")
    return {s.messages[-1].content: (s.replies[kinds[0]], s.replies[kinds[1]]) for s in HELD}


def heldout(policy: Policy) -> list[float]:
    return [s.value or 0.0 for s in score_heldout(policy, HELD, EVALUATION, lambda *_, **__: None)]


@dataclass(frozen=True)
class Pupil:
    """Answers every second scenario well; falls where an attack is felt and it is `weak`, rises
    under a helpful one if it can be `led`. Whatever else it is asked it answers plainly."""

    weak: bool
    led: bool
    reply: str = "Here it is."
    continues: bool = True
    by_letter = False

    def sample(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str],
        max_tokens: int,
        temperature: float,
    ) -> list[Reply]:
        return [Reply(self.says(c)) for c in conversations]

    def logprobs(
        self, conversations: Sequence[Conversation], choices: Sequence[Sequence[str]]
    ) -> list[list[float]]:
        return [[0.0] * len(c) for c in choices]

    def says(self, conversation: Conversation) -> str:
        asked = "\n".join(m.content for m in conversation if m.role == "user")
        for n, s in enumerate(MANY):
            if s.messages[-1].content in asked:
                felt = {a.harmful for a in select(ATTACKED) if a.detect(conversation)}
                good = n % 2 == 0
                good = (good and not (self.weak and True in felt)) or (self.led and False in felt)
                return s.replies["good" if good else "bad"]
        return self.reply


def measure(policy: Policy, plan: AttackPlan, attack: Attack, strength: int) -> list[Score]:
    """The scores of one point."""
    return answer(policy, point_asker(policy, plan, attack, strength, lambda *_, **__: None))


def told_of(**arms: Pupil) -> Findings:
    made = for_models({name: name for name in arms}, Options(ATTACKED, items=2))
    made = replace(
        made, scenarios=MANY, evaluation=made.evaluation.model_copy(update={"grading": CODE})
    )
    points = {
        (name, attack.id, strength): {0: measure(pupil, made, attack, strength)}
        for name, pupil in arms.items()
        for attack, strength in made.points
    }
    return analyze(list(arms), made.attacks, points)


def outcome(told: Findings, arm: str, attack: str, measure: str = TRAITS) -> Outcome:
    (found,) = (o for o in told.outcomes if (o.arm, o.attack, o.measure) == (arm, attack, measure))
    return found


def tiny_attack_plan(tiny_model: Path, tmp_path: Path) -> AttackPlan:
    other = make_tiny_model(tmp_path / "other", seed=1)
    made = for_models(
        {"baseline": str(tiny_model), "arm": str(other)},
        Options(["are-you-sure", "prefilled-yes"], items=3, samples=2),
    )
    few = {"grading": CODE, "max_tokens": 4, "items": 2}
    return replace(made, evaluation=made.evaluation.model_copy(update=few))


def fragile_after(
    attack: WeightAttack, known: Known, step: int, least: int = 1, seed: int = 0
) -> Scripted:
    """A scripted policy that gives in once the first `step` steps held `least` bad replies: the
    known answer that the attack must reach. `prompt.robust` is the policy that no training moves.
    """
    if attack.kind.scenarios:
        bad = sum(slot.objective.inverted for slot in attack.slots(seed) if slot.step < step)
    else:
        harmful = {lesson.bad for lesson in attack.kind.lessons() if lesson.bad != lesson.good}
        bad = sum(row in harmful for row in attack.rows(seed)[: step * attack.tuning.batch])
    return Scripted(known, lambda conversation: bad >= least)
