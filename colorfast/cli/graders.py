"""The command that measures what grades: graders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from colorfast.cli.app import CORPUS, command
from colorfast.cli.options import Json, check_together
from colorfast.cli.output import out, print_json, print_table, say
from colorfast.io.console import console


@command(
    CORPUS,
    "graders",
    "graders --constitution colorfast",
    "graders --fit mine.json",
    "graders --judge http://localhost:8000/v1 --model NAME",
)
def graders(
    fit: Annotated[
        Path | None, Option(help="Fit the semantic criterion again, into a new JSON file.")
    ] = None,
    judge: Annotated[
        str | None, Option(help="URL of an OpenAI-compatible server to compare with.")
    ] = None,
    model: Annotated[str, Option(help="The judge's model.")] = "",
    replies: Annotated[int, Option(min=2, help="Known replies for the judge.")] = 1000,
    constitution: Annotated[
        str | None, Option(help="Measure this constitution instead of the rubrics.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the graders on replies of known quality, degenerate ones, and labeled refusals."""
    from colorfast.config import Endpoint
    from colorfast.evals import validate

    check_together("--judge", judge, model)
    if fit:
        with console.status("fitting on the known replies of the training scenarios"):
            validate.fit(fit)
        say(f"{fit}: written; the graders go on with the shipped weights")
        return
    server = Endpoint(base_url=judge, model=model, timeout=600) if judge else None
    with console.status("grading the known replies of every scenario"):
        if constitution:
            measured = validate.by_constitution(constitution)
        else:
            measured = validate.everything(server, replies)
    if as_json:
        print_json(measured)
    elif constitution:
        for part, rows in measured.items():
            by = f"graded by the constitution {constitution} in place of their own rubrics"
            print_table(f"Known replies to scenarios ({part}), {by}", rows)
            out.print()
    else:
        _print(measured, model)


def _print(measured: dict[str, Any], model: str) -> None:
    titles = {
        "kinds": "Known replies (AUC: a good reply scores above one of this kind)",
        "domains": "Per domain: AUC of good replies over poor ones",
        "degenerate": "Replies that say nothing about the matter: offline score",
        "refusals": "The refusal detector, against people's labels",
    }
    for key, title in titles.items():
        print_table(title, measured[key])
        out.print()
    say(f"{measured['replies_a_second']:.0f} replies a second by the offline grader")
    say("The code criteria were written beside these replies, so their AUC is no blind test;")
    say("each scenario's semantic score is by a fit on the other half of the corpus.")
    if "agreement" in measured:
        counts = dict(measured["agreement"])
        graded, asked = counts.pop("graded"), counts.pop("asked")
        ranks = [
            f"{name} {'unknown' if rank is None else format(rank, '.2f')}"
            for name, rank in counts.items()
        ]
        say(f"Rank agreement with {model}, on {graded} of {asked} replies: {', '.join(ranks)}")
