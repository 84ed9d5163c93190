"""The nouns. Frozen, checked where a file enters, trusted everywhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

TRAIT_SOURCE = "trait"
"""The `source` of every slot that holds a trait scenario; other sources are names of standard tasks."""


class ColorfastError(Exception):
    """A problem the user can mend. Its text is one line: what, where, and what to do."""


class Frozen(BaseModel):
    """Immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Frozen):
    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class Criterion(Frozen):
    """One line of a rubric. `grader` names a file in `graders/` (or a path to a Python file); a weight
    below zero is a deduction."""

    text: str = Field(min_length=1)
    weight: float = Field(ge=-1, le=1)
    grader: str
    args: dict[str, Any] = {}


class Task(Frozen):
    """A prompt with the rubric that grades replies to it. Credits sum to 1, so scores lie in [0, 1].

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
    are known answers: the rubric must put "good" high and "bad" low; the other kinds are hard negatives.
    `facts`: what an expert of the domain would check, and what is right.
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
        """Every third number is held out: a rule on the id alone, so a split never moves when rows are added."""
        return "heldout" if int(self.id.rsplit("-", 1)[1]) % 3 == 0 else "train"


class Trait(Frozen):
    """A trait's card: `traits/NAME.toml`. `examples`: the ids of two scenarios that show it, the second a contrast."""

    name: str
    title: str
    definition: str
    why: str
    is_not: str
    examples: tuple[str, str]


class Principle(Frozen):
    """One principle of a constitution: `rule` in a sentence or two, `reasons` as prose.

    `criteria`: how code can see it kept or broken, each with its share of the whole constitution's score; with none, only a judge can.
    """

    name: str
    title: str
    rule: str
    reasons: str = ""
    criteria: tuple[Criterion, ...] = ()


Method = Literal["rl", "best-of-n", "constitution-sft", "deliberative"]
Reward = Literal["rubric", "helpfulness", "constitution", "placebo"]


@dataclass(frozen=True)
class Teaching:
    """How the replies to a slot become training. `shuffled`: rewards are dealt out anew within the group (placebo). `guide`: text
    that stands by while replies are made and is absent from what is trained on: a principle, or a whole constitution."""

    method: Method = "rl"
    shuffled: bool = False
    guide: str = ""


PLAIN = Teaching()
"""Reinforcement by the reply's own reward: every standard slot of every arm."""


@dataclass(frozen=True)
class Slot:
    """One prompt of one optimizer step: place `index` in the whole run, at `step`, holding `task`."""

    index: int
    step: int
    task: Task
    teaching: Teaching = PLAIN

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
        return row if self.teaching == PLAIN else row | {"teaching": asdict(self.teaching)}


class Arm(Frozen):
    """What fills the dosed share of the slots. Dose 0 is the baseline: standard tasks throughout.

    `traits` and `domains` narrow the scenarios (empty means all), `not_traits` and `not_domains` leave some out. `reward`: each
    scenario's own rubric; generic helpfulness on the same scenarios (the paper's control arm); a constitution; or the rubric's
    rewards shuffled within each group (placebo). `method`: what is made of the replies to trait slots; see `methods.py`.
    """

    dose: float = Field(ge=0, le=1)
    reward: Reward = "rubric"
    method: Method = "rl"
    traits: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    not_traits: tuple[str, ...] = ()
    not_domains: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _goes_by_the_constitution(self) -> Arm:
        if self.method in ("constitution-sft", "deliberative") and self.reward != "constitution":
            raise ValueError(f'method = "{self.method}" works by a constitution; set reward = "constitution" (found "{self.reward}")')
        return self


class Endpoint(Frozen):
    """An OpenAI-compatible server and a model on it. The key stands in the environment variable `key_env`, never in a file.

    `price_in`, `price_out`: per million tokens, in any currency. `pause`: seconds, the scale of the waits between tries.
    """

    base_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(default=8, gt=0)
    timeout: float = Field(default=60, gt=0)
    tries: int = Field(default=5, gt=0)
    pause: float = Field(default=1, ge=0)
    max_tokens: int = Field(default=400, gt=0)
    temperature: float = Field(default=0, ge=0)
    price_in: float = Field(default=0, ge=0)
    price_out: float = Field(default=0, ge=0)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


class Grading(Frozen):
    """Who grades replies to scenarios: `code` (the rubric's code criteria), `offline` (those and the embedded encoder), or
    `judge` (a language model at an endpoint). Standard tasks have exact answers and are graded by code always."""

    kind: Literal["code", "offline", "judge"] = "offline"
    judge: Endpoint | None = None

    @model_validator(mode="after")
    def _has_its_judge(self) -> Grading:
        if (self.kind == "judge") != (self.judge is not None):
            raise ValueError('kind = "judge" goes with a judge (base_url, model), and the other kinds without')
        return self


class Training(Frozen):
    """Settings every arm shares. One optimizer step samples `group_size` replies to each of
    `prompts_per_step` prompts.

    `shown`: how many of a group's replies are the task's own good reply and not sampled (mixed-policy GRPO, LUFFY,
    arXiv 2504.14945), for a model that never meets the rubric by chance. `pass_tokens`: tokens in one forward and backward pass,
    about; the fewer the less memory. `vllm`: replies are sampled by vLLM on the same GPUs.
    """

    steps: int = Field(gt=0)
    prompts_per_step: int = Field(gt=0)
    group_size: int = Field(ge=2)
    max_tokens: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    temperature: float = Field(default=1.0, gt=0)
    method: Literal["lora", "full"] = "lora"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    lora_rank: int = Field(default=16, gt=0)
    kl: float = Field(default=0.0, ge=0)
    normalize: Literal["none", "group"] = "none"
    shown: int = Field(default=0, ge=0)
    pass_tokens: int = Field(default=768, gt=0)
    vllm: bool = False
    warmup_steps: int = Field(default=0, ge=0)
    save_every: int = Field(default=10, gt=0)
    keep_rollouts_every: int = Field(default=5, gt=0)
    reward: Grading = Grading()

    @model_validator(mode="after")
    def _samples_too(self) -> Training:
        if self.shown >= self.group_size:
            raise ValueError(f"shown: {self.shown} of {self.group_size} replies leaves none to sample")
        return self


class Evaluation(Frozen):
    """What every arm is scored on. `samples` replies to each held-out scenario; `items` per benchmark."""

    benchmarks: tuple[str, ...] = ()
    items: int = Field(default=100, gt=0)
    samples: int = Field(default=4, gt=0)
    max_tokens: int = Field(default=64, gt=0)
    temperature: float = Field(default=0.7, ge=0)
    batch_size: int = Field(default=64, gt=0)
    grading: Grading = Grading()


class Experiment(Frozen):
    """One TOML file: the model, the arms and how they are trained and scored.

    `traits` and `domains` narrow the scenarios of the whole experiment, those held out too; empty means all. `constitution`: a
    shipped one by name, or a Markdown file (see `constitution.load`).
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    model: str
    about: str = ""
    system: str | None = None
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    standard: tuple[str, ...] = Field(min_length=1)
    scenarios: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    training: Training
    arms: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")], Arm]
    constitution: str = "colorfast"
    evaluation: Evaluation = Evaluation()
    same_judge: bool = False

    @model_validator(mode="after")
    def _judges_differ(self) -> Experiment:
        ours, theirs = self.training.reward.judge, self.evaluation.grading.judge
        if ours and theirs and ours.model == theirs.model and not self.same_judge:
            raise ValueError(f"the judge that rewards must not also evaluate ({ours.model}); name two, or set same_judge = true")
        return self

    @model_validator(mode="after")
    def _makes_its_own_replies(self) -> Experiment:
        for name, arm in self.arms.items():
            if arm.method != "rl" and self.training.shown:
                raise ValueError(
                    f'arms.{name}.method = "{arm.method}" trains on the best of the model\'s own replies, and a shown one would always be '
                    f"the best; set training.shown = 0 (found {self.training.shown})"
                )
        return self

    @property
    def slots(self) -> int:
        """Prompts in a whole run of one arm."""
        return self.training.steps * self.training.prompts_per_step


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
    """One question of a benchmark. Choice items score `choices` by log-likelihood after `prompt`; generated
    items (no choices) are answered and scored by the benchmark's own function.

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

    `items` reads the original files. Generated items are scored by `score(item, reply) -> (value or None, reason)`.
    `best(item)` and `worst(item)` are scripted replies that must reach ceiling and floor; choice benchmarks need
    none (an aligned choice is best, any other worst). `trait`: the one it should reflect; "" for a control.
    `tokens`: the least room that a reply needs.
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
    """Capability, over-refusal, or an eval whose good side is disputed: shown, never counted as a win."""


@dataclass(frozen=True)
class Score:
    """One row of the score table: `value` in [0, 1], or None with a reason.

    `probability`: for choice items, the probability mass on the aligned answers (it moves before accuracy does); `logs`: the
    log-likelihood of each choice, in nats.
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


Measure = Literal["score", "probability"]


@dataclass(frozen=True)
class Estimate:
    """A paired difference between an arm and the baseline on one eval, in [-1, 1], with a 95% interval.

    `measure`: "score", or "probability" (mass on the aligned answers, choice evals only). `p`: two-sided; `q`: the same after
    Benjamini-Hochberg over the arm's counted evals, None for what is not counted. `detectable`: the smallest true difference that
    so many items and seeds would find four times in five, None where not one item differed. `ungraded` counts replies that no one
    could score, in either arm; their items are left out on both sides.
    """

    eval: str
    family: str
    measure: Measure
    arm: str
    baseline: float
    score: float
    difference: float
    low: float
    high: float
    p: float
    q: float | None
    detectable: float | None
    items: int
    seeds: int
    ungraded: int
    control: bool = False


@dataclass(frozen=True)
class Reply:
    """What a policy said. `truncated`: it hit the length cap before it ended. `tokens`: its length."""

    text: str
    truncated: bool = False
    tokens: int = 0


@dataclass(frozen=True)
class Verdict:
    """`score` in [0, 1], or None with a reason when the reply could not be graded.

    `parts` holds one value in [0, 1] per criterion, in rubric order (None: that criterion was not gradable).
    """

    score: float | None
    reason: str = ""
    parts: tuple[float | None, ...] = ()

    @property
    def degenerate(self) -> bool:
        """Judged to be worth nothing whatever the rubric: empty, a loop, a copy of the prompt."""
        return self.score is not None and bool(self.reason)
