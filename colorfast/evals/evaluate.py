"""Scores a policy on held-out scenarios by their rubrics, and on benchmarks written by others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from colorfast.config import Evaluation
from colorfast.evals import benchmarks
from colorfast.evals.scoring import Advance, score_benchmark
from colorfast.evals.stamps import check_stamps, heldout_stamp, stamp
from colorfast.io.storage import digest, file_sha256, load_or_quarantine, write_json
from colorfast.io.tables import read_scores, read_stamps, write_scores
from colorfast.models import Policy
from colorfast.models.request_batcher import Asker, SampleRequest, run
from colorfast.rewards.select import graders
from colorfast.types import Reply, Scenario, Score

HELDOUT = "heldout"
SECOND = f"{HELDOUT}-by-"
"""Begins the id of the eval that holds a second grader's scores of the held-out replies."""


@dataclass(frozen=True)
class EvalPlan:
    """What a policy is asked: held-out scenarios, and the benchmarks of `evaluation`. `system`: a
    system message before every item of a benchmark."""

    evaluation: Evaluation
    scenarios: Sequence[Scenario]
    system: str | None = None


def second_id(evaluation: Evaluation) -> str | None:
    """The id of the eval by the second grader, such as `heldout-by-code`; None without one."""
    second = evaluation.second_grading
    return f"{SECOND}{second.kind}" if second else None


def score_heldout(
    policy: Policy,
    scenarios: Sequence[Scenario],
    evaluation: Evaluation,
    advance: Advance,
    folder: Path | None = None,
) -> list[Score]:
    """`samples` replies to each scenario, graded by its rubric. The draws are named by scenario and
    sample, so two arms answer with the same randomness. What a judge used is written to
    `folder/judge.json`."""
    return run(policy, heldout_asker(scenarios, evaluation, advance, folder))


def heldout_asker(
    scenarios: Sequence[Scenario],
    evaluation: Evaluation,
    advance: Advance,
    folder: Path | None = None,
) -> Asker[list[Score]]:
    """`score_heldout` as an asker (see `models.request_batcher`)."""
    draws = list(itertools.product(scenarios, range(evaluation.samples)))
    grade = graders(evaluation.grading)
    scores = []
    for start in range(0, len(draws), evaluation.batch_size):
        part = draws[start : start + evaluation.batch_size]
        replies = yield SampleRequest(
            [scenario.messages for scenario, _ in part],
            [f"heldout-{scenario.id}-{sample}" for scenario, sample in part],
            evaluation.max_tokens,
            evaluation.temperature,
        )
        verdicts = grade([(reply, s) for reply, (s, _) in zip(replies, part, strict=True)])
        for (scenario, sample), reply, verdict in zip(part, replies, verdicts, strict=True):
            score = Score(HELDOUT, scenario.id, sample, verdict.score, reason=verdict.reason)
            scores.append(replace(score, reply=reply.text, truncated=reply.truncated))
        advance(len(part))
    if folder and grade.used():
        write_json(folder / "judge.json", grade.used())
    return scores


def score_again(
    replies: Sequence[Score], scenarios: Sequence[Scenario], evaluation: Evaluation, folder: Path
) -> list[Score]:
    """The second grader's scores of replies that were scored already; nothing is sampled."""
    assert evaluation.second_grading is not None
    grade = graders(evaluation.second_grading)
    by_id = {scenario.id: scenario for scenario in scenarios}
    verdicts = grade([(Reply(s.reply, truncated=s.truncated), by_id[s.item]) for s in replies])
    name = str(second_id(evaluation))
    scores = [
        replace(score, eval=name, value=verdict.score, reason=verdict.reason)
        for score, verdict in zip(replies, verdicts, strict=True)
    ]
    if grade.used():
        write_json(folder / "second_judge.json", grade.used())
    return scores


def stamps(policy: Policy, plan: EvalPlan) -> dict[str, str]:
    """The stamp of each eval by its id, in the order in which they are asked. The stamp of a user's
    own benchmark holds the content of its file."""
    evaluation, expected = plan.evaluation, {}
    if plan.scenarios:
        expected[HELDOUT] = heldout_stamp(plan.scenarios, evaluation)
        if second := second_id(evaluation):
            grading = {"grading": evaluation.second_grading, "second_grading": None}
            by_second = evaluation.model_copy(update=grading)
            expected[second] = heldout_stamp(plan.scenarios, by_second)
    for name in evaluation.benchmarks:
        benchmark = benchmarks.get(name)
        value = stamp(policy, benchmark, evaluation, plan.system)
        if name.endswith(".py"):
            value = digest([value, file_sha256(Path(name))])[:12]
        expected[benchmark.id] = value
    return expected


def _sizes(evaluation: Evaluation) -> dict[str, int]:
    return {name: len(benchmarks.get(name).items()) for name in evaluation.benchmarks}


def short_benchmarks(evaluation: Evaluation) -> list[str]:
    """A line for each benchmark that has fewer items than the settings ask for."""
    return [
        f"{name}: {size} items, fewer than the {evaluation.items} asked for: all are taken"
        for name, size in _sizes(evaluation).items()
        if size < evaluation.items
    ]


def work(plan: EvalPlan) -> int:
    """How many replies and choices are asked for. Reads every benchmark file."""
    limit, sizes = plan.evaluation.items, _sizes(plan.evaluation).values()
    return len(plan.scenarios) * plan.evaluation.samples + sum(min(limit, n) for n in sizes)


def evaluate(
    policy: Policy,
    plan: EvalPlan,
    folder: Path,
    advance: Advance,
    unmeasured: Mapping[str, str] | None = None,
) -> list[Score]:
    """Score everything into one file per eval under `folder/scores/`, so that a stopped evaluation
    continues, then all rows into `folder/scores.parquet`.

    `unmeasured`: evals left out of the plan because they cannot be asked now, with the reasons.
    That table keeps the reasons, and the scores of an earlier call.
    """
    by_id = {b.id: b for b in map(benchmarks.get, plan.evaluation.benchmarks)}
    table_stamps = stamps(policy, plan)
    scores: list[Score] = []
    for name, value in list(table_stamps.items()):
        path = folder / "scores" / f"{name}.parquet"
        part = load_or_quarantine(path, read_scores)
        if part is None:
            step = partial(advance, note=name)
            if name == HELDOUT:
                part = score_heldout(policy, plan.scenarios, plan.evaluation, step, folder)
            elif name in by_id:
                part = score_benchmark(policy, by_id[name], plan.evaluation, plan.system, step)
            else:
                part = score_again(scores, plan.scenarios, plan.evaluation, folder)
            write_scores(path, part, {name: value})
        else:
            check_stamps(path, read_stamps(path), {name: value})
            # a second grader samples nothing, so its scores are no progress
            advance(0 if name.startswith(SECOND) else len(part), note=name)
        scores += part
    reasons = dict(unmeasured or {})
    for name in list(reasons):
        path = folder / "scores" / f"{name}.parquet"
        part = load_or_quarantine(path, read_scores)
        if part is not None:
            scores += part
            table_stamps |= read_stamps(path)
            del reasons[name]
    write_scores(folder / "scores.parquet", scores, table_stamps, reasons)
    return scores
