"""The command that shows replies: show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from colorfast.cli.shown import Json, out, print_json
from colorfast.types import ColorfastError

if TYPE_CHECKING:
    from colorfast.report.replies import Asked, Said

app = typer.Typer()
NARROWEST = 36
"""Columns that a reply needs; more arms than fit stand in further rows."""


@app.command(
    epilog=(
        "Examples: `colorfast show runs/quick --differing` - `colorfast show runs/quick --eval"
        " truthfulqa-mc1 --arms baseline,trait-5 -n 3` - `colorfast show runs/quick --rollouts"
        " --arm trait-5 --step 5` - `colorfast show runs/quick --item ID --json`"
    )
)
def show(
    run: Annotated[Path, typer.Argument(help="A run folder; it need not be finished.")],
    name: Annotated[
        str, typer.Option("--eval", help="Which eval; the held-out scenarios when left out.")
    ] = "heldout",
    arms: Annotated[
        str,
        typer.Option(
            "--arms",
            "--arm",
            help="Only these arms, with commas between; start is the untrained model.",
        ),
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Which seed; the first when left out.")] = None,
    item: Annotated[str | None, typer.Option(help="Only this item, all samples of it.")] = None,
    differing: Annotated[
        bool,
        typer.Option("--differing", help="Only where scores differ, the largest difference first."),
    ] = False,
    rollouts: Annotated[
        bool,
        typer.Option("--rollouts", help="What a step of training sampled, instead of evaluation."),
    ] = False,
    step: Annotated[
        int | None,
        typer.Option(min=0, help="With --rollouts: which step; the last one kept when left out."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="With --rollouts: only this source, like trait.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Read replies side by side: the arms' answers to the same item with every criterion's verdict,
    or a group of rollouts.

    Before a criterion: ✓ met, ½ in part, ✗ not met (of a deduction: committed), - not committed, ?
    not graded. By the code criteria.
    """
    from colorfast.report import replies

    named = [arm.strip() for arm in arms.split(",") if arm.strip()]
    if rollouts:
        if len(named) != 1:
            raise ColorfastError("--rollouts shows one arm; name it with --arm")
        found = replies.rollouts(run, named[0], step, seed, source)
        found = [a for a in found if item in (None, a.item)]
        found = (
            sorted((a for a in found if a.spread), key=lambda a: -a.spread) if differing else found
        )
    elif step is not None or source:
        raise ColorfastError("--step and --source go with --rollouts")
    else:
        found = replies.replies(run, name, named, seed, item, differing)
    chosen = found if item else found[:n]
    if as_json:
        print_json([_plain(a) for a in chosen])
        return
    for asked in chosen:
        out.print(_drawn(asked, out.width))
    out.print(
        f"{len(chosen)} of {len(found)} shown"
        + (" (-n shows more)" if len(chosen) < len(found) else "")
    )


def _plain(asked: Asked) -> dict[str, object]:
    parts = ("weight", "criterion", "value")
    said = [
        asdict(s) | {"parts": [dict(zip(parts, p, strict=True)) for p in s.parts]}
        for s in asked.said
    ]
    prompt = asked.prompt and [m.model_dump() for m in asked.prompt]
    return {
        "item": asked.item,
        "key": asked.key,
        "note": asked.note,
        "prompt": prompt,
        "said": said,
    }


def _safe(text: str, style: str = "") -> Text:
    """A model's words as they are: no markup, no terminal escapes."""
    from colorfast.report.wording import short

    return Text(short(text), style=style)


def _drawn(asked: Asked, width: int) -> Group:
    head = _safe(f"\n{asked.item}, {asked.key}" + f" ({asked.note})" * bool(asked.note), "bold")
    prompt = [
        _safe(f"{m.role}: {m.content}", "dim" if m.role == "system" else "")
        for m in asked.prompt or ()
    ]
    columns = max(1, min(len(asked.said), width // NARROWEST))
    rows = [_row(asked.said[i : i + columns], columns) for i in range(0, len(asked.said), columns)]
    return Group(
        head, *(prompt or [Text("(the prompt is not in today's files)", style="dim")]), *rows
    )


def _row(said: Sequence[Said], columns: int) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(columns):
        table.add_column(ratio=1)
    table.add_row(*map(_panel, said))
    return table


def _panel(s: Said) -> Panel:
    from colorfast.report.wording import number, signed

    marks = [] if s.advantage is None else [f"advantage {signed(s.advantage, 2)}"]
    marks += ["shown, not sampled" * s.shown, "cut off" * s.truncated]
    score = "ungraded" if s.score is None else number(s.score, 2)
    said = ", ".join(filter(None, marks))
    body: list[RenderableType] = [Text(said, style="dim")] if said else []
    body += [_safe(s.text) if s.text.strip() else Text("(nothing said)", style="dim")]
    body += [_safe(s.reason, "yellow")] if s.reason else []
    body += [_safe(f"critique: {s.critique}", "dim")] if s.critique else []
    return Panel(
        Group(*body, *(_verdict(*part) for part in s.parts)),
        title=_safe(f"{s.who} · {score}", "bold"),
        title_align="left",
    )


def _verdict(weight: float, criterion: str, value: float | None) -> Text:
    from colorfast.report.wording import signed

    if value is None:
        mark, style = "?", "yellow"
    elif weight < 0:
        mark, style = ("✗", "red") if value else ("-", "dim")
    else:
        mark, style = ("✓" if value >= 1 else "½", "green") if value else ("✗", "red")
    return _safe(f"{mark} {signed(weight, 2)} {criterion}", style)
