"""What a run shows in plain words: whether each arm helped, at what price, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colorfast.analysis.estimate import Estimate
from colorfast.analysis.explanations import BENIGN, CAPABILITY, OVER_REFUSAL, Explanation, broken
from colorfast.report.document import note
from colorfast.report.findings import FEW_ITEMS, ArmFacts, Findings
from colorfast.report.wording import between, clear, could_see, number, percent, several, signed
from colorfast.types import Interval

MANY_ARMS = 5
"""So many arms are grouped without numbers, which the table has; fewer have a sentence each."""
HOW_SEEN = note("could_have_seen")


@dataclass(frozen=True)
class Change:
    """A difference from the baseline. `worse`: +1 where a rise is a price, -1 where a fall is."""

    what: str
    difference: Interval
    detectable: float | None
    worse: int = -1

    @property
    def costs(self) -> bool:
        """Whether it is clearly worse."""
        return self.difference.sign == self.worse

    @property
    def null(self) -> str:
        """What stands beside a change that is not clear."""
        return f"no clear change ({could_see(self.detectable)})"


def _size(i: Interval) -> str:
    """The interval of the size of a clear change."""
    low, high = sorted((abs(i.low), abs(i.high)))
    return f"{number(low)} to {number(high)}"


def summary(f: Findings) -> list[str]:
    """A sentence for each dosed arm (of many, a few for all), then how far to believe them."""
    if not f.dosed:
        return ["This experiment has a baseline alone, so there is nothing to compare."]
    many = len(f.dosed) >= MANY_ARMS
    sentences = _grouped(f) if many else [_sentence(f, arm) for arm in f.dosed]
    legend = [HOW_SEEN] if any("could have seen" in text for text in sentences) else []
    return [*sentences, " ".join([certainty(f), *legend])]


def certainty(f: Findings) -> str:
    """What the intervals cover: items, or training runs too."""
    seeds = len(f.experiment.seeds)
    if seeds == 1:
        return note("one_seed")
    caveat = "; so few seeds show run-to-run variation only roughly" if seeds < 5 else ""
    return f"The intervals cover items and {seeds} seeds{caveat}."


def _sentence(f: Findings, arm: ArmFacts) -> str:
    who = f"{arm.name} ({percent(arm.dose)} dose)"
    estimate = _heldout(f, arm)
    if estimate is None:
        return f"{who} could not be compared: no held-out reply was graded in both arms."
    others, prices = _by_other_graders(f, arm), _prices(f, arm)
    wreck = _broken(f, arm)
    if wreck:
        verdict = f"is broken, whatever it gains ({wreck})"
    else:
        verdict = _verdict(estimate, others, any(p.costs for p in prices.values() if p))
    parts = [_score(estimate), *map(_other, others)]
    for what, price in prices.items():
        parts.append(f"{what}: {_price(price) if price else 'not measured'}")
    return f"{who} {verdict}: {'; '.join(parts)}."


def _verdict(own: Estimate, others: Sequence[Change], costs: bool) -> str:
    """A gain counts as one where every grader sees it."""
    if clear(own) > 0:
        disputed = any(other.difference.sign <= 0 for other in others)
        where = " only by the grader that rewarded it" if disputed else ""
        return f"helped{where}{', at a price' if costs else ''}"
    verdict = "hurt" if clear(own) < 0 else "had no clear effect"
    return f"{verdict}{', and has a price' if costs else ''}"


def _score(e: Estimate) -> str:
    caveat = f", on only {e.items} scenarios" if e.items < FEW_ITEMS else ""
    i = e.difference
    if i.sign:
        levels = f"from {number(e.baseline)} to {number(e.score)}"
        return f"held-out trait scores {_rose(i)} (95% interval {_size(i)}), {levels}{caveat}"
    numbers = f"{signed(i.value)}, 95% interval {between(i)}; {could_see(e.detectable)}"
    return f"held-out trait scores did not clearly change ({numbers}){caveat}"


def _rose(i: Interval, up: str = "rose", down: str = "fell") -> str:
    return f"{up if i.sign > 0 else down} by {number(abs(i.value))}"


def _other(change: Change) -> str:
    i = change.difference
    text = f"they {_rose(i)} ({_size(i)})" if i.sign else change.null
    return f"{change.what}, {text}"


def _price(price: Change) -> str:
    i = price.difference
    return f"{_rose(i, 'up', 'down')} ({_size(i)})" if i.sign else price.null


def _heldout(f: Findings, arm: ArmFacts) -> Estimate | None:
    return f.rows[0].cells[arm.name]


def _by_other_graders(f: Findings, arm: ArmFacts) -> list[Change]:
    """The same replies by graders that did not reward."""
    changes = []
    for row in f.rows:
        e = row.cells[arm.name]
        if row.by_other_grader and e:
            changes.append(Change("by a grader that did not reward", e.difference, e.detectable))
    return changes


def _prices(f: Findings, arm: ArmFacts) -> dict[str, Change | None]:
    """What a dose may cost; None for what this run does not measure. Refusals of benign prompts
    stand in where no eval asks safe ones."""
    rows = {row.what: row for row in f.explanations if row.arm == arm.name}
    refused = _paid(rows.get(OVER_REFUSAL), "safe prompts refused", 1)
    refused = refused or _paid(rows.get(BENIGN), "benign prompts refused", 1)
    able = _paid(rows.get(CAPABILITY), "capability", -1)
    return {refused.what if refused else "safe prompts refused": refused, "capability": able}


def _paid(row: Explanation | None, what: str, worse: int) -> Change | None:
    if row is None or row.difference is None:
        return None
    return Change(what, row.difference, row.detectable, worse)


def _broken(f: Findings, arm: ArmFacts) -> str:
    return broken([row for row in f.explanations if row.arm == arm.name])


def _grouped(f: Findings) -> list[str]:
    """Many arms by what they did, who paid each clear price, and those that are broken."""
    verdicts = {1: "helped", -1: "hurt", 0: "had no clear effect", None: "could not be compared"}
    groups: dict[str, list[str]] = {}
    payers: dict[str, list[str]] = {}
    for arm in f.dosed:
        own = _heldout(f, arm)
        groups.setdefault(verdicts[clear(own) if own else None], []).append(arm.name)
        for price in _prices(f, arm).values():
            if price and price.costs:
                direction = "up" if price.worse > 0 else "down"
                payers.setdefault(f"{price.what} {direction}", []).append(arm.name)
    parts = [f"{len(n)} {verdict} ({', '.join(n)})" for verdict, n in groups.items()]
    costs = [f"{what} in {', '.join(names)}" for what, names in payers.items()]
    sentences = [
        f"By held-out trait scores, of {len(f.dosed)} arms {several(parts)}.",
        f"Clear prices: {'; '.join(costs) or 'none'}.",
    ]
    for arm in f.dosed:
        if wreck := _broken(f, arm):
            sentences.append(f"{arm.name} is broken, whatever it gains ({wreck}).")
    return sentences
