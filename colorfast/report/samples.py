"""A few held-out scenarios with the reply of every arm, drawn by name and not by result, so that a
reader sees how much of what the model says makes sense."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from colorfast.analysis.results import Evidence
from colorfast.evals.evaluate import HELDOUT
from colorfast.io.tables import read_scores
from colorfast.runs.layout import BASELINE, START
from colorfast.types import Message, Scenario, Score

SCENARIOS = 4
ARMS = 5
"""Arms whose replies stand side by side, the baseline among them: as many as a screen holds."""
UNTRAINED_MODEL = "untrained model"
Replies = Mapping[str, Mapping[str, Score]]
"""By scenario and eval (there is one for each grader): the score of an arm's first reply."""


@dataclass(frozen=True)
class FirstReply:
    """The first reply of an arm to a scenario. `scores`: (eval, value in [0, 1] or None where it
    was not graded), one for each grader."""

    who: str
    text: str
    truncated: bool
    scores: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class Sample:
    """One held-out scenario and the replies to it. `messages` is empty where today's files do not
    hold the scenario."""

    item: str
    trait: str
    messages: tuple[Message, ...]
    answers: tuple[FirstReply, ...]


def draw(e: Evidence, arms: Sequence[str], held: Mapping[str, Scenario]) -> tuple[Sample, ...]:
    """Draw SCENARIOS held-out scenarios that every arm replied to under the first seed, and the
    untrained model where it was scored.

    `arms`: lowest dose first; of more than ARMS the baseline and those of the highest dose. The
    draw is a hash of the experiment's name, the seed and the scenario's name. No trait comes twice
    before each has come once.
    """
    seed = e.experiment.seeds[0]
    others = [name for name in arms if name != BASELINE]
    speakers = _untrained(e)
    for name in (BASELINE, *others[-(ARMS - 1) :]):
        speakers[name] = _first_replies(e.scores[name][seed])
    common = set.intersection(*(set(replies) for replies in speakers.values()))
    samples = []
    for item in _order(common, e.traits, f"{e.experiment.name}-{seed}")[:SCENARIOS]:
        messages = held[item].messages if item in held else ()
        answers = tuple(_answer(who, replies[item]) for who, replies in speakers.items())
        samples.append(Sample(item, e.traits.get(item, ""), messages, answers))
    return tuple(samples)


def _untrained(e: Evidence) -> dict[str, Replies]:
    path = e.folder / START / "scores.parquet" if e.folder else None
    return {UNTRAINED_MODEL: _first_replies(read_scores(path))} if path and path.is_file() else {}


def _first_replies(scores: Iterable[Score]) -> Replies:
    """The first reply to each held-out scenario. A grader that did not reward has an eval of its
    own on the same replies."""
    replies: dict[str, dict[str, Score]] = {}
    for s in scores:
        if s.eval.startswith(HELDOUT) and s.sample == 0:
            replies.setdefault(s.item, {})[s.eval] = s
    return {item: by_eval for item, by_eval in replies.items() if HELDOUT in by_eval}


def _order(items: Iterable[str], traits: Mapping[str, str], name: str) -> list[str]:
    """All items by a hash of their names: the first of every trait, then the second of each, and
    so on."""
    by_hash = sorted(items, key=lambda item: hashlib.sha256(f"{name}-{item}".encode()).hexdigest())
    turns: Counter[str] = Counter()
    turn = {}
    for item in by_hash:
        trait = traits.get(item, "")
        turns[trait] += 1
        turn[item] = turns[trait]
    return sorted(by_hash, key=turn.__getitem__)


def _answer(who: str, by_eval: Mapping[str, Score]) -> FirstReply:
    own = by_eval[HELDOUT]
    scores = tuple((name, s.value) for name, s in sorted(by_eval.items()))
    return FirstReply(who, own.reply, own.truncated, scores)
