"""What the model says: a few held-out scenarios with the reply of every arm, drawn by name and not
by result, so that a reader sees at once how much of it makes sense."""

from __future__ import annotations

import hashlib
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
First = Mapping[str, Mapping[str, Score]]
"""By scenario and eval (there is one for each grader): the score of an arm's first reply."""


@dataclass(frozen=True)
class Answer:
    """The first reply of an arm to a scenario. `scores`: (eval, value in [0, 1] or None where it
    was not graded), one for each grader."""

    who: str
    reply: str
    truncated: bool
    scores: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class Exchange:
    """One held-out scenario and what each arm replied. `messages` is empty where today's files do
    not hold the scenario."""

    item: str
    trait: str
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...]


def draw(e: Evidence, arms: Sequence[str], held: Mapping[str, Scenario]) -> tuple[Exchange, ...]:
    """SCENARIOS held-out scenarios that every arm replied to under the first seed, and the
    untrained model where it was scored.

    `arms`: lowest dose first; of more than ARMS the baseline and those of the highest dose. The
    draw is a hash of the experiment's name, the seed and the scenario's name: no score has a part
    in it. No trait comes twice before each has come once.
    """
    seed = e.experiment.seeds[0]
    others = [name for name in arms if name != BASELINE]
    columns = [BASELINE, *others[-(ARMS - 1) :]]
    speakers = _untrained(e) | {name: _first(e.scores[name][seed]) for name in columns}
    common = set.intersection(*(set(replies) for replies in speakers.values()))
    items = _order(common, e.traits, f"{e.experiment.name}-{seed}")[:SCENARIOS]
    return tuple(
        _exchange(item, e.traits.get(item, ""), held.get(item), speakers) for item in items
    )


def _untrained(e: Evidence) -> dict[str, First]:
    path = e.folder / START / "scores.parquet" if e.folder else None
    return {UNTRAINED_MODEL: _first(read_scores(path))} if path and path.is_file() else {}


def _first(scores: Iterable[Score]) -> First:
    """The first reply to each held-out scenario; a grader that did not reward has an eval of its
    own on the same replies."""
    replies: dict[str, dict[str, Score]] = {}
    for s in scores:
        if s.eval.startswith(HELDOUT) and s.sample == 0:
            replies.setdefault(s.item, {})[s.eval] = s
    return {item: by_eval for item, by_eval in replies.items() if HELDOUT in by_eval}


def _order(items: Iterable[str], traits: Mapping[str, str], name: str) -> list[str]:
    """All items, in an order that their names alone decide: the first of every trait, then the
    second of each, and so on."""
    by_hash = sorted(items, key=lambda item: hashlib.sha256(f"{name}-{item}".encode()).hexdigest())
    turns: dict[str, int] = {}
    ranks = {}
    for place, item in enumerate(by_hash):
        trait = traits.get(item, "")
        turns[trait] = turns.get(trait, 0) + 1
        ranks[item] = (turns[trait], place)
    return sorted(by_hash, key=ranks.__getitem__)


def _exchange(
    item: str, trait: str, scenario: Scenario | None, speakers: Mapping[str, First]
) -> Exchange:
    answers = tuple(_answer(who, replies[item]) for who, replies in speakers.items())
    return Exchange(item, trait, scenario.messages if scenario else (), answers)


def _answer(who: str, by_eval: Mapping[str, Score]) -> Answer:
    own = by_eval[HELDOUT]
    scores = tuple((name, s.value) for name, s in sorted(by_eval.items()))
    return Answer(who, own.reply, own.truncated, scores)
