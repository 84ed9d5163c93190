"""What a training run used, per source, and what each step did: the record behind 'same
compute'."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colorfast.io.storage import digest
from colorfast.types import TRAIT_SOURCE, Verdict

EXTRA = ("extra_tokens", "endpoint_tokens")
"""What a method takes beyond prompts and replies: tokens that the policy read and wrote, and tokens
that an endpoint wrote."""
COUNTS = (
    "prompts",
    "completions",
    "prompt_tokens",
    "completion_tokens",
    "truncated",
    "ungraded",
    *EXTRA,
)
SEAL, SHARED = "sha256", "shared_from"
"""Of a ledger: its own hash; and, added to a copy, where the cell was trained."""
MATCHED = ("steps", "prompts", "completions")
"""What must be exactly equal between arms of one seed."""


@dataclass(frozen=True)
class Rollout:
    """One reply with its own verdict and the advantage that it taught with. `critique`: of the
    draft that it revises."""

    slot: int
    sample: int
    source: str
    task: str
    prompt: str
    reply: str
    prompt_tokens: int
    tokens: int
    truncated: bool
    verdict: Verdict
    shown: bool
    advantage: float
    critique: str = ""
    extra_tokens: int = 0
    endpoint_tokens: int = 0

    def row(self) -> dict[str, Any]:
        """Plain data, for the table of rollouts."""
        values = vars(self) | {
            "score": self.verdict.score,
            "reason": self.verdict.reason,
            "parts": list(self.verdict.parts),
        }
        return {key: value for key, value in values.items() if key != "verdict"}


def step_metrics(step: int, rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """One row of metrics.jsonl: per source the mean reward of the sampled replies, spread within
    groups, dead groups, length, truncation and the share of the step's advantage mass, sum |A|,
    which is the effective dose."""
    mass = sum(abs(r.advantage) for r in rollouts)
    sources = {}
    for source in sorted({r.source for r in rollouts}):
        rows = [r for r in rollouts if r.source == source]
        groups = defaultdict(list)
        for r in rows:
            groups[r.slot].append(r)
        scores = [r.verdict.score for r in rows if r.verdict.score is not None and not r.shown]
        spreads = [
            statistics.pstdev([r.verdict.score for r in g if r.verdict.score is not None] or [0.0])
            for g in groups.values()
        ]
        sources[source] = {
            "reward": statistics.fmean(scores) if scores else None,
            "spread": statistics.fmean(spreads),
            "groups": len(groups),
            "dead_groups": sum(all(r.advantage == 0 for r in g) for g in groups.values()),
            "advantage_mass": sum(abs(r.advantage) for r in rows),
            "advantage_share": sum(abs(r.advantage) for r in rows) / mass if mass else 0.0,
            "length": statistics.fmean(r.tokens for r in rows if not r.shown),
            "truncation": statistics.fmean(r.truncated for r in rows if not r.shown),
            "prompts": len(groups),
            "completions": len(rows),
            "prompt_tokens": sum(g[0].prompt_tokens for g in groups.values()),
            "completion_tokens": sum(r.tokens for r in rows),
            "truncated": sum(r.truncated for r in rows),
            "ungraded": sum(r.verdict.score is None for r in rows),
            "extra_tokens": sum(r.extra_tokens for r in rows),
            "endpoint_tokens": sum(r.endpoint_tokens for r in rows),
        }
    return {"step": step, "sources": sources}


def seal(used: Mapping[str, Any]) -> str:
    """The hash of all that training wrote into a ledger."""
    return digest({key: value for key, value in used.items() if key not in (SEAL, SHARED)})


def effective_dose(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """The trait's share of the advantage mass of these steps; None when nothing had an
    advantage."""
    mass = [
        (source, values["advantage_mass"])
        for row in metrics
        for source, values in row["sources"].items()
    ]
    total = sum(m for _, m in mass)
    return sum(m for source, m in mass if source == TRAIT_SOURCE) / total if total else None


def ledger(
    metrics: Sequence[dict[str, Any]], parameters: int, seen: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Totals per source over a run, FLOPs by the usual count (2 per parameter and token forward, 4
    backward; sampling is one more forward, and so is what a method takes beyond it), what a judge
    used, and the hash of the slots that the reward really saw."""
    sources: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for row in metrics:
        for source, values in row["sources"].items():
            for key in COUNTS:
                sources[source][key] += values[key]
    total = {key: sum(values[key] for values in sources.values()) for key in COUNTS}
    for values in [*sources.values(), total]:
        tokens = values["prompt_tokens"] + values["completion_tokens"]
        values["flops"] = (
            2 * parameters * (tokens + values["extra_tokens"]) + 6 * parameters * tokens
        )
    found = {
        "steps": len(metrics),
        "sources": dict(sources),
        "total": total,
        "parameters": parameters,
        "schedule_seen": digest(list(seen)),
    }
    judged = [row["judge"] for row in metrics if "judge" in row]
    return found | (
        {"judge": {key: sum(row[key] for row in judged) for key in judged[0]}} if judged else {}
    )
