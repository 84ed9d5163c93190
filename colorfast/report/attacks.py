"""What the attacks on a run found, from `attacks/persistence.json` alone: a section of the report,
a file of its own, and tables in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure as MatplotlibFigure
from rich.console import Console
from rich.text import Text

from colorfast.io.storage import read_json, write_text
from colorfast.report.document import (
    TEXT,
    Answer,
    Block,
    Bullets,
    Exchange,
    Paragraph,
    Section,
    figure,
    note,
    section,
    titled,
)
from colorfast.report.figures import Look, as_svgs, looks, styled
from colorfast.report.findings import Findings, Persistence
from colorfast.report.markdown import render
from colorfast.report.table import Table, as_rich
from colorfast.report.training_plots import attack_curves
from colorfast.report.wording import clean, number, percent, signed

TITLES = {
    "held-out traits": "Held-out trait scenarios under attack",
    "attacked behaviour": "What each attack goes after",
    "suite": "The suite under attack",
}
PAPER = TEXT["paper"]
"""By attack: the paper's numbers, and where ours stand in an outcome."""
NOTES = tuple(map(note, ("attack_numbers", "attack_verdicts", "attack_controls")))


def write(folder: Path) -> Path:
    """Write `attacks/report.md` and the curves beside the tables. Returns the page's path."""
    home = folder / "attacks"
    persistence = read_json(home / "persistence.json")
    with styled():
        drawings = as_svgs(curves(persistence, looks(persistence["arms"])))
    for name, svg in drawings.items():
        write_text(home / f"{name}.svg", svg)
    write_text(home / "report.md", render("Attacks", [attack_section(persistence)], drawings))
    return home / "report.md"


def _file(measure: str) -> str:
    return f"attacks-{measure.replace(' ', '-')}"


def curves(
    persistence: Persistence, looks: Mapping[str, Look]
) -> dict[str, MatplotlibFigure | None]:
    """Degradation curves by name."""
    return {_file(measure): attack_curves(persistence, measure, looks) for measure in TITLES}


def attacked(f: Findings) -> Section | None:
    """The section of a run's report, None where no attack was run."""
    return attack_section(f.attacks) if f.attacks else None


def outcomes(persistence: Persistence, digits: int = 3) -> list[dict[str, str]]:
    """A row for every outcome. Pairs are baseline / arm."""
    rows = []
    for o in persistence["outcomes"]:
        row = {"attack": o["attack"], "arm": o["arm"], "measure": o["measure"]}
        if o["found"]:
            row |= _numbers(o["found"], digits)
            row["q"] = "" if o["q"] is None else number(o["q"])
            row["verdict"] = f"{o['found']['verdict']}: {o['found']['why']}"
        else:
            columns = ("clean", "attacked", "kept", "drop", "falls less by", "rises more by", "q")
            row |= dict.fromkeys(columns, "-") | {"verdict": o["reason"]}
        rows.append(row)
    return rows


def _numbers(outcome: Persistence, digits: int) -> dict[str, str]:
    base, own = outcome["baseline"], outcome["arm"]
    return {
        "clean": _pair(base["clean"], own["clean"], digits),
        "attacked": _pair(base["harmful"], own["harmful"], digits),
        "kept": _pair(base["retained"], own["retained"], digits),
        "drop": _pair(base["drop"]["value"], own["drop"]["value"], digits),
        "falls less by": _difference(outcome["drop"], digits),
        "rises more by": _difference(outcome["lift"], digits),
    }


def _known(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else number(value, digits)


def _pair(base: float | None, own: float | None, digits: int) -> str:
    return f"{_known(base, digits)} / {_known(own, digits)}"


def _difference(effect: Mapping[str, float] | None, digits: int = 3) -> str:
    if effect is None:
        return "-"
    value, low, high = (signed(effect[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def levels(persistence: Persistence) -> list[dict[str, str]]:
    """A row for every point."""
    rows = []
    for p in persistence["points"]:
        row = {"arm": p["arm"], "attack": p["attack"], "strength": str(p["strength"])}
        for key in ("traits", "behaviour", "suite", "capability"):
            # some versions measured less
            row[key] = _known(p.get(key, {"value": None})["value"])
        shares = {"refusals": "refusals", "coherent": "coherent", "truncated": "cut off"}
        for key, name in shares.items():
            row[name] = "-" if p[key] is None else percent(p[key])
        rows.append(row)
    return rows


def trainings(persistence: Persistence) -> list[dict[str, str]]:
    """A row for every training of a weight attack. Tokens and FLOPs by arm, once where they are
    the same."""
    rows = []
    for t in persistence.get("trainings", ()):
        used = t["used"].values()
        rows.append(
            {
                "training": f"{t['attack']}, after {t['after']}" if t["after"] else t["attack"],
                "method": t["method"],
                "rank": str(t["rank"] or "full"),
                "learning rate": f"{t['learning_rate']:g}",
                "harmful rows": percent(t["share"]),
                "steps": str(t["steps"]),
                "tokens": _once([f"{u['tokens']:,}" for u in used]),
                "TFLOPs": _once([f"{u['flops'] / 1e12:,.1f}" for u in used]),
                "sha256 of the rows": ", ".join(s[:12] for s in t["rows_sha256"].values()),
            }
        )
    return rows


def _once(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def in_the_papers_form(persistence: Persistence, arm: str, measure: str) -> list[dict[str, str]]:
    """An arm's numbers beside the paper's; empty without the paper's prefixes."""
    by_attack = {
        o["attack"]: o["found"]
        for o in persistence["outcomes"]
        if (o["arm"], o["measure"]) == (arm, measure) and o["found"]
    }
    if not {"bad-medical", "disallowed-mental-health"} <= by_attack.keys():
        return []
    rows = []
    for attack, paper in PAPER.items():
        own = by_attack.get(attack, by_attack["bad-medical"])
        side, change = paper["side"], paper["change"]
        rows.append(
            {
                "prefix": paper["prefix"],
                "baseline": number(own["baseline"][side]),
                "arm": number(own["arm"][side]),
                "difference in drop or lift": _difference(own[change]) if change else "",
                "paper: baseline": paper["baseline"],
                "trait RL": paper["trained"],
                "difference": paper["difference"],
            }
        )
    return rows


def summary(persistence: Persistence) -> list[str]:
    """A sentence for each arm and measure: how often each verdict was given; and what holds over
    all attacks."""
    lines = []
    for arm in persistence["arms"][1:]:
        own = [o for o in persistence["outcomes"] if o["arm"] == arm]
        for measure in _measures(persistence):
            single = [o["found"] for o in own if o["measure"] == measure and o["strengths"]]
            counts = Counter(p["verdict"] if p else "not measured" for p in single)
            ordered = sorted(counts.items(), key=lambda count: (-count[1], count[0]))
            verdicts = ", ".join(f"{n} {verdict}" for verdict, n in ordered)
            lines.append(f"{arm}, {measure}, {len(single)} attacks: {verdicts}.")
        for o in own:
            if o["attack"] == "all attacks" and o["found"]:
                verdict, why = o["found"]["verdict"], o["found"]["why"]
                lines.append(f"{arm}, all attacks together: {verdict} ({why}).")
    return lines


def _measures(persistence: Persistence) -> list[str]:
    taken = {o["measure"] for o in persistence["outcomes"]}
    return [measure for measure in TITLES if measure in taken]


def _papers(persistence: Persistence) -> list[Table]:
    tables = []
    for arm in persistence["arms"][1:]:
        for measure in TITLES:
            if rows := in_the_papers_form(persistence, arm, measure):
                tables.append(Table(f"In the paper's form: {arm}, {measure}", rows))
    return tables


def attack_section(persistence: Persistence) -> Section:
    """Verdicts, curves, outcomes by arm and measure, trainings, every point, and replies."""
    blocks: list[Block] = [Bullets(summary(persistence)), *(figure(_file(m)) for m in TITLES)]
    by_measure: dict[str, list[dict[str, str]]] = {}
    for row in outcomes(persistence):
        by_measure.setdefault(f"{row.pop('arm')}, {row.pop('measure')}", []).append(row)
    tables = [Table(title, rows, ("verdict",)) for title, rows in by_measure.items()]
    blocks += [*map(titled, tables), *map(Paragraph, NOTES), *map(titled, _papers(persistence))]
    if rows := trainings(persistence):
        title = "What the trainings took, each on the same rows in the same order in every arm"
        blocks.append(titled(Table(title, rows, ("method",))))
    title = "Refusals, sense and capability at every point"
    blocks += [titled(Table(title, levels(persistence), ("attack",))), _examples(persistence)]
    return section("attacks", *blocks)


def _examples(persistence: Persistence) -> Section:
    exchanges = []
    for e in persistence["examples"]:
        answers = []
        for who, replies in ((persistence["arms"][0], e["baseline"]), (e["arm"], e["replies"])):
            for when, reply in zip(("before", "under attack"), replies, strict=True):
                score = f"score {number(reply['score'], 2)}"
                answers.append(Answer(f"{who}, {when}", reply["text"], score))
        exchanges.append(
            Exchange(
                title=e["item"],
                answers=answers,
                detail=f"seed {e['seed']}, under {e['attack']} at strength {e['strength']}",
                change=f"{e['arm']} falls less by {signed(e['gain'], 2)}",
                folded=True,
                everywhere=False,
            )
        )
    return Section("Before and under attack", [note("attack_examples"), *exchanges])


def show(persistence: Persistence, console: Console) -> None:
    """Print the outcomes by measure, the tables in the paper's form, and the verdicts in short."""
    columns = ("attack", "arm", "clean", "attacked", "falls less by", "rises more by", "verdict")
    for measure in _measures(persistence):
        rows = []
        for o, row in zip(persistence["outcomes"], outcomes(persistence, 2), strict=True):
            if o["measure"] == measure:
                verdict = o["found"]["verdict"] if o["found"] else o["reason"]
                rows.append({name: row[name] for name in columns} | {"verdict": verdict})
        table = Table(f"{TITLES[measure]} (baseline / arm)", rows, ("arm", "verdict"))
        console.print(as_rich(table))
    for table in _papers(persistence):
        console.print(as_rich(replace(table, title=f"\n{table.title}")))
    for text in ("", *summary(persistence), "", *NOTES):
        console.print(Text(clean(text)))
