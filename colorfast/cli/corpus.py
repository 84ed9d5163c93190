"""Commands on the trait scenarios: scenarios, generate, constitution."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from colorfast.cli.app import CORPUS, command
from colorfast.cli.options import Json
from colorfast.cli.output import print_json, print_table, say
from colorfast.io.console import console, progress
from colorfast.types import ColorfastError, Scenario


@command(
    CORPUS,
    "scenarios --trait truthfulness",
    "scenarios --stats",
    "scenarios --html corpus.html",
    "scenarios --check my.jsonl",
)
def scenarios(
    trait: Annotated[str | None, Option(help="Only this trait.")] = None,
    domain: Annotated[str | None, Option(help="Only this domain.")] = None,
    split: Annotated[str | None, Option(help="train or heldout.")] = None,
    check: Annotated[
        Path | None, Option(help="Check a JSONL file: rows, and rubrics by known replies.")
    ] = None,
    html: Annotated[Path | None, Option(help="Write an HTML page to browse.")] = None,
    stats: Annotated[
        bool, Option("--stats", help="Counts, near duplicates, overlap with benchmarks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the trait scenarios, browse them, measure them, or check a file of your own."""
    from colorfast.corpus import scenarios as corpus
    from colorfast.corpus.counts import by_cell
    from colorfast.io.storage import write_text

    rows = corpus.load(check) if check else corpus.corpus()
    rows = corpus.select(rows, trait=trait, domain=domain, split=split)
    if check:
        corpus.check_rubrics(check, rows)
    if html:
        write_text(html, corpus.browse(rows))
        say(f"{len(rows)} scenarios: {html}")
    elif stats:
        _print_stats(rows, as_json)
    elif as_json:
        print_json([s.model_dump(mode="json") | {"split": s.split} for s in rows])
    else:
        if trait and not check:
            _print_card(trait)
        print_table(f"{len(rows)} scenarios", by_cell(rows))


def _print_card(trait: str) -> None:
    from colorfast.corpus.scenarios import card, corpus

    about = card(trait)
    say(f"{about.title}: {about.definition}\n\nWhy: {about.why}\n\nNot: {about.is_not}\n")
    for scenario in corpus():
        if scenario.id in about.examples:
            say(f"Example {scenario.id}: {scenario.messages[-1].content}")
            say(f"  good: {scenario.replies['good']}\n")


def _mirror() -> Path | None:
    """The folder of benchmark files that scenarios are compared with."""
    folder = os.environ.get("COLORFAST_MIRROR")
    return Path(folder) if folder else None


def _print_stats(rows: Sequence[Scenario], as_json: bool) -> None:
    from colorfast.corpus import contamination
    from colorfast.corpus.counts import counts
    from colorfast.rewards.encoder import encoder

    with console.status("comparing every scenario with every other, and with the benchmarks"):
        overlap = contamination.overlap(rows, encoder(), _mirror())
    if as_json:
        print_json(
            {
                "counts": counts(rows),
                "nearest": overlap.nearest,
                "benchmark files compared": overlap.files,
                "shared": overlap.shared,
            }
        )
        return
    print_table("The corpus", [{"what": k, "number": v} for k, v in counts(rows).items()])
    print_table("\nThe most alike pairs, within one cell and across cells", overlap.nearest)
    duplicates = [
        f"{by} {contamination.ALIKE[by]:g}: {count}" for by, count in overlap.duplicates.items()
    ]
    say(f"near duplicates, pairs above {', '.join(duplicates)}")
    if overlap.shared is None:
        say("benchmarks: not compared; set COLORFAST_MIRROR to the folder that holds them")
        return
    sharing = len({row["id"] for row in overlap.shared})
    words = f"{contamination.SHARED_WORDS} words in a row"
    say(f"scenarios that share {words} with a benchmark file: {sharing}")
    for row in overlap.shared:
        say(f"  {row['id']}  {row['file']}  {row['words']}")


@command(
    CORPUS,
    "generate --trait truthfulness --domain law -n 20 --endpoint http://localhost:8000/v1"
    " --model NAME",
)
def generate(
    trait: Annotated[str, Option(help="Which trait.")],
    domain: Annotated[str, Option(help="Which domain.")],
    endpoint: Annotated[
        str, Option(help="URL of an OpenAI-compatible server; its key is OPENAI_API_KEY.")
    ],
    model: Annotated[str, Option(help="The model that writes.")],
    n: Annotated[int, Option("-n", min=1, help="How many to ask for.")] = 10,
    policy: Annotated[
        str | None, Option(help="Keep what this model finds neither easy nor impossible.")
    ] = None,
    file: Annotated[
        Path | None, Option("--out", help="The file of candidates; never in the corpus.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model for candidate scenarios, and write those that pass for a person to accept.

    Broken candidates, copies of scenarios and leaks of benchmark text are dropped.
    """
    from colorfast.config import Endpoint
    from colorfast.corpus import generate as gen
    from colorfast.corpus.scenarios import corpus
    from colorfast.io.storage import write_text
    from colorfast.io.validation import check_known
    from colorfast.rewards.encoder import encoder

    rows = corpus()
    check_known("trait", [trait], {s.trait for s in rows})
    check_known("domain", [domain], {s.domain for s in rows})
    server = Endpoint(base_url=endpoint, model=model, max_tokens=1500, temperature=1)
    path = file or Path("candidates") / f"{trait}-{domain}.jsonl"
    if path.exists():
        raise ColorfastError(
            f"{path}: there are candidates already; accept or move them first, or give another"
            " --out"
        )
    with progress(f"asking {model}", n) as advance:
        found = gen.generate(server, (trait, domain), n, rows, advance)
    with console.status("comparing with the corpus"):
        found = gen.without_copies(found, rows, encoder(), _mirror())
    if policy:
        from colorfast.models.local import load_policy  # imports torch

        with console.status(f"trying {len(found.kept)} candidates on {policy}"):
            found = gen.of_middle_difficulty(found, load_policy(policy))
    dropped = dict(Counter(found.dropped).most_common())
    for reason, count in dropped.items() if not as_json else ():
        say(f"dropped {count}: {reason}")
    if not found.kept:
        raise ColorfastError(
            f"none of {n} candidates is left; see the reasons above, or ask a larger model"
        )
    write_text(path, "".join(s.model_dump_json(exclude_defaults=True) + "\n" for s in found.kept))
    if as_json:
        print_json({"kept": len(found.kept), "file": str(path), "dropped": dropped})
        return
    browse = f"colorfast scenarios --check {path} --html candidates.html"
    say(f"kept {len(found.kept)}: {path} (to read them: {browse})")


@command(CORPUS, "constitution", "constitution model-spec", "constitution mine.md --json")
def constitution(
    name: Annotated[
        str, Argument(metavar="NAME", help="A shipped constitution, or a Markdown file.")
    ] = "colorfast",
    as_json: Json = False,
) -> None:
    """Show a constitution: each principle with its rule, and the criteria that code checks."""
    from colorfast.corpus.constitution import load, short

    principles = load(name)
    if as_json:
        print_json([p.model_dump(mode="json") for p in principles])
        return
    for p in principles:
        say(f"{p.title}. {p.rule}")
        for c in p.criteria:
            say(f"  {c.weight:+.3f} {c.text} ({c.grader})")
    seen = sum(bool(p.criteria) for p in principles)
    counts = f"{len(principles)} principles, {seen} of them with criteria for code"
    say(f"{counts}; {len(short(principles).split())} words in a prompt")
