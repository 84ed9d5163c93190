"""The semantic half of the offline grader: is a reply near to its rubric's credits, and is it on
topic?

Two logistic regressions answer: on five cosines of the embedded encoder, and on two counts of the
words that reply and task share. They were fitted on the corpus' own replies to training scenarios
(`colorfast graders --fit`). Their weights hold nothing specific to a scenario. The word counts only
tell the topic, so repeating the prompt's words earns nothing.
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
from colorfast.rewards.rubric import TaskReply, degenerate
from colorfast.rewards.text import ParsedReply, words
from colorfast.types import Frozen, Reply, Scenario, Task

WEIGHTS = Path(__file__).with_name("semantic.json")
SCENARIOS = Path(__file__).parent.parent / "corpus" / "scenarios"
COSINES = ("credit", "least_credit", "fault", "topic", "nearest_topic")
FEATURES = (*COSINES, "shared", "shared_weight")
RIDGE = 1e-4
Floats = npt.NDArray[np.float64]


class Regression(Frozen):
    """A logistic regression on the first of FEATURES, in their order."""

    intercept: float
    features: dict[str, float]

    def __call__(self, rows: Floats) -> Floats:
        """Probabilities [rows] of features [rows, FEATURES]; 0 for rows of NaN."""
        weights = np.array(list(self.features.values()))
        z = self.intercept + rows[:, : len(weights)] @ weights
        return np.where(np.isnan(z), 0.0, 1 / (1 + np.exp(-z)))


class Weights(Frozen):
    """`good` tells good replies from all others. `matter` tells a scenario's own replies from
    replies to another scenario. `fitted_on` counts the replies of each kind."""

    good: Regression
    matter: Regression
    fitted_on: dict[str, int]


class SemanticScore(NamedTuple):
    """Probabilities that a reply is a good one, and that it is on topic."""

    good: float
    matter: float


class KnownReply(NamedTuple):
    """A reply of known quality. `kind` is its key in the scenario's replies, or `stray` for the
    good reply of another scenario."""

    kind: str
    reply: Reply
    scenario: Scenario


@cache
def weights() -> Weights:
    """The shipped weights."""
    return Weights.model_validate(read_json(WEIGHTS))


def _stems(text: str) -> frozenset[str]:
    """The longer words and the numbers of a text, cut to six letters."""
    return frozenset(word[:6] for word in words(text) if len(word) > 3 or word.isdigit())


def _task_stems(task: Task) -> frozenset[str]:
    texts = [message.content for message in task.messages]
    texts += [criterion.text for criterion in task.rubric]
    return _stems(" ".join(texts))


@cache
def rarity() -> dict[str, float]:
    """The inverse document frequency of each stem over the tasks of the corpus, in nats. The key ""
    has the value of a stem that no task holds."""
    # Reads the files itself, because the loader in `corpus` is built on this room.
    tasks = []
    for path in sorted(SCENARIOS.glob("*.jsonl")):
        tasks += [Scenario.model_validate(row) for _, row in read_jsonl(path)]
    frequency = Counter({"": 0})
    for task in tasks:
        frequency.update(_task_stems(task))
    return {stem: math.log((len(tasks) + 1) / (n + 1)) for stem, n in frequency.items()}


def features(pairs: Sequence[TaskReply], encode: Encoder) -> Floats:
    """[pairs, FEATURES]; a row of NaN for a reply without prose.

    - `credit`: the cosine of each credit line and its nearest sentence, averaged by weight
    - `least_credit`: the lowest of these cosines
    - `fault`: the highest cosine of any sentence and any deduction line
    - `topic`, `nearest_topic`: the cosine of the user's last message and the whole reply, and of
      the message and its nearest sentence
    - `shared`: the share of the reply's words, by rarity, that the task uses too
    - `shared_weight`: the summed rarity of these words over 20, at most 1
    """
    sentences: list[tuple[str, ...]] = []
    texts: list[str] = []
    for reply, task in pairs:
        prose = () if degenerate(reply, task) else ParsedReply(reply, task.messages).prose
        sentences.append(prose)
        texts += [*prose, *(c.text for c in task.rubric), task.messages[-1].content]
    encode(texts)  # all at once, in full batches; the encoder remembers them
    rows = np.full((len(pairs), len(FEATURES)), np.nan)
    for row, prose, (reply, task) in zip(rows, sentences, pairs, strict=True):
        if prose:
            row[:] = [*_cosines(prose, task, encode), *_shared(reply, task)]
    return rows


def _shared(reply: Reply, task: Task) -> tuple[float, float]:
    rarities = rarity()
    stems = _stems(reply.text)
    total = sum(rarities.get(stem, rarities[""]) for stem in sorted(stems))
    shared = sum(rarities.get(stem, rarities[""]) for stem in sorted(stems & _task_stems(task)))
    return (shared / total if total else 0.0), min(1.0, shared / 20)


def _cosines(sentences: Sequence[str], task: Task, encode: Encoder) -> list[float]:
    vectors = encode(sentences)
    nearest = (vectors @ encode([c.text for c in task.rubric]).T).max(0)
    weight = np.array([c.weight for c in task.rubric])
    credit, fault = nearest[weight > 0], nearest[weight < 0]
    whole = vectors.sum(0)
    topic = encode([task.messages[-1].content])[0]
    return [
        credit @ weight[weight > 0],
        credit.min(),
        fault.max() if len(fault) else 0.0,
        whole @ topic / np.linalg.norm(whole),
        (vectors @ topic).max(),
    ]


def score(pairs: Sequence[TaskReply], fitted: Weights | None = None) -> list[SemanticScore]:
    """The semantic score of each reply, zeros for one without prose; by the shipped weights, or by
    those `fitted`."""
    if not pairs:
        return []
    by = fitted or weights()
    rows = features(pairs, encoder())
    probabilities = zip(by.good(rows).tolist(), by.matter(rows).tolist(), strict=True)
    return [SemanticScore(good, matter) for good, matter in probabilities]


def known_replies(scenarios: Sequence[Scenario]) -> list[KnownReply]:
    """Every known reply, and as `stray` to each scenario the good reply of another scenario of its
    trait."""
    replies = []
    for scenario in scenarios:
        for kind, text in scenario.replies.items():
            replies.append(KnownReply(kind, Reply(text), scenario))
    for trait in sorted({s.trait for s in scenarios}):
        own = [s for s in scenarios if s.trait == trait]
        half = len(own) // 2
        for scenario, other in zip(own, own[half:] + own[:half], strict=True):
            replies.append(KnownReply("stray", Reply(other.replies["good"]), scenario))
    return replies


def fit(scenarios: Sequence[Scenario], encode: Encoder) -> Weights:
    """Both regressions, fitted on all known replies of these scenarios."""
    replies = known_replies(scenarios)
    rows = features([(known.reply, known.scenario) for known in replies], encode)
    kinds = np.array([known.kind for known in replies])
    has_prose = ~np.isnan(rows[:, 0])
    # Refusing, hedging and stuffed replies can be off topic themselves.
    on_or_off = has_prose & np.isin(kinds, ["good", "bad", "overhelpful", "stray"])
    cosines = rows[has_prose][:, : len(COSINES)]
    return Weights(
        good=_regression(cosines, kinds[has_prose] == "good"),
        matter=_regression(rows[on_or_off], kinds[on_or_off] != "stray"),
        fitted_on=dict(sorted(Counter(known.kind for known in replies).items())),
    )


def _regression(rows: Floats, labels: npt.NDArray[np.bool_]) -> Regression:
    """A ridge-penalized logistic regression of `labels` on the first of FEATURES, [rows, n]. Both
    classes have equal weight."""
    share = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    x = np.hstack([rows, np.ones((len(rows), 1))])
    sign = np.where(labels, 1.0, -1.0)
    penalty = RIDGE * np.array([1.0] * rows.shape[1] + [0.0])

    def loss(v: Floats) -> tuple[float, Floats]:
        """The loss and its gradient."""
        z = sign * (x @ v)
        ridge = penalty * v
        value = share @ np.logaddexp(0, -z) + ridge @ v / 2
        return float(value), -x.T @ (share * sign / (1 + np.exp(z))) + ridge

    result = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B")
    *coefficients, intercept = [round(float(a), 3) for a in result.x]
    return Regression(intercept=intercept, features=dict(zip(FEATURES, coefficients, strict=False)))
