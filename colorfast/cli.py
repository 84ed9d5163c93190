"""The command line. Every problem a user can mend is one line on stderr and exit code 2."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from colorfast import __version__
from colorfast.console import console, progress
from colorfast.types import TRAIT_SOURCE, ColorfastError, Scenario

app = typer.Typer(
    name="colorfast",
    help="Train a language model with a small dose of beneficial-trait RL, and measure what the dose did.",
    epilog="Start with: colorfast run quick",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that holds run folders.")]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


@app.command(epilog="Examples: `colorfast run quick` - `colorfast run my.toml --out /data/runs`")
def run(
    experiment: Annotated[str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")], out_dir: Out = Path("runs")
) -> None:
    """Train and score every arm, then write the report. Stopped at any point, the same command continues."""
    from colorfast import experiment as exp

    folder = exp.run(exp.load(experiment), out_dir)
    report(folder)


@app.command(epilog="Example: `colorfast report runs/quick`")
def report(run: Annotated[Path, typer.Argument(help="A run folder.")]) -> None:
    """Compare the arms of a finished run: a table here, and report.md and report.html in RUN/report."""
    from colorfast.report import show, write

    written = write(run)
    show(run, out)
    out.print(f"\nreport: {written}", markup=False)


@app.command(
    epilog="Examples: `colorfast evaluate SmolLM2-135M-Instruct` - `colorfast evaluate runs/quick/baseline-s0/checkpoint --items 50`"
)
def evaluate(
    model: Annotated[str, typer.Argument(help="The embedded model's name, a folder, a .gguf file or a hub id.")],
    benchmarks: Annotated[str, typer.Option(help="Benchmarks, separated by commas; 'all', or 'none'.")] = "all",
    items: Annotated[int, typer.Option(min=1, help="Items per benchmark.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Replies to each held-out scenario.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply, in tokens.")] = 64,
    save: Annotated[Path | None, typer.Option(help="Folder for the per-item scores (parquet); continues there if stopped.")] = None,
    as_json: Json = False,
) -> None:
    """Score one model on the held-out scenarios and on benchmarks written by others."""
    import tempfile

    from colorfast import benchmarks as bench
    from colorfast import evaluate as ev
    from colorfast.names import check_known
    from colorfast.policies.local import load_policy
    from colorfast.scenarios import corpus
    from colorfast.stats import summary
    from colorfast.types import Evaluation

    chosen = {"all": bench.names(), "none": []}.get(benchmarks, [b.strip() for b in benchmarks.split(",")])
    check_known("benchmark", [b for b in chosen if not b.endswith(".py")], bench.names())
    evaluation = Evaluation(benchmarks=tuple(chosen), items=items, samples=samples, max_tokens=max_tokens)
    held = tuple(s for s in corpus() if s.split == "heldout")
    policy = load_policy(model)
    with tempfile.TemporaryDirectory() as scratch, progress(f"evaluate {model}", ev.work(evaluation, held)) as advance:
        scores = ev.evaluate(policy, held, evaluation, None, save or Path(scratch), advance)
    rows = summary(scores)
    if as_json:
        _print_json(rows)
        return
    table = _table(f"{model}", "eval", "score", "95% interval", "p(aligned)", "items", "ungraded")
    for row in rows:
        p = "" if row["probability"] is None else f"{row['probability']:.3f}"
        score = "-" if row["score"] is None else f"{row['score']:.3f}"
        between = "-" if row["score"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        table.add_row(row["eval"], score, between, p, str(row["items"]), str(row["ungraded"]))
    out.print(table)


@app.command(epilog="Example: `colorfast schedule quick --arm trait-25 --seed 0 --json`")
def schedule(
    experiment: Annotated[str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")],
    arm: Annotated[str, typer.Option(help="Which arm.")],
    seed: Annotated[int, typer.Option(help="Which seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Print the slots of one arm: what is trained on, in which order."""
    from colorfast import experiment as exp
    from colorfast.names import check_known
    from colorfast.schedule import schedule as make
    from colorfast.schedule import schedule_hash

    loaded = exp.load(experiment)
    check_known("arm", [arm], loaded.arms)
    slots = make(loaded, loaded.arms[arm], seed)
    if as_json:
        _print_json([slot.row() for slot in slots])
        return
    table = _table(f"{loaded.name} / {arm} / seed {seed}", "slot", "step", "source", "task")
    for slot in slots:
        table.add_row(str(slot.index), str(slot.step), slot.task.source, slot.task.id)
    out.print(table)
    counts = Counter(slot.task.source for slot in slots)
    out.print(f"{len(slots)} slots: " + ", ".join(f"{n} {source}" for source, n in counts.most_common()))
    out.print(f"sha256 {schedule_hash(slots)}")


@app.command(epilog="Examples: `colorfast plan quick` - `colorfast plan my.toml --json`")
def plan(experiment: Annotated[str, typer.Argument(help="Name of a shipped experiment, or a TOML file.")], as_json: Json = False) -> None:
    """Say what an experiment will take before it runs: slots, tokens, memory, time (by a short probe), judge calls and cost."""
    from colorfast import experiment as exp
    from colorfast.plan import plain
    from colorfast.plan import plan as make

    loaded = exp.load(experiment)
    with progress("trying a little of it", 3) as advance:
        found = make(loaded, advance)
    if as_json:
        _print_json(plain(found))
        return
    table = _table(
        f"{loaded.name}: {len(found.arms)} arms x {found.seeds} seeds, {found.steps} steps each",
        *("arm", "slots", "trait", "completions", "prompt tokens", "completion tokens", "training", "evaluation"),
    )
    for name, arm in found.arms.items():
        counts = (sum(arm.slots.values()), arm.slots.get(TRAIT_SOURCE, 0), arm.completions, arm.prompt_tokens, arm.completion_tokens)
        minutes = (f"{seconds / 60:.1f} min" for seconds in (arm.training_seconds, arm.evaluation_seconds))
        table.add_row(name, *(f"{n:,}" for n in counts), *minutes)
    out.print(table)
    out.print(f"in all about {found.seconds / 60:.0f} minutes on this machine, {found.memory / 1e9:.1f} GB of memory")
    for use, judged in found.judges.items():
        tokens = f"{judged['prompt_tokens']:,.0f} + {judged['completion_tokens']:,.0f} tokens"
        out.print(f"judge for {use}: {judged['calls']:,.0f} calls, {tokens}, cost {judged['cost']:.2f}")


@app.command(epilog="Examples: `colorfast scenarios --trait truthfulness` - `--stats` - `--html corpus.html` - `--check my.jsonl`")
def scenarios(
    trait: Annotated[str | None, typer.Option(help="Only this trait.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only this domain.")] = None,
    split: Annotated[str | None, typer.Option(help="train or heldout.")] = None,
    check: Annotated[Path | None, typer.Option(help="A JSONL file to check: every row, and each rubric by its own replies.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write them as one HTML page to browse.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Counts, the most alike pairs, and what they share with the benchmarks.")] = False,
    as_json: Json = False,
) -> None:
    """List the trait scenarios, browse them, measure them, or check a file of your own."""
    from colorfast import scenarios as corpus
    from colorfast.names import check_known
    from colorfast.rundir import write_text

    rows = corpus.load(check) if check else corpus.corpus()
    if trait:
        check_known("trait", [trait], {s.trait for s in rows})
    if domain:
        check_known("domain", [domain], {s.domain for s in rows})
    if split:
        check_known("split", [split], {"train", "heldout"})
    rows = tuple(
        s for s in rows if (not trait or s.trait == trait) and (not domain or s.domain == domain) and (not split or s.split == split)
    )
    if check:
        wrong = {s.id: found for s in rows if (found := corpus.misjudged(s))}
        if wrong:
            name, found = next(iter(wrong.items()))
            raise ColorfastError(f"{check}: {name}: {found[0]}" + (f" (and {len(wrong) - 1} more scenarios)" if len(wrong) > 1 else ""))
    if html:
        write_text(html, corpus.browse(rows))
        out.print(f"{len(rows)} scenarios: {html}", markup=False, soft_wrap=True)
        return
    if stats:
        _stats(rows, as_json)
        return
    if as_json:
        _print_json([s.model_dump(mode="json") | {"split": s.split} for s in rows])
        return
    if trait and not check:
        about = corpus.card(trait)
        for line in (f"{about.title}: {about.definition}", f"Why: {about.why}", f"Not: {about.is_not}"):
            out.print(line + "\n", markup=False)
        for scenario in (s for s in corpus.corpus() if s.id in about.examples):
            out.print(f"Example {scenario.id}: {scenario.messages[-1].content}\n  good: {scenario.replies['good']}\n", markup=False)
    table = _table(f"{len(rows)} scenarios", "trait", "domain", "train", "held out", "contrast", "multi-turn")
    cells: dict[tuple[str, str], list[Any]] = {}
    for s in rows:
        cells.setdefault((s.trait, s.domain), []).append(s)
    for (t, d), cell in sorted(cells.items()):
        turns = sum(any(m.role == "assistant" for m in s.messages) for s in cell)
        kinds = Counter(s.split for s in cell)
        table.add_row(t, d, str(kinds["train"]), str(kinds["heldout"]), str(sum(s.contrast for s in cell)), str(turns))
    out.print(table)


@app.command(
    epilog="Example: `colorfast generate --trait truthfulness --domain law -n 20 --endpoint http://localhost:8000/v1 --model NAME`"
)
def generate(
    trait: Annotated[str, typer.Option(help="Which trait.")],
    domain: Annotated[str, typer.Option(help="Which domain.")],
    endpoint: Annotated[str, typer.Option(help="Base URL of an OpenAI-compatible server; its key stands in OPENAI_API_KEY.")],
    model: Annotated[str, typer.Option(help="The model that writes.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many to ask for.")] = 10,
    policy: Annotated[str | None, typer.Option(help="Keep only what this model finds neither impossible nor easy.")] = None,
    to: Annotated[Path | None, typer.Option(help="Where the candidates go; never into the corpus.")] = None,
) -> None:
    """Ask a model for candidate scenarios, check them, drop copies and leaks, and write the rest for a person to accept."""
    from colorfast import generate as gen
    from colorfast import scenarios as corpus
    from colorfast.encoder import encoder
    from colorfast.names import check_known
    from colorfast.rundir import write_text
    from colorfast.types import Endpoint

    rows = corpus.corpus()
    check_known("trait", [trait], {s.trait for s in rows})
    check_known("domain", [domain], {s.domain for s in rows})
    server = Endpoint(base_url=endpoint, model=model, max_tokens=1500, temperature=1)
    path = to or Path("candidates") / f"{trait}-{domain}.jsonl"
    if path.exists():
        raise ColorfastError(f"{path}: there are candidates already; accept or move them first, or give another --to")
    with progress(f"asking {model}", n) as advance:
        found = gen.generate(server, trait, domain, n, rows, advance)
    mirror = os.environ.get("COLORFAST_MIRROR")
    with console.status("comparing with the corpus"):
        found = gen.without_copies(found, rows, encoder(), Path(mirror) if mirror else None)
    if policy:
        from colorfast.policies.local import load_policy

        with console.status(f"trying {len(found.kept)} candidates on {policy}"):
            found = gen.of_middle_difficulty(found, load_policy(policy))
    for reason, count in Counter(reason for reason, _ in found.dropped).most_common():
        out.print(f"dropped {count}: {reason}", markup=False, soft_wrap=True)
    if not found.kept:
        raise ColorfastError(f"none of {n} candidates is left; see the reasons above, or ask a larger model")
    write_text(path, "".join(s.model_dump_json(exclude_defaults=True) + "\n" for s in found.kept))
    out.print(
        f"kept {len(found.kept)}: {path} (to read them: colorfast scenarios --check {path} --html candidates.html)",
        markup=False,
        soft_wrap=True,
    )


def _stats(rows: Sequence[Scenario], as_json: bool) -> None:
    """Counts, near duplicates within and across cells, and contamination by the benchmarks of COLORFAST_MIRROR."""
    from colorfast import overlap
    from colorfast.encoder import encoder

    mirror = os.environ.get("COLORFAST_MIRROR")
    with console.status("comparing every scenario with every other" + (" and with the benchmarks" if mirror else "")):
        tables = {"words": overlap.by_words(rows), "meaning": overlap.by_meaning(rows, encoder())}
        pairs = [
            {"by": by, "where": where} | pair
            for by, table in tables.items()
            for where in ("within", "across")
            for pair in overlap.nearest(rows, table, where, 3)
        ]
        shared = overlap.contaminated(rows, Path(mirror)) if mirror else None
    if as_json:
        compared = len(overlap.texts(Path(mirror))) if mirror else 0
        _print_json({"counts": overlap.counts(rows), "nearest": pairs, "benchmark files compared": compared, "shared": shared})
        return
    table = _table("The corpus", "what", "number")
    for name, value in overlap.counts(rows).items():
        table.add_row(name, str(value))
    out.print(table)
    table = _table("\nThe most alike pairs, within one cell and across cells", "by", "where", "likeness", "a", "b")
    for pair in pairs:
        table.add_row(pair["by"], pair["where"], f"{pair['likeness']:.2f}", pair["a"], pair["b"])
    out.print(table)
    alike = ", ".join(f"{by} {overlap.ALIKE[by]:g}: {int((t > overlap.ALIKE[by]).sum()) // 2}" for by, t in tables.items())
    out.print(f"near duplicates, pairs above {alike}")
    if shared is None:
        out.print("benchmarks: not compared; set COLORFAST_MIRROR to the folder that holds them")
        return
    out.print(f"scenarios that share {overlap.SHARED_WORDS} words in a row with a benchmark file: {len({row['id'] for row in shared})}")
    for row in shared:
        out.print(f"  {row['id']}  {row['file']}  {row['words']}", markup=False, soft_wrap=True)


@app.command(
    epilog="Examples: `colorfast graders` - `colorfast graders --fit` - `colorfast graders --judge http://localhost:8000/v1 --model NAME`"
)
def graders(
    fit: Annotated[
        bool, typer.Option("--fit", help="Fit the semantic criterion again, on the training scenarios; writes its weights.")
    ] = False,
    judge: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server, to compare with.")] = None,
    model: Annotated[str, typer.Option(help="The judge's model.")] = "",
    as_json: Json = False,
) -> None:
    """Measure the graders: on replies of known quality, on degenerate ones, and on people's labels of refusals."""
    from colorfast import accuracy, semantic
    from colorfast.encoder import encoder
    from colorfast.grading import graders as make
    from colorfast.grading import offline
    from colorfast.rundir import write_json
    from colorfast.scenarios import corpus
    from colorfast.types import Endpoint, Grading

    if bool(judge) != bool(model):
        raise ColorfastError("--judge and --model go together: the server's base URL, and the name of a model on it")
    train, rows = [s for s in corpus() if s.split == "train"], list(corpus())
    if fit:
        with console.status("fitting on the known replies of the training scenarios"):
            write_json(semantic.WEIGHTS, semantic.fit(train, encoder()).model_dump())
        semantic.weights.cache_clear()
    with console.status("grading the known replies of every scenario"):
        found: dict[str, Any] = {
            "kinds": accuracy.by_kind(rows),
            "domains": accuracy.by_domain(rows),
            "degenerate": accuracy.degenerates(rows),
            "refusals": accuracy.refusals(),
            "replies_a_second": accuracy.speed(rows[:200], offline),
        }
        if judge:
            grade = make(Grading(kind="judge", judge=Endpoint(base_url=judge, model=model)))
            found["agreement"] = accuracy.agreement([s for s in rows if s.split == "heldout"], grade)
    if as_json:
        _print_json(found)
        return
    titles = {
        "kinds": f"Known replies to {len(rows)} scenarios (AUC: a good reply scores above one of this kind)",
        "domains": "Per domain: AUC of good replies over poor ones",
        "degenerate": "Replies that say nothing about the matter: offline score",
        "refusals": "The refusal detector, against people's labels",
    }
    for key, title in titles.items():
        columns = list(dict.fromkeys(name for row in found[key] for name in row))
        table = _table(title, *columns)
        for row in found[key]:
            table.add_row(*(f"{v:.3f}" if isinstance(v := row.get(name, ""), float) else str(v) for name in columns))
        out.print(table)
        out.print()
    out.print(f"{found['replies_a_second']:.0f} replies a second by the offline grader")
    out.print("The code criteria were written beside these replies, so their AUC is no blind test;")
    out.print("each scenario's semantic score is by a fit on the other half of the corpus.")
    if judge:
        values = found["agreement"]
        out.print(
            f"Rank agreement with {model}, on {values.pop('graded')} of {values.pop('asked')} replies: "
            + ", ".join(f"{k} {v:.2f}" for k, v in values.items())
        )


@app.command(epilog="Example: `colorfast benchmarks --json`")
def benchmarks(as_json: Json = False) -> None:
    """List the benchmarks: family, kind, items, licence and source."""
    from colorfast import benchmarks as bench

    rows = []
    for name in bench.names():
        b = bench.get(name)
        source = ", ".join(f"{s.repo}/{s.path}" for s in b.sources)
        licence = ", ".join(sorted({s.licence for s in b.sources}))
        rows.append(
            {
                "id": b.id,
                "family": b.family,
                "kind": b.kind,
                "items": len(b.items()),
                "licence": licence,
                "control": b.control,
                "source": source,
            }
        )
    if as_json:
        _print_json(rows)
        return
    table = _table(f"{len(rows)} benchmarks", "id", "family", "kind", "items", "licence")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("id", "family", "kind", "items", "licence")))
    out.print(table)


@app.command(epilog="Example: `colorfast experiments --json`")
def experiments(as_json: Json = False) -> None:
    """List the shipped experiments."""
    from colorfast import experiment as exp

    rows: list[dict[str, Any]] = []
    for name in exp.names():
        e = exp.load(name)
        rows.append(
            {
                "name": e.name,
                "about": e.about,
                "model": e.model,
                "steps": e.training.steps,
                "arms": {n: a.dose for n, a in e.arms.items()},
                "seeds": list(e.seeds),
            }
        )
    if as_json:
        _print_json(rows)
        return
    table = _table(f"{len(rows)} experiments", "name", "model", "steps", "arms", "seeds", "about")
    for row in rows:
        table.add_row(row["name"], row["model"], str(row["steps"]), ", ".join(row["arms"]), str(len(row["seeds"])), row["about"])
    out.print(table)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"colorfast {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass


def _calm() -> None:
    """Libraries' notices are not the user's business; errors still come through."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar is enough, and it is ours
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def main() -> None:
    """The entry point: turns what a user can mend into one line and exit code 2."""
    _calm()
    try:
        app()
    except ColorfastError as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True, style="red")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        console.print("stopped; the same command continues", markup=False)
        raise SystemExit(130) from None
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            console.print("error: the disk is full; free some space and run the same command again", style="red")
            raise SystemExit(2) from None
        raise


if __name__ == "__main__":
    main()
