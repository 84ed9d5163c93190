"""Commands on models and their scores: evaluate, compare, directions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colorfast.cli.shown import Json, out, print_json, table_of
from colorfast.config import Endpoint, Evaluation
from colorfast.io.console import console, progress
from colorfast.types import ColorfastError, Score

if TYPE_CHECKING:
    from colorfast.models import Policy

app = typer.Typer()


@app.command(
    epilog=(
        "Examples: `colorfast evaluate SmolLM2-135M-Instruct --suite standard` - `colorfast"
        " evaluate runs/quick/baseline-s0/checkpoint --suite health --items 50 --save scores/base`"
        " - `colorfast evaluate NAME --endpoint http://localhost:8000/v1 --suite quick` -"
        " `colorfast evaluate MODEL --choices mine.jsonl --not-matching` - `colorfast evaluate"
        " MODEL --inspect inspect_evals/NAME`"
    )
)
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help=(
                "The embedded model's name, a folder, a .gguf file, a hub id; a name at --endpoint."
            )
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            "--suite", "--benchmarks", help="Suites or benchmarks, separated by commas; 'none'."
        ),
    ] = "quick",
    items: Annotated[int, typer.Option(min=1, help="Items per benchmark.")] = 100,
    heldout: Annotated[bool, typer.Option(help="Score the held-out trait scenarios too.")] = True,
    samples: Annotated[int, typer.Option(min=1, help="Replies to each held-out scenario.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply, in tokens.")] = 64,
    batch: Annotated[int, typer.Option(min=1, help="Replies decoded together.")] = 64,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Base URL of an OpenAI-compatible server; its key stands in OPENAI_API_KEY."
        ),
    ] = None,
    choices: Annotated[
        Path | None, typer.Option(help="Your own choice benchmark (JSONL), instead of a suite.")
    ] = None,
    matching: Annotated[
        bool,
        typer.Option(
            "--matching/--not-matching", help="With --choices: which answer is the aligned one."
        ),
    ] = True,
    chat: Annotated[
        bool,
        typer.Option("--chat/--plain", help="With --choices: with or without the chat template."),
    ] = True,
    inspect: Annotated[
        str | None,
        typer.Option(help="A task of Inspect (a name, or FILE.py@TASK), instead of a suite."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Folder for the per-item scores (parquet); continues there if stopped."),
    ] = None,
    skip: Annotated[
        bool,
        typer.Option(
            "--skip-unreachable",
            help=(
                "Go on without benchmarks whose files cannot be had; with --save, run again"
                " fills in."
            ),
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Score one model on the held-out scenarios and on benchmarks written by others, or on your
    own."""
    from colorfast.stats.intervals import summary

    if sum(x is not None for x in (choices, inspect)) > 1:
        raise ColorfastError("--choices and --inspect are two ways to ask; give one")
    missing: dict[str, str] = {}
    if inspect:
        if endpoint:
            raise ColorfastError(
                "--inspect runs models of this machine; for a server use Inspect's own openai-api"
                " provider"
            )
        scores = _inspect(model, inspect, items, save)
    elif choices:
        scores = _choices(_policy(model, endpoint, batch, chat), choices, matching, save)
    else:
        names = _named(suite)
        missing = _reached(names, suite, skip)
        evaluation = Evaluation(
            items=items, samples=samples, max_tokens=max_tokens, batch_size=batch, benchmarks=names
        )
        scores = _suite(model, endpoint, evaluation, missing, heldout, save)
    rows = [{**row, "reason": ""} for row in summary(scores)]
    rows += [
        _unmeasured(name, why)
        for name, why in missing.items()
        if name not in {row["eval"] for row in rows}
    ]
    if as_json:
        print_json(rows)
        return
    table = table_of(f"{model}", "eval", "score", "95% interval", "p(aligned)", "items", "ungraded")
    for row in rows:
        p = "" if row["probability"] is None else f"{row['probability']:.3f}"
        score = "-" if row["score"] is None else f"{row['score']:.3f}"
        between = "-" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        counts = ("-" if row[key] is None else str(row[key]) for key in ("items", "ungraded"))
        table.add_row(row["eval"], score, between, p, *counts)
    out.print(table)


def _policy(model: str, endpoint: str | None, batch: int, chat: bool = True) -> Policy:
    if endpoint is None:
        from colorfast.models.local import load_policy

        return replace(load_policy(model, batch), chat=chat)
    if not chat:
        raise ColorfastError(
            "--plain: a chat server puts its own template around every prompt; use a local model"
        )
    try:
        from colorfast.models.endpoint import EndpointPolicy
    except ModuleNotFoundError:
        raise ColorfastError(
            'the client of endpoints is missing; pip install "colorfast[judge]"'
        ) from None
    if not endpoint.startswith(("http://", "https://")):
        raise ColorfastError(
            f"--endpoint {endpoint}: wants a base URL, like http://localhost:8000/v1"
        )
    return EndpointPolicy(Endpoint(base_url=endpoint, model=model))


def _named(suite: str) -> tuple[str, ...]:
    """The benchmarks of --suite."""
    from colorfast.evals import benchmarks
    from colorfast.io.validation import check_known

    chosen = (
        () if suite == "none" else benchmarks.expand([name.strip() for name in suite.split(",")])
    )
    check_known(
        "benchmark or suite",
        [b for b in chosen if not b.endswith(".py")],
        [*benchmarks.names(), *benchmarks.SUITES],
    )
    return chosen


def _reached(names: Sequence[str], suite: str, skip: bool) -> dict[str, str]:
    """The benchmarks that cannot be asked, by their ids, with the reasons; says so."""
    from colorfast.evals import benchmarks, reach

    missing = reach.require(reach.of_benchmarks(names), suite.replace(",", " "), skip=skip)
    for line in reach.skipped(missing, len(names)):
        console.print(line, markup=False, soft_wrap=True)
    return {benchmarks.get(name).id: why for name, why in missing.items()}


def _unmeasured(name: str, why: str) -> dict[str, Any]:
    """The row of an eval that could not be asked."""
    numbers = ("score", "low", "high", "probability", "items", "ungraded")
    return {"eval": name, **dict.fromkeys(numbers), "reason": why}


def _suite(
    model: str,
    endpoint: str | None,
    evaluation: Evaluation,
    missing: dict[str, str],
    heldout: bool,
    save: Path | None,
) -> list[Score]:
    from colorfast.corpus.scenarios import corpus
    from colorfast.evals import benchmarks, reach
    from colorfast.evals import evaluate as ev

    evaluation = reach.without(
        evaluation, [b for b in evaluation.benchmarks if benchmarks.get(b).id in missing]
    )
    held = tuple(s for s in corpus() if s.split == "heldout") if heldout else ()
    if not evaluation.benchmarks and not held:
        raise ColorfastError(
            "nothing to score: --no-heldout, and no benchmark (--suite none, or all of them"
            " skipped)"
        )
    plan = ev.EvalPlan(evaluation, held)
    asked = ev.work(plan)  # reads every file, so that a bad one is found before the model is loaded
    for line in ev.short_benchmarks(evaluation):
        console.print(f"note: {line}", markup=False)
    policy = _policy(model, endpoint, evaluation.batch_size)
    with tempfile.TemporaryDirectory() as scratch, progress(f"evaluate {model}", asked) as advance:
        return ev.evaluate(policy, plan, save or Path(scratch), advance, missing)


def _choices(policy: Policy, path: Path, matching: bool, save: Path | None) -> list[Score]:
    """Score a user's own file and write a row an item: log-likelihoods, what was picked, what is
    aligned."""
    from colorfast.evals.custom import own
    from colorfast.evals.scoring import as_asked, items_asker
    from colorfast.io.storage import write_text
    from colorfast.models.request_batcher import run

    benchmark = own(path, matching)
    items = benchmark.items()
    with progress(f"score {path.name}", len(items)) as advance:
        asker = items_asker(benchmark, as_asked(policy, items), Evaluation(), None, advance)
        scores = run(policy, asker)
    rows = [
        {
            "id": item.id,
            "choices": item.choices,
            "loglikelihoods": score.logs,
            "picked": score.reply,
            "aligned": [item.choices[i] for i in item.aligned],
            "score": score.value,
            "probability": score.probability,
            "reason": score.reason,
        }
        for item, score in zip(items, scores, strict=True)
    ]
    written = (save or Path(".")) / f"{path.stem}.scores.jsonl"
    write_text(written, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    console.print(f"per item: {written}", markup=False, soft_wrap=True)
    return scores


def _inspect(model: str, task: str, items: int, save: Path | None) -> list[Score]:
    from colorfast.evals.inspect_provider import run_task
    from colorfast.io.storage import digest
    from colorfast.io.tables import write_scores

    folder = save or Path("logs")
    scores = run_task(model, task, items, folder / "inspect")
    name = scores[0].eval
    stamps = {
        e: digest([task, items, sorted({s.item for s in scores})])[:12]
        for e in {s.eval for s in scores}
    }
    if save:
        write_scores(save / "scores" / f"{name.replace('/', '-')}.parquet", scores, stamps)
    console.print(
        f"log: {folder / 'inspect'} (inspect view --log-dir {folder / 'inspect'})",
        markup=False,
        soft_wrap=True,
    )
    return scores


@app.command(epilog="Example: `colorfast compare scores/base scores/mine`")
def compare(
    base: Annotated[
        Path,
        typer.Argument(
            help="Folder of scores (evaluate --save), or an arm of a run: the one to compare with."
        ),
    ],
    other: Annotated[Path, typer.Argument(help="Folder of scores of the other model.")],
    as_json: Json = False,
) -> None:
    """Compare two models on the same items: a difference for every eval, what they say together,
    and other explanations."""
    from colorfast.analysis.compare import estimate, explanations, overall
    from colorfast.report.wording import between, chance, clear, explained, number, seen, signed
    from colorfast.stats.rows import flat

    theirs, evals = _scores(base)
    ours, found = _scores(other)
    if common := [name for name in evals if name in found]:
        from colorfast.evals.stamps import check_stamps

        check_stamps(other, found, {name: evals[name] for name in common})
    else:
        raise ColorfastError(f"{base} and {other} have no eval in common")
    evaluation = Evaluation(benchmarks=tuple(n for n in common if n != "heldout"))
    a, b = ({0: [s for s in scores if s.eval in common]} for scores in (ours, theirs))
    estimates = estimate(other.name, a, b, evaluation, {})
    together = overall(other.name, a, b, estimates)
    others = explanations(other.name, a, b, evaluation)
    if as_json:
        rows: dict[str, Any] = {
            "estimates": flat(estimates),
            "explanations": flat(others),
        }
        print_json(rows | {"overall": flat(together)})
        return
    table = table_of(
        f"{other} against {base}",
        "eval",
        "measure",
        "base",
        "other",
        "difference",
        "95% interval",
        "q",
        "detectable",
    )
    for e in estimates:
        mark = "● " if clear(e) else ""
        shown = (
            number(e.baseline),
            number(e.score),
            mark + signed(e.difference.value),
            between(e.difference),
            chance(e.q),
            seen(e),
        )
        table.add_row(e.eval + " (control)" * e.control, e.measure, *shown)
    out.print(table)
    if together:
        out.print(
            f"{together.wins} of {together.evals} better, {together.losses} worse (sign test by"
            f" family: p = {together.sign_p:.3f}); after Benjamini-Hochberg"
            f" {together.significant_wins} better, {together.significant_losses} worse; mean"
            f" difference {signed(together.difference.value)}"
            f" ({between(together.difference)})"
        )
    table = table_of(
        "\nOther explanations",
        "what",
        "base",
        "other",
        "difference",
        "95% interval",
        "what follows",
    )
    for row in others:
        table.add_row(row.what, *explained(row))
    out.print(table)
    out.print(
        "One training run a side: the intervals hold items, not the variation from run to run."
    )


def _scores(folder: Path) -> tuple[Sequence[Score], dict[str, str]]:
    from colorfast.io.tables import read_scores, read_stamps

    path = folder / "scores.parquet" if (folder / "scores.parquet").is_file() else None
    paths = [path] if path else sorted((folder / "scores").glob("*.parquet"))
    if not paths:
        raise ColorfastError(
            f"{folder}: no scores here; make them with colorfast evaluate MODEL --save {folder}"
        )
    return [s for p in paths for s in read_scores(p)], {
        k: v for p in paths for k, v in read_stamps(p).items()
    }


@app.command(
    epilog=(
        "Examples: `colorfast directions SmolLM2-135M-Instruct` - `colorfast directions"
        " runs/quick/trait-25-s0/checkpoint --save mine`"
    )
)
def directions(
    model: Annotated[
        str,
        typer.Argument(
            help=(
                "The embedded model's name, a folder, a .gguf file, a hub id; a checkpoint of a"
                " run."
            )
        ),
    ],
    save: Annotated[
        Path | None, typer.Option(help="Folder for the directions (npz, without pickle).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find a direction for each trait in a model's activations, and say how well it reads the trait
    on held-out scenarios."""
    from colorfast.interp.run import directions as find
    from colorfast.report.inside import show_directions
    from colorfast.stats.rows import flat

    with tempfile.TemporaryDirectory() as scratch:
        found = find(model, save or Path(scratch))
    if as_json:
        print_json(flat(found))
        return
    show_directions(model, found, out)
