"""Inspect tasks whose items stand in this file: no network, no judge, no sandbox."""

from __future__ import annotations

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, accuracy, choice, includes, match, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, multiple_choice, solver

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Germany": "Berlin",
    "Japan": "Tokyo",
    "Spain": "Madrid",
    "Russia": "Moscow",
}


def asked() -> list[Sample]:
    return [
        Sample(f"What is the capital of {land}?", target=city, id=land)
        for land, city in CAPITALS.items()
    ]


@task
def capitals() -> Task:
    return Task(asked(), solver=generate(), scorer=includes())


@task
def capitals_twice() -> Task:
    return Task(
        asked(),
        solver=generate(max_tokens=5, temperature=1.0),
        scorer=[includes(), match()],
        epochs=Epochs(2, "mean"),
    )


@task
def capitals_by_letter() -> Task:
    cities = list(CAPITALS.values())
    rows = [
        Sample(s.input, target="ABCDEF"[i], choices=cities, id=s.id) for i, s in enumerate(asked())
    ]
    return Task(rows, solver=multiple_choice(max_tokens=5), scorer=choice())


@scorer(metrics=[accuracy()])
def odd() -> Scorer:
    """A value of each kind, named by the item."""
    values = {
        "France": 0.25,
        "Italy": "P",
        "Germany": 7,
        "Japan": "splendid",
        "Spain": {"a": 1, "b": 0},
    }

    async def score(state: TaskState, target: Target) -> Score:
        if state.sample_id == "Russia":
            return Score.unscored(explanation="no one could say")
        return Score(value=values[str(state.sample_id)])

    return score


@solver
def failing(which: str) -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if which in ("all", state.sample_id):
            raise RuntimeError("the solver\nbroke")
        return await generate(state, max_tokens=3)

    return solve


@task
def odd_values() -> Task:
    return Task(asked(), solver=generate(max_tokens=3), scorer=odd())


@task
def one_fails() -> Task:
    return Task(asked(), solver=failing("Italy"), scorer=includes())


@task
def all_fail() -> Task:
    return Task(asked(), solver=failing("all"), scorer=includes())


@task
def no_task() -> Task:
    raise RuntimeError("the data is\nnot here")
