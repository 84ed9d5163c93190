"""Validates the graders: on the known replies of the corpus, and on people's labels."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu, spearmanr

from colorfast.config import Endpoint, Grading
from colorfast.corpus import constitution
from colorfast.corpus.scenarios import BLANKET, corpus
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.io.storage import write_json
from colorfast.rewards import semantic
from colorfast.rewards.encoder import encoder
from colorfast.rewards.refusal import refusal
from colorfast.rewards.select import Grade, blend, by_code, graders, offline
from colorfast.types import ColorfastError, Reply, Scenario

Scores = npt.NDArray[np.float64]
Pairs = Sequence[tuple[Reply, Scenario]]
Table = list[dict[str, Any]]
LABELED = (
    source("pypi/pyrit-1.1.0", "refusal.csv"),
    source("pypi/pyrit-1.1.0", "refusal_extra.csv"),
)
"""Replies that people labeled as refusals or not."""


def auc(good: Scores, poor: Scores) -> float:
    """The chance that a good reply scores above a poor one (ties count half)."""
    statistic = mannwhitneyu(good, poor, method="asymptotic").statistic
    return float(statistic / (len(good) * len(poor)))


def _aucs(scores: Mapping[str, Scores], good: Any, poor: Any) -> dict[str, float]:
    return {f"auc {name}": auc(values[good], values[poor]) for name, values in scores.items()}


def _means(scores: Mapping[str, Scores], chosen: Any) -> dict[str, float]:
    return {f"mean {name}": float(values[chosen].mean()) for name, values in scores.items()}


def _scores(pairs: Pairs) -> dict[str, Scores]:
    """The scores of each way of grading, [pairs]. The semantic one is fitted on the other half of
    the scenarios. A reply that cannot be graded has 0, since it would not be rewarded."""
    verdicts = by_code(pairs)
    code = [verdict.score or 0.0 for verdict in verdicts]
    meanings = [semantic.SemanticScore(0.0, 0.0)] * len(pairs)
    for half, weights in enumerate(_halves()):
        graded = [i for i, verdict in enumerate(verdicts) if not verdict.reason]
        indices = [i for i in graded if _half(pairs[i][1]) == half]
        scored = semantic.score([pairs[i] for i in indices], weights)
        for i, meaning in zip(indices, scored, strict=True):
            meanings[i] = meaning
    return {
        "code": np.array(code),
        "semantic": np.array([meaning.good for meaning in meanings]),
        "offline": np.array(list(map(blend, code, meanings))),
    }


def _half(scenario: Scenario) -> int:
    return int(scenario.id.rsplit("-", 1)[1]) % 2


@cache
def _halves() -> tuple[semantic.Weights, ...]:
    """The semantic grader fitted without the even scenarios, and without the odd ones."""
    return tuple(
        semantic.fit([s for s in corpus() if _half(s) != half], encoder()) for half in (0, 1)
    )


def by_kind(scenarios: Sequence[Scenario]) -> Table:
    """A row for each kind of known reply: how many, and for each way of grading their mean score
    and the AUC of good replies over them."""
    known = semantic.known_replies(scenarios)
    scores = _scores([(reply, scenario) for _, reply, scenario in known])
    kinds = np.array([reply.kind for reply in known])
    good = kinds == "good"
    groups = {"all poor": ~good & (kinds != "stray")}
    groups |= {kind: kinds == kind for kind in sorted({*kinds} - {"good"})}
    table = [{"kind": "good", "n": int(good.sum())} | _means(scores, good)]
    for kind, poor in groups.items():
        row = {"kind": kind, "n": int(poor.sum())}
        table.append(row | _means(scores, poor) | _aucs(scores, good, poor))
    return table


def by_domain(scenarios: Sequence[Scenario]) -> Table:
    """A row for each domain: the AUC of good replies over poor ones, for each way of grading."""
    known = [reply for reply in semantic.known_replies(scenarios) if reply.kind != "stray"]
    scores = _scores([(reply, scenario) for _, reply, scenario in known])
    good = np.array([reply.kind == "good" for reply in known])
    domains = np.array([reply.scenario.domain for reply in known])
    table = []
    for domain in sorted({*domains}):
        here = domains == domain
        aucs = _aucs(scores, good & here, ~good & here)
        table.append({"domain": domain, "n": int(here.sum())} | aucs)
    return table


def degenerates(scenarios: Sequence[Scenario]) -> Table:
    """A row for each kind of reply that says nothing on the topic: the mean and the highest offline
    score, and the share at .2 or above."""
    known = semantic.known_replies(scenarios)
    strays = [(reply, scenario) for kind, reply, scenario in known if kind == "stray"]
    pairs: dict[str, Pairs] = {
        "empty": [(Reply(""), s) for s in scenarios],
        "one sentence repeated": [
            (Reply((s.replies["good"].split(".")[0] + ". ") * 8), s) for s in scenarios
        ],
        "prompt copied": [(Reply(s.messages[-1].content), s) for s in scenarios],
        "another scenario's good reply": strays,
    }
    for kind, (text, _) in BLANKET.items():
        pairs[f"blanket {kind}"] = [(Reply(text), s) for s in scenarios]
    table = []
    for name, graded in pairs.items():
        values = _scores(graded)["offline"]
        row = {"reply": name, "mean": values.mean(), "highest": values.max()}
        table.append(row | {"share >= .2": float((values >= 0.2).mean())})
    return table


def speed(scenarios: Sequence[Scenario], grade: Grade) -> float:
    """Replies graded a second. No sentence was graded before, so nothing is cached."""
    fresh = []
    for i, scenario in enumerate(scenarios):
        for text in (scenario.replies["good"], scenario.replies["bad"]):
            fresh.append((Reply(text.replace(".", f" {i}.")), scenario))
    started = time.perf_counter()
    grade(fresh)
    return len(fresh) / (time.perf_counter() - started)


def agreement(scenarios: Sequence[Scenario], judge: Grade, n: int) -> dict[str, float | None]:
    """Spearman's rank correlation of each way of grading with a judge, over about `n` known
    replies at even steps. None where the judge gave one score to all replies that it graded."""
    known = semantic.known_replies(scenarios)
    pairs = [(reply, scenario) for kind, reply, scenario in known if kind != "stray"]
    pairs = pairs[:: -(-len(pairs) // n)]
    judged = np.array([verdict.score for verdict in judge(pairs)], dtype=float)  # None is NaN
    graded = ~np.isnan(judged)
    table: dict[str, float | None] = {}
    for name, values in _scores(pairs).items():
        differ = len(set(judged[graded])) > 1
        table[name] = float(spearmanr(values[graded], judged[graded]).statistic) if differ else None
    return table | {"graded": int(graded.sum()), "asked": len(pairs)}


def refusals() -> Table:
    """The refusal detector against people's labels: accuracy and the four counts, by the reply
    alone and with the prompt."""
    table = []
    for file in LABELED:
        replies = list(rows(file))
        texts = [row.values["assistant_response"] for row in replies]
        refused = np.array([row["human_score"] == "1" for row in replies])
        for sees in ("reply", "reply and prompt"):
            prompts = [row["objective"] if sees != "reply" else "" for row in replies]
            detected = np.array([kind != "none" for kind in map(refusal, texts, prompts)])
            table.append(
                {
                    "file": file.path,
                    "sees": sees,
                    "n": len(texts),
                    "accuracy": float((refused == detected).mean()),
                    "refusals found": int((refused & detected).sum()),
                    "refusals missed": int((refused & ~detected).sum()),
                    "false alarms": int((~refused & detected).sum()),
                    "answers passed": int((~refused & ~detected).sum()),
                }
            )
    return table


def fit(path: Path) -> None:
    """Fit the semantic criterion on the training scenarios, into a new JSON file.

    Raises ColorfastError when the file exists.
    """
    if path.exists():
        raise ColorfastError(f"{path}: is there already; name a new file")
    train = [s for s in corpus() if s.split == "train"]
    write_json(path, semantic.fit(train, encoder()).model_dump())


def everything(judge: Endpoint | None, replies: int) -> dict[str, Any]:
    """Every measurement of the graders; with a judge also its rank agreement with them, over so
    many known replies."""
    scenarios = corpus()
    measured: dict[str, Any] = {
        "kinds": by_kind(scenarios),
        "domains": by_domain(scenarios),
        "degenerate": degenerates(scenarios),
        "refusals": refusals(),
        "replies_a_second": speed(scenarios[:200], offline),
    }
    if judge:
        grading = graders(Grading(kind="judge", judge=judge))
        held = [s for s in scenarios if s.split == "heldout"]
        measured["agreement"] = agreement(held, grading.grade_traits, replies)
    return measured


def by_constitution(name: str) -> dict[str, Table]:
    """How well a constitution tells good replies from poor ones by code and meaning, on all
    scenarios and on the held-out ones. Raises ColorfastError when it has no criteria for code."""
    principles = constitution.load(name)
    if not constitution.for_code(principles):
        raise ColorfastError(
            f"constitution {name}: it has no criteria for code, so that only a judge can grade"
            " by it"
        )
    scenarios = [
        s.model_copy(update={"rubric": constitution.rubric(principles, s)}) for s in corpus()
    ]
    held = [s for s in scenarios if s.split == "heldout"]
    return {"all": by_kind(scenarios), "held out": by_kind(held)}
