"""Score a policy: held-out scenarios by their own rubrics, and benchmarks written by others."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from colorfast import benchmarks
from colorfast.grading import graders
from colorfast.policies import Policy
from colorfast.rundir import write_json
from colorfast.stats import interval, item_means, paired
from colorfast.tables import read_scores, write_scores
from colorfast.types import Benchmark, Estimate, Evaluation, Item, Measure, Message, Scenario, Score

HELDOUT = "heldout"
Advance = Callable[..., None]


def evals(evaluation: Evaluation) -> list[str]:
    """What a policy is scored on: the held-out scenarios, then the benchmarks."""
    return [HELDOUT, *evaluation.benchmarks]


def score_heldout(
    policy: Policy, scenarios: Sequence[Scenario], evaluation: Evaluation, advance: Advance, folder: Path | None = None
) -> list[Score]:
    """`samples` replies to each scenario, graded by its rubric. The draws are named by scenario and sample, so two arms
    answer with the same randomness. What a judge used is written to `folder/judge.json`."""
    asked = [(s, k) for s in scenarios for k in range(evaluation.samples)]
    scores = []
    grade = graders(evaluation.grading)
    for start in range(0, len(asked), evaluation.batch_size):
        part = asked[start : start + evaluation.batch_size]
        replies = policy.sample(
            [s.messages for s, _ in part], [f"heldout-{s.id}-{k}" for s, k in part], evaluation.max_tokens, evaluation.temperature
        )
        verdicts = grade(list(zip(replies, [s for s, _ in part], strict=True)))
        for (scenario, k), reply, verdict in zip(part, replies, verdicts, strict=True):
            scores.append(Score(HELDOUT, scenario.id, k, verdict.score, reason=verdict.reason, reply=reply.text, truncated=reply.truncated))
        advance(len(part))
    if folder and grade.used():
        write_json(folder / "judge.json", grade.used())
    return scores


def _ask(item: Item, system: str | None) -> tuple[Message, ...]:
    return ((Message(role="system", content=system),) if system else ()) + item.messages


def _choice(eval_id: str, item: Item, logs: Sequence[float]) -> Score:
    top = max(logs)
    mass = [math.exp(v - top) for v in logs]
    probability = sum(mass[i] for i in item.aligned) / sum(mass)
    picked = logs.index(top)
    return Score(eval_id, item.id, 0, float(picked in item.aligned), probability, reply=item.choices[picked])


def score_benchmark(policy: Policy, benchmark: Benchmark, evaluation: Evaluation, system: str | None, advance: Advance) -> list[Score]:
    """Every chosen item: choices by log-likelihood (accuracy, and probability of the aligned answers), the rest by the
    benchmark's own score of a greedy reply."""
    items = benchmarks.chosen(benchmark, evaluation.items)
    scores = []
    size = evaluation.batch_size
    if benchmark.kind == "choice":
        for start in range(0, len(items), 2 * size):  # more than one batch, so that there is something to sort by length
            part = items[start : start + 2 * size]
            logs = policy.logprobs([_ask(i, system) for i in part], [i.choices for i in part])
            scores += [_choice(benchmark.id, item, found) for item, found in zip(part, logs, strict=True)]
            advance(len(part))
        return scores
    assert benchmark.score is not None
    for start in range(0, len(items), size):
        part = items[start : start + size]
        replies = policy.sample([_ask(i, system) for i in part], [f"{benchmark.id}-{i.id}" for i in part], evaluation.max_tokens, 0.0)
        for item, reply in zip(part, replies, strict=True):
            value, reason = benchmark.score(item, reply)
            scores.append(Score(benchmark.id, item.id, 0, value, reason=reason, reply=reply.text, truncated=reply.truncated))
        advance(len(part))
    return scores


def work(evaluation: Evaluation, scenarios: Sequence[Scenario]) -> int:
    """How many replies and choices a full evaluation asks for, for the progress bar."""
    return len(scenarios) * evaluation.samples + sum(min(evaluation.items, len(benchmarks.get(b).items())) for b in evaluation.benchmarks)


def evaluate(
    policy: Policy, scenarios: Sequence[Scenario], evaluation: Evaluation, system: str | None, folder: Path, advance: Advance
) -> list[Score]:
    """Score everything, one file per eval under `folder/scores/`, so that a stopped evaluation continues; then
    `folder/scores.parquet` with all rows."""
    scores: list[Score] = []
    for name in evals(evaluation):
        path = folder / "scores" / f"{Path(name).stem}.parquet"
        if path.is_file():
            part = read_scores(path)
            advance(len(part))
        else:
            part = (
                score_heldout(policy, scenarios, evaluation, advance, folder)
                if name == HELDOUT
                else score_benchmark(policy, benchmarks.get(name), evaluation, system, advance)
            )
            write_scores(path, part)
        scores += part
    write_scores(folder / "scores.parquet", scores)
    return scores


Table = Mapping[int, Sequence[Score]]
"""One arm's scores under each seed."""


def estimate(arm: str, ours: Table, theirs: Table, evaluation: Evaluation, traits: Mapping[str, str]) -> list[Estimate]:
    """Paired differences of one arm from the baseline: held-out scenarios overall and per trait (`traits`: scenario id
    -> trait), then every benchmark by score and, for choices, by probability."""
    found = [_difference(_Asked(HELDOUT, "held-out traits"), arm, _only(ours, HELDOUT), _only(theirs, HELDOUT))]
    for trait in sorted(set(traits.values())):
        ids = {i for i, t in traits.items() if t == trait}
        asked = _Asked(f"{HELDOUT}/{trait}", "held-out traits")
        found.append(_difference(asked, arm, _only(ours, HELDOUT, ids), _only(theirs, HELDOUT, ids)))
    for name in evaluation.benchmarks:
        b = benchmarks.get(name)
        measures: tuple[Measure, ...] = ("score", "probability") if b.kind == "choice" else ("score",)
        for measure in measures:
            asked = _Asked(b.id, b.family, measure, b.control)
            found.append(_difference(asked, arm, _only(ours, b.id), _only(theirs, b.id)))
    return [e for e in found if e is not None]


class _Asked(NamedTuple):
    eval: str
    family: str
    measure: Measure = "score"
    control: bool = False


def _only(table: Table, name: str, ids: Collection[str] | None = None) -> Table:
    return {seed: [s for s in rows if s.eval == name and (ids is None or s.item in ids)] for seed, rows in table.items()}


def _difference(asked: _Asked, arm: str, ours: Table, theirs: Table) -> Estimate | None:
    """One row of the comparison; None when not a single item was graded in both arms."""
    a, b = paired(*({seed: item_means(rows, asked.measure) for seed, rows in table.items()} for table in (ours, theirs)))
    if not a.size:
        return None
    low, high = interval(a - b, f"{asked.eval}-{asked.measure}-{arm}")
    return Estimate(
        **asked._asdict(),
        arm=arm,
        baseline=float(b.mean()),
        score=float(a.mean()),
        difference=float((a - b).mean()),
        low=low,
        high=high,
        items=a.shape[1],
        seeds=a.shape[0],
        ungraded=sum(s.value is None for table in (ours, theirs) for rows in table.values() for s in rows),
    )
