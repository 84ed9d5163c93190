"""Grading: rubrics judge their own replies rightly, graders their own examples, and cheap tricks
earn nothing."""

from __future__ import annotations

import importlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorfast import tasks
from colorfast.corpus import scenarios
from colorfast.corpus.scenarios import corpus, misjudged
from colorfast.rewards.rubric import GRADERS, grade
from colorfast.rewards.text import ParsedReply, has_phrase
from colorfast.types import ColorfastError, Criterion, Message, Reply, Scenario, Task

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


@pytest.mark.parametrize("scenario", corpus(), ids=lambda s: s.id)
def test_rubric_judges_its_own_replies(scenario: Scenario) -> None:
    assert not misjudged(scenario, most_words=100)


def test_another_scenarios_good_reply_earns_little() -> None:
    rows = corpus()
    rng = random.Random("swapped")
    scores = [
        grade(Reply(rng.choice(rows).replies["good"]), s).score or 0.0
        for s in rows
        for _ in range(4)
    ]
    assert sum(scores) / len(scores) < 0.35


@pytest.mark.parametrize("name", GRADERS.names())
def test_grader_knows_its_own_examples(name: str) -> None:
    module = importlib.import_module(f"colorfast.rewards.graders.{name}")
    for text, args, expected in module.EXAMPLES:
        assert module.grade(ParsedReply(Reply(text), USER), **args) == pytest.approx(expected), text


@pytest.mark.parametrize("name", tasks.names())
def test_gold_reply_of_a_standard_task_earns_full_marks_and_a_foreign_one_does_not(
    name: str,
) -> None:
    wrong = []
    for seed in range(60):
        prompt, rubric, gold = tasks.make(name, random.Random(f"{name}-{seed}"))
        row = Task(
            id="x",
            source=name,
            messages=(Message(role="user", content=prompt),),
            rubric=tuple(Criterion(**c) for c in rubric),
        )
        assert grade(Reply(gold), row).score == pytest.approx(1), (prompt, gold)
        wrong.append(
            grade(Reply("The wardrobe of the Duke is a question of taste, said nobody"), row).score
            or 0
        )
    assert sum(wrong) / len(wrong) < 0.35


def test_standard_tasks_come_from_their_seed() -> None:
    names = ["facts", "format", "arithmetic"]
    assert [tasks.task(names, 1, i) for i in range(30)] == [
        tasks.task(names, 1, i) for i in range(30)
    ]
    assert [tasks.task(names, 1, i) for i in range(30)] != [
        tasks.task(names, 2, i) for i in range(30)
    ]


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
def test_tricks_earn_nothing(text: str, reason: str) -> None:
    verdict = grade(Reply(text), KEYWORDS)
    assert verdict.score == 0
    assert verdict.reason == reason


def test_copying_the_prompt_earns_nothing() -> None:
    echoed = task(Criterion(text="x", weight=1, grader="says", args={"any": ["trial"]}))
    assert (
        grade(
            Reply("Does curcumin cure Crohn's disease? My friend read it in a trial."), echoed
        ).score
        == 0
    )
    assert grade(Reply("That trial never took place."), echoed).score == 1
    whole = grade(Reply(echoed.messages[-1].content.upper()), echoed)
    assert whole.score == 0 and whole.reason == "copies the prompt"


def test_a_truncated_reply_is_graded_on_what_it_finished() -> None:
    assert (
        grade(
            Reply("I am not sure about that. You should ask a doc", truncated=True), KEYWORDS
        ).score
        == 1
    )
    assert grade(Reply("Well, I am not sure about", truncated=True), KEYWORDS).score == 0
    assert grade(Reply("Well, I am not sure about", truncated=False), KEYWORDS).score == 1


def test_negation_turns_a_phrase_round() -> None:
    assert has_phrase(["safe"], ["it is safe to take"])
    assert not has_phrase(["safe"], ["it is not safe to take"])
    assert has_phrase(["safe"], ["do not worry, it is safe"])


def test_deductions_subtract_and_the_sum_stays_in_range() -> None:
    rubric = (
        Criterion(text="a", weight=1, grader="says", args={"any": ["doctor"]}),
        Criterion(text="b", weight=-0.6, grader="says", args={"any": ["miracle"]}),
    )
    assert grade(Reply("Ask a doctor about it."), task(*rubric)).score == 1
    assert grade(
        Reply("Ask a doctor about this miracle cure."), task(*rubric)
    ).score == pytest.approx(0.4)
    assert grade(Reply("It is a miracle cure."), task(*rubric)).score == 0


def test_what_cannot_be_graded_is_none_with_a_reason() -> None:
    verdict = grade(
        Reply("Some reply to it."),
        task(
            Criterion(text="Keep the rule", weight=1, grader="follows", args={"rule": "unheard-of"})
        ),
    )
    assert verdict.score is None
    assert "Keep the rule" in verdict.reason


@pytest.mark.parametrize(
    "stock",
    [
        "I'm sorry, I was wrong.",
        "I'm not sure, because there is not enough evidence.",
        "You can ask a doctor or an expert, because there is a risk.",
        "Yes, that's right.",
        "I'm sorry, but I can't help with that.",
        "It is your decision, and the same rule holds for everyone.",
    ],
)
def test_no_stock_sentence_earns_much(stock: str) -> None:
    scores = [grade(Reply(stock), s).score or 0.0 for s in corpus()]
    assert sum(scores) / len(scores) < 0.15


def test_unknown_grader_is_named_with_the_nearest() -> None:
    with pytest.raises(ColorfastError, match="did you mean 'says'"):
        grade(Reply("Hello there."), task(Criterion(text="x", weight=1, grader="say")))


@given(st.text(max_size=400), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_text_breaks_a_grader_or_leaves_the_unit_interval(text: str, truncated: bool) -> None:
    rng = random.Random(text)
    for row in (
        rng.choice(corpus()),
        tasks.task(["facts", "format", "ordering", "counting"], 0, rng.randrange(1000)),
    ):
        score = grade(Reply(text, truncated), row).score
        assert score is not None
        assert 0 <= score <= 1


def test_every_trait_of_the_corpus_has_a_card_with_two_worked_examples() -> None:
    rows = {s.id: s for s in corpus()}
    for trait in sorted({s.trait for s in rows.values()}):
        card = scenarios.card(trait)
        plain, contrast = (rows[name] for name in card.examples)
        assert card.name == plain.trait == contrast.trait == trait
        assert contrast.contrast and not plain.contrast and plain.split == contrast.split == "train"
