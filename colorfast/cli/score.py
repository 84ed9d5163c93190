"""Commands on models and their scores: evaluate, compare, directions, benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from colorfast.cli.app import SCORE, command
from colorfast.cli.options import EndpointUrl, Items, Json, ModelName, SkipUnreachable
from colorfast.cli.output import out, print_json, print_table, say
from colorfast.stats.rows import flat
from colorfast.types import ColorfastError

OWN = "Your own questions, instead of a suite"


@command(
    SCORE,
    "evaluate SmolLM2-135M-Instruct --suite standard",
    "evaluate runs/quick/baseline-s0/checkpoint --suite health --limit 50 --out scores/base",
    "evaluate NAME --endpoint http://localhost:8000/v1 --suite quick",
    "evaluate MODEL --choices mine.jsonl --not-matching",
    "evaluate MODEL --inspect inspect_evals/NAME",
)
def evaluate(
    model: ModelName,
    suite: Annotated[
        str,
        Option("--suite", "--benchmarks", help="Suites or benchmarks with commas, or none."),
    ] = "quick",
    items: Items = 100,
    heldout: Annotated[
        bool, Option(rich_help_panel="Held-out scenarios", help="Score them too.")
    ] = True,
    samples: Annotated[
        int,
        Option(min=1, rich_help_panel="Held-out scenarios", help="Replies to each."),
    ] = 1,
    max_tokens: Annotated[int, Option(min=1, help="Longest reply, in tokens.")] = 64,
    batch: Annotated[int, Option(min=1, help="Replies decoded together.")] = 64,
    endpoint: EndpointUrl = None,
    choices: Annotated[
        Path | None, Option(rich_help_panel=OWN, help="A JSONL file of choice questions.")
    ] = None,
    matching: Annotated[
        bool,
        Option("--matching/--not-matching", rich_help_panel=OWN, help="Which answer is aligned."),
    ] = True,
    chat: Annotated[
        bool,
        Option("--chat/--plain", rich_help_panel=OWN, help="With the chat template, or not."),
    ] = True,
    inspect: Annotated[
        str | None,
        Option(rich_help_panel=OWN, help="A task of Inspect: a name, or FILE.py@TASK."),
    ] = None,
    folder: Annotated[
        Path | None,
        Option("--out", help="Folder for the scores of each item; a stopped call continues."),
    ] = None,
    skip: SkipUnreachable = False,
    as_json: Json = False,
) -> None:
    """Score one model on the held-out scenarios and on benchmarks, or on your own questions."""
    from colorfast.config import Evaluation
    from colorfast.evals import one_model

    target = one_model.Target(model, endpoint, chat or choices is None)
    if choices and inspect:
        raise ColorfastError("--choices and --inspect are two ways to ask; give one")
    if inspect and endpoint:
        raise ColorfastError(
            "--inspect runs models of this machine; for a server use Inspect's own openai-api"
            " provider"
        )
    if inspect:
        result = one_model.score_inspect(model, inspect, items, folder)
    elif choices:
        result = one_model.score_choices(target, choices, matching, batch, folder or Path("."))
    else:
        evaluation = Evaluation(
            items=items,
            samples=samples,
            max_tokens=max_tokens,
            batch_size=batch,
            benchmarks=one_model.suite_benchmarks(suite),
        )
        result = one_model.score_suite(
            one_model.Target(model, endpoint), evaluation, heldout, folder, skip
        )
    rows = result.rows()
    if as_json:
        print_json(rows)
        return
    table = []
    for row in rows:
        low, high = row["low"], row["high"]
        interval = None if low is None else f"{low:.3f} to {high:.3f}"
        columns = {
            "eval": row["eval"],
            "score": row["score"],
            "95% interval": interval,
            "p(aligned)": row["probability"],
            "items": row["items"],
            "ungraded": row["ungraded"],
        }
        table.append(columns)
    print_table(model, table)


@command(SCORE, "compare scores/base scores/mine")
def compare(
    base: Annotated[
        Path,
        Argument(metavar="BASE", help="A folder of `evaluate --out`, or an arm of a run."),
    ],
    other: Annotated[Path, Argument(metavar="OTHER", help="The other model's folder.")],
    as_json: Json = False,
) -> None:
    """Compare two models on the same items: each eval, all together, and other explanations."""
    from colorfast.analysis.pairwise import compare_models
    from colorfast.evals.one_model import read_folder
    from colorfast.report import wording
    from colorfast.report.comparison import explained

    result = compare_models(read_folder(base), read_folder(other))
    if as_json:
        keys = ("estimates", "explanations", "overall")
        print_json({key: flat(getattr(result, key)) for key in keys})
        return
    rows = [
        {
            "eval": f"{e.eval} (control)" if e.control else e.eval,
            "measure": e.measure,
            "base": wording.number(e.baseline),
            "other": wording.number(e.score),
            "difference": ("● " if wording.clear(e) else "") + wording.signed(e.difference.value),
            "95% interval": wording.between(e.difference),
            "q": wording.chance(e.q),
            "detectable": wording.seen(e),
        }
        for e in result.estimates
    ]
    print_table(f"{other} against {base}", rows)
    if result.overall:
        o = result.overall
        say(
            f"{o.wins} of {o.evals} better, {o.losses} worse (sign test by family:"
            f" p = {o.sign_p:.3f}); after Benjamini-Hochberg {o.significant_wins} better,"
            f" {o.significant_losses} worse; mean difference"
            f" {wording.signed(o.difference.value)} ({wording.between(o.difference)})"
        )
    others = [{"what": e.what} | explained(e) for e in result.explanations]
    print_table("\nOther explanations", others)
    say("One training run a side: the intervals hold items, not the variation from run to run.")


@command(
    SCORE,
    "directions SmolLM2-135M-Instruct",
    "directions runs/quick/trait-25-s0/checkpoint --out mine",
)
def directions(
    model: ModelName,
    folder: Annotated[
        Path | None, Option("--out", help="Folder for the directions (npz, no pickle).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find each trait's direction in a model's activations, and test it on held-out scenarios."""
    from colorfast.interp.run import directions as find
    from colorfast.report.interp import show_directions

    with tempfile.TemporaryDirectory() as scratch:
        qualities = find(model, folder or Path(scratch))
    if as_json:
        print_json(flat(qualities))
        return
    show_directions(model, qualities, out)


@command(SCORE, "benchmarks", "benchmarks --suite health", "benchmarks --json")
def benchmarks(
    suite: Annotated[str, Option(help="Only those of this suite.")] = "all",
    as_json: Json = False,
) -> None:
    """List the benchmarks: family, kind, items, license, source, and the suites.

    Items are counted where the files are on this machine; `colorfast fetch SUITE` brings them.
    """
    from colorfast.evals import benchmarks as bench
    from colorfast.io.downloads import is_here
    from colorfast.io.validation import check_known

    check_known("suite", [suite], bench.SUITES)
    suites = {name: bench.suite(name) for name in bench.SUITES}
    rows = []
    for name in suites[suite]:
        b = bench.get(name)
        row = {
            "id": b.id,
            "family": b.family,
            "kind": b.kind,
            "items": len(b.items()) if all(map(is_here, b.sources)) else None,
            "licence": ", ".join(sorted({s.licence for s in b.sources})),
            "control": b.control,
            "trait": b.trait,
            "suites": [s for s in suites if name in suites[s]],
            "paper": ", ".join(dict.fromkeys(s.paper for s in b.sources if s.paper)),
            "source": ", ".join(f"{s.repo}/{s.path}" for s in b.sources),
            "commits": sorted({s.commit for s in b.sources}),
            "sha256": [s.sha256 for s in b.sources],
        }
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    columns = ("id", "family", "kind", "items", "licence", "source")
    print_table(f"{len(rows)} benchmarks", [{c: row[c] for c in columns} for row in rows])
    uncounted = sum(row["items"] is None for row in rows)
    if uncounted:
        missing = f"{uncounted} benchmarks have files that are not on this machine"
        say(f"-: {missing}; `colorfast fetch {suite}` brings them")
    for name, about in bench.SUITES.items():
        counted = sum(not bench.get(b).control for b in suites[name])
        say(f"{name}: {len(suites[name])}, {counted} of them counted as wins or losses; {about}")
