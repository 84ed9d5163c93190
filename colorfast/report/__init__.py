"""The comparison of a finished run: one self-contained page, a short Markdown, a CSV, figures, and
a terminal table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from colorfast.interp.shift import load
from colorfast.io.storage import write_text
from colorfast.report import (
    attacks,
    csvs,
    figures,
    heatmap,
    html,
    inside,
    markdown,
    overview,
    responses,
    terminal,
    verdict,
)
from colorfast.report.findings import gather

TITLES = {
    "overview": (
        "Held-out score, safe prompts refused and capability by dose, as differences from the"
        " baseline"
    ),
    "forest": "Differences from the baseline with 95% intervals, by eval and arm",
    "curves": "Mean reward by optimizer step and source, and the effective dose so far, by arm",
    "dose": "Nominal and effective dose by arm, and the share of truncated replies by source",
    "response": "Held-out gain by dose with its fit, over-refusal and capability below",
    "transfer": (
        "Differences from the baseline by arm and by what is tested, with the traits and domains"
        " trained on framed"
    ),
    "power": (
        "Share of the counted evals that would have shown a difference of a given size, by arm"
    ),
    **inside.TITLES,
    **attacks.FIGURES,
}


def write(run: Path) -> Path:
    """Write RUN/report: report.html, report.md, tables as CSV and the figures; the same bytes for
    the same run.

    Returns the page's path. Raises ColorfastError when the run is not finished or a file of it is
    damaged.
    """
    f, found, attacked = gather(run), load(run), attacks.gather(run)
    folder, look = run / "report", figures.look(f)
    drawn = overview.draw(f) | figures.draw(f) | responses.draw(f) | heatmap.draw(f)
    page = markdown.page(f, {name: TITLES[name] for name in drawn})
    tables = csvs.tables(f)
    if found:
        within = inside.draw(found, look)
        page += (
            "\n"
            + inside.page(found)
            + "".join(f"\n![{inside.TITLES[name]}]({name}.svg)\n" for name in within)
        )
        drawn |= within
    if attacked:
        pushed = attacks.curves(attacked, look)
        page += "\n## Under attack\n\n" + attacks.page(attacked, pushed)
        tables |= csvs.attacked(attacked)
        drawn |= pushed
    for name, svg in drawn.items():
        write_text(folder / f"{name}.svg", svg)
    for name, text in tables.items():
        write_text(folder / f"{name}.csv", text)
    write_text(folder / "report.md", page)
    shown = {name: (svg, TITLES[name]) for name, svg in drawn.items()}
    write_text(
        folder / "report.html", html.page(f, shown, found, attacked and attacks.context(attacked))
    )
    return folder / "report.html"


def sentences(run: Path) -> list[str]:
    """What the run shows in plain words: a sentence an arm, then how far to believe them."""
    return verdict.summary(gather(run))


def show(run: Path, console: Console) -> None:
    """Print the comparison: every eval against the baseline, then compute and doses."""
    terminal.show(gather(run), console)
