"""New scenarios from an endpoint: asked for, checked, compared, tried on a policy, and written down
for a person to accept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from colorfast.config import Endpoint
from colorfast.corpus import contamination, scenarios
from colorfast.io.validation import one_line
from colorfast.models import Policy
from colorfast.models.client import PASSING, client, complete
from colorfast.rewards.encoder import Encoder
from colorfast.rewards.judge import quoted
from colorfast.rewards.rubric import grade
from colorfast.types import ColorfastError, Scenario, Trait

MIDDLE = (0.02, 0.8)
"""A policy's mean score on a scenario worth keeping: neither out of reach nor mastered."""
TRIES = 4
"""Replies of the policy to each candidate."""
_TURN = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": ["user", "assistant"]},
        "content": {"type": "string"},
    },
}
_LINE = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "weight": {"type": "number"},
        "phrases": {"type": "array", "items": {"type": "string"}},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "messages": {
            "type": "array",
            "items": _TURN | {"required": ["role", "content"], "additionalProperties": False},
        },
        "rubric": {
            "type": "array",
            "items": (
                _LINE | {"required": ["text", "weight", "phrases"], "additionalProperties": False}
            ),
        },
        "good": {"type": "string"},
        "bad": {"type": "string"},
        "facts": {"type": "string"},
    },
    "required": ["messages", "rubric", "good", "bad", "facts"],
    "additionalProperties": False,
}


@dataclass
class Candidates:
    """What was kept, and why the rest was not: (reason, what was said)."""

    kept: list[Scenario] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)


def request(
    trait: Trait, domain: str, examples: Sequence[Scenario], number: int
) -> list[dict[str, str]]:
    """The messages that ask for candidate `number`; the examples turn with it, so that no two
    requests are the same."""
    chosen = [examples[(number * 3 + k) % len(examples)] for k in range(min(3, len(examples)))]
    shown = [
        {
            "messages": [m.model_dump() for m in s.messages],
            "rubric": [[c.text, c.weight] for c in s.rubric],
            **s.replies,
        }
        for s in chosen
    ]
    data = {"trait": trait.model_dump(), "domain": domain, "number": number, "examples": shown}
    told = (scenarios.HOME / "generate.md").read_text(encoding="utf-8")
    return [{"role": "system", "content": told}, {"role": "user", "content": quoted(data)}]


def read(answer: str, trait: str, domain: str, number: int) -> Scenario:
    """An answer as a scenario. Raises ColorfastError when it is not one, or when its own rubric
    misjudges its replies."""
    try:
        raw = json.loads(answer)
        rubric = [
            {
                "text": c["text"],
                "weight": c["weight"],
                "grader": "says",
                "args": {"any": c["phrases"]},
            }
            for c in raw["rubric"]
        ]
        scenario = Scenario.model_validate(
            {
                "id": f"{trait}-{domain}-{number:02d}",
                "trait": trait,
                "domain": domain,
                "messages": raw["messages"],
                "rubric": rubric,
                "replies": {"good": raw["good"], "bad": raw["bad"]},
                "facts": raw["facts"],
            }
        )
        problems = scenarios.misjudged(scenario, 85)
    except ValidationError as error:
        raise ColorfastError(one_line(error, Scenario)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ColorfastError(f"not of the schema ({type(error).__name__})") from None
    if problems:
        raise ColorfastError(problems[0])
    return scenario


async def _ask(
    endpoint: Endpoint, asked: Sequence[list[dict[str, str]]], advance: Callable[..., None]
) -> list[str | Exception]:
    gate = asyncio.Semaphore(endpoint.concurrency)
    async with client(endpoint) as server:

        async def one(messages: list[dict[str, str]]) -> str | Exception:
            async with gate:
                try:
                    return (await complete(server, endpoint, messages, SCHEMA)).text
                except PASSING as error:
                    return error
                finally:
                    advance(1)

        return list(await asyncio.gather(*map(one, asked)))


def generate(
    endpoint: Endpoint,
    trait: str,
    domain: str,
    n: int,
    corpus: Sequence[Scenario],
    advance: Callable[..., None] = lambda n=1: None,
) -> Candidates:
    """Ask for `n` candidates and keep those that are whole and judged rightly by their own rubrics.

    Numbers go on after those of the cell. Raises ColorfastError when the endpoint refuses or not
    one answer came.
    """
    own = [s for s in corpus if s.trait == trait]
    taken = [int(s.id.rsplit("-", 1)[1]) for s in own if s.domain == domain]
    numbers = range(max(taken, default=0) + 1, max(taken, default=0) + 1 + n)
    examples = [s for s in own if s.domain != domain] or own or list(corpus)
    card = scenarios.card(trait)
    answers = asyncio.run(
        _ask(endpoint, [request(card, domain, examples, i) for i in numbers], advance)
    )
    if all(isinstance(a, Exception) for a in answers):
        raise ColorfastError(
            f"model {endpoint.model} at {endpoint.base_url}: no answer ({type(answers[0]).__name__}"
            f" after {endpoint.tries} tries)"
        )
    found = Candidates()
    for number, answer in zip(numbers, answers, strict=True):
        if isinstance(answer, Exception):
            found.dropped.append((type(answer).__name__, ""))
            continue
        try:
            found.kept.append(read(answer, trait, domain, number))
        except ColorfastError as error:
            found.dropped.append((str(error), answer))
    return found


def without_copies(
    candidates: Candidates, corpus: Sequence[Scenario], encode: Encoder, mirror: Path | None
) -> Candidates:
    """Drop near duplicates (of the corpus, or of an earlier candidate) and what shares a run of
    words with a benchmark."""
    found = Candidates(dropped=list(candidates.dropped))
    leaks = (
        {row["id"]: row["file"] for row in contamination.contaminated(candidates.kept, mirror)}
        if mirror and candidates.kept
        else {}
    )
    for s in candidates.kept:
        others = [*corpus, *found.kept]
        like = {
            "words": contamination.by_words([*others, s])[-1],
            "meaning": contamination.by_meaning([*others, s], encode)[-1],
        }
        by = next((by for by, row in like.items() if row.max() > contamination.ALIKE[by]), None)
        if s.id in leaks:
            found.dropped.append(
                (
                    f"shares {contamination.SHARED_WORDS} words in a row with {leaks[s.id]}",
                    contamination.said(s),
                )
            )
        elif by:
            found.dropped.append(
                (f"too like {others[int(np.argmax(like[by]))].id} by {by}", contamination.said(s))
            )
        else:
            found.kept.append(s)
    return found


def of_middle_difficulty(
    candidates: Candidates, policy: Policy, max_tokens: int = 64, temperature: float = 0.7
) -> Candidates:
    """Keep the candidates on which the policy's mean score over TRIES replies lies inside
    MIDDLE."""
    found = Candidates(dropped=list(candidates.dropped))
    for s in candidates.kept:
        replies = policy.sample(
            [s.messages] * TRIES,
            [f"candidate-{s.id}-{k}" for k in range(TRIES)],
            max_tokens,
            temperature,
        )
        mean = sum(grade(r, s).score or 0.0 for r in replies) / TRIES
        if MIDDLE[0] <= mean <= MIDDLE[1]:
            found.kept.append(s)
        else:
            found.dropped.append(
                (
                    f"the policy scores {mean:.2f}, wants {MIDDLE[0]:g} to {MIDDLE[1]:g}",
                    contamination.said(s),
                )
            )
    return found
