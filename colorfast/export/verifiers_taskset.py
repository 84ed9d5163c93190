"""Trait scenarios, each rewarded by its own rubric: colorfast's graders, in the form of
verifiers."""

import asyncio
import json
import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal

import verifiers.v1 as vf

from colorfast.config import Grading
from colorfast.rewards.select import Grader, graders
from colorfast.types import Reply, Task

HOME = Path(__file__).parent
_one_at_a_time = threading.Lock()  # an encoder is not to be loaded twice


@cache
def _grader() -> Grader:
    return graders(
        Grading.model_validate(json.loads((HOME / "grading.json").read_text(encoding="utf-8")))
    )


def _score(reply: Reply, task: Task) -> float:
    with _one_at_a_time:
        verdict = _grader()([(reply, task)])[0]
    if verdict.score is None:
        raise RuntimeError(f"{task.id}: ungraded: {verdict.reason}")
    return verdict.score


class TraitsData(vf.TaskData):
    """One scenario; `graded`: what a reply is graded against, as JSON."""

    trait: str
    domain: str
    graded: str


class TraitsTask(vf.Task[TraitsData]):
    @property
    def key(self) -> str:
        return str(self.data.id)

    @vf.reward  # type: ignore[untyped-decorator]
    async def rubric(self, trace: vf.Trace) -> float:
        """The reply's score in [0, 1] by the scenario's own rubric. Raises where no one could grade
        it: that is no zero."""
        reply = Reply(trace.last_reply, truncated=trace.is_truncated)
        return await asyncio.to_thread(_score, reply, Task.model_validate_json(self.data.graded))


class TraitsConfig(vf.TasksetConfig):
    split: Literal["train", "heldout"] = "train"
    """`heldout` is for evaluation alone."""
    traits: tuple[str, ...] = ()
    """Only these; empty for all."""
    domains: tuple[str, ...] = ()


class TraitsTaskset(vf.Taskset[TraitsTask, TraitsConfig]):
    def load(self) -> list[TraitsTask]:
        rows = map(
            json.loads,
            (HOME / f"{self.config.split}.jsonl").read_text(encoding="utf-8").splitlines(),
        )
        return [TraitsTask(_data(row), self.config.task) for row in rows if self._wanted(row)]

    def _wanted(self, row: dict[str, Any]) -> bool:
        traits, domains = self.config.traits, self.config.domains
        return (not traits or row["trait"] in traits) and (not domains or row["domain"] in domains)


def _data(row: dict[str, Any]) -> TraitsData:
    graded = json.dumps(
        {key: row[key] for key in ("id", "source", "messages", "rubric")}, ensure_ascii=False
    )
    return TraitsData(
        id=row["id"],
        prompt=row["messages"],
        trait=row["trait"],
        domain=row["domain"],
        graded=graded,
    )


def load_environment(**config: Any) -> vf.Env:
    """The taskset in verifiers' environment of one agent that only chats, on this machine.
    `config`: fields of TraitsConfig."""
    taskset = {"id": __name__.partition(".")[0], **config}
    agent = {"harness": {"id": "null"}, "runtime": {"type": "subprocess"}}
    return vf.load_environment(
        vf.SingleAgentEnvConfig.model_validate({"taskset": taskset, "agent": agent})
    )
