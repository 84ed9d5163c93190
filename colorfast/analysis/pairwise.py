"""Two models compared on the evals that both were asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colorfast.analysis.compare import Overall, differences, overall
from colorfast.analysis.estimate import Estimate
from colorfast.analysis.explanations import Explanation, explanations
from colorfast.config import Evaluation
from colorfast.evals.one_model import ModelScores
from colorfast.evals.stamps import check_stamps
from colorfast.io.notebook import frame, interval_plot
from colorfast.stats.rows import flat
from colorfast.types import ColorfastError

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """One model against another: a row an eval, other explanations, and all evals together.

    One training run a side: the intervals hold items, not the variation from run to run.
    """

    base: str
    other: str
    estimates: list[Estimate]
    explanations: list[Explanation]
    overall: Overall | None

    def to_pandas(self) -> pandas.DataFrame:
        """One row an eval and measure, with the difference and its 95% interval."""
        return frame(flat(self.estimates))

    def plot_rows(self) -> list[dict[str, Any]]:
        """The rows of `plot`, labeled by model, eval and measure."""
        rows: list[dict[str, Any]] = flat(self.estimates)
        return [row | {"label": f"{self.other}: {row['eval']} ({row['measure']})"} for row in rows]

    def plot(self) -> Figure:
        """The difference on every eval, with its 95% interval."""
        return interval_plot(f"{self.other} against {self.base}", self.plot_rows(), "difference")


def compare_models(base: ModelScores, other: ModelScores) -> Comparison:
    """The difference other - base on every eval that both have.

    Raises ColorfastError when they share no eval, or were asked different items.
    """
    common = [name for name in base.stamps if name in other.stamps]
    if not common:
        raise ColorfastError(f"{base.name} and {other.name} have no eval in common")
    check_stamps(Path(other.name), other.stamps, {name: base.stamps[name] for name in common})
    evaluation = Evaluation(benchmarks=tuple(name for name in common if name != "heldout"))
    ours = {0: [score for score in other.scores if score.eval in common]}
    theirs = {0: [score for score in base.scores if score.eval in common]}
    compared = differences(other.name, ours, theirs, evaluation, {})
    return Comparison(
        base.name,
        other.name,
        [d.estimate for d in compared],
        explanations(other.name, ours, theirs, evaluation),
        overall(compared),
    )
