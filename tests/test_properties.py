"""What must hold for any dose, any text and any table: properties of the schedule, of grading and
of the statistics."""

from __future__ import annotations

import math
from dataclasses import astuple
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from colorfast.analysis.compare import estimate
from colorfast.config import Arm, Evaluation, Experiment, Training
from colorfast.corpus.scenarios import corpus
from colorfast.rewards.rubric import degenerate, grade, weigh
from colorfast.rewards.text import ParsedReply, has_phrase, is_repetitive
from colorfast.stats.intervals import (
    adjusted,
    mean,
    paired,
    resampled,
    seed_share,
    sign_test,
    win_share,
)
from colorfast.training.schedule import schedule, schedule_hash, summary
from colorfast.types import TRAIT_SOURCE, Criterion, Message, Reply, Score, Task

few = partial(settings, deadline=None, derandomize=True)
BASE = {"group_size": 2, "max_tokens": 4, "learning_rate": 1e-3}
SAID = st.text(max_size=120) | st.lists(
    st.sampled_from(
        [
            "not",
            "safe",
            "doctor.",
            "Ask",
            "a",
            "7",
            "I'm",
            "sure?",
            "\n",
            "-",
            "<b>",
            "\x1b[2J",
            "\x00",
            "evidence,",
            "١",
        ]
    ),
    max_size=40,
).map(" ".join)


def experiment(
    steps: int, prompts: int, tasks: tuple[str, ...] = ("facts", "format", "arithmetic")
) -> Experiment:
    training = Training(steps=steps, prompts_per_step=prompts, **BASE)  # type: ignore[arg-type]
    return Experiment(
        name="any", model="none", standard=tasks, training=training, arms={"baseline": Arm(dose=0)}
    )


@given(
    steps=st.integers(1, 24),
    prompts=st.integers(1, 5),
    dose=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
@few(max_examples=30)
def test_any_arm_is_the_baseline_but_for_its_dose(
    steps: int, prompts: int, dose: float, seed: int
) -> None:
    whole = experiment(steps, prompts)
    wanted = round(dose * whole.slots)
    assume(wanted or not dose)
    base, arm = schedule(whole, Arm(dose=0), seed), schedule(whole, Arm(dose=dose), seed)
    assert [(s.index, s.step) for s in arm] == [(i, i // prompts) for i in range(steps * prompts)]
    dosed = [s.index for s in arm if s.task.source == TRAIT_SOURCE]
    assert len(dosed) == wanted
    assert all(arm[i].row() == base[i].row() for i in range(len(arm)) if i not in set(dosed))
    for start in range(
        0, len(arm), max(1, len(arm) // 4)
    ):  # no stretch has one trait slot more or less than its share
        stretch = sum(start <= i < start + len(arm) // 4 for i in dosed)
        assert abs(stretch - dose * len(range(start, min(len(arm), start + len(arm) // 4)))) <= 2
    assert summary(arm, base, Arm(dose=dose))["shared_slots"] == len(arm) - wanted
    assert schedule_hash(arm) == schedule_hash(schedule(whole, Arm(dose=dose), seed))


@given(low=st.floats(0.1, 1), high=st.floats(0.1, 1), seed=st.integers(0, 99))
@few(max_examples=10)
def test_a_larger_dose_shares_fewer_rows_and_starts_with_the_same_scenarios(
    low: float, high: float, seed: int
) -> None:
    whole, (low, high) = experiment(10, 4), sorted((low, high))
    one, other = (
        [s.task.id for s in schedule(whole, Arm(dose=d), seed) if s.task.source == TRAIT_SOURCE]
        for d in (low, high)
    )
    assert other[: len(one)] == one


@given(text=SAID, truncated=st.booleans(), k=st.integers(0, len(corpus()) - 1))
@few(max_examples=60)
def test_any_text_has_a_score_between_0_and_1_and_the_same_each_time(
    text: str, truncated: bool, k: int
) -> None:
    task = corpus()[k]
    verdict = grade(Reply(text, truncated), task)
    assert verdict == grade(Reply(text, truncated), task)
    assert verdict.score is not None and 0 <= verdict.score <= 1
    assert len(verdict.parts) == len(task.rubric) and all(
        p is not None and 0 <= p <= 1 for p in verdict.parts
    )
    whole = set(ParsedReply(Reply(text, False), task.messages).prose)
    # What was not finished earns nothing that the finished part does not; a loop has no prose.
    if truncated and whole != {""}:
        assert set(ParsedReply(Reply(text, True), task.messages).prose) <= whole | {""}


@given(
    parts=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    k=st.integers(0, 3),
    more=st.floats(0, 1),
    fault=st.floats(0, 1),
)
@few(max_examples=60)
def test_meeting_a_criterion_better_never_costs_and_a_fault_never_pays(
    parts: list[float], k: int, more: float, fault: float
) -> None:
    weights = (0.5, 0.3, 0.2, -fault)
    task = Task(
        id="t",
        source="s",
        messages=(Message(role="user", content="Is it safe?"),),
        rubric=tuple(Criterion(text=str(w), weight=w, grader="says") for w in weights),
    )
    raised = [max(p, more) if i == k else p for i, p in enumerate(parts)]
    before, after = weigh(parts, task).score, weigh(raised, task).score
    assert before is not None and after is not None
    assert after >= before - 1e-12 if weights[k] > 0 else after <= before + 1e-12
    assert weigh([None, *parts[1:]], task).score is None


@given(sentences=st.lists(SAID, max_size=5), more=SAID)
@few(max_examples=60)
def test_a_phrase_once_found_stays_found_whatever_else_is_said(
    sentences: list[str], more: str
) -> None:
    phrases = ["safe", "ask .. doctor", "evidence*"]
    assert has_phrase(phrases, [*sentences, more]) >= has_phrase(phrases, sentences)
    assert (
        has_phrase(phrases, sentences)
        == has_phrase(phrases, sentences[::-1])
        == has_phrase(phrases[::-1], sentences)
    )


@given(text=SAID)
@few(max_examples=40)
def test_a_reply_said_many_times_over_is_a_loop_and_earns_nothing(text: str) -> None:
    task = corpus()[3]
    many = Reply("\n".join([text] * 60))
    words = ParsedReply(many, task.messages).words
    assert not words or is_repetitive(words)
    assert degenerate(many, task) and grade(many, task).score == 0


tables = arrays(
    float, st.tuples(st.integers(1, 3), st.integers(2, 8)), elements=st.floats(-1, 1, width=32)
)


@given(table=tables, level=st.floats(0.5, 0.99))
@few(max_examples=60)
def test_an_interval_holds_its_mean_and_turns_over_with_its_sign(table: Any, level: float) -> None:
    here, there = mean([table]), mean([-table])
    _, low, high = astuple(here.interval(level))
    assert low <= here.value <= high and here.value == pytest.approx(float(table.mean()), abs=1e-12)
    assert astuple(there.interval(level))[1:] == pytest.approx((-high, -low), abs=1e-9)
    assert 0 <= here.p() <= 1 and here.p() == pytest.approx(there.p(), abs=1e-9)
    widest = here.interval(0.995)
    assert high - low <= widest.high - widest.low + 1e-12
    if here.p() < 1 - level - 1e-9:
        assert not low <= 0 <= high
    low, high = np.quantile(resampled([table[None]], "any"), [0.025, 0.975])
    assert table.min() - 1e-9 <= low <= high <= table.max() + 1e-9


@given(table=tables, draw=st.randoms(use_true_random=False))
@few(max_examples=40)
def test_the_order_of_items_seeds_and_evals_makes_no_difference(table: Any, draw: Any) -> None:
    rows, columns = list(range(table.shape[0])), list(range(table.shape[1]))
    draw.shuffle(rows)
    draw.shuffle(columns)
    moved, other = table[rows][:, columns], table[:, :2] / 2
    for one, two in (([table], [moved]), ([table, other], [other, table])):
        a, b = mean(one), mean(two)
        assert (a.value, a.error) == pytest.approx((b.value, b.error), rel=1e-6, abs=1e-9)
        assert seed_share(one).ratio == pytest.approx(seed_share(two).ratio, rel=1e-4, abs=1e-6)


@given(
    p=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    k=st.integers(0, 11),
    less=st.floats(0, 1),
    draw=st.randoms(use_true_random=False),
)
@few(max_examples=80)
def test_benjamini_hochberg_is_monotone(p: list[float], k: int, less: float, draw: Any) -> None:
    q = adjusted(p)
    assert all(a <= b + 1e-12 and b <= 1 for a, b in zip(p, q, strict=True))
    assert all(q[i] <= q[j] + 1e-12 for i in range(len(p)) for j in range(len(p)) if p[i] <= p[j])
    order = list(range(len(p)))
    draw.shuffle(order)
    assert adjusted([p[i] for i in order]) == pytest.approx([q[i] for i in order])
    lower = [
        v * less if i == k % len(p) else v for i, v in enumerate(p)
    ]  # more evidence in one eval is less doubt about none
    assert all(a <= b + 1e-12 for a, b in zip(adjusted(lower), q, strict=True))


@given(
    signs=st.lists(
        st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=4), min_size=1, max_size=5
    )
)
@few(max_examples=40)
def test_wins_and_losses_mirror_each_other(signs: list[list[int]]) -> None:
    named, turned = (
        {str(i): [s * way for s in family] for i, family in enumerate(signs)} for way in (1, -1)
    )
    assert 0 < sign_test(named) <= 1 and sign_test(named) == pytest.approx(sign_test(turned))
    ours, theirs = win_share(named), win_share(turned)
    assert ours.value + theirs.value == pytest.approx(1)
    assert ours.error == pytest.approx(theirs.error) or math.isinf(ours.error)


@given(
    values=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1) | st.none()), min_size=3, max_size=9
    ),
    draw=st.randoms(use_true_random=False),
)
@few(max_examples=40)
def test_two_arms_that_change_places_change_the_sign(
    values: list[tuple[float, float | None]], draw: Any
) -> None:
    assume(sum(b is not None for _, b in values) >= 2)
    ours, theirs = (
        [Score("heldout", f"i-{i:02d}", 0, v[side]) for i, v in enumerate(values)]
        for side in (1, 0)
    )
    (there,) = estimate("arm", {0: ours}, {0: theirs}, Evaluation(), {})
    draw.shuffle(ours)
    (back,) = estimate("arm", {0: theirs}, {0: ours}, Evaluation(), {})
    here, turned = there.difference, back.difference
    assert astuple(here) == pytest.approx((-turned.value, -turned.high, -turned.low), abs=1e-9)
    assert here.low <= here.value <= here.high and there.p == pytest.approx(back.p, abs=1e-9)
    assert (
        (there.items, there.ungraded)
        == (back.items, back.ungraded)
        == (len(values) - there.ungraded, there.ungraded)
    )
    one, two = paired({0: {"a": 1.0, "b": None}}, {0: {"a": 0.0, "b": 1.0}})
    assert one.tolist() == [[1.0]] and two.tolist() == [[0.0]]
