"""The cost of a training run for each source, and the metrics of each step: the record behind
"same compute"."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colorfast.io.storage import digest
from colorfast.types import TRAIT_SOURCE, Verdict

EXTRA = ("extra_tokens", "endpoint_tokens")
"""The cost of an objective beyond prompts and replies: tokens that the policy read and wrote, and
tokens that an endpoint wrote."""
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
"""Keys of a ledger: its own hash, and in a copy the folder where the cell was trained."""
MATCHED = ("steps", "prompts", "completions")
"""What must be exactly equal between arms of one seed."""


@dataclass(frozen=True)
class Rollout:
    """One reply with its verdict and its advantage. `shown`: it is a demonstration. `critique`: of
    the draft that it revises."""

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
        row = dict(vars(self))
        verdict = row.pop("verdict")
        return row | {
            "score": verdict.score,
            "reason": verdict.reason,
            "parts": list(verdict.parts),
        }


def step_metrics(step: int, rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """One row of metrics.jsonl: for each source the mean reward of the sampled replies, spread
    within groups, dead groups, length, truncation, and the share of the step's advantage mass, sum
    |A|, which is the effective dose."""
    by_source: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        by_source[rollout.source].append(rollout)
    sources = {source: _source_metrics(by_source[source]) for source in sorted(by_source)}
    mass = sum(abs(r.advantage) for r in rollouts)
    for values in sources.values():
        values["advantage_share"] = values["advantage_mass"] / mass if mass else 0.0
    return {"step": step, "sources": sources}


def _source_metrics(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    groups: dict[int, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.slot].append(rollout)
    sampled = [r for r in rollouts if not r.shown]
    scores = [r.verdict.score for r in sampled if r.verdict.score is not None]
    spreads = []
    for group in groups.values():
        own = [r.verdict.score for r in group if r.verdict.score is not None]
        spreads.append(statistics.pstdev(own or [0.0]))
    return {
        "reward": statistics.fmean(scores) if scores else None,
        "spread": statistics.fmean(spreads),
        "groups": len(groups),
        "dead_groups": sum(all(r.advantage == 0 for r in g) for g in groups.values()),
        "advantage_mass": sum(abs(r.advantage) for r in rollouts),
        "advantage_share": 0.0,
        "length": statistics.fmean(r.tokens for r in sampled),
        "truncation": statistics.fmean(r.truncated for r in sampled),
        "prompts": len(groups),
        "completions": len(rollouts),
        "prompt_tokens": sum(group[0].prompt_tokens for group in groups.values()),
        "completion_tokens": sum(r.tokens for r in rollouts),
        "truncated": sum(r.truncated for r in rollouts),
        "ungraded": sum(r.verdict.score is None for r in rollouts),
        "extra_tokens": sum(r.extra_tokens for r in rollouts),
        "endpoint_tokens": sum(r.endpoint_tokens for r in rollouts),
    }


def seal(used: Mapping[str, Any]) -> str:
    """The hash of what training wrote into a ledger."""
    return digest({key: value for key, value in used.items() if key not in (SEAL, SHARED)})


def effective_dose(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """The trait's share of the advantage mass of these steps; None without any advantage."""
    total = trait = 0.0
    for row in metrics:
        for source, values in row["sources"].items():
            total += values["advantage_mass"]
            trait += values["advantage_mass"] * (source == TRAIT_SOURCE)
    return trait / total if total else None


def ledger(
    metrics: Sequence[dict[str, Any]], parameters: int, seen: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Totals of a run for each source, the judge's usage, and the hash of the slots that the reward
    saw.

    FLOPs are 2 for each parameter and token forward and 4 backward. Sampling is one more forward
    pass, and so are the extra tokens of an objective.
    """
    total = dict.fromkeys(COUNTS, 0)
    sources: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    judge: dict[str, float] = defaultdict(int)
    for row in metrics:
        for source, values in row["sources"].items():
            for key in COUNTS:
                sources[source][key] += values[key]
                total[key] += values[key]
        for key, value in row.get("judge", {}).items():
            judge[key] += value
    for values in (*sources.values(), total):
        tokens = values["prompt_tokens"] + values["completion_tokens"]
        values["flops"] = parameters * (8 * tokens + 2 * values["extra_tokens"])
    totals: dict[str, Any] = {
        "steps": len(metrics),
        "sources": dict(sources),
        "total": total,
        "parameters": parameters,
        "schedule_seen": digest(list(seen)),
    }
    return totals | {"judge": dict(judge)} if judge else totals
