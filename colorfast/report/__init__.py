"""The comparison of a finished run: one self-contained page, a short Markdown, CSV tables, figures,
and tables in a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from colorfast.io.storage import write_text
from colorfast.report import (
    attacks,
    csvs,
    heatmaps,
    html,
    interp,
    markdown,
    plots,
    sections,
    terminal,
    training_plots,
)
from colorfast.report.figures import as_svgs, looks, looks_of, styled
from colorfast.report.findings import Findings
from colorfast.report.gather import gather
from colorfast.report.summary import summary

SECTIONS = (
    sections.verdict,
    sections.evals,
    sections.response,
    sections.transfer,
    attacks.attacked,
    sections.learning,
    sections.dose,
    sections.explanations,
    sections.price,
    sections.power,
    sections.results,
    interp.inside,
    sections.replies,
    sections.ran,
    sections.reading,
)
"""In reading order."""


def write(run: Path) -> Path:
    """Write RUN/report: report.html, report.md, tables as CSV and the figures; the same bytes for
    the same run.

    Returns the page's path. Raises ColorfastError when the run is not finished or a file of it is
    damaged.
    """
    f, folder = gather(run), run / "report"
    drawings = _drawings(f)
    parts = list(filter(None, (build(f) for build in SECTIONS)))
    for name, svg in drawings.items():
        write_text(folder / f"{name}.svg", svg)
    for name, text in csvs.tables(f).items():
        write_text(folder / f"{name}.csv", text)
    write_text(folder / "report.md", markdown.render(f.experiment.name, parts, drawings))
    write_text(folder / "report.html", html.render(f, parts, drawings))
    return folder / "report.html"


def _drawings(f: Findings) -> dict[str, str]:
    """SVG text by name, of every figure that there is data for."""
    with styled():
        figures = {
            "overview": plots.overview(f),
            "forest": plots.forest(f),
            "response": plots.response(f),
            "transfer": heatmaps.transfer(f),
            "curves": training_plots.curves(f),
            "dose": training_plots.dose(f),
            "power": plots.power(f),
            "inside-shifts": heatmaps.shifts(f),
            "inside-behaviour": heatmaps.shift_and_behavior(f),
        }
        if f.attacks:
            figures |= attacks.curves(f.attacks, looks(f.attacks["arms"]) | looks_of(f))
        return as_svgs(figures)


def sentences(run: Path) -> list[str]:
    """What the run shows in plain words: a sentence for each arm, then how far to believe them."""
    return summary(gather(run))


def show(run: Path, console: Console) -> None:
    """Print the comparison: every eval against the baseline, then compute and doses."""
    terminal.show(gather(run), console)
