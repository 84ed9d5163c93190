"""The same held-out replies by a second grader: nothing is sampled again, nothing counts twice."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from pydantic import ValidationError

from colorfast.config import Endpoint, Evaluation, Experiment, Grading
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.tables import read_scores
from colorfast.report import write
from colorfast.report.gather import gather
from colorfast.runs.experiment import run
from colorfast.runs.folder import load_run, load_scores
from colorfast.types import Score
from helpers.server import said

BY_JUDGE = f"{HELDOUT}-by-judge"


def half_met(_: int, data: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """A judge that finds every criterion partly met."""
    rows = [{"criterion": c["criterion"], "met": "partly"} for c in data["criteria"]]
    return said(json.dumps({"verdicts": rows}))


@pytest.fixture
def graded_twice(small: Experiment, serve: Any, tmp_path: Path) -> Path:
    """Two arms and two seeds, graded by code and by a judge."""
    judge = Grading(kind="judge", judge=Endpoint(base_url=serve(half_met).url, model="m"))
    evaluation = small.evaluation.model_copy(update={"second_grading": judge})
    return run(small.model_copy(update={"evaluation": evaluation}), tmp_path / "runs")


def rows_of(scores: list[Score], name: str) -> list[tuple[str, int, str]]:
    return [(s.item, s.sample, s.reply) for s in scores if s.eval == name]


def test_both_graders_score_the_same_replies(graded_twice: Path) -> None:
    scores = load_scores(graded_twice, load_run(graded_twice))
    for by_seed in scores.values():
        for rows in by_seed.values():
            first = rows_of(list(rows), HELDOUT)
            assert first and first == rows_of(list(rows), BY_JUDGE)
            assert {s.value for s in rows if s.eval == BY_JUDGE} != {
                s.value for s in rows if s.eval == HELDOUT
            }


def test_the_report_shows_the_second_grader_and_counts_it_nowhere(graded_twice: Path) -> None:
    findings = gather(graded_twice)
    row = next(r for r in findings.rows if r.eval == BY_JUDGE)
    (cell,) = row.cells.values()
    assert cell is not None and cell.q is None and not row.counted
    together = findings.overall["trait-25"]
    assert together is not None and together.evals == sum(r.counted for r in findings.rows)
    write(graded_twice)
    page = (graded_twice / "report" / "report.html").read_text(encoding="utf-8")
    assert "graded by judge" in page
    pairs = (graded_twice / "report" / "report.md").read_text(encoding="utf-8")
    assert "graded by judge" in pairs


def test_the_untrained_models_score_is_by_the_first_grader_alone(graded_twice: Path) -> None:
    rows = read_scores(graded_twice / "start" / "scores.parquet")
    first = [s.value for s in rows if s.eval == HELDOUT and s.value is not None]
    assert len(first) < len(rows)
    assert gather(graded_twice).start == pytest.approx(fmean(first))


def test_a_second_grader_that_is_the_first_is_refused() -> None:
    with pytest.raises(ValidationError, match="the same grader as grading"):
        Evaluation(grading=Grading(kind="code"), second_grading=Grading(kind="code"))
