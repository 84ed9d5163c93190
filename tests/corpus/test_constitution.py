"""A constitution as text, as a rubric, and as read from somebody's Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from colorfast.corpus import constitution
from colorfast.corpus.scenarios import corpus
from colorfast.rewards.rubric import grade
from colorfast.types import Reply
from helpers.command import colorfast, refused
from helpers.constitutions import OURS, SPEC


def test_the_constitution_is_whole() -> None:
    rubric = constitution.rubric(OURS, corpus()[0])
    assert 12 <= len(OURS) <= 18 and len({p.name for p in OURS}) == len(OURS)
    assert all(p.criteria and p.reasons and len(p.rule.split()) <= 40 for p in OURS)
    assert sum(c.weight for c in rubric if c.weight > 0) == pytest.approx(1) and any(
        c.weight < 0 for c in rubric
    )
    assert all(
        grade(Reply("It is as it is."), constitution.rewarded(s, OURS)).score is not None
        for s in corpus()[:40]
    )
    assert all(p.rule in constitution.short(OURS) for p in OURS)


def test_the_constitution_tells_good_replies_from_bad_ones_by_words_alone() -> None:
    from colorfast.evals.validate import auc

    held = [s for s in corpus() if s.split == "heldout"]
    good, bad = (
        np.array(
            [grade(Reply(s.replies[kind]), constitution.rewarded(s, OURS)).score for s in held],
            dtype=float,
        )
        for kind in ("good", "bad")
    )
    assert 0.75 < auc(good, bad) < 0.95


def test_a_constitution_and_what_it_can_tell_are_printed() -> None:
    shown = colorfast("constitution")
    assert (
        all(p.rule in shown.stdout for p in OURS)
        and f"{len(OURS)} principles, {len(OURS)} of them with criteria" in shown.stdout
    )
    assert [row["name"] for row in json.loads(colorfast("constitution", "--json").stdout)] == [
        p.name for p in OURS
    ]
    refused(
        colorfast("constitution", "colorfas"), "constitution 'colorfas'", "did you mean 'colorfast'"
    )


def test_a_spec_in_markdown_becomes_principles(tmp_path: Path) -> None:
    (tmp_path / "spec.md").write_text(SPEC)
    found = constitution.load(str(tmp_path / "spec.md"))
    assert [(p.name, p.title) for p in found] == [
        ("tell-the-truth", "Tell the truth"),
        ("be-kind", "Be kind"),
    ]
    assert (
        found[0].rule == "The assistant should never lie. See also be kind."
        and not found[0].reasons
    )
    assert found[1].rule == "Kindness costs nothing: be kind" and found[1].reasons == "stay kind"
    assert not constitution.for_code(found)
    verdict = grade(Reply("I keep to it."), constitution.rewarded(corpus()[0], found))
    assert verdict.score is None and "could not grade: Keeps to this" in verdict.reason


def test_a_long_spec_is_drawn_from_for_each_task_and_in_the_end_all_of_it_counts(
    tmp_path: Path,
) -> None:
    (tmp_path / "long.md").write_text(
        "\n\n".join(f"## Principle {i}\n\nKeep rule {i}." for i in range(60))
    )
    found = constitution.load(str(tmp_path / "long.md"))
    rubrics = [constitution.rubric(found, s) for s in corpus()[:100]]
    assert all(
        len(r) == constitution.MOST and sum(c.weight for c in r) == pytest.approx(1)
        for r in rubrics
    )
    assert len({c.text for r in rubrics for c in r}) == 60 and rubrics[0] == constitution.rubric(
        found, corpus()[0]
    )


def test_the_model_spec_is_read_from_its_file() -> None:
    """One written by `small_files`."""
    found = constitution.load(constitution.MODEL_SPEC)
    assert [p.name for p in found] == ["tell-the-truth", "be-kind"]
    assert found[0].rule == "The assistant should never lie. See also be kind."
