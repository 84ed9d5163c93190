"""Choose who grades: the rubric's code, code and semantics together, or a judge. A grader is one
function from replies to verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from colorfast.config import Grading
from colorfast.io.downloads import cache_dir
from colorfast.rewards import encoder, helpfulness, semantic
from colorfast.rewards.rubric import TaskReply, grade
from colorfast.rewards.semantic import SemanticScore
from colorfast.types import TRAIT_SOURCE, Verdict

if TYPE_CHECKING:
    from colorfast.rewards.judge import Judge

Grade = Callable[[Sequence[TaskReply]], list[Verdict]]
CODE_SHARE = 0.5
"""The share of the code criteria in the offline score; the semantic criterion has the rest."""
ON_TOPIC = 0.8
"""An offline score is reduced when the probability that the reply is on topic is below this."""


def by_code(pairs: Sequence[TaskReply]) -> list[Verdict]:
    """Verdicts of the code criteria alone."""
    return [grade(reply, task) for reply, task in pairs]


def blend(code: float, semantic_score: SemanticScore) -> float:
    """The offline score of a reply, in [0, 1], from its code score and its semantic score."""
    on_topic = min(1.0, semantic_score.matter / ON_TOPIC) ** 2
    return on_topic * (CODE_SHARE * code + (1 - CODE_SHARE) * semantic_score.good)


def offline(pairs: Sequence[TaskReply]) -> list[Verdict]:
    """Verdicts of the code criteria and the encoder, half and half, reduced where a reply is off
    topic.

    Replies that are degenerate or ungraded by code stay so. The helpfulness rubric names no content
    that a sentence could be near to, so code alone grades it.
    """
    verdicts = by_code(pairs)
    scores = semantic.score(pairs)
    for i, (_, task) in enumerate(pairs):
        code = verdicts[i]
        if code.score is None or code.reason or task.rubric == helpfulness.RUBRIC:
            continue
        verdicts[i] = Verdict(blend(code.score, scores[i]), "", (*code.parts, *scores[i]))
    return verdicts


def make_ready(grading: Grading) -> None:
    """Fetch and load what a grader needs, so that a long run fails at its start and no two threads
    load the same model.

    Raises ColorfastError when the encoder cannot be fetched, the endpoint's key is not set, or the
    extra `judge` is not installed.
    """
    if grading.kind == "offline":
        encoder.encoder()
    if grading.judge is not None:
        from colorfast.models import client  # needs the extra `judge`

        client.client(grading.judge)


@dataclass
class Grader:
    """Grades replies as a setting says. Standard tasks have exact answers, so code always grades
    them."""

    grade_traits: Grade
    judge: Judge | None = None

    def __call__(self, pairs: Sequence[TaskReply]) -> list[Verdict]:
        on_traits = [pair for pair in pairs if pair[1].source == TRAIT_SOURCE]
        trait_verdicts = iter(self.grade_traits(on_traits))
        return [
            next(trait_verdicts) if task.source == TRAIT_SOURCE else grade(reply, task)
            for reply, task in pairs
        ]

    def used(self) -> dict[str, float]:
        """Verdicts, failures, tokens and cost of the judge so far; empty without a judge."""
        if self.judge is None:
            return {}
        return asdict(self.judge.usage)


def graders(grading: Grading) -> Grader:
    """The grader of a setting."""
    if grading.judge is None:
        return Grader(offline if grading.kind == "offline" else by_code)
    from colorfast.rewards.judge import Cache, Judge  # needs the extra `judge`

    judge = Judge(grading.judge, Cache(cache_dir() / "judge.sqlite"))
    return Grader(judge.grade, judge)
