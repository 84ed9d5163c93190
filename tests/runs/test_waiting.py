"""What somebody who waits is told: by the Makefile before each slow step, by a run at its start, on
its way and at its end."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from colorfast.config import Experiment
from colorfast.io import console
from colorfast.io.storage import write_json, write_text
from colorfast.report import sentences
from colorfast.runs import experiment as exp
from colorfast.runs.layout import UNTRAINED, Cell, cells
from colorfast.runs.outline import outline
from colorfast.runs.status import Status, known_time, statuses, tally
from colorfast.runs.timing import Left
from helpers.command import colorfast
from helpers.tiny import write_toml

ROOT = Path(__file__).parents[2]
PART = 'about = "A little of it"\ntraits = ["truthfulness"]\ndomains = ["health"]'


@pytest.mark.skipif(shutil.which("make") is None, reason="no make is installed")
@pytest.mark.parametrize("target", ["test", "docs", "package", "bench"])
@pytest.mark.parametrize("torch", ["torch==2.13.0", ""])
def test_before_every_slow_step_the_makefile_says_what_it_does_and_how_long_it_takes(
    tmp_path: Path, target: str, torch: str
) -> None:
    command = ["make", "-n", target, f"VENV={tmp_path / 'none'}", f"TORCH={torch}"]
    lines = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    slow = [k for k, line in enumerate(lines) if "-m venv" in line or "-m pip" in line]
    assert len(slow) >= 3 + bool(torch) - (not torch)
    for k in slow:
        assert re.match(
            r'echo "(Making|Installing) .*\((.*nothing to download|.*\d+'
            r' [MG]B).*(seconds|minutes?).*\) \.\.\."$',
            lines[k - 1],
        )
        assert "/dev/null" not in lines[k] and not lines[k].startswith("-")


def test_a_run_says_at_its_start_what_it_will_do_and_at_its_end_what_it_shows(
    tmp_path: Path, tiny_model: Path
) -> None:
    toml, runs = write_toml(tmp_path, tiny_model, top=PART), tmp_path / "runs"
    first = colorfast("run", str(toml), "--out", str(runs))
    assert first.returncode == 0, first.stderr
    start = first.stderr[: first.stderr.index("scoring untrained model ...")]
    assert "tiny: A little of it\n" in start and f"folder: {runs / 'tiny'};" in start
    assert "2 arms (baseline, trait) x 1 seed = 2 cells, each 4 steps x " in start
    assert (
        re.search(r"model: .*tiny, trained in (fp32|bf16) on ", start)
        and "there already" not in start
    )
    assert re.search(
        r"untrained model done \(0 of 2 cells done; at least \d+ min left\)", first.stderr
    )
    assert re.search(
        r"baseline-s0 done \(1 of 2 cells done; about \d+ min left, done at about \d\d:\d\d.*\)",
        first.stderr,
    )
    *_, report = first.stdout.strip().splitlines()
    assert report == f"report: {runs / 'tiny' / 'report' / 'report.html'}"
    told = " ".join(first.stdout.split())
    assert all(sentence in told for sentence in sentences(runs / "tiny"))
    again = colorfast("run", str(toml), "--out", str(runs))
    assert "there already: untrained model done, baseline-s0 done, trait-s0 done\n" in again.stderr


def test_the_start_names_what_another_experiment_has_trained(
    tmp_path: Path, tiny_model: Path
) -> None:
    toml = write_toml(tmp_path, tiny_model, top=PART)
    exp.run(exp.load(str(toml)), tmp_path)
    twin = exp.load(str(toml)).model_copy(update={"name": "twin"})
    shared = []

    class BegunError(Exception):
        pass

    def stop(
        run: Path, experiment: Experiment, chosen: list[Cell], jobs: int, missing: dict[str, str]
    ) -> None:
        shared.extend(outline(run, experiment, chosen, jobs))
        raise BegunError

    patch = pytest.MonkeyPatch()
    patch.setattr(exp, "sweep", stop)
    with patch.context(), pytest.raises(BegunError):
        exp.run(twin, tmp_path)
    patch.undo()
    assert any(line.endswith("and not again: baseline-s0, trait-s0") for line in shared)


def test_the_hour_of_the_end_is_told_with_its_day_when_that_is_another() -> None:
    now = datetime(2030, 5, 31, 23, 0)
    assert Left(30 * 60).until(now) == "about 30 min left, done at about 23:30"
    assert Left(2 * 3600).until(now) == "about 2 h 0 min left, done at about 01:00 on June 1"
    assert Left(60, least=True).until(now) == "at least 1 min left"
    assert Left(None).until(now) == "time left not known yet"


def test_the_time_is_told_after_two_steps_and_something_scored(
    small: Experiment, tmp_path: Path
) -> None:
    write_json(tmp_path / "run.json", {"traits": {str(i): "truthfulness" for i in range(10)}})
    folder = tmp_path / "baseline-s0"

    def now() -> list[Status]:
        return statuses(tmp_path, small, [UNTRAINED, *cells(small)])

    def text() -> str:
        return known_time(now())

    def trained(steps: int) -> None:
        write_text(folder / "metrics.jsonl", "{}\n" * steps)
        write_json(folder / "time.json", {"training": {"seconds": 60 * steps, "units": steps}})

    assert text() == ""
    trained(2)
    assert text() == ""  # nothing was scored yet
    write_json(tmp_path / "start" / "time.json", {"evaluation": {"seconds": 10, "units": 10}})
    trained(1)
    assert text() == ""  # the first step pays for what is set up once
    trained(2)
    assert re.fullmatch(r"about 16 min left, done at about \d\d:\d\d.*", text())
    assert "done at" not in tally(now())
    assert "done at" in tally(now(), running=True)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=out, width=200))
    monkeypatch.setattr(console, "A_SECOND", 0.01)
    return out


def wait_until(ready: Callable[[], bool]) -> None:
    for _ in range(2000):
        if ready():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it never came")


def test_a_plain_pipe_is_told_the_time_once_it_is_known_and_not_again_at_once(
    pipe: io.StringIO,
) -> None:
    answers = iter(["", "", "about 12 min left", "about 11 min left"])
    with console.live(lambda: "", lambda: next(answers)):
        wait_until(lambda: "left" in pipe.getvalue())
    assert pipe.getvalue() == "about 12 min left\n"
    assert next(answers) == "about 11 min left"


def test_the_line_on_a_plain_pipe_ends_with_the_work_even_when_that_fails(
    pipe: io.StringIO,
) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), console.live(lambda: "", lambda: ""):
        raise KeyError
    assert threading.active_count() == before and pipe.getvalue() == ""


def test_the_start_of_a_run_on_the_page_is_that_of_the_quick_experiment() -> None:
    quick = exp.read("quick")
    page = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    training, evaluation = quick.training, quick.evaluation
    arms = f"{len(quick.arms)} arms ({', '.join(quick.arms)}) x {len(quick.seeds)} seed"
    each = (
        f"{training.steps} steps x {training.prompts_per_step} prompts x {training.group_size}"
        " replies"
    )
    held = f"{len(exp.heldout(quick))} held-out scenarios x {evaluation.samples} replies"
    assert f"  trains: {arms}" in page and f" cells, each {each}, " in page
    assert (
        f"  scores: each cell on {held} and {len(evaluation.benchmarks)} evals of up to"
        f" {evaluation.items} items; " in page
    )
    assert f"\n{quick.name}: {quick.about}\n" in page
