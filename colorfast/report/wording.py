"""Numbers and verdicts in plain words, and text of a model made safe to show."""

from __future__ import annotations

import re
import statistics
import unicodedata

from colorfast.compare import Explanation, broken
from colorfast.dose import Response
from colorfast.report.findings import FEW_ITEMS, PAPERS_GAIN, ArmFacts, Findings, Row
from colorfast.types import Estimate

LONGEST = 1500
NAMED = 12
"""Cells that a note names one by one."""
FEW_ARMS = 4
"""As many arms have their numbers in the first sentence."""
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]?")
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def clean(text: str) -> str:
    """Without terminal escapes, control characters and marks that reorder what stands around them."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(c for c in plain if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _REORDERING))


def short(text: str) -> str:
    """A reply cleaned, and cut when it is very long."""
    text = clean(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … [{len(text) - LONGEST:,} more characters]"


def number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """With a true minus, and the sign kept where a small value rounds to zero: an interval may end just beside it."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if value else f"{0:.{digits}f}"


def between(e: Estimate, digits: int = 3) -> str:
    return f"{signed(e.low, digits)} to {signed(e.high, digits)}"


def chance(q: float | None) -> str:
    """A false discovery rate; empty for what is not counted."""
    return "" if q is None else "<.001" if q < 0.001 else f"{q:.3f}".lstrip("0")


def seen(e: Estimate) -> str:
    """The smallest difference that would have been seen; `-` where not one item differed, so that nothing is known of it."""
    return "-" if e.detectable is None else number(e.detectable)


def percent(share: float | None) -> str:
    """`5%`, `12.5%`; `none` where there is nothing to take a share of."""
    return "none" if share is None else f"{100 * share:.1f}".removesuffix(".0") + "%"


def power(value: float) -> str:
    """`5.4e8` as `5.4 x 10^8`, with real superscripts."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def clear(e: Estimate | None) -> int:
    """+1 or -1 when the interval lies above or below zero, else 0."""
    return 0 if e is None else (e.low > 0) - (e.high < 0)


def half(r: Response) -> str:
    """The dose of half of the gain with its interval, or why there is none."""
    h = r.half
    if h.dose is None or h.low is None or h.high is None:
        return f"not identified: {h.reason}"
    least = r.points[0].dose
    low = percent(h.low) if h.low >= least else f"below {percent(least)}"
    return f"{percent(h.dose)} ({low} to {percent(h.high)})"


def begins(r: Response) -> str:
    """The smallest dose with a gain and with a loss; of a price, where it begins to be paid."""
    if r.worse:
        if r.pays is not None:
            return f"paid from {percent(r.pays)}"
        seen = r.points[-1].detectable
        return "not seen" + (f" (a true {number(seen)} would have been, four times in five)" if seen else "")
    said = [f"{what} from {percent(dose)}" for what, dose in (("gain", r.gain), ("loss", r.loss)) if dose is not None]
    return several(said) or "none"


def several(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def _claim(arm: ArmFacts, e: Estimate | None) -> str:
    who = f"{arm.name} ({percent(arm.dose)} dose)"
    if e is None:
        return f"{who} could not be compared, because no reply was graded in both"
    says = {1: "scores higher than the baseline", -1: "scores lower than the baseline", 0: "is not clearly different from the baseline"}
    few = f", on only {e.items} scenarios" if e.items < FEW_ITEMS else ""
    numbers = f"{number(e.score)} against {number(e.baseline)}, difference {signed(e.difference)}, 95% interval {between(e)}{few}"
    return f"{who} {says[clear(e)]} ({numbers})"


def _grouped(f: Findings) -> list[str]:
    """Many arms by what they did, without numbers: the table has them."""
    says = {1: "above the baseline", -1: "below the baseline", 0: "not clearly apart from it", None: "not compared, as nothing was graded"}
    groups: dict[int | None, list[str]] = {}
    for arm, e in zip(f.dosed, f.rows[0].cells, strict=True):
        groups.setdefault(clear(e) if e else None, []).append(arm.name)
    return [f"{len(names)} {'stands' if len(names) == 1 else 'stand'} {says[key]} ({', '.join(names)})" for key, names in groups.items()]


def claim(f: Findings) -> str:
    """The main claim in one sentence: does a dosed arm do better on trait scenarios that no arm was trained on?"""
    if not f.dosed:
        return "This experiment has a baseline alone, so there is nothing to compare."
    wrecks = "".join(f" {arm.name} is broken, whatever it gains ({why})." for arm in f.dosed if (why := _broken(f, arm)))
    if len(f.dosed) > FEW_ARMS:
        return f"On held-out trait scenarios, of {len(f.dosed)} arms {several(_grouped(f))}.{wrecks}"
    claims = [_claim(arm, cell) for arm, cell in zip(f.dosed, f.rows[0].cells, strict=True)]
    return f"On held-out trait scenarios, {'; '.join(claims)}.{wrecks}"


def _broken(f: Findings, arm: ArmFacts) -> str:
    return broken([row for row in f.explanations if row.arm == arm.name])


def _name(row: Row) -> str:
    kind = "held-out " if row.eval.startswith("heldout") else ""
    notes = [w for w, holds in (("probability", row.measure == "probability"), ("control", row.control)) if holds]
    return f"{kind}{row.label}" + (f" ({', '.join(notes)})" if notes else "")


def tallies(f: Findings) -> list[tuple[str, str]]:
    """Per dosed arm: how many evals rose and fell by raw sign and after correction, and each that fell with its interval below zero."""
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
            f"by raw sign {o.wins} of {len(counted)} {'eval' if len(counted) == 1 else 'evals'} better, {o.losses} worse, "
            f"{o.evals - o.wins - o.losses} equal{ungraded} (sign test with families as clusters: p = {o.sign_p:.3f}). "
            f"Mean difference {signed(o.difference)}, 95% interval {signed(o.low)} to {signed(o.high)}. After Benjamini-Hochberg "
            f"{o.significant_wins} significantly better and {o.significant_losses} significantly worse. "
            f"Interval below zero: {several(worse) or 'none'}."
        )
        found.append((arm.name, text))
    return found


def beside(f: Findings) -> tuple[list[str], list[list[str]]]:
    """(head, rows) of every gain beside its price: the held-out difference of each arm and that of all evals, then each other
    explanation's."""
    arms = [arm.name for arm in f.dosed]
    together = [f.overall[name] for name in arms]
    rows = {
        "held-out scenarios": {a: _marked(e.difference, e.low, e.high) for a, e in zip(arms, f.rows[0].cells, strict=True) if e},
        "all counted evals, mean": {a: _marked(o.difference, o.low, o.high) for a, o in zip(arms, together, strict=True) if o},
        "significantly better, worse": {
            a: f"{o.significant_wins}, {o.significant_losses} of {o.evals}" for a, o in zip(arms, together, strict=True) if o
        },
    }
    for x in f.explanations:
        cells = rows.setdefault(x.what, {})
        if x.difference is not None and x.low is not None and x.high is not None and x.baseline is not None:
            cells[x.arm] = _marked(x.difference, x.low, x.high, 1 if abs(x.baseline) > 2 else 3)
    return ["difference from the baseline", *arms], [[what, *(row.get(arm, "-") for arm in arms)] for what, row in rows.items()]


def _marked(value: float, low: float, high: float, digits: int = 3) -> str:
    sign = "▲ " if low > 0 else "▼ " if high < 0 else ""
    return f"{sign}{signed(value, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def powers(f: Findings) -> list[tuple[str, ...]]:
    """For each dosed arm: its name, counted evals, the median of what they would have shown, how many would have shown the paper's mean
    gain, on how many nothing differed, and what all together would have shown."""
    found: list[tuple[str, ...]] = []
    for arm in f.dosed:
        evals, able = sum(row.counted for row in f.rows), f.detectable(arm)
        median = number(statistics.median(able)) if able else "-"
        seeing = sum(v <= PAPERS_GAIN for v in able)
        o = f.overall[arm.name]
        whole = number(o.detectable) if o and o.detectable is not None else "-"
        graded = sum(row.cells[f.dosed.index(arm)] is not None for row in f.rows if row.counted)
        found.append((arm.name, str(evals), median, f"{seeing} of {evals}", str(graded - len(able)), whole))
    return found


def met(part: float | None) -> str:
    """How far a reply meets a criterion, with a symbol."""
    if part is None:
        return "– not graded"
    return "✓ met" if part >= 1 else "✗ not met" if part <= 0 else f"◐ {part:.2f}"


GRADERS = {"code": "code", "offline": "code and meaning, offline", "judge": "a judge"}
METHODS = {
    "best-of-n": "fine-tuned on the best reply of each group",
    "constitution-sft": "fine-tuned on revisions of its own drafts, each after a critique by a principle",
    "deliberative": "fine-tuned on the best reply of each group, sampled with the constitution in the prompt",
}


def taught(f: Findings) -> list[str]:
    """One line for each arm that is not reinforced by the rubrics: by what, how, graded by whom, at which extra cost."""
    training, found = f.experiment.training, []
    for facts in f.arms:
        arm, said = f.experiment.arms[facts.name], []
        if arm.reward == "constitution":
            said.append(f"judged by the constitution {f.experiment.constitution.rsplit('/', 1)[-1]} ({GRADERS[training.reward.kind]})")
        elif arm.reward == "placebo":
            said.append("rewards shuffled within each group")
        elif arm.reward != "rubric":
            said.append(f"rewarded for {arm.reward}")
        if arm.method != "rl":
            said.append(METHODS[arm.method])
        if facts.total.extra_tokens:
            said.append(f"{facts.total.extra_tokens:,} tokens beyond prompts and replies")
        if facts.total.endpoint_tokens:
            said.append(
                f"{facts.total.endpoint_tokens:,} tokens written by {training.reward.judge.model if training.reward.judge else '-'}"
            )
        if said:
            found.append(f"{facts.name}: {', '.join(said)}.")
        if f.unseen.get(facts.name):
            found.append(f"{facts.name} was not trained on {several(list(f.unseen[facts.name]))}: what it gains there is transfer.")
    return found


def explained(e: Explanation) -> tuple[str, str, str, str, str]:
    """(baseline, arm, difference, 95% interval, what follows) of another explanation, in words and numbers."""
    if e.baseline is None or e.score is None or e.difference is None or e.low is None or e.high is None:
        return "-", "-", "-", "-", e.reason
    digits = 1 if abs(e.baseline) > 2 else 3
    interval = f"{signed(e.low, digits)} to {signed(e.high, digits)}"
    return number(e.baseline, digits), number(e.score, digits), signed(e.difference, digits), interval, e.verdict


def same(f: Findings) -> str:
    """The suite's A/A test in a sentence."""
    a = f.alike
    if a.found is None or a.significant is None:
        return f"A/A test: not measured ({a.reason})."
    seeds = "one seed" if a.seeds == 1 else f"{a.seeds} seeds"
    left_out = "; with one seed a side, run-to-run variance is what it shows" if a.seeds == 1 else ""
    return (
        f"A/A test, {seeds} of the baseline against {'another' if a.seeds == 1 else 'as many others'}: {a.found} of {a.evals} evals "
        f"have an interval off zero ({a.evals / 20:.1f} expected by chance), {a.significant} after Benjamini-Hochberg (none "
        f"expected){left_out}."
    )


def shared(f: Findings) -> str:
    """What the evals have in common, in a sentence; empty with too few models."""
    s = f.structure
    if s is None:
        return ""
    return (
        f"Shared structure over {len(f.arms) * len(f.experiment.seeds)} models, capability regressed out: mean pairwise Spearman "
        f"{signed(s.spearman)} (shuffled: {signed(s.spearman_null[0])} to {signed(s.spearman_null[1])}), first principal component "
        f"{percent(s.component)} (shuffled: {percent(s.component_null[0])} to {percent(s.component_null[1])})."
    )


COUNTED = "Counted by score: held-out traits as one eval, and each benchmark; controls are not counted."


def caution(f: Findings) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes = ["Intervals are per eval and not corrected for how many there are: of twenty true zeros, about one will exclude zero; q is."]
    seeds = len(f.experiment.seeds)
    if seeds == 1:
        notes.append("Each arm was trained once, so the intervals cover items and not the variation from one training run to the next.")
    else:
        notes.append(f"The intervals cover items and {seeds} seeds{'; so few seeds show run-to-run variation only roughly' * (seeds < 5)}.")
    if f.start is not None:
        notes.append(f"The untrained model scores {number(f.start)} on the held-out scenarios: compare the baseline's with it too.")
    shown, size = f.experiment.training.shown, f.experiment.training.group_size
    if shown:
        notes.append(f"In every arm {shown} of the {size} replies in a group is the task's own good reply, not sampled (training.shown).")
    notes += taught(f)
    if f.few:
        notes.append(f"With fewer than {FEW_ITEMS} items an interval means little: {several(f.few)}.")
    if f.left:
        more = f" and {len(f.left) - NAMED} more" if len(f.left) > NAMED else ""
        notes.append(f"Only what is whole is compared. Not in here: {', '.join(f.left[:NAMED])}{more}.")
    if f.unmeasured:
        names = [u.eval for u in f.unmeasured]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        notes.append(
            f"Not measured, because files could not be reached: {', '.join(names[:NAMED])}{more}. "
            "The command that made this run fills them in when it is run again with the files at hand."
        )
    if f.unmatched:
        notes.append(f"The arms are NOT compute-matched: {several(list(f.unmatched))} differ.")
    notes.append(same(f))
    if shared(f):
        notes.append(shared(f))
    if f.corpus_changed:
        notes.append("The scenario files have changed since this run: conversations shown, and scores by trait, follow today's files.")
    return notes


def compute(f: Findings) -> str:
    """One line on what every arm used of each thing that must be equal."""
    steps = sum(r.steps for r in f.arms[0].runs)
    used = f"{steps:,} steps, {f.arms[0].total.prompts:,} prompts, {f.arms[0].total.completions:,} completions"
    over = f" over {len(f.experiment.seeds)} seeds" if len(f.experiment.seeds) > 1 else ""
    return f"NOT equal in all arms: {several(list(f.unmatched))}" if f.unmatched else f"{used}{over}, equal in all arms"
