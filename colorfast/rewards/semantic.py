"""The semantic half of the offline grader: does a reply lie near its rubric's credits, and is it
about the matter at all?

Five cosines of the embedded encoder, and two counts of the words that reply and task share,
weighted by two logistic regressions that were fitted on the corpus' own replies (training scenarios
only; `colorfast graders --fit`). Nothing of them is specific to a scenario but its own words. The
counts tell only what a reply is about: words taken over earn nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from colorfast.io.storage import read_json
from colorfast.io.validation import read_jsonl
from colorfast.rewards.encoder import Encoder, encoder
from colorfast.rewards.rubric import degenerate
from colorfast.rewards.text import Reading, words
from colorfast.types import Frozen, Reply, Scenario, Task

WEIGHTS = Path(__file__).with_name("semantic.json")
SCENARIOS = Path(__file__).parent.parent / "corpus" / "scenarios"
COSINES = ("credit", "least_credit", "fault", "topic", "nearest_topic")
FEATURES = (*COSINES, "shared", "shared_weight")
Array = npt.NDArray[np.float64]
Pair = tuple[Reply, Task]


class Regression(Frozen):
    """A logistic regression on the first of FEATURES, as many as it names."""

    intercept: float
    features: dict[str, float]

    def __call__(self, found: Array) -> Array:
        """Probabilities [rows] of features [rows, FEATURES]; 0 for rows of NaN."""
        z = self.intercept + found[:, : len(self.features)] @ np.array(
            [self.features[name] for name in FEATURES[: len(self.features)]]
        )
        return np.where(np.isnan(z), 0.0, 1 / (1 + np.exp(-z)))


class Weights(Frozen):
    """`good` tells good replies from all others, `matter` a scenario's own replies from those to
    another one; `fitted_on` names the replies by kind and number."""

    good: Regression
    matter: Regression
    fitted_on: dict[str, int]


class Meaning(NamedTuple):
    """How much a reply sounds like a good one, and how much like one about this matter; both in [0,
    1]."""

    good: float
    matter: float


@cache
def weights() -> Weights:
    return Weights.model_validate(read_json(WEIGHTS))


def _words(text: str) -> frozenset[str]:
    """The longer words of a text, cut to their first six letters, which stand for a stem."""
    return frozenset(w[:6] for w in words(text) if len(w) > 3 or w.isdigit())


def _context(task: Task) -> frozenset[str]:
    return _words(" ".join([*(m.content for m in task.messages), *(c.text for c in task.rubric)]))


@cache
def rarity() -> dict[str, float]:
    """Inverse document frequency of each word over the corpus' tasks, in nats; one it does not hold
    is as rare as can be (key "")."""
    # The files, not their loader: the corpus room is built on this one.
    paths = sorted(SCENARIOS.glob("*.jsonl"))
    tasks = [Scenario.model_validate(row) for path in paths for _, row in read_jsonl(path)]
    held_by = Counter(w for task in tasks for w in _context(task))
    return {w: math.log((len(tasks) + 1) / (n + 1)) for w, n in held_by.items()} | {
        "": math.log(len(tasks) + 1)
    }


def features(pairs: Sequence[Pair], encode: Encoder) -> Array:
    """[pairs, FEATURES]; a row of NaN where a reply has no sentence that counts.

    `credit`: per credit line the nearest sentence, averaged by weight; `least_credit`: the worst of
    them; `fault`: the nearest sentence to any deduction line; `topic`, `nearest_topic`: the whole
    reply and its nearest sentence to the user's last message; `shared`: the share of the reply's
    words, weighted by rarity, that the task uses too; `shared_weight`: their summed rarity, full at
    20.
    """
    said = [() if degenerate(*pair) else Reading(pair[0], pair[1].messages).prose for pair in pairs]
    encode(
        [t for own in said for t in own]
        + [c.text for _, task in pairs for c in task.rubric]
        + [t.messages[-1].content for _, t in pairs]
    )
    return np.array(
        [
            [*_row(own, task, encode), *_shared(reply, task)] if own else [np.nan] * len(FEATURES)
            for own, (reply, task) in zip(said, pairs, strict=True)
        ]
    )


def _shared(reply: Reply, task: Task) -> tuple[float, float]:
    rare = rarity()
    own, context = _words(reply.text), _context(task)
    shared = sum(rare.get(w, rare[""]) for w in sorted(own & context))
    whole = sum(rare.get(w, rare[""]) for w in sorted(own))
    return (shared / whole if whole else 0.0), min(1.0, shared / 20)


def _row(sentences: Sequence[str], task: Task, encode: Encoder) -> list[float]:
    vectors = encode(sentences)
    near = (vectors @ encode([c.text for c in task.rubric]).T).max(0)
    weight = np.array([c.weight for c in task.rubric])
    credit, fault = near[weight > 0], near[weight < 0]
    whole = vectors.sum(0)
    topic = encode([task.messages[-1].content])[0]
    return [
        float(credit @ weight[weight > 0]),
        float(credit.min()),
        float(fault.max()) if len(fault) else 0.0,
        float(whole @ topic / np.linalg.norm(whole)),
        float((vectors @ topic).max()),
    ]


def score(pairs: Sequence[Pair], fitted: Weights | None = None) -> list[Meaning]:
    """What each reply sounds like; zeros for one without a sentence that counts. By the shipped
    weights, or by those `fitted`."""
    if not pairs:
        return []
    fitted = fitted or weights()
    found = features(pairs, encoder())
    return [
        Meaning(float(g), float(m))
        for g, m in zip(fitted.good(found), fitted.matter(found), strict=True)
    ]


def known_replies(scenarios: Sequence[Scenario]) -> list[tuple[str, Reply, Scenario]]:
    """(kind, reply, scenario): every known answer, and as `stray` the good reply of another
    scenario of the same trait."""
    rows: list[tuple[str, Reply, Scenario]] = [
        (kind, Reply(text), s) for s in scenarios for kind, text in s.replies.items()
    ]
    for trait in sorted({s.trait for s in scenarios}):
        own = [s for s in scenarios if s.trait == trait]
        rows += [
            ("stray", Reply(other.replies["good"]), s)
            for s, other in zip(own, own[len(own) // 2 :] + own[: len(own) // 2], strict=True)
        ]
    return rows


def fit(scenarios: Sequence[Scenario], encode: Encoder) -> Weights:
    """Both regressions on all known replies."""
    rows = known_replies(scenarios)
    found = features([(reply, s) for _, reply, s in rows], encode)
    kinds = np.array([kind for kind, *_ in rows])
    counts = {str(kind): int((kinds == kind).sum()) for kind in sorted(set(kinds))}
    use = ~np.isnan(found[:, 0])
    own = use & np.isin(
        kinds, ["good", "bad", "overhelpful", "stray"]
    )  # the others may well be about nothing
    return Weights(
        good=_regression(found[use][:, : len(COSINES)], kinds[use] == "good"),
        matter=_regression(found[own], kinds[own] != "stray"),
        fitted_on=counts,
    )


def _regression(found: Array, yes: npt.NDArray[np.bool_]) -> Regression:
    """Fitted on the first of FEATURES, as many as `found` [rows, n] has; both sides have equal
    weight."""
    share = np.where(yes, 0.5 / yes.sum(), 0.5 / (~yes).sum())
    x = np.hstack([found, np.ones((len(found), 1))])
    sign = np.where(yes, 1.0, -1.0)

    def loss(v: Array) -> tuple[float, Array]:
        z = sign * (x @ v)
        ridge = 1e-4 * v * np.array([1.0] * found.shape[1] + [0.0])
        return (
            float(share @ np.logaddexp(0, -z) + ridge @ v / 2),
            -x.T @ (share * sign / (1 + np.exp(z))) + ridge,
        )

    v = minimize(loss, np.zeros(found.shape[1] + 1), jac=True, method="L-BFGS-B").x
    rounded = [round(float(a), 3) for a in v]
    return Regression(
        intercept=rounded[-1], features=dict(zip(FEATURES, rounded[:-1], strict=False))
    )
