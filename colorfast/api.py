"""The Python API: load a run, train an experiment, score a model, compare two models.

Tables are pandas frames, which the extra `notebook` brings; figures are matplotlib's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorfast.analysis import results
from colorfast.analysis.compare import overall
from colorfast.analysis.explanations import explanations
from colorfast.analysis.pairwise import Comparison, compare_models
from colorfast.config import Evaluation, Experiment
from colorfast.evals.one_model import (
    ModelScores,
    Target,
    read_folder,
    score_suite,
    suite_benchmarks,
)
from colorfast.io.notebook import frame, interval_plot
from colorfast.io.tables import ROLLOUTS, read_rows
from colorfast.io.validation import check_known
from colorfast.runs import experiment as experiments
from colorfast.runs.layout import BASELINE, cells
from colorfast.stats.rows import flat

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """A finished run. Its tables are read when they are first asked for."""

    folder: Path

    @cached_property
    def evidence(self) -> results.Evidence:
        """The run's settings and the scores of every arm."""
        return results.load(self.folder)

    @property
    def arms(self) -> list[str]:
        """The names of the arms, the baseline among them."""
        return list(self.evidence.experiment.arms)

    @cached_property
    def scores(self) -> pandas.DataFrame:
        """One row a reply: arm, seed, eval, item, sample, value in [0, 1] or None with a reason,
        probability, reply, truncated, and logs (log-likelihoods in nats)."""
        rows: list[dict[str, Any]] = []
        for arm, by_seed in self.evidence.scores.items():
            for seed, scores in by_seed.items():
                rows += [{"arm": arm, "seed": seed} | asdict(score) for score in scores]
        return frame(rows)

    @cached_property
    def estimates(self) -> pandas.DataFrame:
        """One row an arm and eval: the difference from the baseline, its 95% interval, q."""
        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            if arm != BASELINE:
                rows += flat(results.estimates(self.evidence, arm))
        return frame(rows)

    @cached_property
    def rollouts(self) -> pandas.DataFrame:
        """One row a reply that training sampled: arm, seed, step, and the columns of the files in
        `ARM-sSEED/rollouts`. An arm keeps a file for every step that it saved."""
        rows: list[dict[str, Any]] = []
        for cell in cells(self.evidence.experiment):
            for path in sorted((self.folder / cell.name / "rollouts").glob("*.parquet")):
                place = {"arm": cell.arm, "seed": cell.seed, "step": int(path.stem)}
                rows += [place | row for row in read_rows(path, ROLLOUTS)]
        return frame(rows)

    def compare(self, arm: str, base: str = BASELINE) -> Comparison:
        """Compare an arm with another, on every eval and over all seeds.

        Raises ColorfastError for an unknown arm.
        """
        check_known("arm", [arm, base], self.arms)
        ours, theirs = self.evidence.scores[arm], self.evidence.scores[base]
        compared = results.compared(self.evidence, arm, base)
        evaluation = self.evidence.experiment.evaluation
        return Comparison(
            base,
            arm,
            [d.estimate for d in compared],
            explanations(arm, ours, theirs, evaluation),
            overall(compared),
        )

    def plot(self) -> Figure:
        """The difference of every arm from the baseline, by eval, with 95% intervals."""
        rows: list[dict[str, Any]] = []
        for arm in self.arms:
            if arm != BASELINE:
                rows += self.compare(arm).plot_rows()
        return interval_plot(str(self.folder), rows, "difference")


def load(run: str | Path) -> Run:
    """Open a finished run folder, such as "runs/quick".

    Raises ColorfastError when it is not a run, is not finished, or a file of it is damaged.
    """
    loaded = Run(Path(run))
    assert loaded.evidence  # reads and checks the files
    return loaded


def run(
    experiment: str | Path | Experiment,
    out: str | Path = "runs",
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int = 1,
) -> Run:
    """Train and score an experiment into `out/NAME`, or continue where it stopped.

    `experiment`: a shipped name, a TOML file, or settings. `arms`, `seeds`: only these; the
    baseline is always among them. `jobs`: arms at once. Raises ColorfastError for wrong settings,
    and CellsFailedError for arms that failed, after the others are done.
    """
    name = experiment.name if isinstance(experiment, Experiment) else str(experiment)
    if not isinstance(experiment, Experiment):
        experiment = experiments.load(name)
    return Run(experiments.run(experiment, Path(out), arms, seeds, jobs, called=name))


def evaluate(
    model: str | Path | Target,
    suite: str | Sequence[str] = "quick",
    items: int = 100,
    heldout: bool = True,
    out: str | Path | None = None,
) -> ModelScores:
    """Score a model on benchmarks, and with `heldout` on the held-out trait scenarios.

    `model`: the embedded model's name, a folder, a .gguf file or a hub id; `Target(NAME, URL)` is a
    model on an OpenAI-compatible server. `suite`: suites or benchmarks, or "none". `items`: per
    benchmark. `out`: a folder for the scores, in which a stopped call continues. Raises
    ColorfastError for an unknown name or a model that cannot be loaded.
    """
    names = suite if isinstance(suite, str) else ",".join(suite)
    evaluation = Evaluation(items=items, samples=1, benchmarks=suite_benchmarks(names))
    target = model if isinstance(model, Target) else Target(str(model))
    return score_suite(target, evaluation, heldout, Path(out) if out else None, skip=False)


def compare(a: str | Path | ModelScores, b: str | Path | ModelScores) -> Comparison:
    """Compare model `b` with model `a` on the evals that both were asked.

    Each is what `evaluate` returns, or a folder: of its `out`, or an arm of a run such as
    "runs/quick/trait-5-s0". Raises ColorfastError when they were asked different items.
    """
    base = a if isinstance(a, ModelScores) else read_folder(Path(a))
    other = b if isinstance(b, ModelScores) else read_folder(Path(b))
    return compare_models(base, other)
