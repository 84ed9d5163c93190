"""What a user sets: an experiment as its TOML holds it. Frozen, and checked where the file
enters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from colorfast.types import Frozen, ObjectiveName

MANY = 1_000_000
"""More of anything than a machine could do: a slip of the pen."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
"""What may be the name of a folder."""
Precision = Literal["auto", "fp32", "bf16"]
COMPUTED_IN: tuple[Precision, ...] = ("fp32", "bf16")
"""What "auto" chooses from."""
LORA_RATE, FULL_RATE = 1e-4, 1e-5
"""Learning rates of a weight attack that names none."""
Reward = Literal["rubric", "helpfulness", "constitution", "placebo"]
Tracker = Literal["tensorboard", "trackio", "wandb"]

ALIASES = {
    "training": {
        "max_steps": "steps",
        "num_generations": "group_size",
        "max_completion_length": "max_tokens",
        "beta": "kl",
    },
    "evaluation": {"limit": "items"},
}
"""Accepted beside our keys: what TRL and lm-eval call the same setting. By table of the TOML."""
FORMER_KEYS = {
    "training": {"method": "adapter", "reward": "grading", "shown": "demonstrations"},
    "arms.*": {"method": "objective"},
}
"""Renamed keys and their present names. A TOML with one is refused; a run folder is read."""


def _copied_tables(settings: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(table in `ALIASES` and `FORMER_KEYS`, table in the TOML, its keys and values), each a copy
    that takes the table's place in `settings`."""
    for name in ("training", "evaluation"):
        if isinstance(settings.get(name), dict):
            settings[name] = dict(settings[name])
            yield name, name, settings[name]
    if isinstance(settings.get("arms"), dict):
        arms = settings["arms"] = dict(settings["arms"])
        for name in arms:
            if isinstance(arms[name], dict):
                arms[name] = dict(arms[name])
                yield "arms.*", f"arms.{name}", arms[name]


def without_aliases(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment as plain data with our key for each alias. Raises ValueError for a renamed key,
    and for a setting that has both its names."""
    settings = dict(experiment)
    for kind, name, table in _copied_tables(settings):
        for former, key in FORMER_KEYS.get(kind, {}).items():
            if former in table:
                raise ValueError(f"{name}.{former} is now {name}.{key}")
        for alias, key in ALIASES.get(kind, {}).items():
            if alias in table and key in table:
                raise ValueError(f"{name}.{alias} is another name of {name}.{key}; set one of them")
            if alias in table:
                table[key] = table.pop(alias)
    return settings


def with_present_keys(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an earlier version wrote into a run folder, with the present names of keys."""
    settings = dict(stored)
    for kind, _, table in _copied_tables(settings):
        for former, key in FORMER_KEYS.get(kind, {}).items():
            if former in table:
                table[key] = table.pop(former)
    return settings


class Arm(Frozen):
    """What fills the dosed share of the slots. Dose 0 is the baseline: standard tasks throughout.

    `traits` and `domains` narrow the scenarios (empty means all), `not_traits` and `not_domains`
    leave some out. `reward`: each scenario's own rubric; generic helpfulness on the same scenarios
    (the paper's control arm); a constitution; or the rubric's rewards shuffled within each group
    (placebo). `objective`: how replies to trait slots become a training signal; see
    `training/objectives.py`.
    """

    dose: float = Field(ge=0, le=1)
    reward: Reward = "rubric"
    objective: ObjectiveName = "rl"
    traits: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    not_traits: tuple[str, ...] = ()
    not_domains: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _goes_by_the_constitution(self) -> Arm:
        if self.objective in ("constitution-sft", "deliberative") and self.reward != "constitution":
            raise ValueError(
                f'objective = "{self.objective}" needs a constitution; set reward ='
                f' "constitution" (found "{self.reward}")'
            )
        return self


class Endpoint(Frozen):
    """An OpenAI-compatible server and a model on it. The key stands in the environment variable
    `key_env`, never in a file.

    `price_in`, `price_out`: per million tokens, in any currency. `pause`: seconds, the scale of the
    waits between tries.
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
    """Who grades replies to scenarios: `code` (the rubric's code criteria), `offline` (those and
    the embedded encoder), or `judge` (a language model at an endpoint). Standard tasks have exact
    answers and are graded by code always."""

    kind: Literal["code", "offline", "judge"] = "offline"
    judge: Endpoint | None = None

    @model_validator(mode="after")
    def _has_its_judge(self) -> Grading:
        if (self.kind == "judge") != (self.judge is not None):
            raise ValueError(
                'kind = "judge" goes with a judge (base_url, model), and the other kinds without'
            )
        return self


class Training(Frozen):
    """Settings every arm shares. One optimizer step samples `group_size` replies to each of
    `prompts_per_step` prompts.

    `demonstrations`: how many of a group's replies are the task's own good reply and not sampled
    (mixed-policy GRPO, LUFFY, arXiv 2504.14945), for a model that never meets the rubric by chance.
    `pass_tokens`: tokens in one forward and backward pass, about; the fewer the less memory.
    `vllm`: replies are sampled by vLLM on the same GPUs. `report_to`: trackers that get every
    step's numbers beside our own metrics.jsonl.
    """

    steps: int = Field(gt=0, le=MANY)
    prompts_per_step: int = Field(gt=0, le=MANY)
    group_size: int = Field(ge=2, le=MANY)
    max_tokens: int = Field(gt=0, le=MANY)
    learning_rate: float = Field(gt=0)
    temperature: float = Field(default=1.0, gt=0)
    adapter: Literal["lora", "full"] = "lora"
    precision: Precision = "auto"
    lora_rank: int = Field(default=16, gt=0)
    kl: float = Field(default=0.0, ge=0)
    normalize: Literal["none", "group"] = "none"
    demonstrations: int = Field(default=0, ge=0)
    pass_tokens: int = Field(default=512, gt=0)
    vllm: bool = False
    warmup_steps: int = Field(default=0, ge=0)
    save_every: int = Field(default=10, gt=0)
    keep_rollouts_every: int = Field(default=5, gt=0)
    report_to: tuple[Tracker, ...] = ()
    grading: Grading = Grading()

    @model_validator(mode="after")
    def _samples_too(self) -> Training:
        if self.demonstrations >= self.group_size:
            raise ValueError(
                f"demonstrations: {self.demonstrations} of {self.group_size} replies leaves none"
                " to sample"
            )
        if self.steps * self.prompts_per_step > MANY:
            raise ValueError(
                f"{self.steps} steps of {self.prompts_per_step} prompts are more than {MANY:,}"
                " prompts"
            )
        return self


class Evaluation(Frozen):
    """What every arm is scored on. `samples` replies to each held-out scenario; `items` per
    benchmark.

    `second_grading`: another grader that scores the same held-out replies, so that a gain can be
    held against a grader that did not reward it. `benchmark_max_tokens`: the length cap of replies
    to benchmarks, where it is not `max_tokens`. `precision`: what the model multiplies in; "auto"
    is that of training. In bf16 an item's numbers depend, a little, on what else is in its batch.
    """

    benchmarks: tuple[str, ...] = ()
    items: int = Field(default=100, gt=0, le=MANY)
    samples: int = Field(default=4, gt=0, le=MANY)
    max_tokens: int = Field(default=64, gt=0, le=MANY)
    benchmark_max_tokens: int | None = Field(default=None, gt=0, le=MANY)
    temperature: float = Field(default=0.7, ge=0)
    batch_size: int = Field(default=64, gt=0)
    precision: Precision = "fp32"
    grading: Grading = Grading()
    second_grading: Grading | None = None

    @model_validator(mode="after")
    def _graders_differ(self) -> Evaluation:
        if self.second_grading == self.grading:
            raise ValueError(
                f'second_grading: the same grader as grading ("{self.grading.kind}"); name another'
                " one, or leave it out"
            )
        return self


class Experiment(Frozen):
    """One TOML file: the model, the arms and how they are trained and scored.

    `traits` and `domains` narrow the scenarios of the whole experiment, those held out too; empty
    means all. `constitution`: a shipped one by name, or a Markdown file (see `constitution.load`).
    """

    name: Name
    model: str
    about: str = ""
    system: str | None = None
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(default=(0,), min_length=1)
    standard: tuple[str, ...] = Field(min_length=1)
    scenarios: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    training: Training
    arms: dict[Name, Arm]
    constitution: str = "colorfast"
    evaluation: Evaluation = Evaluation()
    same_judge: bool = False

    @model_validator(mode="before")
    @classmethod
    def _replace_aliases(cls, settings: Any) -> Any:
        return without_aliases(settings) if isinstance(settings, dict) else settings

    @model_validator(mode="after")
    def _second_grader_is_independent(self) -> Experiment:
        second = self.evaluation.second_grading
        if second is not None and second == self.training.grading:
            raise ValueError(
                f'evaluation.second_grading: "{second.kind}" rewards in training; it must be a'
                " grader that does not"
            )
        return self

    @model_validator(mode="after")
    def _judges_differ(self) -> Experiment:
        ours = self.training.grading.judge
        for grading in (self.evaluation.grading, self.evaluation.second_grading):
            theirs = grading.judge if grading else None
            if ours and theirs and ours.model == theirs.model and not self.same_judge:
                raise ValueError(
                    f"the judge that rewards must not also evaluate ({ours.model}); name two, or"
                    " set same_judge = true"
                )
        return self

    @model_validator(mode="after")
    def _makes_its_own_replies(self) -> Experiment:
        for name, arm in self.arms.items():
            if arm.objective != "rl" and self.training.demonstrations:
                raise ValueError(
                    f'arms.{name}.objective = "{arm.objective}" trains on the best of the model\'s'
                    " own replies, and a demonstration would always be the best; set"
                    " training.demonstrations = 0"
                    f" (found {self.training.demonstrations})"
                )
        return self

    @property
    def slots(self) -> int:
        """Prompts in a whole run of one arm."""
        return self.training.steps * self.training.prompts_per_step


class Tuning(Frozen):
    """How a weight attack fine-tunes. `steps`: after which of them the model is measured. `rank`:
    of LoRA; None trains every weight. `batch`: rows a step. `max_tokens`: of a row, which is cut
    there. Without `learning_rate` it is that of its method, above."""

    steps: tuple[int, ...]
    rank: int | None = Field(default=32, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    batch: int = Field(default=8, gt=0)
    max_tokens: int = Field(default=512, gt=0)
    precision: Precision = "auto"

    @property
    def rate(self) -> float:
        return self.learning_rate or (FULL_RATE if self.rank is None else LORA_RATE)


class Axes(Frozen):
    """Along what weight attacks vary: optimizer steps, LoRA rank (None: every weight), and the
    share of rows that are harmful. `recovery`: steps of benign training after an attack, 0 for
    none."""

    steps: tuple[int, ...] = (4, 8, 16)
    ranks: tuple[int | None, ...] = (32,)
    shares: tuple[float, ...] = (1.0,)
    learning_rate: float | None = Field(default=None, gt=0)
    batch: int = Field(default=8, gt=0)
    recovery: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _rise(self) -> Axes:
        if not self.steps or self.steps[0] < 1 or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(
                "steps: wants rising numbers above 0, found"
                f" {', '.join(map(str, self.steps)) or 'none'}"
            )
        if not self.ranks or any(rank is not None and rank < 1 for rank in self.ranks):
            raise ValueError("ranks: wants ranks of 1 or more, or full")
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ValueError("shares: wants shares above 0, up to 1")
        return self
