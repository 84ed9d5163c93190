"""Trait directions and shifts along them, as a section and in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from colorfast.interp.shift import MEASURES, Agreement, Inside, Quality, Shift
from colorfast.report.document import Block, Bullets, Paragraph, Section, figure, note, section
from colorfast.report.findings import Findings
from colorfast.report.table import Table, as_rich
from colorfast.report.wording import between, chance, clean, number, signed

CLEAR = 0.05


def stands(s: Shift) -> bool:
    """The interval excludes zero, and at most one control direction in twenty moved as far."""
    return s.shift.sign != 0 and s.chance <= CLEAR


def reads(q: Quality) -> str:
    """What a direction can be taken for, in words."""
    if q.auc.low <= 0.5:
        return "does not read its trait"
    if q.others is not None and q.others >= q.auc.low:
        return "reads good replies of other traits as well"
    return "reads its trait"


def agreement(a: Agreement) -> str:
    """How far shift and behavior go together, by one measure, in a sentence."""
    if a.rho is None or a.p is None:
        return f"{a.measure}: no correlation ({a.reason})"
    return (
        f"{a.measure}: Spearman {signed(a.rho.value, 2)} ({between(a.rho, 2)}), p = {a.p:.2f},"
        f" over {a.points} points that hold {a.traits} traits"
    )


def directions(qualities: Sequence[Quality]) -> Table:
    """How well each direction reads its trait."""
    rows = [
        {
            "trait": q.trait,
            "layer": f"{q.layer} of {q.layers}",
            "AUC held out": number(q.auc.value, 2),
            "95% interval": f"{number(q.auc.low, 2)} to {number(q.auc.high, 2)}",
            "other traits'": "-" if q.others is None else number(q.others, 2),
            "by length": number(q.length, 2),
            "training": q.training,
            "held out": q.heldout,
            "so it": reads(q),
        }
        for q in qualities
    ]
    return Table("Trait directions", rows, ("so it",))


def shifts(moves: Sequence[Shift]) -> Table:
    """How far each arm moved along each direction."""
    rows = [
        {
            "arm": f"{s.arm} against {'the start model' if s.against == 'start' else s.against}",
            "where": s.measure,
            "trait": s.trait,
            "shift": f"{'● ' if stands(s) else ''}{signed(s.shift.value)}",
            "95% interval": between(s.shift),
            "control": s.control,
            "share as far": chance(s.chance),
            "behavior": "-" if s.behaviour is None else signed(s.behaviour),
            "items": s.items,
            "seeds": s.seeds,
        }
        for s in moves
    ]
    return Table("Shifts", rows, ("trait",), group="arm")


def notes(i: Inside) -> list[str]:
    """How to read the shifts, and what was left out."""
    meanings = [f"{name}: {meaning}." for name, meaning in MEASURES.items()]
    left_out = [f"Left out: {what} ({reason})." for what, reason in i.left_out.items()]
    return [note("shifts"), *meanings, note("agreement"), *left_out]


def inside(f: Findings) -> Section | None:
    """The section of the report."""
    i = f.shifts
    if i is None:
        return None
    blocks: list[Block] = [directions(i.directions), figure("inside-shifts")]
    if i.shifts:
        blocks.append(shifts(i.shifts))
    blocks += [figure("inside-behaviour"), Bullets([agreement(a) for a in i.agreements])]
    return section("inside", *blocks, *map(Paragraph, notes(i)))


def show_directions(model: str, qualities: Sequence[Quality], console: Console) -> None:
    """Print how well each direction reads its trait."""
    title = f"Trait directions in {model}: AUC of held-out good against bad replies"
    console.print(as_rich(replace(directions(qualities), title=title)))


def show(i: Inside, console: Console) -> None:
    """Print the directions, every shift, and the agreement with behavior."""
    show_directions(i.model, i.directions, console)
    if i.shifts:
        console.print(as_rich(shifts(i.shifts)))
    for line in [*map(agreement, i.agreements), *notes(i)]:
        console.print(Text(clean(line)))
