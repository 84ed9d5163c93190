"""A report as one page, which loads nothing and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from colorfast.report.claims import SYMBOLS
from colorfast.report.document import Section, figure
from colorfast.report.figures import inline, looks_of, tint
from colorfast.report.findings import Findings
from colorfast.report.table import cell
from colorfast.report.wording import clean, short

HOME = Path(__file__).parent / "page"


def render(f: Findings, sections: Sequence[Section], drawings: Mapping[str, str]) -> str:
    """The page. `drawings`: SVG by the name of the figure."""
    experiment = f.experiment
    seeds = len(experiment.seeds)
    subtitle = (
        f"{experiment.model}, {experiment.training.steps} optimizer steps, {len(f.arms)} arms,"
        f" {seeds} {'seed' if seeds == 1 else 'seeds'}"
    )
    inlined = {
        name: Markup(inline(svg, name, figure(name).title)) for name, svg in drawings.items()
    }
    environment = Environment(
        loader=FileSystemLoader(HOME),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    environment.filters |= {
        "short": short,
        "linked": linked,
        "cell": cell,
        "kind": lambda x: type(x).__name__,
    }
    script = (HOME / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.get_template("page.html.j2").render(
        title=experiment.name,
        subtitle=subtitle,
        sections=sections,
        drawings=inlined,
        colors={name: tint(look["color"]) for name, look in looks_of(f).items()},
        symbols=SYMBOLS,
        style=Markup((HOME / "style.css").read_text(encoding="utf-8").strip()),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )
    return page + "\n"


def _cleaned(value: object) -> object:
    """Every value on the page passes here before it is escaped."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def linked(text: str) -> Markup:
    """Escaped text, in which a paper like `arXiv 2606.24014` is a link."""
    link = r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">\g<0></a>'
    return Markup(re.sub(r"\barXiv (\d{4}\.\d{4,5})\b", link, str(escape(clean(text)))))
