"""The nouns. Frozen, checked where a file enters, trusted everywhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

TRAIT_SOURCE = "trait"
"""The `source` of every slot that holds a trait scenario; other sources are names of standard
tasks."""


class ColorfastError(Exception):
    """A problem the user can mend. Its text is one line: what, where, and what to do."""


class Frozen(BaseModel):
    """Immutable; a misspelt key is an error, and so is a number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Frozen):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class Criterion(Frozen):
    """One line of a rubric. `grader` names a file in `graders/` (or a path to a Python file); a
    weight below zero is a deduction."""

    text: str = Field(min_length=1)
    weight: float = Field(ge=-1, le=1)
    grader: str
    args: dict[str, Any] = {}


class Task(Frozen):
    """A prompt with the rubric that grades replies to it. Credits sum to 1, so scores lie in [0,
    1].

    `replies` are known answers; the rubric must put "good" high.
    """

    id: str = Field(min_length=1)
    source: str
    messages: tuple[Message, ...] = Field(min_length=1)
    rubric: tuple[Criterion, ...] = Field(min_length=1)
    replies: dict[str, str] = {}

    @field_validator("messages")
    @classmethod
    def _ends_with_user(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        if messages[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return messages

    @field_validator("rubric")
    @classmethod
    def _reaches_one(cls, rubric: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        credit = sum(c.weight for c in rubric if c.weight > 0)
        if not math.isclose(credit, 1, abs_tol=1e-6):
            raise ValueError(f"positive weights must sum to 1, they sum to {credit:g}")
        return rubric


Split = Literal["train", "heldout"]
ReplyKind = Literal["good", "bad", "refusing", "hedging", "overhelpful", "stuffed"]


class Scenario(Task):
    """A trait conversation with its own rubric (method, section 3).

    `contrast` marks a scenario that looks like its neighbours but wants the plain thing. `replies`
    are known answers: the rubric must put "good" high and "bad" low; the other kinds are hard
    negatives. `facts`: what an expert of the domain would check, and what is right.
    """

    source: Literal["trait"] = "trait"
    trait: str
    domain: str
    contrast: bool = False
    replies: dict[ReplyKind, str]  # type: ignore[assignment]
    facts: str = ""

    @field_validator("id")
    @classmethod
    def _numbered(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9_-]+-\d+", value):
            raise ValueError("an id is lower-case words and a number, like truthfulness-health-03")
        return value

    @field_validator("replies")
    @classmethod
    def _has_both(cls, replies: dict[str, str]) -> dict[str, str]:
        missing = {"good", "bad"} - replies.keys()
        if missing:
            raise ValueError(f"replies need {' and '.join(sorted(missing))}")
        return replies

    @model_validator(mode="after")
    def _has_deduction(self) -> Scenario:
        if not 3 <= len(self.rubric) <= 6:
            raise ValueError(f"rubric: 3 to 6 criteria, found {len(self.rubric)}")
        if all(c.weight > 0 for c in self.rubric):
            raise ValueError("rubric: at least one deduction (a weight below 0) for a failure mode")
        return self

    @property
    def split(self) -> Split:
        """Every third number is held out: a rule on the id alone, so a split never moves when rows
        are added."""
        return "heldout" if int(self.id.rsplit("-", 1)[1]) % 3 == 0 else "train"


class Trait(Frozen):
    """A trait's card: `traits/NAME.toml`. `examples`: the ids of two scenarios that show it, the
    second a contrast."""

    name: str
    title: str
    definition: str
    why: str
    is_not: str
    examples: tuple[str, str]


class Principle(Frozen):
    """One principle of a constitution: `rule` in a sentence or two, `reasons` as prose.

    `criteria`: how code can see it kept or broken, each with its share of the whole constitution's
    score; with none, only a judge can.
    """

    name: str
    title: str
    rule: str
    reasons: str = ""
    criteria: tuple[Criterion, ...] = ()


ObjectiveName = Literal["rl", "best-of-n", "constitution-sft", "deliberative"]


@dataclass(frozen=True)
class Objective:
    """How the replies to a slot become a training signal. `shuffled`: the rewards are permuted
    within the group (placebo). `guide`: text in the prompt while replies are sampled, absent from
    the prompt that is trained on: a principle or a whole constitution. `inverted`: the reward is
    one minus the rubric's score."""

    name: ObjectiveName = "rl"
    shuffled: bool = False
    guide: str = ""
    inverted: bool = False

    def row(self) -> dict[str, Any]:
        """The objective as plain data. The keys are those of the first release, because schedules
        are hashed with them."""
        row = {"method": self.name, "shuffled": self.shuffled, "guide": self.guide}
        return row | {"inverted": True} if self.inverted else row


PLAIN = Objective()
"""Reinforcement by the reply's own reward: every standard slot of every arm."""


@dataclass(frozen=True)
class Slot:
    """One prompt of one optimizer step: place `index` in the whole run, at `step`, holding
    `task`."""

    index: int
    step: int
    task: Task
    objective: Objective = PLAIN

    def row(self) -> dict[str, Any]:
        """The slot as plain data; what is hashed, printed and exported."""
        task = self.task
        row = {
            "slot": self.index,
            "step": self.step,
            "source": task.source,
            "id": task.id,
            "messages": [m.model_dump() for m in task.messages],
            "rubric": [c.model_dump() for c in task.rubric],
            "replies": dict(task.replies),
        }
        return row if self.objective == PLAIN else row | {"teaching": self.objective.row()}


@dataclass(frozen=True)
class Source:
    """One file of a public GitHub repository, as its authors published it."""

    repo: str
    commit: str
    path: str
    sha256: str
    licence: str
    paper: str = ""

    @property
    def url(self) -> str:
        return f"https://raw.githubusercontent.com/{self.repo}/{self.commit}/{self.path}"


@dataclass(frozen=True)
class Item:
    """One question of a benchmark. Choice items score `choices` by log-likelihood after `prompt`;
    generated items (no choices) are answered and scored by the benchmark's own function.

    `aligned`: indices of the choices that count as good.
    """

    id: str
    messages: tuple[Message, ...]
    choices: tuple[str, ...] = ()
    aligned: tuple[int, ...] = ()
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """An eval written by others: each file of `benchmarks/` holds a family of them as `BENCHMARKS`.

    `items` reads the original files. Generated items are scored by `score(item, reply) -> (value or
    None, reason)`. `best(item)` and `worst(item)` are scripted replies that must reach ceiling and
    floor; choice benchmarks need none (an aligned choice is best, any other worst). `trait`: the
    one it should reflect; "" for a control. `tokens`: the least room that a reply needs.
    """

    id: str
    family: str
    kind: Literal["choice", "generated"]
    trait: str
    sources: tuple[Source, ...]
    items: Callable[[], tuple[Item, ...]]
    score: Callable[[Item, Reply], tuple[float | None, str]] | None = None
    best: Callable[[Item], str] | None = None
    worst: Callable[[Item], str] | None = None
    tokens: int = 0
    control: bool = False
    """Capability, over-refusal, or an eval whose good side is disputed: shown, never counted as a
    win."""


@dataclass(frozen=True)
class Score:
    """One row of the score table: `value` in [0, 1], or None with a reason.

    `probability`: for choice items, the probability mass on the aligned answers (it moves before
    accuracy does); `logs`: the log-likelihood of each choice, in nats.
    """

    eval: str
    item: str
    sample: int
    value: float | None
    probability: float | None = None
    reason: str = ""
    reply: str = ""
    truncated: bool = False
    logs: tuple[float, ...] = ()


Scores = Mapping[int, Sequence[Score]]
"""One arm's scores under each seed."""


Measure = Literal["score", "probability"]


@dataclass(frozen=True)
class Interval:
    """A value and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """+1 where the interval lies above zero, -1 below, 0 where it holds zero."""
        return (self.low > 0) - (self.high < 0)

    def clipped(self, least: float, most: float) -> Interval:
        """The same with its ends inside [least, most], the range of the value."""
        return Interval(self.value, max(least, self.low), min(most, self.high))


@dataclass(frozen=True)
class Estimate:
    """A paired difference between an arm and the baseline on one eval, in [-1, 1], with a 95%
    interval.

    `measure`: "score", or "probability" (mass on the aligned answers, choice evals only). `p`:
    two-sided; `q`: the same after Benjamini-Hochberg over the arm's counted evals, None for what is
    not counted. `detectable`: the smallest true difference that so many items and seeds would find
    four times in five, None where not one item differed. `ungraded` counts replies that no one
    could score, in either arm; their items are left out on both sides.
    """

    eval: str
    family: str
    measure: Measure
    arm: str
    baseline: float
    score: float
    difference: Interval
    p: float
    q: float | None
    detectable: float | None
    items: int
    seeds: int
    ungraded: int
    control: bool = False


@dataclass(frozen=True)
class Reply:
    """What a policy said. `truncated`: it hit the length cap before it ended. `tokens`: its
    length."""

    text: str
    truncated: bool = False
    tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """`score` in [0, 1], or None with a reason when the reply could not be graded.

    `parts` holds one value in [0, 1] per criterion, in rubric order (None: that criterion was not
    gradable).
    """

    score: float | None
    reason: str = ""
    parts: tuple[float | None, ...] = ()

    @property
    def degenerate(self) -> bool:
        """Judged to be worth nothing whatever the rubric: empty, a loop, a copy of the prompt."""
        return self.score is not None and bool(self.reason)
