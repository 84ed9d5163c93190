"""How far the graders can be believed: measured on the corpus' own known replies and on people's
labels."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu, spearmanr

from colorfast.corpus import constitution
from colorfast.corpus.scenarios import BLANKET, corpus
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.rewards import semantic
from colorfast.rewards.encoder import encoder
from colorfast.rewards.refusal import refusal
from colorfast.rewards.select import Grade, blend, by_code
from colorfast.types import Reply, Scenario

Scores = npt.NDArray[np.float64]
LABELLED = (
    source("pypi/pyrit-1.1.0", "refusal.csv"),
    source("pypi/pyrit-1.1.0", "refusal_extra.csv"),
)
"""Replies that people labelled as refusals or not."""


def auc(good: Scores, poor: Scores) -> float:
    """The chance that a good reply scores above a poor one (ties count half)."""
    statistic = mannwhitneyu(good, poor, method="asymptotic").statistic
    return float(statistic / (len(good) * len(poor)))


def _scores(pairs: Sequence[tuple[Reply, Scenario]]) -> dict[str, Scores]:
    """What the three ways of grading give, each [pairs], the semantic one by a fit on the other
    half of the scenarios.

    Ungraded counts as 0 here: it would not be rewarded.
    """
    verdicts = by_code(pairs)
    code = np.array([v.score or 0.0 for v in verdicts])
    meant = [semantic.SemanticScore(0.0, 0.0)] * len(pairs)
    for half, fitted in enumerate(_halves()):
        mine = [i for i, (_, s) in enumerate(pairs) if _half(s) == half and not verdicts[i].reason]
        for i, found in zip(mine, semantic.score([pairs[i] for i in mine], fitted), strict=True):
            meant[i] = found
    return {
        "code": code,
        "semantic": np.array([m.good for m in meant]),
        "offline": np.array([blend(c, m) for c, m in zip(code, meant, strict=True)]),
    }


def _half(scenario: Scenario) -> int:
    return int(scenario.id.rsplit("-", 1)[1]) % 2


@cache
def _halves() -> tuple[semantic.Weights, semantic.Weights]:
    """The semantic grader fitted without the even scenarios of the corpus, and without the odd
    ones."""
    without = [[s for s in corpus() if _half(s) != half] for half in (0, 1)]
    return semantic.fit(without[0], encoder()), semantic.fit(without[1], encoder())


def by_kind(
    scenarios: Sequence[Scenario], principles: constitution.Constitution = ()
) -> list[dict[str, Any]]:
    """Per kind of poor reply: how many, their mean score and the AUC of good replies over them, for
    each way of grading: by the scenarios' own rubrics, or by a constitution in their place."""
    rows = semantic.known_replies(scenarios)
    judged_by = (
        (lambda s: s.model_copy(update={"rubric": constitution.rubric(principles, s)}))
        if principles
        else (lambda s: s)
    )
    scores = _scores([(reply, judged_by(s)) for _, reply, s in rows])
    kinds = np.array([kind for kind, *_ in rows])
    good = kinds == "good"
    groups = {"all poor": ~good & (kinds != "stray")} | {
        kind: kinds == kind for kind in sorted(set(kinds) - {"good"})
    }
    table: list[dict[str, Any]] = [
        {"kind": "good", "n": int(good.sum())}
        | {f"mean {name}": float(v[good].mean()) for name, v in scores.items()}
    ]
    for kind, these in groups.items():
        row: dict[str, Any] = {"kind": kind, "n": int(these.sum())}
        for name, values in scores.items():
            row |= {
                f"mean {name}": float(values[these].mean()),
                f"auc {name}": auc(values[good], values[these]),
            }
        table.append(row)
    return table


def by_domain(scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """AUC of good over poor replies (strays left out) in each domain, for each way of grading."""
    rows = [r for r in semantic.known_replies(scenarios) if r[0] != "stray"]
    scores = _scores([(reply, s) for _, reply, s in rows])
    good, domains = (
        np.array([kind == "good" for kind, *_ in rows]),
        np.array([s.domain for *_, s in rows]),
    )
    return [
        {"domain": d, "n": int((domains == d).sum())}
        | {
            f"auc {name}": auc(v[good & (domains == d)], v[~good & (domains == d)])
            for name, v in scores.items()
        }
        for d in sorted(set(domains))
    ]


def degenerates(scenarios: Sequence[Scenario]) -> list[dict[str, Any]]:
    """Replies that say nothing about the matter: mean and highest offline score of each, and the
    share at .2 or above."""
    made = {
        "empty": [(Reply(""), s) for s in scenarios],
        "one sentence repeated": [
            (Reply((s.replies["good"].split(".")[0] + ". ") * 8), s) for s in scenarios
        ],
        "prompt copied": [(Reply(s.messages[-1].content), s) for s in scenarios],
        "another scenario's good reply": [
            (r, s) for kind, r, s in semantic.known_replies(scenarios) if kind == "stray"
        ],
        **{
            f"blanket {kind}": [(Reply(text), s) for s in scenarios]
            for kind, (text, _) in BLANKET.items()
        },
    }
    table = []
    for name, pairs in made.items():
        values = _scores(pairs)["offline"]
        table.append(
            {
                "reply": name,
                "mean": float(values.mean()),
                "highest": float(values.max()),
                "share >= .2": float((values >= 0.2).mean()),
            }
        )
    return table


def speed(scenarios: Sequence[Scenario], grade: Grade) -> float:
    """Replies graded a second, on replies none of whose sentences was seen before."""
    fresh = [
        (Reply(s.replies[kind].replace(".", f" {i}.")), s)
        for i, s in enumerate(scenarios)
        for kind in ("good", "bad")
    ]
    started = time.perf_counter()
    grade(fresh)
    return len(fresh) / (time.perf_counter() - started)


def agreement(scenarios: Sequence[Scenario], judge: Grade, n: int) -> dict[str, float | None]:
    """Spearman's rank correlation of each offline way of grading with a judge, over `n` known
    replies, evenly taken.

    None where the judge gave all replies that it could grade one score.
    """
    known = [(reply, s) for kind, reply, s in semantic.known_replies(scenarios) if kind != "stray"]
    pairs = known[:: -(-len(known) // n)]
    told = np.array([np.nan if v.score is None else v.score for v in judge(pairs)])
    graded = ~np.isnan(told)
    known_ranks = len(set(told[graded])) > 1
    found: dict[str, float | None] = {
        name: float(spearmanr(values[graded], told[graded]).statistic) if known_ranks else None
        for name, values in _scores(pairs).items()
    }
    return found | {"graded": int(graded.sum()), "asked": len(pairs)}


def refusals() -> list[dict[str, Any]]:
    """The refusal detector against people's labels: accuracy and the four cells, by the reply alone
    and with the prompt."""
    table = []
    for labelled in LABELLED:
        replies = [
            (row["objective"], row.values["assistant_response"], row["human_score"])
            for row in rows(labelled)
        ]
        for name, sees in (("reply", False), ("reply and prompt", True)):
            cells = Counter(
                (label == "1", refusal(text, prompt if sees else "") != "none")
                for prompt, text, label in replies
            )
            table.append(
                {
                    "file": labelled.path,
                    "sees": name,
                    "n": len(replies),
                    "accuracy": (cells[True, True] + cells[False, False]) / len(replies),
                    "refusals found": cells[True, True],
                    "refusals missed": cells[True, False],
                    "false alarms": cells[False, True],
                    "answers passed": cells[False, False],
                }
            )
    return table
