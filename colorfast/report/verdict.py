"""What a run shows, in plain words: helped or not, at what price, how sure. The page, the Markdown
and the terminal say the same."""

from __future__ import annotations

from dataclasses import dataclass

from colorfast.analysis.compare import BENIGN, CAPABILITY, OVER_REFUSAL, Explanation, broken
from colorfast.report.findings import FEW_ITEMS, ArmFacts, Findings
from colorfast.report.wording import between, could_see, number, percent, several, signed, sure
from colorfast.types import Estimate, Interval

FEW_ARMS = 4
"""As many arms have a sentence each; more are grouped, without numbers: the table has them."""
HOW_SEEN = (
    "Could have seen: the smallest true change that this run would have found four times in five."
)


@dataclass(frozen=True)
class Change:
    """A difference from the baseline. `worse`: +1 where a rise is a price, -1 where a fall is."""

    what: str
    difference: Interval
    detectable: float | None
    worse: int = -1

    @property
    def sign(self) -> int:
        return self.difference.sign

    @property
    def value(self) -> float:
        return self.difference.value

    @property
    def costs(self) -> bool:
        return self.sign == self.worse

    @property
    def interval(self) -> str:
        """Of the size of a clear change; with signs where the change is not clear."""
        if not self.sign:
            return between(self.difference)
        ends = sorted((abs(self.difference.low), abs(self.difference.high)))
        return f"{number(ends[0])} to {number(ends[1])}"


def summary(f: Findings) -> list[str]:
    """A sentence for each dosed arm (of many, a few for all), then how far to believe them."""
    if not f.dosed:
        return ["This experiment has a baseline alone, so there is nothing to compare."]
    few = len(f.dosed) <= FEW_ARMS
    sentences = [_sentence(f, arm) for arm in f.dosed] if few else _grouped(f)
    legend = [HOW_SEEN] if any("could have seen" in text for text in sentences) else []
    return [*sentences, " ".join([sure(f), *legend])]


def _sentence(f: Findings, arm: ArmFacts) -> str:
    who = f"{arm.name} ({percent(arm.dose)} dose)"
    own = _own(f, arm)
    if own is None:
        return f"{who} could not be compared: no held-out reply was graded in both arms."
    others, prices = _others(f, arm), _prices(f, arm)
    wreck = _broken(f, arm)
    costs = any(isinstance(price, Change) and price.costs for price in prices)
    verdict = f"is broken, whatever it gains ({wreck})" if wreck else _verdict(own, others, costs)
    parts = [_score(f, arm, own), *map(_other, others), *map(_price, prices)]
    return f"{who} {verdict}: {'; '.join(parts)}."


def _verdict(own: Change, others: list[Change], costs: bool) -> str:
    """A gain counts as one where every grader sees it."""
    if own.sign > 0:
        alone = any(other.sign <= 0 for other in others)
        where = " only by the grader that rewarded it" if alone else ""
        return f"helped{where}{', at a price' if costs else ''}"
    verdict = "hurt" if own.sign < 0 else "had no clear effect"
    return f"{verdict}{', and has a price' if costs else ''}"


def _score(f: Findings, arm: ArmFacts, own: Change) -> str:
    e = _estimate(f, arm)
    assert e is not None
    few = f", on only {e.items} scenarios" if e.items < FEW_ITEMS else ""
    if not own.sign:
        return f"held-out trait scores {_unclear(own)}{few}"
    rose = "rose" if own.sign > 0 else "fell"
    return (
        f"held-out trait scores {rose} by {number(abs(own.value))} (95% interval {own.interval}), "
        f"from {number(e.baseline)} to {number(e.score)}{few}"
    )


def _unclear(change: Change) -> str:
    numbers = f"{signed(change.value)}, 95% interval {change.interval}"
    return f"did not clearly change ({numbers}; {could_see(change.detectable)})"


def _other(change: Change) -> str:
    if not change.sign:
        return f"{change.what}, no clear change ({could_see(change.detectable)})"
    rose = "rose" if change.sign > 0 else "fell"
    return f"{change.what}, they {rose} by {number(abs(change.value))} ({change.interval})"


def _price(price: Change | str) -> str:
    if isinstance(price, str):
        return f"{price}: not measured"
    if not price.sign:
        return f"{price.what}: no clear change ({could_see(price.detectable)})"
    direction = "up" if price.sign > 0 else "down"
    return f"{price.what}: {direction} by {number(abs(price.value))} ({price.interval})"


def _estimate(f: Findings, arm: ArmFacts) -> Estimate | None:
    return f.rows[0].cells[f.dosed.index(arm)]


def _own(f: Findings, arm: ArmFacts) -> Change | None:
    e = _estimate(f, arm)
    return _change("held-out trait scores", e) if e else None


def _others(f: Findings, arm: ArmFacts) -> list[Change]:
    """The same replies by graders that did not reward."""
    rows = [row for row in f.rows if row.all_held_out and row.by_other_grader]
    cells = [row.cells[f.dosed.index(arm)] for row in rows]
    return [_change("by a grader that did not reward", e) for e in cells if e]


def _change(what: str, e: Estimate) -> Change:
    return Change(what, e.difference, e.detectable)


def _prices(f: Findings, arm: ArmFacts) -> list[Change | str]:
    """What a dose may cost; the name alone of what this run does not measure. Refusals of benign
    prompts stand in where no eval asks safe ones."""
    rows = {row.what: row for row in f.explanations if row.arm == arm.name}
    safe = _paid(rows.get(OVER_REFUSAL), "safe prompts refused", 1)
    refusals = safe or _paid(rows.get(BENIGN), "benign prompts refused", 1)
    ability = _paid(rows.get(CAPABILITY), "capability", -1)
    return [refusals or "safe prompts refused", ability or "capability"]


def _paid(row: Explanation | None, what: str, worse: int) -> Change | None:
    if row is None or row.difference is None:
        return None
    return Change(what, row.difference, row.detectable, worse)


def _broken(f: Findings, arm: ArmFacts) -> str:
    return broken([row for row in f.explanations if row.arm == arm.name])


def _grouped(f: Findings) -> list[str]:
    """Many arms by what they did, who paid each clear price, and those that are broken."""
    verdicts = {1: "helped", -1: "hurt", 0: "had no clear effect", None: "could not be compared"}
    groups: dict[int | None, list[str]] = {}
    payers: dict[str, list[str]] = {}
    for arm in f.dosed:
        own = _own(f, arm)
        groups.setdefault(own.sign if own else None, []).append(arm.name)
        for price in _prices(f, arm):
            if isinstance(price, Change) and price.costs:
                direction = "up" if price.worse > 0 else "down"
                payers.setdefault(f"{price.what} {direction}", []).append(arm.name)
    parts = [f"{len(n)} {verdicts[sign]} ({', '.join(n)})" for sign, n in groups.items()]
    costs = [f"{what} in {', '.join(names)}" for what, names in payers.items()]
    reasons = {arm.name: _broken(f, arm) for arm in f.dosed}
    return [
        f"By held-out trait scores, of {len(f.dosed)} arms {several(parts)}.",
        f"Clear prices: {'; '.join(costs) or 'none'}.",
        *(f"{name} is broken, whatever it gains ({why})." for name, why in reasons.items() if why),
    ]
