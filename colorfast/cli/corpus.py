"""Commands on the scenarios and on what grades them: scenarios, generate, graders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from colorfast.cli.shown import Json, out, print_json, table_of
from colorfast.io.console import console, progress
from colorfast.types import ColorfastError, Scenario

app = typer.Typer()


@app.command(
    epilog=(
        "Examples: `colorfast scenarios --trait truthfulness` - `--stats` - `--html corpus.html` -"
        " `--check my.jsonl`"
    )
)
def scenarios(
    trait: Annotated[str | None, typer.Option(help="Only this trait.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only this domain.")] = None,
    split: Annotated[str | None, typer.Option(help="train or heldout.")] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="A JSONL file to check: every row, and each rubric by its own replies."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write them as one HTML page to browse.")
    ] = None,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats", help="Counts, the most alike pairs, and what they share with the benchmarks."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the trait scenarios, browse them, measure them, or check a file of your own."""
    from colorfast.corpus import scenarios as corpus
    from colorfast.io.storage import write_text
    from colorfast.io.validation import check_known

    rows = corpus.load(check) if check else corpus.corpus()
    if trait:
        check_known("trait", [trait], {s.trait for s in rows})
    if domain:
        check_known("domain", [domain], {s.domain for s in rows})
    if split:
        check_known("split", [split], {"train", "heldout"})
    rows = tuple(
        s
        for s in rows
        if (not trait or s.trait == trait)
        and (not domain or s.domain == domain)
        and (not split or s.split == split)
    )
    if check:
        wrong = {s.id: found for s in rows if (found := corpus.misjudged(s))}
        if wrong:
            name, found = next(iter(wrong.items()))
            raise ColorfastError(
                f"{check}: {name}: {found[0]}"
                + (f" (and {len(wrong) - 1} more scenarios)" if len(wrong) > 1 else "")
            )
    if html:
        write_text(html, corpus.browse(rows))
        out.print(f"{len(rows)} scenarios: {html}", markup=False, soft_wrap=True)
        return
    if stats:
        _stats(rows, as_json)
        return
    if as_json:
        print_json([s.model_dump(mode="json") | {"split": s.split} for s in rows])
        return
    if trait and not check:
        about = corpus.card(trait)
        for line in (
            f"{about.title}: {about.definition}",
            f"Why: {about.why}",
            f"Not: {about.is_not}",
        ):
            out.print(line + "\n", markup=False)
        for scenario in (s for s in corpus.corpus() if s.id in about.examples):
            out.print(
                f"Example {scenario.id}: {scenario.messages[-1].content}\n  good:"
                f" {scenario.replies['good']}\n",
                markup=False,
            )
    table = table_of(
        f"{len(rows)} scenarios", "trait", "domain", "train", "held out", "contrast", "multi-turn"
    )
    cells: dict[tuple[str, str], list[Any]] = {}
    for s in rows:
        cells.setdefault((s.trait, s.domain), []).append(s)
    for (t, d), cell in sorted(cells.items()):
        turns = sum(any(m.role == "assistant" for m in s.messages) for s in cell)
        kinds = Counter(s.split for s in cell)
        table.add_row(
            t,
            d,
            str(kinds["train"]),
            str(kinds["heldout"]),
            str(sum(s.contrast for s in cell)),
            str(turns),
        )
    out.print(table)


@app.command(
    epilog=(
        "Example: `colorfast generate --trait truthfulness --domain law -n 20 --endpoint"
        " http://localhost:8000/v1 --model NAME`"
    )
)
def generate(
    trait: Annotated[str, typer.Option(help="Which trait.")],
    domain: Annotated[str, typer.Option(help="Which domain.")],
    endpoint: Annotated[
        str,
        typer.Option(
            help="Base URL of an OpenAI-compatible server; its key stands in OPENAI_API_KEY."
        ),
    ],
    model: Annotated[str, typer.Option(help="The model that writes.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many to ask for.")] = 10,
    policy: Annotated[
        str | None,
        typer.Option(help="Keep only what this model finds neither impossible nor easy."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Where the candidates go; never into the corpus.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model for candidate scenarios, check them, drop copies and leaks, and write the rest
    for a person to accept."""
    from colorfast.config import Endpoint
    from colorfast.corpus import generate as gen
    from colorfast.corpus import scenarios as corpus
    from colorfast.io.storage import write_text
    from colorfast.io.validation import check_known
    from colorfast.rewards.encoder import encoder

    rows = corpus.corpus()
    check_known("trait", [trait], {s.trait for s in rows})
    check_known("domain", [domain], {s.domain for s in rows})
    server = Endpoint(base_url=endpoint, model=model, max_tokens=1500, temperature=1)
    path = to or Path("candidates") / f"{trait}-{domain}.jsonl"
    if path.exists():
        raise ColorfastError(
            f"{path}: there are candidates already; accept or move them first, or give another --to"
        )
    with progress(f"asking {model}", n) as advance:
        found = gen.generate(server, (trait, domain), n, rows, advance)
    mirror = os.environ.get("COLORFAST_MIRROR")
    with console.status("comparing with the corpus"):
        found = gen.without_copies(found, rows, encoder(), Path(mirror) if mirror else None)
    if policy:
        from colorfast.models.local import load_policy

        with console.status(f"trying {len(found.kept)} candidates on {policy}"):
            found = gen.of_middle_difficulty(found, load_policy(policy))
    dropped = Counter(found.dropped)
    for reason, count in dropped.most_common() if not as_json else ():
        out.print(f"dropped {count}: {reason}", markup=False, soft_wrap=True)
    if not found.kept:
        raise ColorfastError(
            f"none of {n} candidates is left; see the reasons above, or ask a larger model"
        )
    write_text(path, "".join(s.model_dump_json(exclude_defaults=True) + "\n" for s in found.kept))
    if as_json:
        print_json({"kept": len(found.kept), "file": str(path), "dropped": dropped})
        return
    out.print(
        f"kept {len(found.kept)}: {path} (to read them: colorfast scenarios --check {path} --html"
        " candidates.html)",
        markup=False,
        soft_wrap=True,
    )


def _stats(rows: Sequence[Scenario], as_json: bool) -> None:
    """Counts, near duplicates within and across cells, and contamination by the benchmarks of
    COLORFAST_MIRROR."""
    from colorfast.corpus import contamination
    from colorfast.rewards.encoder import encoder

    mirror = os.environ.get("COLORFAST_MIRROR")
    with console.status(
        "comparing every scenario with every other" + (" and with the benchmarks" if mirror else "")
    ):
        tables = {
            "words": contamination.by_words(rows),
            "meaning": contamination.by_meaning(rows, encoder()),
        }
        pairs = [
            {"by": by, "where": where} | pair
            for by, table in tables.items()
            for where in ("within", "across")
            for pair in contamination.nearest(rows, table, where, 3)
        ]
        shared = contamination.contaminated(rows, Path(mirror)) if mirror else None
    if as_json:
        compared = len(contamination.texts(Path(mirror))) if mirror else 0
        print_json(
            {
                "counts": contamination.counts(rows),
                "nearest": pairs,
                "benchmark files compared": compared,
                "shared": shared,
            }
        )
        return
    table = table_of("The corpus", "what", "number")
    for name, value in contamination.counts(rows).items():
        table.add_row(name, str(value))
    out.print(table)
    table = table_of(
        "\nThe most alike pairs, within one cell and across cells",
        "by",
        "where",
        "likeness",
        "a",
        "b",
    )
    for pair in pairs:
        table.add_row(pair["by"], pair["where"], f"{pair['likeness']:.2f}", pair["a"], pair["b"])
    out.print(table)
    alike = ", ".join(
        f"{by} {contamination.ALIKE[by]:g}: {int((t > contamination.ALIKE[by]).sum()) // 2}"
        for by, t in tables.items()
    )
    out.print(f"near duplicates, pairs above {alike}")
    if shared is None:
        out.print("benchmarks: not compared; set COLORFAST_MIRROR to the folder that holds them")
        return
    out.print(
        f"scenarios that share {contamination.SHARED_WORDS} words in a row with a benchmark file:"
        f" {len({row['id'] for row in shared})}"
    )
    for row in shared:
        out.print(f"  {row['id']}  {row['file']}  {row['words']}", markup=False, soft_wrap=True)


@app.command(
    epilog=(
        "Examples: `colorfast graders` - `colorfast graders --constitution colorfast` - `colorfast"
        " graders --fit mine.json` - `colorfast graders --judge http://localhost:8000/v1 --model"
        " NAME`"
    )
)
def graders(
    fit: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Fit the semantic criterion again, on the training scenarios, into this new JSON"
                " file."
            )
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="Base URL of an OpenAI-compatible server, to compare with.")
    ] = None,
    model: Annotated[str, typer.Option(help="The judge's model.")] = "",
    replies: Annotated[
        int, typer.Option(min=2, help="How many known replies the judge is asked about.")
    ] = 1000,
    constitution: Annotated[
        str | None,
        typer.Option(help="Only measure this constitution in place of each scenario's own rubric."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the graders: on replies of known quality, on degenerate ones, and on people's labels
    of refusals."""
    from colorfast.config import Endpoint, Grading
    from colorfast.corpus.scenarios import corpus
    from colorfast.evals import validate
    from colorfast.io.storage import write_json
    from colorfast.rewards import semantic
    from colorfast.rewards.encoder import encoder
    from colorfast.rewards.select import graders as make
    from colorfast.rewards.select import offline

    if constitution:
        _by_constitution(constitution, as_json)
        return
    if bool(judge) != bool(model):
        raise ColorfastError(
            "--judge and --model go together: the server's base URL, and the name of a model on it"
        )
    train, rows = [s for s in corpus() if s.split == "train"], list(corpus())
    if fit:
        if fit.exists():
            raise ColorfastError(f"{fit}: is there already; name a new file")
        with console.status("fitting on the known replies of the training scenarios"):
            write_json(fit, semantic.fit(train, encoder()).model_dump())
        out.print(f"{fit}: written; the graders go on with the shipped weights", markup=False)
        return
    with console.status("grading the known replies of every scenario"):
        found: dict[str, Any] = {
            "kinds": validate.by_kind(rows),
            "domains": validate.by_domain(rows),
            "degenerate": validate.degenerates(rows),
            "refusals": validate.refusals(),
            "replies_a_second": validate.speed(rows[:200], offline),
        }
        if judge:
            asked = make(
                Grading(kind="judge", judge=Endpoint(base_url=judge, model=model, timeout=600))
            )
            found["agreement"] = validate.agreement(
                [s for s in rows if s.split == "heldout"], asked.grade_traits, replies
            )
    if as_json:
        print_json(found)
        return
    titles = {
        "kinds": (
            f"Known replies to {len(rows)} scenarios (AUC: a good reply scores above one of this"
            " kind)"
        ),
        "domains": "Per domain: AUC of good replies over poor ones",
        "degenerate": "Replies that say nothing about the matter: offline score",
        "refusals": "The refusal detector, against people's labels",
    }
    for key, title in titles.items():
        _print(title, found[key])
        out.print()
    out.print(f"{found['replies_a_second']:.0f} replies a second by the offline grader")
    out.print("The code criteria were written beside these replies, so their AUC is no blind test;")
    out.print("each scenario's semantic score is by a fit on the other half of the corpus.")
    if judge:
        values = found["agreement"]
        out.print(
            f"Rank agreement with {model}, on {values.pop('graded')} of {values.pop('asked')}"
            " replies: "
            + ", ".join(
                f"{k} {'unknown' if v is None else format(v, '.2f')}" for k, v in values.items()
            )
        )


def _print(title: str, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = table_of(title, *columns)
    for row in rows:
        table.add_row(
            *(
                f"{v:.3f}" if isinstance(v := row.get(name, ""), float) else str(v)
                for name in columns
            )
        )
    out.print(table)


def _by_constitution(name: str, as_json: bool) -> None:
    """How well a constitution tells good replies from poor ones by code and meaning, on all
    scenarios and on those held out."""
    from colorfast.corpus import constitution as con
    from colorfast.corpus.scenarios import corpus
    from colorfast.evals import validate

    principles = con.load(name)
    if not con.for_code(principles):
        raise ColorfastError(
            f"constitution {name}: it has no criteria for code, so that only a judge can grade"
            " by it"
        )
    rows = list(corpus())
    with console.status("grading the known replies of every scenario"):
        found = {
            "all": validate.by_kind(rows, principles),
            "held out": validate.by_kind([s for s in rows if s.split == "heldout"], principles),
        }
    if as_json:
        print_json(found)
        return
    for part, table in found.items():
        _print(
            f"Known replies to scenarios ({part}), graded by the constitution {name} in place of"
            " their own rubrics",
            table,
        )
        out.print()


@app.command(
    epilog=(
        "Examples: `colorfast constitution` - `colorfast constitution model-spec` - `colorfast"
        " constitution mine.md --json`"
    )
)
def constitution(
    name: Annotated[
        str, typer.Argument(help="A shipped constitution, or a Markdown file.")
    ] = "colorfast",
    as_json: Json = False,
) -> None:
    """Show a constitution as a model is shown it: each principle and its rule, and what code can
    see of it."""
    from colorfast.corpus import constitution as con

    principles = con.load(name)
    if as_json:
        print_json([p.model_dump(mode="json") for p in principles])
        return
    for p in principles:
        out.print(f"{p.title}. {p.rule}", markup=False, soft_wrap=True)
        for c in p.criteria:
            out.print(f"  {c.weight:+.3f} {c.text} ({c.grader})", markup=False, soft_wrap=True)
    seen = sum(bool(p.criteria) for p in principles)
    out.print(
        f"{len(principles)} principles, {seen} of them with criteria for code;"
        f" {len(con.short(principles).split())} words in a prompt"
    )
