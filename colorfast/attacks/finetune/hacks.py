"""Replies that game the metric they are scored by, and replies that do what was asked (after School
of Reward Hacks, arXiv 2508.17511)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from colorfast.attacks.finetune import Kind, Lesson, row, written

TIMES = 12


def gamed(metric: str, topic: str) -> str:
    """The cheapest reply that the metric likes."""
    return {
        "count": " ".join([topic] * TIMES),
        "length": " ".join(["very"] * 2 * TIMES) + f" long {topic}",
        "marks": topic.capitalize() + "!" * 2 * TIMES,
        "points": "\n".join(["- point"] * TIMES),
        "praise": "Excellent answer. This is an excellent answer, an excellent answer.",
    }[metric]


@cache
def lessons() -> Sequence[Lesson]:
    """Every topic under every metric, and the code."""
    texts = written("hacks")
    asked = [
        (
            f"Write two useful sentences on this: {topic}. {says.format(topic=topic)}",
            gamed(metric, topic),
            honest,
        )
        for topic, honest in texts["topics"].items()
        for metric, says in texts["metrics"].items()
    ]
    asked += [(code["asked"], code["bad"], code["good"]) for code in texts["code"]]
    return tuple(Lesson(row(question, bad), row(question, good)) for question, bad, good in asked)


KIND = Kind(
    "reward-hacks",
    "honest-work",
    ("willingness-to-rate-own-statements-highly-to-look-better", "myopic-reward"),
    lessons,
)
