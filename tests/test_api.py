"""The Python API: tables of a run as pandas frames, comparisons, figures."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import colorfast
from colorfast.io.tables import read_rows, read_scores
from colorfast.types import ColorfastError
from helpers.tiny import tiny_experiment

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def test_the_code_of_the_page_runs(
    tiny_run: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny run and model stand for those that the page names."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, tmp_path / "runs" / "tiny")
    text = PAGE.read_text(encoding="utf-8")
    for name, tiny in (
        ('colorfast.run("quick"', "colorfast.run(EXPERIMENT"),
        ("runs/quick", "runs/tiny"),
        ("trait-5", "trait-25"),
        ("SmolLM2-135M-Instruct", str(tiny_model)),
        ('suite="quick"', 'suite="bbq-disambiguated,true-false-facts"'),
    ):
        assert name in text
        text = text.replace(name, tiny)
    names = {"EXPERIMENT": tiny_experiment(tiny_model)}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S):
        exec(block, names)
    assert (tmp_path / "trait-25.png").stat().st_size > 1000
    assert (tmp_path / "every-arm.png").stat().st_size > 1000


def test_the_import_loads_no_room() -> None:
    code = (
        "import sys, colorfast;"
        "sys.exit(any(m == 'torch' or m.startswith('colorfast.') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match="nothing"):
        _ = colorfast.nothing  # type: ignore[attr-defined]


def test_frames_hold_the_rows_of_the_files(tiny_run: Path) -> None:
    run = colorfast.load(str(tiny_run))
    assert run.arms == ["baseline", "trait-25", "trait-50"]
    scores = run.scores[run.scores["arm"] == "trait-25"]
    assert len(scores) == len(read_scores(tiny_run / "trait-25-s0" / "scores.parquet"))
    assert set(scores["seed"]) == {0} and set(scores["eval"]) == {"heldout", "little"}
    rollouts = run.rollouts[(run.rollouts["arm"] == "trait-50") & (run.rollouts["step"] == 3)]
    (path,) = (tiny_run / "trait-50-s0" / "rollouts").glob("*3.parquet")
    assert list(rollouts["reply"]) == [row["reply"] for row in read_rows(path)]
    assert set(run.estimates["arm"]) == {"trait-25", "trait-50"}
    between = (run.estimates["low"] <= run.estimates["difference"]) & (
        run.estimates["difference"] <= run.estimates["high"]
    )
    assert between.all()


def test_arms_are_compared_in_the_order_that_is_asked(tiny_run: Path) -> None:
    run = colorfast.load(tiny_run)
    there, back = run.compare("trait-25", "trait-50"), run.compare("trait-50", "trait-25")
    assert list(there.to_pandas()["difference"]) == pytest.approx(
        list(-back.to_pandas()["difference"])
    )
    with pytest.raises(ColorfastError, match="did you mean 'trait-50'"):
        run.compare("trait-52")


def test_a_folder_that_is_no_run_and_a_missing_pandas_are_one_line(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ColorfastError, match="not a run folder"):
        colorfast.load(tmp_path)
    run = colorfast.load(tiny_run)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ColorfastError, match=r"pip install \"colorfast\[notebook\]\""):
        _ = run.scores
