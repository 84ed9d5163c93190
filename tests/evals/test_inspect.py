"""Inspect's tasks run on a model of ours, and their logs become scores: valued, or None with a
reason."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import read_eval_log
from inspect_ai.model import get_model

from colorfast.evals.inspect_provider import run_task
from colorfast.types import ColorfastError, Score

TASKS = Path(__file__).parents[1] / "helpers" / "little_inspect_task.py"
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # raised inside inspect_ai
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def what_inspect_left_open_is_collected_here() -> Iterator[None]:
    """Inspect leaves streams open; collected later, they would warn in the middle of another file's
    test."""
    yield
    gc.collect()


def run(model: Path, task: str, logs: Path, limit: int | None = None) -> list[Score]:
    return run_task(str(model), f"{TASKS}@{task}", limit, logs)


def test_a_task_runs_on_a_model_of_ours_and_its_log_can_be_read(
    tiny_model: Path, tmp_path: Path
) -> None:
    scores = run(tiny_model, "capitals_by_letter", tmp_path, limit=4)
    assert [s.item for s in scores] == ["France", "Germany", "Italy", "Japan"]
    assert {s.eval for s in scores} == {"inspect/capitals_by_letter"}
    assert all(s.value in (0.0, 1.0) for s in scores)
    (log,) = tmp_path.glob("*.eval")
    read = read_eval_log(str(log))
    assert read.status == "success" and read.eval.model == f"colorfast/{tiny_model}"


def test_several_scorers_and_epochs_are_kept_apart_and_repeat(
    tiny_model: Path, tmp_path: Path
) -> None:
    first, again = (run(tiny_model, "capitals_twice", tmp_path / name) for name in ("a", "b"))
    assert {s.eval for s in first} == {
        "inspect/capitals_twice/includes",
        "inspect/capitals_twice/match",
    }
    assert len(first) == 6 * 2 * 2
    assert [(s.item, s.sample, s.reply) for s in first] == [
        (s.item, s.sample, s.reply) for s in again
    ]
    replies = {(s.item, s.sample): s.reply for s in first}
    assert any(replies["France", 1] != replies[land, 2] for land in ("France", "Italy"))


def test_what_has_no_value_in_the_unit_interval_is_none_with_a_reason(
    tiny_model: Path, tmp_path: Path
) -> None:
    found = {s.item: s for s in run(tiny_model, "odd_values", tmp_path)}
    assert {i: s.value for i, s in found.items()} == {
        **{
            "France": 0.25,
            "Italy": 0.5,
            "Germany": None,
            "Japan": None,
            "Spain": None,
            "Russia": None,
        }
    }
    assert (
        "outside" in found["Germany"].reason
        and "several" in found["Spain"].reason
        and "no one could say" in found["Russia"].reason
    )


def test_a_sample_that_fails_is_none_and_a_task_that_fails_is_one_line(
    tiny_model: Path, tmp_path: Path
) -> None:
    found = {s.item: s for s in run(tiny_model, "one_fails", tmp_path)}
    assert found["Italy"].value is None and "the solver" in found["Italy"].reason
    assert all(s.value is not None for i, s in found.items() if i != "Italy")
    for task, says in (
        ("all_fail", "no sample came through"),
        ("no_task", "the data is not here"),
        ("nowhere", "nowhere"),
    ):
        with pytest.raises(ColorfastError, match=says) as error:
            run(tiny_model, task, tmp_path)
        assert "\n" not in str(error.value)


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ColorfastError, match="not a folder"):
        run(tmp_path / "nowhere", "capitals", tmp_path)


def test_inspect_finds_the_provider_by_name(tiny_model: Path) -> None:
    assert str(get_model(f"colorfast/{tiny_model}", memoize=False)) == f"colorfast/{tiny_model}"
