"""The page: one file that loads nothing, and in which no script but its own can run."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from colorfast.interp.shift import Inside
from colorfast.report import figures, inside, rulings, verdict, wording
from colorfast.report.findings import PAPERS_GAIN, Findings
from colorfast.report.origins import origins

HOME = Path(__file__).parent / "page"
FILTERS = (
    *(
        wording.number,
        wording.signed,
        wording.between,
        wording.percent,
        wording.power,
        wording.short,
        wording.chance,
    ),
    *(wording.seen, wording.half, wording.begins, wording.brief, wording.graded),
)


def page(
    f: Findings,
    svgs: Mapping[str, tuple[str, str]],
    found: Inside | None,
    attacked: Mapping[str, Any] | None,
) -> str:
    """`svgs`: by name a figure and its title."""
    environment = Environment(
        loader=FileSystemLoader(HOME),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            wording.clean(value)
            if isinstance(value, str) and not isinstance(value, Markup)
            else value
        ),
    )
    environment.filters |= {word.__name__: word for word in FILTERS} | {"arxiv": arxiv}
    script = (HOME / "page.js").read_text(encoding="utf-8")
    environment.globals |= {
        "f": f,
        "w": wording,
        "summary": verdict.summary(f),
        "claims": rulings,
        "papers_gain": PAPERS_GAIN,
        "svgs": {
            name: Markup(figures.inline(svg, name, title)) for name, (svg, title) in svgs.items()
        },
        "colours": {name: figures.tint(colour) for name, colour in figures.look(f).items()},
        "settings": _settings(f),
        "origins": origins(f),
        "inside": found,
        "i": inside,
        "attacks": attacked,
        "style": Markup((HOME / "style.css").read_text(encoding="utf-8").strip()),
        "script": Markup(script),
        "script_hash": (
            "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        ),
    }
    return environment.get_template("report.html.j2").render() + "\n"


def arxiv(text: str) -> str:
    """The number of a paper named as `arXiv 2606.24014`, else nothing."""
    found = re.fullmatch(r"arXiv (\d{4}\.\d{4,5})", text)
    return found[1] if found else ""


def _settings(f: Findings) -> list[tuple[str, str]]:
    """The experiment's keys as a reader would write them in its TOML; empty ones are left out."""
    flat: list[tuple[str, object]] = []
    for key, value in f.experiment.model_dump(mode="json").items():
        flat += (
            [(f"{key}.{name}", part) for name, part in value.items()]
            if isinstance(value, dict)
            else [(key, value)]
        )
    return [(key, _plain(value)) for key, value in flat if _said(value)]


def _said(value: object) -> bool:
    return value is not None and value != "" and value != []


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items() if _said(part))
    return ", ".join(_plain(part) for part in value) if isinstance(value, list) else str(value)
