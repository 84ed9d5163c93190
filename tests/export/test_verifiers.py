"""verifiers itself loads the exported taskset and scores replies by it. Skipped without verifiers,
which the project does not depend on: docs/export.md says how to run it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verifiers")

import verifiers.v1 as vf
from verifiers.v1.utils.loaders import load_taskset, taskset_config_type

from colorfast.corpus.scenarios import corpus
from colorfast.export import taskset
from colorfast.rewards.rubric import grade
from colorfast.types import Reply


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("taskset") / "out"
    taskset.write(folder, "code")
    sys.path.insert(0, str(folder))
    yield __import__(taskset.PACKAGE)
    sys.path.remove(str(folder))


def trace(environment: Any, task: Any, reply: str, finish: str = "stop") -> Any:
    """A finished rollout as verifiers records it, with this reply."""
    message = vf.AssistantMessage(content=reply)
    return vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key),
        agent=vf.AgentInfo(config=environment.config.agent),
        nodes=[vf.MessageNode(message=message, sampled=True)],
        stop_condition="max_output_tokens" if finish == "length" else None,
    )


def score(environment: Any, task: Any, reply: str, finish: str = "stop") -> float:
    told = trace(environment, task, reply, finish)
    asyncio.run(task.score(told))
    return told.rewards["rubric"].score


def test_verifiers_finds_the_taskset_by_its_name(package: Any) -> None:
    config = taskset_config_type("colorfast-traits").model_validate(
        {"id": "colorfast-traits", "split": "heldout"}
    )
    rows = list(load_taskset(config))
    assert [task.key for task in rows] == [s.id for s in corpus() if s.split == "heldout"]
    assert [m.content for m in rows[0].data.prompt] == [
        m.content for m in next(s for s in corpus() if s.split == "heldout").messages
    ]


def test_the_environment_narrows_to_traits_and_domains_and_never_shows_known_replies(
    package: Any,
) -> None:
    environment = package.load_environment(traits=["truthfulness"], domains=["health"])
    assert isinstance(environment, vf.Env) and environment.config.agent.harness.id == "null"
    chosen = [
        s
        for s in corpus()
        if s.trait == "truthfulness" and s.domain == "health" and s.split == "train"
    ]
    tasks = list(environment.taskset)
    assert [task.data.id for task in tasks] == [s.id for s in chosen]
    assert not any(
        s.replies["good"] in task.data.model_dump_json()
        for task, s in zip(tasks, chosen, strict=True)
    )


def test_the_reward_is_colorfasts_grade(package: Any) -> None:
    environment, by_id = package.load_environment(), {s.id: s for s in corpus()}
    found = []
    for task in list(environment.taskset)[::60]:
        scenario = by_id[task.data.id]
        for text in (scenario.replies["good"], scenario.replies["bad"], ""):
            found.append(score(environment, task, text))
            assert found[-1] == grade(Reply(text), scenario).score
    assert len(set(found)) > 2
    task = next(iter(environment.taskset))
    cut = "I was wrong about that citation"
    assert (
        score(environment, task, cut, "length")
        == grade(Reply(cut, truncated=True), by_id[task.data.id]).score
    )


def test_a_reply_that_no_one_could_grade_is_an_error_and_no_zero(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from colorfast.types import Verdict

    monkeypatch.setattr(
        package.taskset, "_grader", lambda: lambda pairs: [Verdict(None, "the judge is away")]
    )
    environment = package.load_environment()
    task = next(iter(environment.taskset))
    with pytest.raises(Exception, match="the judge is away"):
        score(environment, task, "A reply.")


def test_the_package_can_be_installed(package: Any) -> None:
    import tomllib

    project = tomllib.loads((Path(package.__file__).parents[1] / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [taskset.PACKAGE]
