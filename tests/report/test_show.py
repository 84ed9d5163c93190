"""Replies side by side: the scores are the run's, and a model's words steer neither the terminal
nor the layout."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from colorfast.corpus.scenarios import corpus
from colorfast.io.tables import (
    ROLLOUTS,
    read_rows,
    read_scores,
    read_stamps,
    write_rows,
    write_scores,
)
from colorfast.report import replies
from colorfast.rewards.rubric import grade
from colorfast.types import Reply
from helpers.command import colorfast, refused

HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]markup[/] \u202ereversed \x9b31m end"


def shown(run: Path, *args: str, columns: int = 160) -> str:
    done = colorfast("show", str(run), *args, env={"COLUMNS": str(columns)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_json(run: Path, *args: str) -> list[dict[str, Any]]:
    return list(json.loads(shown(run, *args, "--json")))


def test_every_arms_reply_to_an_item_with_its_score_and_verdicts(tiny_run: Path) -> None:
    item = next(s for s in corpus() if s.split == "heldout")
    (asked,) = as_json(tiny_run, "--item", item.id, "--arms", "start,baseline,trait-50")
    assert [s["who"] for s in asked["said"]] == ["start", "baseline", "trait-50"]
    for said in asked["said"]:
        where = (
            tiny_run
            / ("start" if said["who"] == "start" else f"{said['who']}-s0")
            / "scores"
            / "heldout.parquet"
        )
        (score,) = [s for s in read_scores(where) if s.item == item.id]
        assert (said["text"], said["score"]) == (score.reply, score.value)
        assert [p["value"] for p in said["parts"]] == list(
            grade(Reply(score.reply, score.truncated), item).parts
        )
    text = shown(tiny_run, "--item", item.id)
    assert (
        "baseline · " in text
        and "trait-25 · " in text
        and item.rubric[0].text[:20] in text
        and item.messages[-1].content[:40] in text
    )


@pytest.fixture
def changed(tiny_run: Path, tmp_path: Path) -> Path:
    """A run in which the dosed arm said something hostile to one item, and scored by it."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    path = run / "trait-50-s0" / "scores" / "heldout.parquet"
    scores = read_scores(path)
    scores[7] = replace(scores[7], value=0.9, reply=HOSTILE)
    write_scores(path, scores, read_stamps(path))
    return run


def test_differing_puts_the_largest_difference_first(changed: Path) -> None:
    found = as_json(changed, "--differing", "--arms", "baseline,trait-50", "-n", "3")
    spreads = [abs(a["said"][0]["score"] - a["said"][1]["score"]) for a in found]
    wanted = read_scores(changed / "trait-50-s0" / "scores" / "heldout.parquet")[7].item
    assert found[0]["item"] == wanted and spreads == sorted(spreads, reverse=True) and all(spreads)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_hostile_text_is_shown_as_text(changed: Path, columns: int) -> None:
    item = read_scores(changed / "trait-50-s0" / "scores" / "heldout.parquet")[7].item
    text = shown(changed, "--item", item, columns=columns)
    assert not set("\x1b\x07\x9b\u202e") & set(text)
    assert "[bold red]markup[/]" in text and max(map(len, text.splitlines())) <= columns
    raw = shown(changed, "--item", item, "--json")
    assert not set("\x1b\x07\x9b\u202e") & set(raw)
    assert HOSTILE in [s["text"] for a in json.loads(raw) for s in a["said"]]


def test_a_group_of_rollouts_has_rewards_and_advantages(tiny_run: Path) -> None:
    found = as_json(tiny_run, "--rollouts", "--arm", "trait-50", "--step", "0", "--source", "trait")
    rows = [
        r
        for r in read_rows(tiny_run / "trait-50-s0" / "rollouts" / "00000.parquet")
        if r["source"] == "trait"
    ]
    assert [(s["score"], s["advantage"], s["text"]) for a in found for s in a["said"]] == [
        (r["score"], r["advantage"], r["reply"]) for r in rows
    ]
    criteria = {s.id: [c.text for c in s.rubric] for s in corpus()}
    assert all(
        [p["criterion"] for p in s["parts"]] == criteria[a["item"]]
        for a in found
        for s in a["said"]
    )
    text = shown(tiny_run, "--rollouts", "--arm", "trait-50")  # the last step that was kept
    assert "advantage" in text and "sample 2" in text


def test_a_reply_that_was_shown_or_cut_off_is_marked(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    path = run / "trait-50-s0" / "rollouts" / "00000.parquet"
    rows = [
        row | {"shown": True, "truncated": True, "score": None, "reason": "the judge is away"}
        for row in read_rows(path)
    ]
    write_rows(path, rows, ROLLOUTS)
    text = shown(run, "--rollouts", "--arm", "trait-50", "--step", "0")
    assert (
        "shown, not sampled" in text
        and "cut off" in text
        and "ungraded" in text
        and "the judge is away" in text
    )


def test_a_choice_eval_says_what_was_aligned(tiny_run: Path) -> None:
    evals = {s.eval for s in read_scores(tiny_run / "baseline-s0" / "scores.parquet")} - {"heldout"}
    found = replies.replies(tiny_run, evals.pop())
    assert len(found) == 4 and all(
        a.prompt and a.note.startswith("aligned: ") and len(a.replies) == 3 for a in found
    )


def test_a_run_that_has_just_begun_can_be_read(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for arm in ("trait-25-s0", "trait-50-s0"):
        shutil.rmtree(run / arm)
    assert [s["who"] for s in as_json(run, "-n", "1")[0]["said"]] == ["baseline"]
    refused(colorfast("show", str(run), "--arms", "trait-50"), "no such file")
    refused(colorfast("show", str(run), "--rollouts", "--arm", "trait-50"), "none is kept yet")


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["--eval", "heldot"], ["unknown eval", "did you mean 'heldout'"]),
        (["--arms", "trait-5"], ["unknown arm"]),
        (["--seed", "4"], ["unknown seed"]),
        (["--item", "nothing-like-it"], ["unknown item", "more"]),
        (["--rollouts"], ["name it with --arm"]),
        (
            ["--rollouts", "--arm", "trait-50", "--step", "1"],
            ["no rollouts of step 1", "kept are 0, 3"],
        ),
        (["--rollouts", "--arm", "trait-50", "--source", "trai"], ["did you mean 'trait'"]),
        (["--step", "3"], ["go with --rollouts"]),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tiny_run: Path, asked: list[str], wanted: list[str]
) -> None:
    refused(colorfast("show", str(tiny_run), *asked), *wanted)
