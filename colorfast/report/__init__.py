"""The comparison of a finished run: one self-contained page, a short Markdown, a CSV, figures, and a terminal table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich.console import Console

from colorfast.inside import Inside, load
from colorfast.report import attacks, csvs, figures, heatmap, inside, markdown, responses, rulings, terminal, wording
from colorfast.report.findings import Findings, gather
from colorfast.rundir import write_text

TITLES = {
    "forest": "Differences from the baseline with 95% intervals, by eval and arm",
    "curves": "Mean reward by optimizer step, on trait scenarios and on standard tasks, by arm",
    "dose": "Nominal and effective dose by arm, and the share of truncated replies by source",
    "response": "Held-out gain by dose with its fit, over-refusal and capability below",
    "transfer": "Differences from the baseline by arm and by what is tested, with the traits and domains trained on framed",
}


def write(run: Path) -> Path:
    """Write RUN/report: report.html, report.md, tables as CSV and the figures; the same bytes for the same run.

    Returns the page's path. Raises ColorfastError when the run is not finished or a file of it is damaged.
    """
    f, found = gather(run), load(run)
    folder = run / "report"
    drawn = figures.draw(f) | responses.draw(f) | heatmap.draw(f)
    page = markdown.page(f, {name: TITLES[name] for name in drawn})
    if found:
        within = inside.draw(found, figures.look(f))
        page += "\n" + inside.page(found) + "".join(f"\n![{inside.TITLES[name]}]({name}.svg)\n" for name in within)
        drawn |= within
    for name, svg in drawn.items():
        write_text(folder / f"{name}.svg", svg)
    for name, text in csvs.tables(f).items():
        write_text(folder / f"{name}.csv", text)
    write_text(folder / "report.md", page)
    write_text(folder / "report.html", _html(f, drawn, found, attacks.context(run, figures.look(f))))
    return folder / "report.html"


def show(run: Path, console: Console) -> None:
    """Print the comparison: every eval against the baseline, then compute and doses."""
    terminal.show(gather(run), console)


def _html(f: Findings, drawn: dict[str, str], found: Inside | None, attacked: dict[str, Any] | None) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: wording.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    for word in (
        wording.number,
        wording.signed,
        wording.between,
        wording.percent,
        wording.power,
        wording.clear,
        wording.short,
        wording.chance,
        wording.seen,
        wording.half,
        wording.begins,
    ):
        environment.filters[word.__name__] = word
    titles = TITLES | inside.TITLES
    svgs = {name: Markup(figures.inline(svg, name, titles[name])) for name, svg in drawn.items()}
    page = environment.get_template("report.html.j2")
    told = {
        "w": wording,
        "claims": rulings,
        "svgs": svgs,
        "colours": figures.look(f),
        "settings": _settings(f),
        "inside": found,
        "i": inside,
        "attacks": attacked,
    }
    return page.render(f=f, **told) + "\n"


def _settings(f: Findings) -> list[tuple[str, str]]:
    """The experiment's keys as a reader would write them in its TOML; empty ones are left out."""
    flat: list[tuple[str, object]] = []
    for key, value in f.experiment.model_dump(mode="json").items():
        flat += [(f"{key}.{name}", part) for name, part in value.items()] if isinstance(value, dict) else [(key, value)]
    return [(key, _plain(value)) for key, value in flat if _said(value)]


def _said(value: object) -> bool:
    return value is not None and value != "" and value != []


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items() if _said(part))
    return ", ".join(_plain(part) for part in value) if isinstance(value, list) else str(value)
