"""Trait scenarios for verifiers. colorfast grades each reply by the scenario's own rubric."""

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
_lock = threading.Lock()  # two threads would load the sentence encoder twice


@cache
def _grader() -> Grader:
    settings = (HOME / "grading.json").read_text(encoding="utf-8")
    return graders(Grading.model_validate_json(settings))


def _score(reply: Reply, task: Task) -> float:
    with _lock:
        verdict = _grader()([(reply, task)])[0]
    if verdict.score is None:
        raise RuntimeError(f"{task.id}: ungraded: {verdict.reason}")
    return verdict.score


class TraitsData(vf.TaskData):
    """One scenario. `graded`: the task that a reply is graded against, as JSON."""

    trait: str
    domain: str
    graded: str


class TraitsTask(vf.Task[TraitsData]):
    """One scenario with its reward."""

    @property
    def key(self) -> str:
        """The id of the scenario."""
        return str(self.data.id)

    @vf.reward  # type: ignore[untyped-decorator]
    async def rubric(self, trace: vf.Trace) -> float:
        """The reply's score in [0, 1] by the scenario's own rubric. Raises RuntimeError when the
        reply could not be graded, because that is not a score of zero."""
        reply = Reply(trace.last_reply, truncated=trace.is_truncated)
        return await asyncio.to_thread(_score, reply, Task.model_validate_json(self.data.graded))


class TraitsConfig(vf.TasksetConfig):
    """Which scenarios to load. Empty `traits` or `domains` stand for all of them."""

    split: Literal["train", "heldout"] = "train"
    """Use `heldout` for evaluation only."""
    traits: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


class TraitsTaskset(vf.Taskset[TraitsTask, TraitsConfig]):
    """The chosen scenarios."""

    def load(self) -> list[TraitsTask]:
        """Read the scenarios of the split."""
        lines = (HOME / f"{self.config.split}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [TraitsTask(_data(row), self.config.task) for row in rows if self._is_chosen(row)]

    def _is_chosen(self, row: dict[str, Any]) -> bool:
        traits, domains = self.config.traits, self.config.domains
        return (not traits or row["trait"] in traits) and (not domains or row["domain"] in domains)


def _data(row: dict[str, Any]) -> TraitsData:
    task = {key: row[key] for key in ("id", "source", "messages", "rubric")}
    return TraitsData(
        id=row["id"],
        prompt=row["messages"],
        trait=row["trait"],
        domain=row["domain"],
        graded=json.dumps(task, ensure_ascii=False),
    )


def load_environment(**config: Any) -> vf.Env:
    """The taskset in verifiers' environment of a single agent that only chats, on this machine.
    `config`: fields of TraitsConfig."""
    taskset = {"id": __name__.partition(".")[0], **config}
    agent = {"harness": {"id": "null"}, "runtime": {"type": "subprocess"}}
    return vf.load_environment(
        vf.SingleAgentEnvConfig.model_validate({"taskset": taskset, "agent": agent})
    )
