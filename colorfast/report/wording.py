"""Numbers and verdicts in plain words, and text of a model made safe to show."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Sequence

from colorfast.analysis.compare import MUTE, Explanation, Overall
from colorfast.analysis.dose import Response
from colorfast.evals.evaluate import HELDOUT, SECOND
from colorfast.report.findings import FEW_ITEMS, OTHER_GRADER, PAPERS_GAIN, Findings, Row
from colorfast.types import Estimate, Interval

LONGEST, BRIEF = 1500, 500
NAMED = 12
"""Cells that a note names one by one."""
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]?"
)
_REORDERING = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)


def clean(text: str) -> str:
    """Without terminal escapes, control characters and marks that reorder what stands around
    them."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(
        c
        for c in plain
        if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _REORDERING)
    )


def short(text: str) -> str:
    """A reply cleaned, and cut when it is very long."""
    return _cut(text, LONGEST)


def brief(text: str) -> str:
    """The same, cut sooner."""
    return _cut(text, BRIEF)


def _cut(text: str, longest: int) -> str:
    text = clean(text)
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]} … [{more:,} more characters]"


def number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """With a true minus, and the sign kept where a small value rounds to zero: an interval may end
    just beside it."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if value else f"{0:.{digits}f}"


def between(interval: Interval, digits: int = 3) -> str:
    """The ends of an interval, signed."""
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def chance(q: float | None) -> str:
    """A false discovery rate; empty for what is not counted."""
    return "" if q is None else "<.001" if q < 0.001 else f"{q:.3f}".lstrip("0")


def seen(e: Estimate) -> str:
    """The smallest difference that would have been seen; `-` where not one item differed, so that
    nothing is known of it."""
    return "-" if e.detectable is None else number(e.detectable)


def could_see(detectable: float | None, digits: int = 3) -> str:
    """What stands beside every null: the smallest true difference that would have been found four
    times in five."""
    if detectable is None:
        return "not one item differed"
    return f"could have seen {number(detectable, digits)}"


def percent(share: float | None) -> str:
    """`5%`, `12.5%`; `none` where there is nothing to take a share of."""
    return "none" if share is None else f"{100 * share:.1f}".removesuffix(".0") + "%"


def power(value: float) -> str:
    """`5.4e8` as `5.4 x 10^8`, with real superscripts."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return (
        f"{mantissa} ×"
        f" 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    )


def clear(e: Estimate | None) -> int:
    """+1 or -1 when the interval lies above or below zero, else 0."""
    return 0 if e is None else e.difference.sign


def half(r: Response) -> str:
    """The dose of half of the gain with its interval, or why there is none."""
    dose = r.half.dose
    if dose is None:
        return f"not identified: {r.half.reason}"
    least = r.points[0].dose
    low = percent(dose.low) if dose.low >= least else f"below {percent(least)}"
    return f"{percent(dose.value)} ({low} to {percent(dose.high)})"


def begins(r: Response) -> str:
    """The smallest dose with a gain and with a loss; of a price, where it begins to be paid."""
    if r.worse:
        if r.pays is not None:
            return f"paid from {percent(r.pays)}"
        seen = r.points[-1].detectable
        return "not seen" + (
            f" (a true {number(seen)} would have been, four times in five)" if seen else ""
        )
    said = [
        f"{what} from {percent(dose)}"
        for what, dose in (("gain", r.gain), ("loss", r.loss))
        if dose is not None
    ]
    return several(said) or "none"


def several(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _name(row: Row) -> str:
    kind = "held-out " if row.eval.startswith(HELDOUT) else ""
    notes = [
        w
        for w, holds in (("probability", row.measure == "probability"), ("control", row.control))
        if holds
    ]
    return f"{kind}{row.label}" + (f" ({', '.join(notes)})" if notes else "")


def tallies(f: Findings) -> list[tuple[str, str]]:
    """Per dosed arm: how many evals rose and fell by raw sign and after correction, and each that
    fell with its interval below zero."""
    found = []
    for i, arm in enumerate(f.dosed):
        o = f.overall[arm.name]
        if o is None:
            found.append((arm.name, "no eval that counts was graded in both arms."))
            continue
        counted = [r.cells[i] for r in f.rows if r.counted]
        worse = [_name(r) for r in f.rows if clear(r.cells[i]) < 0]
        ungraded = f", {len(counted) - o.evals} not graded" if o.evals < len(counted) else ""
        text = (
            f"by raw sign {o.wins} of {len(counted)} {'eval' if len(counted) == 1 else 'evals'}"
            f" better, {o.losses} worse, {o.evals - o.wins - o.losses} equal{ungraded} (sign test"
            f" with families as clusters: p = {o.sign_p:.3f}). Mean difference"
            f" {signed(o.difference.value)}, 95% interval {between(o.difference)}. After"
            f" Benjamini-Hochberg {o.significant_wins} significantly better and"
            f" {o.significant_losses} significantly worse. Interval below zero:"
            f" {several(worse) or 'none'}."
        )
        found.append((arm.name, text))
    return found


def beside(f: Findings) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of every gain beside its price: the held-out difference of each arm and that of
    all evals, then each other explanation's. Beside a null stands what the run could have seen."""
    arms = [arm.name for arm in f.dosed]
    together = [f.overall[name] for name in arms]
    rows = {
        **{_beside_name(row): _beside_row(arms, row.cells) for row in f.rows if row.all_held_out},
        "all counted evals, mean": _beside_row(arms, together),
        "significantly better, worse": {
            a: f"{o.significant_wins}, {o.significant_losses} of {o.evals}"
            for a, o in zip(arms, together, strict=True)
            if o
        },
    }
    for x in f.explanations:
        cells = rows.setdefault(x.what, {})
        if text := marked(x):
            cells[x.arm] = text
    return ["difference from the baseline", *arms], [
        [what, *(row.get(arm, "-") for arm in arms)] for what, row in rows.items()
    ]


def _beside_name(row: Row) -> str:
    return OTHER_GRADER if row.by_other_grader else "held-out scenarios"


def _beside_row(arms: list[str], cells: Sequence[Estimate | Overall | None]) -> dict[str, str]:
    """By arm; without those that were not compared."""
    return {
        arm: _marked(c.difference, c.detectable) for arm, c in zip(arms, cells, strict=True) if c
    }


def marked(x: Explanation) -> str:
    """The difference of another explanation with its interval and, where that holds zero, what
    could have been seen; "" where there are no numbers."""
    if x.difference is None or x.baseline is None:
        return ""
    return _marked(x.difference, x.detectable, 1 if abs(x.baseline) > 2 else 3)


def _marked(difference: Interval, detectable: float | None, digits: int = 3) -> str:
    sign = {1: "▲ ", -1: "▼ ", 0: ""}[difference.sign]
    null = "" if sign else f"; {could_see(detectable, digits)}"
    return f"{sign}{signed(difference.value, digits)} ({between(difference, digits)}{null})"


def how_drawn(f: Findings) -> str:
    """By what rule the scenarios under `What the model says` were picked."""
    arms = [answer.who for answer in f.says[0].answers] if f.says else []
    hidden = sum(arm.name not in arms for arm in f.arms)
    others = "arm of lower dose is" if hidden == 1 else "arms of lower dose are"
    rest = f" {hidden} {others} not among them." if hidden else ""
    return (
        f"{len(f.says)} held-out scenarios, drawn by their names and seed {f.experiment.seeds[0]}, "
        f"not by any result, and the first reply of each arm to them.{rest}"
    )


def silence(f: Findings) -> list[str]:
    """How many of all replies say nothing, as code counts it; empty where that was not measured."""
    rows = [row for row in f.explanations if row.what == MUTE and row.baseline is not None]
    if not rows:
        return []
    shares = [f"{row.arm} {percent(row.score)}" for row in rows]
    shares.insert(0, f"{f.arms[0].name} {percent(rows[0].baseline)}")
    return [f"Of all held-out replies, code counts as saying nothing: {', '.join(shares)}."]


def graded(scores: Sequence[tuple[str, float | None]]) -> str:
    """A reply's score by each grader."""
    parts = []
    for name, value in scores:
        grader = " by a grader that did not reward" if name.startswith(SECOND) else ""
        parts.append(f"score{grader} {'not graded' if value is None else number(value, 2)}")
    return ", ".join(parts)


def powers(f: Findings) -> list[tuple[str, ...]]:
    """For each dosed arm: its name, counted evals, the median of what they would have shown, how
    many would have shown the paper's mean gain, on how many nothing differed, and what all together
    would have shown."""
    found: list[tuple[str, ...]] = []
    for arm in f.dosed:
        evals, able = sum(row.counted for row in f.rows), f.detectable(arm)
        median = number(statistics.median(able)) if able else "-"
        seeing = sum(v <= PAPERS_GAIN for v in able)
        o = f.overall[arm.name]
        whole = number(o.detectable) if o and o.detectable is not None else "-"
        graded = sum(row.cells[f.dosed.index(arm)] is not None for row in f.rows if row.counted)
        found.append(
            (arm.name, str(evals), median, f"{seeing} of {evals}", str(graded - len(able)), whole)
        )
    return found


def met(part: float | None) -> str:
    """How far a reply meets a criterion, with a symbol."""
    if part is None:
        return "– not graded"
    return "✓ met" if part >= 1 else "✗ not met" if part <= 0 else f"◐ {part:.2f}"


GRADERS = {"code": "code", "offline": "code and meaning, offline", "judge": "a judge"}
METHODS = {
    "best-of-n": "fine-tuned on the best reply of each group",
    "constitution-sft": (
        "fine-tuned on revisions of its own drafts, each after a critique by a principle"
    ),
    "deliberative": (
        "fine-tuned on the best reply of each group, sampled with the constitution in the prompt"
    ),
}


def taught(f: Findings) -> list[str]:
    """One line for each arm that is not reinforced by the rubrics: by what, how, graded by whom, at
    which extra cost."""
    training, found = f.experiment.training, []
    for facts in f.arms:
        arm, said = f.experiment.arms[facts.name], []
        if arm.reward == "constitution":
            said.append(
                f"judged by the constitution {f.experiment.constitution.rsplit('/', 1)[-1]}"
                f" ({GRADERS[training.grading.kind]})"
            )
        elif arm.reward == "placebo":
            said.append("rewards shuffled within each group")
        elif arm.reward != "rubric":
            said.append(f"rewarded for {arm.reward}")
        if arm.objective != "rl":
            said.append(METHODS[arm.objective])
        if facts.total.extra_tokens:
            said.append(f"{facts.total.extra_tokens:,} tokens beyond prompts and replies")
        if facts.total.endpoint_tokens:
            said.append(
                f"{facts.total.endpoint_tokens:,} tokens written by"
                f" {training.grading.judge.model if training.grading.judge else '-'}"
            )
        if said:
            found.append(f"{facts.name}: {', '.join(said)}.")
        if f.unseen.get(facts.name):
            found.append(
                f"{facts.name} was not trained on {several(list(f.unseen[facts.name]))}: what it"
                " gains there is transfer."
            )
    return found


def explained(e: Explanation) -> tuple[str, str, str, str, str]:
    """(baseline, arm, difference, 95% interval, what follows) of another explanation, in words and
    numbers."""
    if e.baseline is None or e.score is None or e.difference is None:
        return "-", "-", "-", "-", e.reason
    digits = 1 if abs(e.baseline) > 2 else 3
    interval = between(e.difference, digits)
    follows = [e.verdict] if e.verdict else []
    # where a margin was stated, the verdict says already what could have been seen
    if not e.difference.sign and e.outcome is None:
        follows.append(f"no clear change ({could_see(e.detectable, digits)})")
    means = number(e.baseline, digits), number(e.score, digits)
    return *means, signed(e.difference.value, digits), interval, "; ".join(follows)


def same(f: Findings) -> str:
    """The suite's A/A test in a sentence."""
    a = f.alike
    if a.found is None or a.significant is None:
        return f"A/A test: not measured ({a.reason})."
    seeds = "one seed" if a.seeds == 1 else f"{a.seeds} seeds"
    left_out = (
        "; with one seed a side, run-to-run variance is what it shows" if a.seeds == 1 else ""
    )
    return (
        f"A/A test, {seeds} of the baseline against"
        f" {'another' if a.seeds == 1 else 'as many others'}: {a.found} of {a.evals} evals have an"
        f" interval off zero ({a.evals / 20:.1f} expected by chance), {a.significant} after"
        f" Benjamini-Hochberg (none expected){left_out}."
    )


def shared(f: Findings) -> str:
    """What the evals have in common, in a sentence; empty with too few models."""
    s = f.structure
    if s is None:
        return ""
    return (
        f"Shared structure over {len(f.arms) * len(f.experiment.seeds)} models, capability"
        f" regressed out: mean pairwise Spearman {signed(s.spearman)} (shuffled:"
        f" {signed(s.spearman_null[0])} to {signed(s.spearman_null[1])}), first principal component"
        f" {percent(s.component)} (shuffled: {percent(s.component_null[0])} to"
        f" {percent(s.component_null[1])})."
    )


COUNTED = (
    "Counted by score: held-out traits as one eval, and each benchmark; controls are not counted."
)


def sure(f: Findings) -> str:
    """How far the intervals reach: over items, or over training runs too."""
    seeds = len(f.experiment.seeds)
    if seeds == 1:
        return (
            "One seed: each arm was trained once, so the intervals cover items and not the "
            "variation from one training run to the next; run it again with other seeds before you "
            "believe it."
        )
    few = "; so few seeds show run-to-run variation only roughly" if seeds < 5 else ""
    return f"The intervals cover items and {seeds} seeds{few}."


def caution(f: Findings) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes = [
        "Intervals are per eval and not corrected for how many there are: of twenty true zeros,"
        " about one will exclude zero; q is."
    ]
    notes.append(sure(f))
    if f.start is not None:
        notes.append(
            f"The untrained model scores {number(f.start)} on the held-out scenarios: compare the"
            " baseline's with it too."
        )
    shown, size = f.experiment.training.demonstrations, f.experiment.training.group_size
    if shown:
        notes.append(
            f"In every arm {shown} of the {size} replies in a group is the task's own good reply,"
            " not sampled (training.demonstrations)."
        )
    notes += taught(f)
    if f.few:
        notes.append(
            f"With fewer than {FEW_ITEMS} items an interval means little: {several(f.few)}."
        )
    if f.left:
        more = f" and {len(f.left) - NAMED} more" if len(f.left) > NAMED else ""
        notes.append(
            f"Only what is whole is compared. Not in here: {', '.join(f.left[:NAMED])}{more}."
        )
    if f.unmeasured:
        names = [u.eval for u in f.unmeasured]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        notes.append(
            f"Not measured, because files could not be reached: {', '.join(names[:NAMED])}{more}."
            " The command that made this run fills them in when it is run again with the files at"
            " hand."
        )
    if f.unmatched:
        notes.append(f"The arms are NOT compute-matched: {several(list(f.unmatched))} differ.")
    notes.append(same(f))
    if shared(f):
        notes.append(shared(f))
    if f.corpus_changed:
        notes.append(
            "The scenario files have changed since this run: conversations shown, and scores by"
            " trait, follow today's files."
        )
    return notes


def compute(f: Findings) -> str:
    """One line on what every arm used of each thing that must be equal."""
    steps = sum(r.steps for r in f.arms[0].runs)
    used = (
        f"{steps:,} steps, {f.arms[0].total.prompts:,} prompts, {f.arms[0].total.completions:,}"
        " completions"
    )
    over = f" over {len(f.experiment.seeds)} seeds" if len(f.experiment.seeds) > 1 else ""
    return (
        f"NOT equal in all arms: {several(list(f.unmatched))}"
        if f.unmatched
        else f"{used}{over}, equal in all arms"
    )
