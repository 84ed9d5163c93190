"""What a user sets: an experiment as its TOML holds it, frozen and checked when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from colorfast.types import Frozen, ObjectiveName

MANY = 1_000_000
"""An upper limit that only a typing error exceeds."""
Count = Annotated[int, Field(gt=0, le=MANY)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
"""A name that can be the name of a folder."""
Precision = Literal["auto", "fp32", "bf16"]
COMPUTED_IN: tuple[Precision, ...] = ("fp32", "bf16")
"""What "auto" chooses from."""
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
"""Names of TRL and lm-eval that are accepted beside ours, by table of the TOML."""
FORMER_KEYS = {
    "training": {"method": "adapter", "reward": "grading", "shown": "demonstrations"},
    "arms": {"method": "objective"},
}
"""Renamed keys and their present names. A TOML with one is refused; a run folder is read."""


def _tables(experiment: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(kind of table, its name in the TOML, its keys and values) of the tables whose keys have
    other names."""
    tables = {kind: experiment.get(kind) for kind in ("training", "evaluation")}
    arms = experiment.get("arms")
    if isinstance(arms, dict):
        tables |= {f"arms.{name}": arm for name, arm in arms.items()}
    for name, table in tables.items():
        if isinstance(table, dict):
            yield name.partition(".")[0], name, table


def rename_keys(experiment: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]) -> None:
    """Replace keys of an experiment's plain settings in place. `names`: `ALIASES` or
    `FORMER_KEYS`."""
    for kind, _, table in _tables(experiment):
        for old, new in names.get(kind, {}).items():
            if old in table:
                table[new] = table.pop(old)


class Arm(Frozen):
    """The tasks in the dosed share of the slots. Dose 0 is the baseline: standard tasks only.

    `traits` and `domains` select scenarios (empty means all), `not_traits` and `not_domains`
    exclude some. `reward`: each scenario's own rubric; generic helpfulness on the same scenarios
    (the paper's control arm); a constitution; or the rubric's rewards permuted within each group
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
    def _check_constitution(self) -> Arm:
        if self.objective in ("constitution-sft", "deliberative") and self.reward != "constitution":
            raise ValueError(
                f'objective = "{self.objective}" needs a constitution; set reward ='
                f' "constitution" (found "{self.reward}")'
            )
        return self


class Endpoint(Frozen):
    """A model on an OpenAI-compatible server. The environment variable `key_env` holds the key; no
    file does.

    `price_in`, `price_out`: per million tokens, in any currency. `tries`: requests before giving
    up. `pause`: seconds before a body that is not JSON is requested again.
    """

    base_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    key_env: str = "OPENAI_API_KEY"
    concurrency: PositiveInt = 8
    timeout: PositiveFloat = 60
    tries: PositiveInt = 5
    pause: NonNegativeFloat = 1
    max_tokens: PositiveInt = 400
    temperature: NonNegativeFloat = 0
    price_in: NonNegativeFloat = 0
    price_out: NonNegativeFloat = 0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of this many tokens."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


class Grading(Frozen):
    """Who grades replies to scenarios: `code` (the rubric's code criteria), `offline` (these and
    sentence embeddings), or `judge` (a language model at an endpoint). Code always grades standard
    tasks, which have exact answers."""

    kind: Literal["code", "offline", "judge"] = "offline"
    judge: Endpoint | None = None

    @model_validator(mode="after")
    def _check_judge(self) -> Grading:
        if (self.kind == "judge") != (self.judge is not None):
            raise ValueError(
                'kind = "judge" goes with a judge (base_url, model), and the other kinds without'
            )
        return self


class Training(Frozen):
    """Settings of all arms. One optimizer step samples `group_size` replies to each of
    `prompts_per_step` prompts.

    `demonstrations`: how many replies of a group are the task's own good reply instead of sampled
    ones (mixed-policy GRPO, LUFFY, arXiv 2504.14945), for a model that never earns a reward by
    chance. `pass_tokens`: approximate tokens in one forward and backward pass; fewer need less
    memory. `vllm`: vLLM samples the replies, on the same GPUs. `report_to`: trackers that receive
    the metrics of each step, beside our own metrics.jsonl.
    """

    steps: Count
    prompts_per_step: Count
    group_size: int = Field(ge=2, le=MANY)
    max_tokens: Count
    learning_rate: PositiveFloat
    temperature: PositiveFloat = 1.0
    adapter: Literal["lora", "full"] = "lora"
    precision: Precision = "auto"
    lora_rank: PositiveInt = 16
    kl: NonNegativeFloat = 0.0
    normalize: Literal["none", "group"] = "none"
    demonstrations: NonNegativeInt = 0
    pass_tokens: PositiveInt = 512
    vllm: bool = False
    warmup_steps: NonNegativeInt = 0
    save_every: PositiveInt = 10
    keep_rollouts_every: PositiveInt = 5
    report_to: tuple[Tracker, ...] = ()
    grading: Grading = Grading()

    @model_validator(mode="after")
    def _check_sizes(self) -> Training:
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
    """How every arm is scored: `samples` replies to each held-out scenario, and `items` of each
    benchmark.

    `second_grading`: another grader that scores the same held-out replies, so that a gain can be
    compared with a grader that did not reward it. `benchmark_max_tokens`: the length cap of
    benchmark replies, if not `max_tokens`. `precision`: of matrix products; "auto" is that of
    training. In bf16 the numbers of an item depend slightly on the rest of its batch.
    """

    benchmarks: tuple[str, ...] = ()
    items: Count = 100
    samples: Count = 4
    max_tokens: Count = 64
    benchmark_max_tokens: Count | None = None
    temperature: NonNegativeFloat = 0.7
    batch_size: PositiveInt = 64
    precision: Precision = "fp32"
    grading: Grading = Grading()
    second_grading: Grading | None = None

    @model_validator(mode="after")
    def _check_second_grading(self) -> Evaluation:
        if self.second_grading == self.grading:
            raise ValueError(
                f'second_grading: the same grader as grading ("{self.grading.kind}"); name another'
                " one, or leave it out"
            )
        return self


class Experiment(Frozen):
    """One TOML file: the model, the arms, and how they are trained and scored.

    `traits` and `domains` select scenarios for the whole experiment, including held-out ones; empty
    means all. `constitution`: a shipped one by name, or a Markdown file (see `constitution.load`).
    `same_judge`: allow one judge model to reward and to evaluate.
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
        if not isinstance(settings, dict):
            return settings
        for kind, name, table in _tables(settings):
            for former, key in FORMER_KEYS.get(kind, {}).items():
                if former in table:
                    raise ValueError(f"{name}.{former} is now {name}.{key}")
            for alias, key in ALIASES.get(kind, {}).items():
                if alias in table and key in table:
                    raise ValueError(
                        f"{name}.{alias} is another name of {name}.{key}; set one of them"
                    )
        rename_keys(settings, ALIASES)
        return settings

    @model_validator(mode="after")
    def _check_graders(self) -> Experiment:
        training, evaluation = self.training.grading, self.evaluation
        second = evaluation.second_grading
        if second is not None and second == training:
            raise ValueError(
                f'evaluation.second_grading: "{second.kind}" rewards in training; it must be a'
                " grader that does not"
            )
        for grading in (evaluation.grading, second):
            if self.same_judge or not (training.judge and grading and grading.judge):
                continue
            if grading.judge.model == training.judge.model:
                raise ValueError(
                    f"the judge that rewards must not also evaluate ({grading.judge.model}); name"
                    " two, or set same_judge = true"
                )
        return self

    @model_validator(mode="after")
    def _check_demonstrations(self) -> Experiment:
        for name, arm in self.arms.items():
            if arm.objective != "rl" and self.training.demonstrations:
                raise ValueError(
                    f'arms.{name}.objective = "{arm.objective}" trains on the best of the model\'s'
                    " own replies, and a demonstration would always be the best; set"
                    f" training.demonstrations = 0 (found {self.training.demonstrations})"
                )
        return self

    @property
    def slots(self) -> int:
        """The number of prompts in the training of one arm."""
        return self.training.steps * self.training.prompts_per_step
