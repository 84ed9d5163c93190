"""The sections of a report. Each is built from findings alone, None where a run has nothing for
it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from colorfast.analysis.explanations import MUTE
from colorfast.evals.evaluate import SECOND
from colorfast.report import claims, comparison, records
from colorfast.report.document import (
    Answer,
    Block,
    Bullets,
    Exchange,
    Paragraph,
    Section,
    figure,
    note,
    section,
    titled,
)
from colorfast.report.findings import Findings
from colorfast.report.notes import GRADERS, cautions, compute, power_notes, tallies
from colorfast.report.pairs import Pair
from colorfast.report.samples import Sample
from colorfast.report.summary import certainty, summary
from colorfast.report.table import Table
from colorfast.report.wording import BRIEF, met, number, percent, signed

NO_DOSED_ARM = "There is no dosed arm."
IN_MARKDOWN = 3
"""Gains and losses of an arm that stand in Markdown; the page and replies.csv have more."""


def verdict(f: Findings) -> Section:
    """The summary, gains beside their price, samples, the paper's claims, and what to mind."""
    *sentences, last = summary(f)
    blocks: list[Block] = [f.experiment.about] if f.experiment.about else []
    blocks += [Paragraph(text, "verdict") for text in sentences]
    blocks += [Paragraph(last, "sure" if f.dosed else "verdict"), figure("overview")]
    if f.dosed:
        blocks += [Paragraph(note("gains")), comparison.gains(f)]
    if f.samples:
        blocks.append(_samples(f))
    if f.rulings:
        blocks.append(claims.section(f.rulings))
    if f.dosed:
        blocks.append(Section("All evals together", [Bullets(tallies(f))]))
        blocks.append(Bullets([note("counted"), *cautions(f)], "Read with care"))
    return section("verdict", *blocks)


def _samples(f: Findings) -> Section:
    names = [answer.who for answer in f.samples[0].answers]
    hidden = sum(arm.name not in names for arm in f.arms)
    others = "arm of lower dose is" if hidden == 1 else "arms of lower dose are"
    rest = f" {hidden} {others} not among them." if hidden else ""
    about = (
        f"{len(f.samples)} held-out scenarios with the first reply of each arm. They are drawn by"
        f" their names and seed {f.experiment.seeds[0]}, not by any result.{rest}"
    )
    mute = [row for row in f.explanations if row.what == MUTE and row.baseline is not None]
    if mute:
        shares = [f"{f.arms[0].name} {percent(mute[0].baseline)}"]
        shares += [f"{row.arm} {percent(row.score)}" for row in mute]
        about += f" Of all held-out replies, code counts as saying nothing: {', '.join(shares)}."
    blocks: list[Block] = [Paragraph(about)]
    if f.dosed:
        blocks.append(Paragraph("More replies, by result", target="replies"))
    return Section("What the model says", [*blocks, *map(_sample, f.samples)], "says")


def _sample(sample: Sample) -> Exchange:
    answers = [_answer(r.who, r.text, graded(r.scores), r.truncated) for r in sample.answers]
    messages = [m for m in sample.messages if m.role != "system"]
    return Exchange(sample.item, answers, messages, longest=BRIEF)


def _answer(who: str, text: str, score: str, truncated: bool) -> Answer:
    return Answer(who, text, f"{score}{', cut off at the length cap' if truncated else ''}")


def graded(scores: Sequence[tuple[str, float | None]]) -> str:
    """A reply's score by each grader."""
    parts = []
    for name, value in scores:
        grader = " by a grader that did not reward" if name.startswith(SECOND) else ""
        parts.append(f"score{grader} {'not graded' if value is None else number(value, 2)}")
    return ", ".join(parts)


def evals(f: Findings) -> Section | None:
    """The forest plot."""
    return section("evals", figure("forest")) if f.dosed else None


def response(f: Findings) -> Section | None:
    """A table for each series of arms that differ in their dose alone."""
    tables = [replace(comparison.response(f, s), title=s.label) for s in f.series]
    return section("response", figure("response"), *map(titled, tables)) if tables else None


def transfer(f: Findings) -> Section | None:
    """Means over what each arm trained on and what it did not, then every cell."""
    t = f.transfer
    if t is None:
        return None
    cells = comparison.transfer_cells(t)
    return section("transfer", comparison.transfer_means(t), figure("transfer"), cells)


def learning(f: Findings) -> Section:
    """Learning curves."""
    return section("learning", figure("curves"))


def dose(f: Findings) -> Section:
    """Nominal and effective dose."""
    return section("dose", records.doses(f), figure("dose"))


def explanations(f: Findings) -> Section:
    """What else changed between baseline and arm."""
    table = comparison.explanations(f) if f.explanations else NO_DOSED_ARM
    return section("explanations", table)


def price(f: Findings) -> Section:
    """The controls."""
    controls = [row for row in f.rows if row.control]
    if controls and f.dosed:
        return section("price", comparison.estimates(f, "Controls", controls))
    return section("price", "This experiment has none, so what the dose cost is not known.")


def power(f: Findings) -> Section | None:
    """How large a difference the run would have shown."""
    if not f.dosed:
        return None
    return section("power", figure("power"), comparison.power_table(f), *power_notes(f))


def results(f: Findings) -> Section:
    """Every eval, those that were not measured, and the sources of all."""
    table = comparison.estimates(f, "Every eval", f.rows) if f.dosed else NO_DOSED_ARM
    blocks: list[Block] = [table]
    if f.unmeasured:
        rows = [{"eval": u.eval, "family": u.family, "why": u.cause} for u in f.unmeasured]
        blocks.append(titled(Table("Evals that were not measured", rows, ("family", "why"))))
    sources = records.source_table(f)
    if sources.rows:
        blocks.append(Section(sources.title, [sources], folded=True))
    return section("results", *blocks)


def replies(f: Findings) -> Section:
    """Pairs of replies with the largest gains and losses."""
    if not f.dosed:
        return section("replies", NO_DOSED_ARM)
    if not f.pairs:
        return section("replies", "No reply of an arm scored otherwise than the baseline's.")
    kind = f.experiment.evaluation.grading.kind
    pairs: list[Block] = [*_pairs(f)]
    if kind != "code":
        text = f"The scores are by {GRADERS[kind]}, and may differ from what code says."
        return section("replies", *pairs, Paragraph(text))
    return section("replies", *pairs)


def _pairs(f: Findings) -> Iterator[Exchange]:
    baseline = f.arms[0].name
    count: dict[tuple[str, bool], int] = {}
    for p in f.pairs:
        key = p.who, p.gain > 0
        count[key] = count.get(key, 0) + 1
        yield _pair(p, baseline, count[key] <= IN_MARKDOWN)


def _pair(p: Pair, baseline: str, everywhere: bool) -> Exchange:
    rows = [
        {
            "rubric criterion": c.criterion,
            "its weight": signed(c.weight, 2),
            baseline: met(c.baseline),
            p.who: met(c.arm),
        }
        for c in p.criteria
    ]
    before, after = number(p.baseline.value or 0, 2), number(p.arm.value or 0, 2)
    rise = p.gain > 0
    return Exchange(
        title=p.item,
        answers=[
            _answer(baseline, p.baseline.reply, f"score {before}", p.baseline.truncated),
            _answer(p.who, p.arm.reply, f"score {after}", p.arm.truncated),
        ],
        messages=p.messages,
        who=p.who,
        detail=f"{p.eval}, sample {p.arm.sample}, seed {p.seed}",
        change=f"{'▲' if rise else '▼'} {before} → {after}",
        sign=1 if rise else -1,
        criteria=Table("Rubric", rows, (baseline, p.who)) if rows else None,
        fields={
            "arm": p.who,
            "eval": p.eval,
            "trait": p.trait or "none",
            "change": "gain" if rise else "loss",
        },
        folded=True,
        everywhere=everywhere,
    )


def ran(f: Findings) -> Section:
    """Compute, settings, hashes, versions."""
    versions = Section("Versions and machine", [_named(f.versions), _named(f.machine)])
    tables = map(titled, (records.ledger(f), records.settings(f), records.hashes(f)))
    return section("ran", f"{compute(f)}.", *tables, versions)


def _named(values: Mapping[str, str]) -> Paragraph:
    return Paragraph(", ".join(f"{name} {value}" for name, value in sorted(values.items())))


def reading(f: Findings) -> Section:
    """How to read the numbers."""
    return section("reading", certainty(f))
