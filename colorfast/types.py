"""The nouns of the package: frozen, and checked when a file is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

TRAIT_SOURCE = "trait"
"""The `source` of every slot with a trait scenario. Other sources are names of standard tasks."""


class ColorfastError(Exception):
    """An error that the user can fix. Its text is one line: what, where, and what to do."""


class Frozen(BaseModel):
    """Frozen; rejects unknown keys, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Frozen):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class Criterion(Frozen):
    """One line of a rubric. `grader`: a file in `graders/`, or the path of a Python file. A weight
    below 0 is a deduction."""

    text: str = Field(min_length=1)
    weight: float = Field(ge=-1, le=1)
    grader: str
    args: dict[str, Any] = {}


class Task(Frozen):
    """A prompt with the rubric that grades replies to it. Positive weights sum to 1, so scores lie
    in [0, 1]. `replies`: known answers; the rubric must score "good" high."""

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
    """A conversation that tests a trait, with its own rubric (docs/method.md).

    `contrast`: it resembles its neighbors, but the plain answer is right. `replies`: known answers;
    the rubric must score "good" high and "bad" low, and the other kinds are hard negatives.
    `facts`: what an expert of the domain would check, and the right answer.
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
        """Every third number is held out. The rule depends on the id alone, so new rows never move
        others."""
        return "heldout" if int(self.id.rsplit("-", 1)[1]) % 3 == 0 else "train"


class Trait(Frozen):
    """A trait's card, `traits/NAME.toml`. `examples`: the ids of two scenarios, the second a
    contrast."""

    name: str
    title: str
    definition: str
    why: str
    is_not: str
    examples: tuple[str, str]


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
"""Reinforcement by the reply's own reward: the objective of all standard slots."""


@dataclass(frozen=True)
class Slot:
    """One prompt of one optimizer step. `index`: its number in the whole run."""

    index: int
    step: int
    task: Task
    objective: Objective = PLAIN

    def row(self) -> dict[str, Any]:
        """The slot as plain data, which is hashed, printed and exported."""
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
        """The address of the file."""
        return f"https://raw.githubusercontent.com/{self.repo}/{self.commit}/{self.path}"


@dataclass(frozen=True)
class Item:
    """One question of a benchmark. The `choices` of a choice item are scored by log-likelihood; the
    reply to an item without choices is scored by the benchmark's own function. `aligned`: indices
    of the choices that count as good. `data`: what that function needs."""

    id: str
    messages: tuple[Message, ...]
    choices: tuple[str, ...] = ()
    aligned: tuple[int, ...] = ()
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """An eval written by others. Each file of `benchmarks/` holds a family in `BENCHMARKS`.

    `items` reads the original files. `score(item, reply)` returns a value or None, and the reason.
    `best(item)` and `worst(item)` are scripted replies that must reach ceiling and floor; choice
    benchmarks need none. `trait`: the trait that it should reflect; "" for a control. `tokens`: the
    shortest length cap that replies need. `control`: capability, over-refusal, or a disputed good
    side; reported, and never counted as an improvement.
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


@dataclass(frozen=True)
class Score:
    """One row of the score table: `value` in [0, 1], or None with a reason. For choice items,
    `probability` is the probability mass on the aligned choices (it moves before accuracy does),
    and `logs` the log-likelihood of each choice, in nats."""

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
"""The scores of one arm by seed."""


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
class Reply:
    """A policy's reply. `truncated`: it reached the length cap. `tokens`: its length."""

    text: str
    truncated: bool = False
    tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """A grader's verdict on a reply: `score` in [0, 1], or None with a reason. `parts`: a value in
    [0, 1] for each criterion, in the order of the rubric; None where it could not be graded."""

    score: float | None
    reason: str = ""
    parts: tuple[float | None, ...] = ()

    @property
    def degenerate(self) -> bool:
        """Scored 0 whatever the rubric says: empty, a loop, or a copy of the prompt."""
        return self.score is not None and bool(self.reason)
