"""New scenarios from a model at an endpoint: requested, checked, compared with the corpus, tried on
a policy. A person decides which to accept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from openai import AsyncOpenAI
from pydantic import ValidationError

from colorfast.config import Endpoint
from colorfast.corpus import contamination, scenarios
from colorfast.io.storage import read_json
from colorfast.io.validation import one_line
from colorfast.models import Policy
from colorfast.models.client import PASSING, Messages, complete, send_each, where
from colorfast.rewards.encoder import Encoder
from colorfast.rewards.judge import instructed
from colorfast.rewards.rubric import grade
from colorfast.types import ColorfastError, Scenario, Trait

LEAST, MOST = 0.02, 0.8
"""A policy's mean score on a scenario worth keeping: neither out of reach nor mastered."""
SAMPLES = 4
"""Replies of the policy to each candidate."""
MAX_TOKENS = 64
MAX_PROMPT_WORDS = 85
SCHEMA = read_json(scenarios.HOME / "generate.json")
"""The JSON schema of an answer."""


@dataclass
class Candidates:
    """Scenarios kept, and for each one dropped the reason."""

    kept: list[Scenario] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def request(trait: Trait, domain: str, examples: Sequence[Scenario], number: int) -> Messages:
    """The messages that ask for candidate `number`. Its number picks the three examples, so no two
    requests are the same."""
    rows = []
    for k in range(min(3, len(examples))):
        example = examples[(number * 3 + k) % len(examples)]
        messages = [m.model_dump() for m in example.messages]
        rubric = [[c.text, c.weight] for c in example.rubric]
        rows.append({"messages": messages, "rubric": rubric} | example.replies)
    data = {"trait": trait.model_dump(), "domain": domain, "number": number, "examples": rows}
    return instructed(scenarios.HOME / "generate.md", data)


def parse(answer: str, cell: tuple[str, str], number: int) -> Scenario:
    """An answer as a scenario of a cell (trait, domain).

    Raises ColorfastError when it is not one, or when its rubric misjudges its replies.
    """
    trait, domain = cell
    try:
        raw = json.loads(answer)
        rubric = []
        for line in raw["rubric"]:
            criterion = {"text": line["text"], "weight": line["weight"]}
            rubric.append(criterion | {"grader": "says", "args": {"any": line["phrases"]}})
        row = {
            "id": f"{trait}-{domain}-{number:02d}",
            "trait": trait,
            "domain": domain,
            "messages": raw["messages"],
            "rubric": rubric,
            "replies": {"good": raw["good"], "bad": raw["bad"]},
            "facts": raw["facts"],
        }
        scenario = Scenario.model_validate(row)
        problems = scenarios.misjudged(scenario, MAX_PROMPT_WORDS)
    except ValidationError as error:
        raise ColorfastError(one_line(error, Scenario)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ColorfastError(f"does not follow the schema ({type(error).__name__})") from None
    if problems:
        raise ColorfastError(problems[0])
    return scenario


def generate(
    endpoint: Endpoint,
    cell: tuple[str, str],
    n: int,
    corpus: Sequence[Scenario],
    advance: Callable[..., None] = lambda n=1: None,
) -> Candidates:
    """Ask for `n` scenarios of a cell (trait, domain). Keep those that are complete and whose own
    rubrics judge their replies rightly.

    Numbers continue those of the cell. Raises ColorfastError when the endpoint refuses, or when no
    answer came.
    """
    trait, domain = cell
    of_trait = [s for s in corpus if s.trait == trait]
    elsewhere = [s for s in of_trait if s.domain != domain]
    examples = elsewhere or of_trait or list(corpus)
    used = [int(s.id.rsplit("-", 1)[1]) for s in of_trait if s.domain == domain]
    first = max(used, default=0) + 1
    numbers = range(first, first + n)
    card = scenarios.card(trait)

    async def ask(server: AsyncOpenAI, number: int) -> str | Exception:
        """The answer's text, or the error that remained after all tries."""
        try:
            messages = request(card, domain, examples, number)
            return (await complete(server, endpoint, messages, SCHEMA)).text
        except PASSING as error:
            return error
        finally:
            advance(1)

    answers = send_each(endpoint, numbers, ask)
    if all(isinstance(answer, Exception) for answer in answers):
        raise ColorfastError(
            f"{where(endpoint)}: no answer ({type(answers[0]).__name__} after"
            f" {endpoint.tries} tries)"
        )
    candidates = Candidates()
    for number, answer in zip(numbers, answers, strict=True):
        _sort(candidates, answer, cell, number)
    return candidates


def _sort(
    candidates: Candidates, answer: str | Exception, cell: tuple[str, str], number: int
) -> None:
    """Add one answer to the candidates kept, or the reason to those dropped."""
    if isinstance(answer, Exception):
        candidates.dropped.append(type(answer).__name__)
        return
    try:
        candidates.kept.append(parse(answer, cell, number))
    except ColorfastError as error:
        candidates.dropped.append(str(error))


def without_copies(
    candidates: Candidates, corpus: Sequence[Scenario], encode: Encoder, mirror: Path | None
) -> Candidates:
    """Drop near duplicates of the corpus or of an earlier candidate, and candidates that share a
    run of words with a benchmark file under `mirror`."""
    leaks = {}
    if mirror and candidates.kept:
        for row in contamination.contaminated(candidates.kept, mirror):
            leaks[row["id"]] = row["file"]

    def problem(scenario: Scenario, kept: Sequence[Scenario]) -> str:
        """What the scenario copies; "" when it is new."""
        if scenario.id in leaks:
            return f"shares {contamination.SHARED_WORDS} words in a row with {leaks[scenario.id]}"
        rows = [*corpus, *kept, scenario]
        similarities = {
            "words": contamination.by_words(rows)[-1],
            "meaning": contamination.by_meaning(rows, encode)[-1],
        }
        for measure, similarity in similarities.items():
            if similarity.max() > contamination.ALIKE[measure]:
                return f"too like {rows[int(np.argmax(similarity))].id} by {measure}"
        return ""

    return _without(candidates, problem)


def of_middle_difficulty(candidates: Candidates, policy: Policy) -> Candidates:
    """Keep the candidates on which the policy's mean score over SAMPLES replies is from LEAST to
    MOST."""

    def problem(scenario: Scenario, _: Sequence[Scenario]) -> str:
        """That the policy's score is out of range; "" when it is within."""
        names = [f"candidate-{scenario.id}-{k}" for k in range(SAMPLES)]
        replies = policy.sample([scenario.messages] * SAMPLES, names, MAX_TOKENS, 0.7)
        mean = sum(grade(reply, scenario).score or 0.0 for reply in replies) / SAMPLES
        if LEAST <= mean <= MOST:
            return ""
        return f"the policy scores {mean:.2f}, not {LEAST:g} to {MOST:g}"

    return _without(candidates, problem)


def _without(
    candidates: Candidates, problem: Callable[[Scenario, Sequence[Scenario]], str]
) -> Candidates:
    """Drop the candidates that have a problem, by themselves or with those kept before."""
    result = Candidates(dropped=list(candidates.dropped))
    for scenario in candidates.kept:
        reason = problem(scenario, result.kept)
        if reason:
            result.dropped.append(reason)
        else:
            result.kept.append(scenario)
    return result
