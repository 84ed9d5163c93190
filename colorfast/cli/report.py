"""Commands that read a run: report, claims, show, inside."""

from __future__ import annotations

from typing import Annotated, Any

from rich.box import HORIZONTALS
from rich.table import Table
from rich.text import Text
from typer import Option

from colorfast.cli.app import SCORE, command
from colorfast.cli.options import Arms, Json, RunFolder, split
from colorfast.cli.output import out, print_json, say
from colorfast.stats.rows import flat
from colorfast.types import ColorfastError

STYLES = {"replicated": "bold green", "not replicated": "bold red", "not measured": "dim"}
PAGE_WIDTH = 120
"""Columns of replies side by side in a pipe."""


@command(SCORE, "report runs/quick", "report runs/quick --json")
def report(run: RunFolder, as_json: Json = False) -> None:
    """Compare the arms of a finished run: a table here, and a page in RUN/report.

    Ends with a summary in plain words and the path of report.html.
    """
    from colorfast.analysis import results
    from colorfast.report import sentences, show, write

    page = write(run)
    if as_json:
        evidence = results.load(run)
        estimates: list[dict[str, Any]] = []
        for arm in evidence.dosed:
            estimates += flat(results.estimates(evidence, arm))
        numbers = {"summary": sentences(run), "estimates": estimates}
        print_json({"run": str(run), "report": str(page)} | numbers)
        return
    show(run, out)
    # A terminal turns the address into a link that opens the page.
    say(f"\nreport: {page.resolve().as_uri() if out.is_terminal else page}")


@command(SCORE, "claims runs/quick", "claims runs/dose --arm trait-25 --json")
def claims(
    run: RunFolder,
    arm: Annotated[str | None, Option(help="The arm to test; else the dose nearest to 5%.")] = None,
    as_json: Json = False,
) -> None:
    """Test the paper's claims on a finished run: replicated, not replicated, inconclusive or not
    measured, and why."""
    from colorfast.analysis.results import load
    from colorfast.analysis.rulings import rulings
    from colorfast.report.claims import ABOUT, held, ours, plain, tally, why

    verdicts = rulings(load(run), arm)
    if as_json:
        print_json([plain(r) for r in verdicts])
        return
    title = f"{run}: the paper's claims"
    table = Table(
        "verdict", "claim", title=title, title_justify="left", box=HORIZONTALS, show_edge=False
    )
    for r in verdicts:
        numbers = f"paper: {r.claim.paper}"
        if r.measured is not None:
            numbers += f"\nhere, {held(r)}: {ours(r)}"
        text = Text.assemble((r.claim.text, "bold"), f"\n{numbers}\n{why(r)}")
        table.add_row(Text(r.verdict, style=STYLES.get(r.verdict, "")), text, end_section=True)
    out.print(table)
    out.print(f"{tally(verdicts)}. {ABOUT}", markup=False)


@command(
    SCORE,
    "show runs/quick --differing",
    "show runs/quick --eval truthfulqa-mc1 --arms baseline,trait-5 -n 3",
    "show runs/quick --rollouts --arm trait-5 --step 5",
    "show runs/quick --item ID --json",
)
def show(
    run: RunFolder,
    name: Annotated[str, Option("--eval", help="Which eval.")] = "heldout",
    arms: Arms = "",
    seed: Annotated[int | None, Option(help="Which seed; else the first.")] = None,
    item: Annotated[str | None, Option(help="Only this item, all samples of it.")] = None,
    differing: Annotated[
        bool, Option("--differing", help="Only differing scores, the largest gap first.")
    ] = False,
    rollouts: Annotated[
        bool, Option("--rollouts", help="Show a training step instead of an evaluation.")
    ] = False,
    step: Annotated[
        int | None, Option(min=0, help="With --rollouts: which step; else the last.")
    ] = None,
    source: Annotated[
        str | None, Option(help="With --rollouts: only this source, like trait.")
    ] = None,
    n: Annotated[int, Option("-n", "--n", min=1, help="How many to show.")] = 5,
    as_json: Json = False,
) -> None:
    """Show replies side by side: the arms' answers to the same item, with every criterion.

    The arm `start` is the untrained model. Marks of criteria, by the code grader: ✓ met, ½ partly
    met, ✗ not met (a deduction: committed), - deduction not committed, ? not graded.
    """
    from colorfast.cli.side_by_side import drawn, plain
    from colorfast.report import replies

    named = split(arms)
    if rollouts:
        if len(named) != 1:
            raise ColorfastError("--rollouts shows one arm; name it with --arm")
        groups = replies.rollouts(run, named[0], step, seed, source)
    elif step is not None or source:
        raise ColorfastError("--step and --source go with --rollouts")
    else:
        groups = replies.replies(run, name, named, seed)
    groups = replies.select(groups, item, differing)
    chosen = groups if item else groups[:n]
    if as_json:
        print_json([plain(group) for group in chosen])
        return
    width = out.width if out.is_terminal else min(out.width, PAGE_WIDTH)
    for group in chosen:
        out.print(drawn(group, width), width=width)
    more = " (-n shows more)" if len(chosen) < len(groups) else ""
    say(f"{len(chosen)} of {len(groups)} shown{more}")


@command(SCORE, "inside runs/quick", "inside runs/quick --json")
def inside(run: RunFolder, as_json: Json = False) -> None:
    """Measure how far training moved each arm's activations along trait directions.

    Writes RUN/inside; `colorfast report` then has a section on it. A stopped call continues with
    the same command.
    """
    from colorfast.interp.run import look
    from colorfast.report.interp import show

    changes = look(run)
    if as_json:
        print_json(flat(changes))
        return
    show(changes, out)
    say(f"\nwritten: {run / 'inside'}; the report will have it: colorfast report {run}")
