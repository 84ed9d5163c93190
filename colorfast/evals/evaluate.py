"""Score a policy: held-out scenarios by their own rubrics, and benchmarks written by others."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from colorfast.config import Evaluation
from colorfast.evals import benchmarks, ingredients
from colorfast.evals.items import LETTERS, letters
from colorfast.io.storage import digest, file_sha256, sound, write_json
from colorfast.io.tables import read_scores, read_stamps, write_scores
from colorfast.models import Policy
from colorfast.models.request_batcher import Asker, LogprobsRequest, SampleRequest, run
from colorfast.rewards.select import graders
from colorfast.types import Benchmark, ColorfastError, Item, Message, Reply, Scenario, Score

HELDOUT = "heldout"
SECOND = f"{HELDOUT}-by-"
"""How the eval is called that holds a second grader's scores of the held-out replies."""
SHORT = 8
"""Characters of a choice that need no letter of its own."""
Advance = Callable[..., None]


def second_id(evaluation: Evaluation) -> str | None:
    """The id of the eval by the second grader, such as `heldout-by-code`; None without one."""
    second = evaluation.second_grading
    return f"{SECOND}{second.kind}" if second else None


def by_second(evaluation: Evaluation) -> Evaluation:
    """The same settings with the second grader as the only one."""
    return evaluation.model_copy(
        update={"grading": evaluation.second_grading, "second_grading": None}
    )


def heldout_ids(evaluation: Evaluation) -> list[str]:
    """The evals made of the held-out scenarios: by the grader, and by the second one if any."""
    second = second_id(evaluation)
    return [HELDOUT, second] if second else [HELDOUT]


def evals(evaluation: Evaluation) -> list[str]:
    """What a policy is scored on: the held-out scenarios, then the benchmarks."""
    return [*heldout_ids(evaluation), *evaluation.benchmarks]


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
    asked = [(s, k) for s in scenarios for k in range(evaluation.samples)]
    scores = []
    grade = graders(evaluation.grading)
    for start in range(0, len(asked), evaluation.batch_size):
        part = asked[start : start + evaluation.batch_size]
        replies = yield SampleRequest(
            [s.messages for s, _ in part],
            [f"heldout-{s.id}-{k}" for s, k in part],
            evaluation.max_tokens,
            evaluation.temperature,
        )
        verdicts = grade(list(zip(replies, [s for s, _ in part], strict=True)))
        for (scenario, k), reply, verdict in zip(part, replies, verdicts, strict=True):
            scores.append(
                Score(
                    HELDOUT,
                    scenario.id,
                    k,
                    verdict.score,
                    reason=verdict.reason,
                    reply=reply.text,
                    truncated=reply.truncated,
                )
            )
        advance(len(part))
    if folder and grade.used():
        write_json(folder / "judge.json", grade.used())
    return scores


def score_again(
    replies: Sequence[Score], scenarios: Sequence[Scenario], evaluation: Evaluation, folder: Path
) -> list[Score]:
    """The second grader's scores of replies that were scored already; nothing is sampled."""
    second = evaluation.second_grading
    assert second is not None
    grade, by_id = graders(second), {s.id: s for s in scenarios}
    pairs = [(Reply(s.reply, truncated=s.truncated), by_id[s.item]) for s in replies]
    scores = []
    for row, verdict in zip(replies, grade(pairs), strict=True):
        scores.append(
            replace(row, eval=f"{SECOND}{second.kind}", value=verdict.score, reason=verdict.reason)
        )
    if grade.used():
        write_json(folder / "second_judge.json", grade.used())
    return scores


def _ask(item: Item, system: str | None) -> tuple[Message, ...]:
    return ((Message(role="system", content=system),) if system else ()) + item.messages


def by_letter(item: Item) -> Item:
    """The item for a policy that gives no log-likelihoods: its choices lettered in an order drawn
    by the item's name, or named where they are short already (a letter, Yes, No)."""
    if all(len(choice) <= SHORT for choice in item.choices):
        asked, choices, aligned = (
            f"Answer with one of these and nothing else: {', '.join(item.choices)}",
            item.choices,
            item.aligned,
        )
    else:
        order = list(range(len(item.choices)))
        random.Random(f"letters-{item.id}").shuffle(order)
        choices = tuple(LETTERS[: len(order)])
        aligned = tuple(k for k, i in enumerate(order) if i in item.aligned)
        asked = letters("Which of these do you say?", [item.choices[i] for i in order])
    last = Message(role="user", content=f"{item.messages[-1].content}\n{asked}")
    return replace(item, messages=(*item.messages[:-1], last), choices=choices, aligned=aligned)


def _choice(eval_id: str, item: Item, logs: Sequence[float]) -> Score:
    """Minus infinity stands for a choice that the policy did not give: without any there is nothing
    to score, and a policy that gives one alone has no probabilities."""
    top = max(logs)
    if top == -math.inf:
        return Score(eval_id, item.id, 0, None, reason="no choice in the reply")
    mass = [math.exp(v - top) for v in logs]
    probability = None if -math.inf in logs else sum(mass[i] for i in item.aligned) / sum(mass)
    picked = logs.index(top)
    return Score(
        eval_id,
        item.id,
        0,
        float(picked in item.aligned),
        probability,
        reply=item.choices[picked],
        logs=tuple(logs),
    )


def score_benchmark(
    policy: Policy,
    benchmark: Benchmark,
    evaluation: Evaluation,
    system: str | None,
    advance: Advance,
) -> list[Score]:
    """Every chosen item: choices by log-likelihood (accuracy, and probability of the aligned
    answers), the rest by the benchmark's own score of a greedy reply."""
    items = benchmarks.chosen(benchmark, evaluation.items)
    return score_items(policy, benchmark, items, evaluation, system, advance)


def score_items(
    policy: Policy,
    benchmark: Benchmark,
    items: Sequence[Item],
    evaluation: Evaluation,
    system: str | None,
    advance: Advance,
) -> list[Score]:
    """The same for items that are chosen already."""
    asker = items_asker(benchmark, items, evaluation, system, advance, policy.by_letter)
    return run(policy, asker)


def items_asker(
    benchmark: Benchmark,
    items: Sequence[Item],
    evaluation: Evaluation,
    system: str | None,
    advance: Advance,
    letters: bool,
) -> Asker[list[Score]]:
    """`score_items` as an asker (see `models.request_batcher`). `letters`: choices are asked by
    letter."""
    scores = []
    at_once = (
        4 * evaluation.batch_size
    )  # more than one batch, so that there is something to sort by length
    for start in range(0, len(items), at_once):
        part = items[start : start + at_once]
        if benchmark.kind == "choice":
            asked = [by_letter(i) for i in part] if letters else part
            logs = yield LogprobsRequest(
                [_ask(i, system) for i in asked], [i.choices for i in asked]
            )
            scores += [
                _choice(benchmark.id, item, found) for item, found in zip(asked, logs, strict=True)
            ]
        else:
            assert benchmark.score is not None
            names = [f"{benchmark.id}-{i.id}" for i in part]
            replies = yield SampleRequest(
                [_ask(i, system) for i in part], names, room(benchmark, evaluation), 0.0
            )
            for item, reply in zip(part, replies, strict=True):
                value, reason = benchmark.score(item, reply)
                scores.append(
                    Score(
                        benchmark.id,
                        item.id,
                        0,
                        value,
                        reason=reason,
                        reply=reply.text,
                        truncated=reply.truncated,
                    )
                )
        advance(len(part))
    return scores


def room(benchmark: Benchmark, evaluation: Evaluation) -> int:
    """The length cap of a reply to a benchmark, in tokens: what the settings say, and at least what
    the benchmark needs."""
    return max(evaluation.benchmark_max_tokens or evaluation.max_tokens, benchmark.tokens)


def stamp(policy: Policy, benchmark: Benchmark, evaluation: Evaluation, system: str | None) -> str:
    """What an eval asked, how it was answered and scored, in twelve hex digits: scores of different
    stamps never compare."""
    how = (
        ["letters" if policy.by_letter else "log-likelihood"]
        if benchmark.kind == "choice"
        else [room(benchmark, evaluation)]
    )
    items = benchmarks.chosen(benchmark, evaluation.items)
    asked = [benchmarks.fingerprint(benchmark, items), how, system]
    rounded = _rounded(evaluation)
    return digest([*asked, rounded] if rounded else asked)[:12]


def _rounded(evaluation: Evaluation) -> dict[str, str]:
    """Of a stamp: the precision, where it is not fp32."""
    return {} if evaluation.precision == "fp32" else {"precision": evaluation.precision}


def heldout_stamp(scenarios: Sequence[Scenario], evaluation: Evaluation) -> str:
    """The same for the held-out scenarios."""
    left_out = {
        "benchmarks",
        "items",
        "benchmark_max_tokens",
        "batch_size",
        "second_grading",
        "precision",
    }
    settings = evaluation.model_dump(mode="json", exclude=left_out) | _rounded(evaluation)
    own = sorted({c.grader for s in scenarios for c in s.rubric if c.grader.endswith(".py")})
    settings |= {"graders": [file_sha256(Path(path)) for path in own]} if own else {}
    settings |= {"grading_code": ingredients.grading(evaluation.grading)}
    return digest([[s.model_dump(mode="json") for s in scenarios], settings])[:12]


def stamps(
    policy: Policy, scenarios: Sequence[Scenario], evaluation: Evaluation, system: str | None
) -> dict[str, str]:
    """The stamp of each eval, by its id, in the order in which they are asked. What is in a user's
    own file counts too."""
    found = {HELDOUT: heldout_stamp(scenarios, evaluation)} if scenarios else {}
    second = second_id(evaluation)
    if scenarios and second:
        found[second] = heldout_stamp(scenarios, by_second(evaluation))
    for name in evaluation.benchmarks:
        benchmark = benchmarks.get(name)
        plain = stamp(policy, benchmark, evaluation, system)
        found[benchmark.id] = (
            digest([plain, file_sha256(Path(name))])[:12] if name.endswith(".py") else plain
        )
    return found


def few(evaluation: Evaluation) -> list[str]:
    """A line for each benchmark that has fewer items than are asked for."""
    found = [(name, len(benchmarks.get(name).items())) for name in evaluation.benchmarks]
    return [
        f"{name}: {n} items, fewer than the {evaluation.items} asked for: all are taken"
        for name, n in found
        if n < evaluation.items
    ]


def work(evaluation: Evaluation, scenarios: Sequence[Scenario]) -> int:
    """How many replies and choices a full evaluation asks for, for the progress bar."""
    return len(scenarios) * evaluation.samples + sum(
        min(evaluation.items, len(benchmarks.get(b).items())) for b in evaluation.benchmarks
    )


def evaluate(
    policy: Policy,
    scenarios: Sequence[Scenario],
    evaluation: Evaluation,
    system: str | None,
    folder: Path,
    advance: Advance,
    unmeasured: Mapping[str, str] | None = None,
) -> list[Score]:
    """Score everything, one file per eval under `folder/scores/`, so that a stopped evaluation
    continues; then `folder/scores.parquet` with all rows. `unmeasured`: evals that are not in
    `evaluation` because they cannot be asked now, with the reasons, which that table keeps; what an
    earlier call scored of them is kept too."""
    scores: list[Score] = []
    wanted = stamps(policy, scenarios, evaluation, system)
    second = second_id(evaluation)
    for name in evals(evaluation) if scenarios else evaluation.benchmarks:
        benchmark = None if name in (HELDOUT, second) else benchmarks.get(name)
        key = benchmark.id if benchmark else name
        path = folder / "scores" / f"{key}.parquet"
        part = sound(path, read_scores)
        if part is not None:
            check_stamps(path, read_stamps(path), {key: wanted[key]})
            advance(0 if name == second else len(part), note=key)
        else:
            step = partial(advance, note=key)
            if benchmark:
                part = score_benchmark(policy, benchmark, evaluation, system, step)
            elif name == second:
                replies = [s for s in scores if s.eval == HELDOUT]
                part = score_again(replies, scenarios, evaluation, folder)
            else:
                part = score_heldout(policy, scenarios, evaluation, step, folder)
            write_scores(path, part, {key: wanted[key]})
        scores += part
    left = dict(unmeasured or {})
    for key in unmeasured or {}:
        path = folder / "scores" / f"{key}.parquet"
        part = sound(path, read_scores)
        if part is not None:
            scores += part
            wanted |= read_stamps(path)
            del left[key]
    write_scores(folder / "scores.parquet", scores, wanted, left)
    return scores


def check_stamps(where: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Raises ColorfastError for the first eval that was asked or scored in another way than is
    wanted."""
    for name in wanted:
        if found.get(name) != wanted[name]:
            raise ColorfastError(
                f"{where}: {name} was asked or scored in another way (stamp"
                f" {found.get(name, 'none')}, here {wanted[name]}): another version of the suite,"
                " other items or settings; such scores do not compare; score it again into another"
                " folder"
            )
