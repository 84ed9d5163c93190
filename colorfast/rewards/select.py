"""Who grades: the rubric's code, code and meaning together, or a judge. One function from pairs to
verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colorfast.config import Grading
from colorfast.io.downloads import cache_dir
from colorfast.rewards import encoder, helpfulness, semantic
from colorfast.rewards.rubric import grade
from colorfast.rewards.semantic import Meaning
from colorfast.types import TRAIT_SOURCE, Reply, Task, Verdict

if TYPE_CHECKING:
    from colorfast.rewards.judge import Judge

Pair = tuple[Reply, Task]
Grade = Callable[[Sequence[Pair]], list[Verdict]]
CODE = 0.5
"""The share of the code criteria in the offline score; the semantic one has the rest."""
BESIDE = 0.8
"""Below this chance of being about the matter at all, an offline score counts less, with the
square, down to nothing."""


def by_code(pairs: Sequence[Pair]) -> list[Verdict]:
    return [grade(reply, task) for reply, task in pairs]


def both(code: float, meaning: Meaning) -> float:
    """The offline score of a reply, in [0, 1]: from what its code criteria found and what it sounds
    like."""
    return min(1.0, meaning.matter / BESIDE) ** 2 * (CODE * code + (1 - CODE) * meaning.good)


def offline(pairs: Sequence[Pair]) -> list[Verdict]:
    """Code criteria and meaning, half and half, less where the reply is beside the matter; what the
    code finds degenerate or cannot grade stays as it is.

    The helpfulness rubric names no content that a meaning could be near to: code alone.
    """
    found = by_code(pairs)
    meant = semantic.score(pairs)
    return [
        (
            v
            if v.score is None or v.reason or task.rubric == helpfulness.RUBRIC
            else Verdict(both(v.score, m), "", (*v.parts, *m))
        )
        for v, m, (_, task) in zip(found, meant, pairs, strict=True)
    ]


def make_ready(grading: Grading) -> None:
    """Fetch and load what a grader needs, so that what is missing is found before a long run and
    not in it, and no two threads load it.

    Raises ColorfastError for an encoder out of reach, an endpoint without a key, a judge whose
    extra is not installed.
    """
    if grading.kind == "offline":
        encoder.encoder()
    if grading.judge is not None:
        from colorfast.models import client  # its client is an optional extra

        client.client(grading.judge)


@dataclass
class Grader:
    """Grades pairs by a setting. Standard tasks have exact answers and are always graded by
    code."""

    traits: Grade
    judge: Judge | None = None

    def __call__(self, pairs: Sequence[Pair]) -> list[Verdict]:
        is_trait = [task.source == TRAIT_SOURCE for _, task in pairs]
        traits = iter(
            self.traits([p for p, t in zip(pairs, is_trait, strict=True) if t])
            if any(is_trait)
            else []
        )
        exact = iter(by_code([p for p, t in zip(pairs, is_trait, strict=True) if not t]))
        return [next(traits if t else exact) for t in is_trait]

    def used(self) -> dict[str, float]:
        """What the judge's verdicts took so far: verdicts, tokens, cost. Empty without a judge."""
        if self.judge is None:
            return {}
        usage = self.judge.usage
        return {
            key: getattr(usage, key)
            for key in ("verdicts", "failed", "prompt_tokens", "completion_tokens", "cost")
        }


def graders(grading: Grading) -> Grader:
    """The grader of a setting."""
    if grading.judge is None:
        return Grader(offline if grading.kind == "offline" else by_code)
    from colorfast.rewards.judge import Cache, Judge  # the client is an optional extra

    judge = Judge(grading.judge, Cache(cache_dir() / "judge.sqlite"))
    return Grader(judge.grade, judge)
