"""A constitution as text, as a rubric, and as read from somebody's Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from colorfast.corpus import constitution
from colorfast.corpus.scenarios import corpus
from colorfast.evals.validate import auc
from colorfast.rewards.rubric import grade
from colorfast.types import Reply
from helpers.command import colorfast, refused
from helpers.constitutions import OURS, SPEC


def test_the_shipped_constitution_is_complete() -> None:
    assert 12 <= len(OURS) <= 18
    assert len({p.name for p in OURS}) == len(OURS)
    for principle in OURS:
        assert principle.criteria and principle.reasons
        assert len(principle.rule.split()) <= 40
        assert principle.rule in constitution.short(OURS)


def test_the_shipped_constitution_is_a_rubric_for_code() -> None:
    rubric = constitution.rubric(OURS, corpus()[0])
    assert sum(c.weight for c in rubric if c.weight > 0) == pytest.approx(1)
    assert any(c.weight < 0 for c in rubric)
    for scenario in corpus()[:40]:
        task = constitution.rewarded(scenario, OURS)
        assert grade(Reply("It is as it is."), task).score is not None


def test_the_shipped_constitution_separates_good_replies_from_bad_ones_by_code() -> None:
    scores: dict[str, list[float]] = {"good": [], "bad": []}
    for scenario in corpus():
        if scenario.split == "heldout":
            task = constitution.rewarded(scenario, OURS)
            for kind, own in scores.items():
                own.append(grade(Reply(scenario.replies[kind]), task).score or 0.0)
    assert 0.75 < auc(np.array(scores["good"]), np.array(scores["bad"])) < 0.95


def test_the_command_prints_a_constitution_and_its_criteria() -> None:
    printed = colorfast("constitution").stdout
    assert all(p.rule in printed for p in OURS)
    assert f"{len(OURS)} principles, {len(OURS)} of them with criteria" in printed
    rows = json.loads(colorfast("constitution", "--json").stdout)
    assert [row["name"] for row in rows] == [p.name for p in OURS]


def test_an_unknown_constitution_is_an_error_that_names_the_nearest() -> None:
    answer = colorfast("constitution", "colorfas")
    refused(answer, "constitution 'colorfas'", "did you mean 'colorfast'")


def test_headings_of_a_markdown_file_become_principles(tmp_path: Path) -> None:
    (tmp_path / "spec.md").write_text(SPEC)
    principles = constitution.load(str(tmp_path / "spec.md"))
    truth, kindness = principles
    assert (truth.name, truth.title) == ("tell-the-truth", "Tell the truth")
    assert truth.rule == "The assistant should never lie. See also be kind."
    assert not truth.reasons
    assert (kindness.name, kindness.title) == ("be-kind", "Be kind")
    assert kindness.rule == "Kindness costs nothing: be kind"
    assert kindness.reasons == "stay kind"


def test_only_a_judge_can_grade_by_principles_without_criteria(tmp_path: Path) -> None:
    (tmp_path / "spec.md").write_text(SPEC)
    principles = constitution.load(str(tmp_path / "spec.md"))
    assert not constitution.for_code(principles)
    verdict = grade(Reply("I keep to it."), constitution.rewarded(corpus()[0], principles))
    assert verdict.score is None
    assert "could not grade: Keeps to this" in verdict.reason


def test_each_task_draws_principles_of_a_long_constitution_and_all_are_drawn(
    tmp_path: Path,
) -> None:
    text = "\n\n".join(f"## Principle {i}\n\nKeep rule {i}." for i in range(60))
    (tmp_path / "long.md").write_text(text)
    principles = constitution.load(str(tmp_path / "long.md"))
    rubrics = [constitution.rubric(principles, s) for s in corpus()[:100]]
    drawn = set()
    for rubric in rubrics:
        assert len(rubric) == constitution.MOST
        assert sum(c.weight for c in rubric) == pytest.approx(1)
        drawn.update(c.text for c in rubric)
    assert len(drawn) == 60
    assert rubrics[0] == constitution.rubric(principles, corpus()[0])


def test_the_model_spec_is_read_from_its_file() -> None:
    """The file is one of `small_files`."""
    principles = constitution.load(constitution.MODEL_SPEC)
    assert [p.name for p in principles] == ["tell-the-truth", "be-kind"]
    assert principles[0].rule == "The assistant should never lie. See also be kind."
