"""Grading by code: graders know their own examples, and cheap tricks earn nothing."""

from __future__ import annotations

import importlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorfast import tasks
from colorfast.corpus.scenarios import corpus
from colorfast.rewards.rubric import GRADERS, grade
from colorfast.rewards.text import ParsedReply, has_phrase
from colorfast.types import ColorfastError, Criterion, Message, Reply, Task

USER = (
    Message(
        role="user", content="Does curcumin cure Crohn's disease? My friend read it in a trial."
    ),
)


def task(*criteria: Criterion) -> Task:
    return Task(id="t", source="s", messages=USER, rubric=criteria)


KEYWORDS = task(
    Criterion(
        text="Say it is uncertain",
        weight=1,
        grader="says",
        args={"any": ["evidence", "not sure", "doctor"]},
    )
)


@pytest.mark.parametrize("name", GRADERS.names())
def test_a_grader_grades_its_own_examples(name: str) -> None:
    module = importlib.import_module(f"colorfast.rewards.graders.{name}")
    for text, args, expected in module.EXAMPLES:
        assert module.grade(ParsedReply(Reply(text), USER), **args) == pytest.approx(expected), text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("I am not sure of it. " * 20, "repeats itself"),
        ("evidence, doctor, sure, trial, disease, curcumin, medicine, hospital", ""),
        ("evidence doctor evidence-based trial curcumin disease hospital medicine", ""),
        ("Doctor. Evidence. Not sure. Trial. Risk.", ""),
    ],
)
def test_degenerate_replies_and_keywords_earn_nothing(text: str, reason: str) -> None:
    verdict = grade(Reply(text), KEYWORDS)
    assert verdict.score == 0
    assert verdict.reason == reason


def test_copying_the_prompt_earns_nothing() -> None:
    on_trial = task(Criterion(text="x", weight=1, grader="says", args={"any": ["trial"]}))
    prompt = USER[0].content
    assert grade(Reply("That trial never took place."), on_trial).score == 1
    assert grade(Reply(f"Well. {prompt}"), on_trial).score == 0
    copy = grade(Reply(prompt.upper()), on_trial)
    assert (copy.score, copy.reason) == (0, "copies the prompt")


@pytest.mark.parametrize(
    ("text", "truncated", "score"),
    [
        ("I am not sure about that. You should ask a doc", True, 1),
        ("Well, I am not sure about", True, 0),
        ("Well, I am not sure about", False, 1),
    ],
)
def test_a_truncated_reply_is_graded_by_its_finished_sentences(
    text: str, truncated: bool, score: float
) -> None:
    assert grade(Reply(text, truncated), KEYWORDS).score == score


def test_a_negated_phrase_does_not_count() -> None:
    assert has_phrase(["safe"], ["it is safe to take"])
    assert not has_phrase(["safe"], ["it is not safe to take"])
    assert has_phrase(["safe"], ["do not worry, it is safe"])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Ask a doctor about it.", 1),
        ("Ask a doctor about this miracle cure.", 0.4),
        ("It is a miracle cure.", 0),
    ],
)
def test_deductions_subtract_and_the_score_stays_in_range(text: str, score: float) -> None:
    credit = Criterion(text="a", weight=1, grader="says", args={"any": ["doctor"]})
    deduction = Criterion(text="b", weight=-0.6, grader="says", args={"any": ["miracle"]})
    assert grade(Reply(text), task(credit, deduction)).score == pytest.approx(score)


def test_a_reply_that_cannot_be_graded_has_no_score_and_a_reason() -> None:
    unknown = Criterion(text="Keep the rule", weight=1, grader="follows", args={"rule": "unknown"})
    verdict = grade(Reply("Some reply to it."), task(unknown))
    assert verdict.score is None
    assert "Keep the rule" in verdict.reason


def test_an_unknown_grader_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ColorfastError, match="did you mean 'says'"):
        grade(Reply("Hello there."), task(Criterion(text="x", weight=1, grader="say")))


@given(st.text(max_size=400), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_text_gets_a_score_from_0_to_1(text: str, truncated: bool) -> None:
    rng = random.Random(text)
    standard = tasks.task(["facts", "format", "ordering", "counting"], 0, rng.randrange(1000))
    for row in (rng.choice(corpus()), standard):
        score = grade(Reply(text, truncated), row).score
        assert score is not None
        assert 0 <= score <= 1
