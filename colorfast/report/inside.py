"""What changed inside, shown: in a terminal, in Markdown, and as figures; the page's section is
`inside.html.j2`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from colorfast.interp.shift import MEASURES, Agreement, Inside, Quality, Shift
from colorfast.report import figures, wording
from colorfast.report.figures import FAINT, ON_PALE, SOFT, STYLE, WIDTH
from colorfast.report.markdown import safe, table
from colorfast.report.wording import chance, clean, number, signed
from colorfast.types import Interval

TITLES = {
    "inside-shifts": "How far each arm moved from the start model along each trait's direction",
    "inside-behaviour": (
        "Shift inside against change in behaviour, both from the baseline, by trait and arm"
    ),
}
CLEAR = 0.05


def stands(s: Shift) -> bool:
    """The interval excludes zero, and control directions hardly ever moved as far."""
    return s.shift.sign != 0 and s.chance <= CLEAR


def between(auc: Interval) -> str:
    return f"{number(auc.low, 2)} to {number(auc.high, 2)}"


def reads(q: Quality) -> str:
    """What a direction can be taken for, in words."""
    if q.auc.low <= 0.5:
        return "does not read its trait"
    return (
        "reads good replies of other traits as well"
        if q.others is not None and q.others >= q.auc.low
        else "reads its trait"
    )


def said(a: Agreement) -> str:
    """The agreement of one measure in a sentence."""
    if a.rho is None or a.p is None:
        return f"{a.measure}: no correlation ({a.reason})"
    return (
        f"{a.measure}: Spearman {signed(a.rho.value, 2)} ({wording.between(a.rho, 2)}),"
        f" p = {a.p:.2f}, over {a.points} points that hold {a.traits} traits"
    )


CAUTION = (
    "Few points, and those of one trait or arm are no independent witnesses: p and interval take"
    " traits as what was drawn, and a correlation over so few says little about others."
)


def cells(i: Inside) -> Iterator[tuple[str, str, str, Mapping[str, Shift]]]:
    """(arm, against, trait, shift by measure), in the order of the run."""
    rows: dict[tuple[str, str, str], dict[str, Shift]] = {}
    for s in i.shifts:
        rows.setdefault((s.arm, s.against, s.trait), {})[s.measure] = s
    for (arm, against, trait), found in rows.items():
        yield arm, against, trait, found


def _cell(s: Shift | None) -> str:
    return (
        "-"
        if s is None
        else (
            f"{'● ' if stands(s) else ''}{signed(s.shift.value, 2)} ({wording.between(s.shift, 2)};"
            f" {number(s.control, 2)})"
        )
    )


def _behaviour(found: Mapping[str, Shift]) -> str:
    change = next(iter(found.values())).behaviour
    return "-" if change is None else signed(change)


def show_directions(model: str, found: Sequence[Quality], console: Console) -> None:
    """Print how well each direction reads its trait."""
    console.print(
        Text(
            f"Trait directions in {clean(model)}: AUC of held-out good against bad replies",
            style="bold",
        )
    )
    head = (
        "trait",
        "layer",
        "AUC",
        "95% interval",
        "other traits'",
        "by length",
        "training",
        "held out",
        "",
    )
    console.print(_grid(head, _directions(found)))


def show(i: Inside, console: Console) -> None:
    """Print the directions, every shift, and the agreement with behaviour."""
    show_directions(i.model, i.directions, console)
    console.print(
        Text(
            "\nShifts, in gaps between good and bad replies (95% interval; what 95% of control"
            " directions stay below)",
            style="bold",
        )
    )
    rows = (
        (arm, against, trait, *(_cell(found.get(m)) for m in MEASURES), _behaviour(found))
        for arm, against, trait, found in cells(i)
    )
    console.print(_grid(("arm", "against", "trait", *MEASURES, "behaviour"), rows))
    console.print(
        "● the interval excludes 0, and at most one direction in twenty moved as far",
        style="dim",
        highlight=False,
    )
    for measure, meaning in MEASURES.items():
        console.print(Text(f"{measure}: {meaning}", style="dim"))
    console.print(Text("\nShift and behaviour, both against the baseline"))
    for a in i.agreements:
        console.print(Text(f"  {said(a)}"))
    console.print(Text(CAUTION, style="dim"))
    for what, reason in i.left_out.items():
        console.print(Text(f"left out: {clean(what)} ({reason})", style="dim"))


def _directions(found: Sequence[Quality]) -> Iterator[Sequence[str]]:
    for q in found:
        others = "-" if q.others is None else number(q.others, 2)
        counts = (str(q.training), str(q.heldout))
        yield (
            q.trait,
            f"{q.layer} of {q.layers}",
            number(q.auc.value, 2),
            between(q.auc),
            others,
            number(q.length, 2),
            *counts,
            reads(q),
        )


def _grid(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Table:
    made = Table(
        box=HORIZONTALS, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in head:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    return made


def page(i: Inside) -> str:
    """The Markdown part."""
    shifts = (
        (
            safe(s.arm),
            s.against,
            s.measure,
            safe(s.trait),
            f"{'**' * stands(s)}{signed(s.shift.value)}{'**' * stands(s)}",
            *_numbers(s),
        )
        for s in i.shifts
    )
    parts = [
        "## What changed inside",
        "Trait directions in the start model: AUC of held-out good against bad replies.",
        table(
            (
                "trait",
                "layer",
                "AUC",
                "95% interval",
                "other traits'",
                "by length",
                "training",
                "held out",
                "so it",
            ),
            ([safe(cell) for cell in row] for row in _directions(i.directions)),
        ),
        "Shifts along them, in gaps between good and bad replies. "
        + " ".join(f"*{m}*: {text}." for m, text in MEASURES.items()),
        table(
            (
                "arm",
                "against",
                "measure",
                "trait",
                "shift",
                "95% interval",
                "control",
                "share as far",
                "behaviour",
                "items",
                "seeds",
            ),
            shifts,
        ),
        "\n".join(f"- {said(a)}" for a in i.agreements),
        CAUTION,
        "\n".join(
            f"- left out: {safe(what)} ({safe(reason)})" for what, reason in i.left_out.items()
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _numbers(s: Shift) -> Iterator[object]:
    yield wording.between(s.shift)
    yield number(s.control)
    yield chance(s.chance)
    yield "-" if s.behaviour is None else signed(s.behaviour)
    yield from (s.items, s.seeds)


def draw(i: Inside, colours: Mapping[str, str]) -> dict[str, str]:
    """The figures there is data for, by name. `colours`: by arm."""
    with matplotlib.rc_context(STYLE):
        drawn = {"inside-shifts": figures.as_svg(_heat(i))} if i.shifts else {}
        if any(s.against == "baseline" and s.behaviour is not None for s in i.shifts):
            drawn["inside-behaviour"] = figures.as_svg(_scatter(i, colours))
    return drawn


def _heat(i: Inside) -> Figure:
    """Traits down, arms across, one panel a measure; blue towards the good replies. A dot: the
    shift stands."""
    rows = [s for s in i.shifts if s.against != "baseline"]
    arms, traits = (
        list(dict.fromkeys(s.arm for s in rows)),
        list(dict.fromkeys(s.trait for s in rows)),
    )
    most = max(abs(s.shift.value) for s in rows) or 1.0
    tall = 0.2 * len(traits)
    bottom = 0.75 + 0.055 * max(map(len, arms))
    height = tall + bottom + 0.3
    figure = Figure(figsize=(WIDTH, height))
    grid = {
        "left": 0.45,
        "right": 0.985,
        "top": 1 - 0.3 / height,
        "bottom": bottom / height,
        "wspace": 0.08,
    }
    for ax, measure in zip(
        figure.subplots(1, len(MEASURES), sharey=True, gridspec_kw=grid), MEASURES, strict=True
    ):
        shown = {(s.trait, s.arm): s for s in rows if s.measure == measure}
        values = [
            [shown[t, a].shift.value if (t, a) in shown else float("nan") for a in arms]
            for t in traits
        ]
        mesh = ax.pcolormesh(
            values, cmap="RdBu", vmin=-most, vmax=most, edgecolors="white", linewidth=0.8
        )
        for (trait, arm), s in shown.items():
            if stands(s):
                ax.plot(
                    arms.index(arm) + 0.5,
                    traits.index(trait) + 0.5,
                    "o",
                    color=ON_PALE,
                    markersize=2.2,
                )
        ax.set(
            title=measure,
            ylim=(len(traits), 0),
            xticks=[k + 0.5 for k in range(len(arms))],
            yticks=[k + 0.5 for k in range(len(traits))],
        )
        ax.set_xticklabels([clean(a) for a in arms], rotation=90)
        ax.set_yticklabels([clean(t) for t in traits])
        ax.tick_params(length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(
        mesh,
        cax=figure.add_axes((0.45, 0.32 / height, 0.535, 0.1 / height)),
        orientation="horizontal",
    )
    bar.outline.set_visible(False)
    bar.ax.set_xlabel("shift from the start model, in gaps", fontsize=8)
    return figure


def _scatter(i: Inside, colours: Mapping[str, str]) -> Figure:
    """A point a trait and dosed arm, one panel a measure."""
    rows = [s for s in i.shifts if s.against == "baseline" and s.behaviour is not None]
    figure = Figure(figsize=(WIDTH, 2.3))
    grid = {"left": 0.13, "right": 0.985, "top": 0.79, "bottom": 0.21, "wspace": 0.1}
    panels = figure.subplots(1, len(MEASURES), sharey=True, gridspec_kw=grid)
    for ax, measure in zip(panels, MEASURES, strict=True):
        for arm in dict.fromkeys(s.arm for s in rows):
            points = [s for s in rows if s.arm == arm and s.measure == measure]
            style = {"color": colours[arm], "markersize": 3.6, "markeredgewidth": 0}
            ax.plot(
                [s.shift.value for s in points],
                [s.behaviour for s in points],
                "o",
                label=clean(arm),
                **style,
            )
        ax.axhline(0, color=SOFT, linewidth=0.6, zorder=0)
        ax.axvline(0, color=SOFT, linewidth=0.6, zorder=0)
        ax.set_title(measure)
        ax.grid(color=FAINT, linewidth=0.4)
        ax.set_axisbelow(True)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=3))
    panels[0].set_ylabel("held-out score")
    figure.supxlabel("shift from the baseline, in gaps", fontsize=8)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="upper left",
        ncols=4,
        borderaxespad=0.2,
        handlelength=1.0,
    )
    return figure
