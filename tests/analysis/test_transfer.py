"""Transfer: known effects on what was trained on and on what was not stand in their cells, and the
figure shows them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from colorfast.analysis.results import load
from colorfast.analysis.transfer import Transfer, transfer
from colorfast.config import Arm, Experiment
from colorfast.stats.intervals import rng
from colorfast.training.schedule import heldout
from helpers.run_folders import experiment, html, make_run, section

ARMS = {
    "baseline": Arm(dose=0),
    "all": Arm(dose=0.25),
    "truth": Arm(dose=0.25, traits=("truthfulness",)),
    "law": Arm(dose=0.25, domains=("law",)),
}


def made(folder: Path) -> tuple[Experiment, Path]:
    """`truth` gains .4 on its trait and .1 on the others, `law` .4 on its domain and nothing
    elsewhere, `all` .3 on everything."""
    e = experiment(arms=ARMS, traits=("truthfulness", "corrigibility", "dense-usefulness"))
    rows = {s.id: s for s in heldout(e)}

    def value(arm: str, item: str) -> float:
        s = rows.get(item)
        gains = {
            "all": 0.3,
            "truth": 0.4 if s and s.trait == "truthfulness" else 0.1,
            "law": 0.4 if s and s.domain == "law" else 0.0,
        }
        return 0.3 + gains.get(arm, 0.0) + 0.02 * float(rng(f"{arm}-{item}").normal())

    return e, make_run(folder, e, value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("transfer"))[1]


@pytest.fixture(scope="module")
def found(run: Path) -> Transfer:
    t = transfer(load(run))
    assert t is not None
    return t


def test_each_cell_holds_the_effect_that_is_there(found: Transfer) -> None:
    for arm, kind, own, inside, outside in (
        ("truth", "held-out trait", "truthfulness", 0.4, 0.1),
        ("law", "held-out domain", "law", 0.4, 0.0),
    ):
        for column, cell in zip(found.columns, found.cells[arm], strict=True):
            if column.kind == kind:
                assert cell is not None and cell.trained == (column.name == own)
                assert cell.difference.value == pytest.approx(
                    inside if cell.trained else outside, abs=0.02
                )
                assert cell.difference.low < cell.difference.value < cell.difference.high
    assert not any(cell.trained for cell in found.cells["all"] if cell)
    assert found.arms == ("law", "truth", "all")


def test_what_was_not_trained_on_stands_by_itself(found: Transfer) -> None:
    sides = {(b.arm, b.kind): b for b in found.beyond}
    assert sides.keys() == {("truth", "held-out trait"), ("law", "held-out domain")}
    for key, inside, outside, others in (
        (("truth", "held-out trait"), 0.4, 0.1, 2),
        (("law", "held-out domain"), 0.4, 0.0, 11),
    ):
        b = sides[key]
        assert b.inside is not None and b.outside is not None
        assert (
            b.inside.difference.value == pytest.approx(inside, abs=0.02)
            and b.inside.trained
            and b.inside.difference.sign
        )
        assert (
            b.outside.difference.value == pytest.approx(outside, abs=0.02) and not b.outside.trained
        )
        assert b.outside.size == others


def test_families_are_columns_too(found: Transfer) -> None:
    (column,) = [c for c in found.columns if c.kind == "eval family"]
    assert column.name == "arithmetic"
    cell = found.cells["all"][found.columns.index(column)]
    assert (
        cell is not None
        and cell.difference.value == pytest.approx(0.3, abs=0.05)
        and cell.size == 1
    )


def test_the_matrix_stands_in_the_report(run: Path, found: Transfer) -> None:
    page = html(run)
    words = section(page, "transfer")
    svg = (run / "report/transfer.svg").read_text(encoding="utf-8")
    for text in ("truth", "law", "dense-usefulness", "meta-ai", "arithmetic"):
        assert (
            text in words
            and text in svg
            and text in (run / "report/report.md").read_text(encoding="utf-8")
        )
    cells = [c for a in found.arms for c in found.cells[a] if c]
    means = [c for b in found.beyond for c in (b.inside, b.outside) if c]
    drawn = re.sub(r"<[^>]*>", "", svg)
    assert drawn.count("●") == sum(c.difference.sign != 0 for c in cells + means)
    rows = list(
        csv.DictReader((run / "report/transfer.csv").read_text(encoding="utf-8").splitlines())
    )
    assert len(rows) == len(cells) + len(means)
    assert sum(r["trained"] == "True" for r in rows) == 4  # two cells, two means


def test_arms_that_cover_everything_have_no_matrix(tmp_path: Path) -> None:
    e = experiment(arms={"baseline": Arm(dose=0), "trait-5": Arm(dose=0.25)})
    run = make_run(tmp_path, e, lambda arm, item: 0.5)
    assert transfer(load(run)) is None
    assert '<section id="transfer">' not in html(run) and not (run / "report/transfer.csv").exists()
