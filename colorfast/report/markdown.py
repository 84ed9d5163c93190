"""The report in short, for a repository or a terminal pager; the page has the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from colorfast.analysis.dose import Response, Series
from colorfast.analysis.transfer import Cell
from colorfast.report import rulings, verdict, wording
from colorfast.report.findings import Findings
from colorfast.report.origins import origins
from colorfast.types import Interval


def page(f: Findings, figures: Mapping[str, str]) -> str:
    """Verdict, table, figures as links, doses and hashes."""
    parts = [
        f"# {safe(f.experiment.name)}",
        safe(f.experiment.about),
        *_summary(f),
        *_says(f),
        *_claims(f),
        "\n".join(f"- {safe(name)}: {safe(text)}" for name, text in wording.tallies(f)),
        wording.COUNTED if f.dosed else "",
        "\n".join(f"- {safe(note)}" for note in wording.caution(f)),
        "## Every eval" if f.dosed else "",
        table(
            (
                "eval",
                "measure",
                "baseline",
                "arm",
                "score",
                "difference",
                "95% interval",
                "q",
                "detectable",
                "items",
                "seeds",
                "ungraded",
            ),
            _estimates(f),
        ),
        *_unmeasured(f),
        "## Gains beside their price" if f.dosed else "",
        _beside(f) if f.dosed else "",
        "## Other explanations" if f.explanations else "",
        (
            table(
                ("what", "arm", "baseline", "arm's", "difference", "95% interval", "what follows"),
                _explanations(f),
            )
            if f.explanations
            else ""
        ),
        *_responses(f),
        *_transfer(f),
        *(f"![{title}]({name}.svg)" for name, title in figures.items()),
        *_power(f),
        *_replies(f),
        *_sources(f),
        "## Compute and dose",
        f"{wording.compute(f)[:1].upper()}{wording.compute(f)[1:]}.",
        table(("arm", "nominal", "effective", "tokens", "of which extra", "FLOPs"), _doses(f)),
        "## Hashes",
        (
            f"Model sha256 `{safe(f.plan['model_sha256'])}`, scenarios sha256"
            f" `{safe(f.plan['scenarios_sha256'])}`."
        ),
        table(("arm", "seed", "trait slots", "schedule sha256", "weights sha256"), _hashes(f)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def safe(text: object) -> str:
    """Text from a file on one line, with nothing in it that Markdown or HTML would act on."""
    plain = " ".join(wording.clean(str(text)).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", plain)


def table(head: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _summary(f: Findings) -> Iterator[str]:
    first, *rest = map(safe, verdict.summary(f))
    yield f"**{first}**"
    yield from (f"**{sentence}**" for sentence in rest[:-1])
    yield from rest[-1:]  # how far to believe them


def _claims(f: Findings) -> Iterator[str]:
    if f.rulings:
        yield "## The paper's claims"
        yield f"{rulings.ABOUT} In all {rulings.tally(f.rulings)}."
        yield table(rulings.COLUMNS, (tuple(map(safe, rulings.row(r))) for r in f.rulings))
        yield "## All evals together"


def _responses(f: Findings) -> Iterator[str]:
    for s in f.series:
        yield f"## Dose and response: {safe(s.label)}"
        head = (
            "eval",
            "smallest dose",
            "half of the gain at",
            *(wording.percent(dose) for dose, _ in s.arms),
        )
        yield table(head, _series(f, s))


def _series(f: Findings, s: Series) -> Iterator[Sequence[object]]:
    effective = {arm.name: arm.effective for arm in f.arms}
    yield "effective dose", "", "", *(wording.percent(effective[name]) for _, name in s.arms)
    for r in (*s.evals[:1], *([s.overall] if s.overall else ()), *s.prices, *s.evals[1:]):
        own = {p.arm: p for p in r.points}
        cells = (_difference(own[name].difference) if name in own else "-" for _, name in s.arms)
        yield safe(r.name) + " (control)" * r.control, wording.begins(r), _half(r), *cells


def _half(r: Response) -> str:
    return safe(wording.half(r)) if r.half.dose is not None or r.half.reason else ""


def _difference(difference: Interval) -> str:
    mark = "**" if difference.sign else ""
    return f"{mark}{wording.signed(difference.value)}{mark} ({wording.between(difference)})"


def _transfer(f: Findings) -> Iterator[str]:
    t = f.transfer
    if t is None:
        return
    yield "## Transfer"
    yield (
        "Differences from the baseline; t: what the arm trained on. First the means over what it"
        " trained on and what it did not."
    )
    yield table(
        ("arm", "mean over", "trained on", "not trained on"),
        ((safe(b.arm), f"{b.kind}s", _cell(b.inside), _cell(b.outside)) for b in t.beyond),
    )
    tested = [
        (f"{c.kind}: {safe(c.name)}" + " (control)" * c.control, k) for k, c in enumerate(t.columns)
    ]
    yield table(
        ("tested on", *map(safe, t.arms)),
        ((name, *(_cell(t.cells[a][k]) for a in t.arms)) for name, k in tested),
    )


def _cell(cell: Cell | None) -> str:
    return "-" if cell is None else _difference(cell.difference) + " t" * cell.trained


def _estimates(f: Findings) -> Iterator[Sequence[object]]:
    for row in f.rows:
        name = safe(row.eval) + (" (control)" if row.control else "")
        for arm, e in zip(f.dosed, row.cells, strict=True):
            if e is None:
                yield (name, row.measure, "not graded", safe(arm.name), *[""] * 8)
                continue
            mark = "**" if wording.clear(e) else ""
            difference = f"{mark}{wording.signed(e.difference.value)}{mark}"
            numbers = (
                wording.number(e.score),
                difference,
                wording.between(e.difference),
                wording.chance(e.q),
                wording.seen(e),
                e.items,
                e.seeds,
                e.ungraded,
            )
            yield (name, row.measure, wording.number(e.baseline), safe(arm.name), *numbers)


def _unmeasured(f: Findings) -> Iterator[str]:
    if f.unmeasured:
        yield "## Evals that were not measured"
        rows = ((safe(u.eval), safe(u.family), safe(u.cause)) for u in f.unmeasured)
        yield table(("eval", "family", "why"), rows)


def _beside(f: Findings) -> str:
    head, rows = wording.beside(f)
    return table([safe(cell) for cell in head], ([safe(cell) for cell in row] for row in rows))


def _explanations(f: Findings) -> Iterator[Sequence[object]]:
    for e in f.explanations:
        yield safe(e.what), safe(e.arm), *wording.explained(e)


def _power(f: Findings) -> Iterator[str]:
    if f.dosed:
        yield "## Power"
        head = (
            "arm",
            "counted evals",
            "median detectable",
            "would show the paper's mean gain",
            "not one item differed",
            "all together",
        )
        yield table(head, ((safe(name), *cells) for name, *cells in wording.powers(f)))


def _says(f: Findings) -> Iterator[str]:
    if not f.says:
        return
    yield "## What the model says"
    yield safe(" ".join([wording.how_drawn(f), *wording.silence(f)]))
    for exchange in f.says:
        prompt = (
            [f"> {safe(wording.brief(exchange.messages[-1].content))}"] if exchange.messages else []
        )
        answers = [
            f"- {safe(a.who)} ({safe(wording.graded(a.scores))}):"
            f" {safe(wording.brief(a.reply)) or '(empty reply)'}"
            for a in exchange.answers
        ]
        yield "\n\n".join([f"**{safe(exchange.item)}**", *prompt, "\n".join(answers)])


READ = 3
"""Gains and losses of an arm that are told in Markdown; the page and replies.csv have more."""


def _replies(f: Findings) -> Iterator[str]:
    if f.pairs:
        yield "## Replies side by side"
    for arm in f.dosed:
        own = [p for p in f.pairs if p.who == arm.name]
        for p in [p for p in own if p.gain > 0][:READ] + [p for p in own if p.gain < 0][:READ]:
            scores = (
                f"{wording.number(p.baseline.value or 0, 2)} to"
                f" {wording.number(p.arm.value or 0, 2)}"
            )
            criteria = (
                f"- {safe(text)} ({weight:+g}): {wording.met(a)}, {wording.met(b)}"
                for weight, text, a, b in p.parts
            )
            told = (
                f"> {safe(who)}: {safe(wording.short(s.reply))}"
                for who, s in ((f.arms[0].name, p.baseline), (p.who, p.arm))
            )
            asked = f"> {safe(wording.short(p.messages[-1].content))}\n>\n" if p.messages else ""
            yield (
                f"**{safe(p.who)}**, {safe(p.item)}, {scores}\n\n{asked}"
                + "\n>\n".join(told)
                + "\n\n"
                + "\n".join(criteria)
            )


def _sources(f: Findings) -> Iterator[str]:
    head = ("eval", "asked as", "reflects", "files", "commit", "licence", "paper")
    told = (
        (
            name,
            o.kind,
            o.trait or "control",
            f"{s.repo}, {s.count}",
            s.commit[:10],
            s.licence,
            s.paper,
        )
        for name, o in origins(f).items()
        for s in o.files
    )
    if rows := [tuple(map(safe, row)) for row in told]:
        yield "## Sources of the evals"
        yield table(head, iter(rows))


def _doses(f: Findings) -> Iterator[Sequence[object]]:
    for arm in f.arms:
        tokens, extra = f"{arm.total.tokens:,}", f"{arm.total.extra_tokens:,}"
        yield (
            safe(arm.name),
            wording.percent(arm.dose),
            wording.percent(arm.effective),
            tokens,
            extra,
            wording.power(arm.total.flops),
        )


def _hashes(f: Findings) -> Iterator[Sequence[object]]:
    for arm in f.arms:
        for r in arm.runs:
            weights = f"`{r.weights}`" if r.weights else "not recorded"
            yield (
                safe(arm.name),
                r.seed,
                f"{r.trait_slots} of {r.slots}",
                f"`{r.schedule}`",
                weights,
            )
