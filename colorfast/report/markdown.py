"""The report in short, for a repository or a terminal pager; the page has the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from colorfast.report import wording
from colorfast.report.findings import Findings


def page(f: Findings, figures: Mapping[str, str]) -> str:
    """Verdict, table, figures as links, doses and hashes."""
    parts = [
        f"# {safe(f.experiment.name)}",
        safe(f.experiment.about),
        f"**{safe(wording.claim(f))}**",
        "\n".join(f"- {safe(name)}: {safe(text)}" for name, text in wording.tallies(f)),
        wording.COUNTED if f.dosed else "",
        "\n".join(f"- {safe(note)}" for note in wording.caution(f)),
        table(
            ("eval", "measure", "baseline", "arm", "score", "difference", "95% interval", "q", "detectable", "items", "seeds", "ungraded"),
            _estimates(f),
        ),
        "## Gains beside their price" if f.dosed else "",
        _beside(f) if f.dosed else "",
        "## Other explanations" if f.explanations else "",
        table(("what", "arm", "baseline", "arm's", "difference", "95% interval", "what follows"), _explanations(f))
        if f.explanations
        else "",
        *(f"![{title}]({name}.svg)" for name, title in figures.items()),
        "## Compute and dose",
        f"{wording.compute(f)[:1].upper()}{wording.compute(f)[1:]}.",
        table(("arm", "nominal", "effective", "tokens", "of which extra", "FLOPs"), _doses(f)),
        "## Hashes",
        f"Model sha256 `{safe(f.plan['model_sha256'])}`, scenarios sha256 `{safe(f.plan['scenarios_sha256'])}`.",
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


def _estimates(f: Findings) -> Iterator[Sequence[object]]:
    for row in f.rows:
        name = safe(row.eval) + (" (control)" if row.control else "")
        for arm, e in zip(f.dosed, row.cells, strict=True):
            if e is None:
                yield (name, row.measure, "not graded", safe(arm.name), *[""] * 8)
                continue
            mark = "**" if wording.clear(e) else ""
            difference = f"{mark}{wording.signed(e.difference)}{mark}"
            numbers = (
                wording.number(e.score),
                difference,
                wording.between(e),
                wording.chance(e.q),
                wording.seen(e),
                e.items,
                e.seeds,
                e.ungraded,
            )
            yield (name, row.measure, wording.number(e.baseline), safe(arm.name), *numbers)


def _beside(f: Findings) -> str:
    head, rows = wording.beside(f)
    return table([safe(cell) for cell in head], ([safe(cell) for cell in row] for row in rows))


def _explanations(f: Findings) -> Iterator[Sequence[object]]:
    for e in f.explanations:
        yield safe(e.what), safe(e.arm), *wording.explained(e)


def _doses(f: Findings) -> Iterator[Sequence[object]]:
    for arm in f.arms:
        tokens, extra = f"{arm.total.tokens:,}", f"{arm.total.extra_tokens:,}"
        yield safe(arm.name), wording.percent(arm.dose), wording.percent(arm.effective), tokens, extra, wording.power(arm.total.flops)


def _hashes(f: Findings) -> Iterator[Sequence[object]]:
    for arm in f.arms:
        for r in arm.runs:
            weights = f"`{r.weights}`" if r.weights else "not recorded"
            yield safe(arm.name), r.seed, f"{r.trait_slots} of {r.slots}", f"`{r.schedule}`", weights
