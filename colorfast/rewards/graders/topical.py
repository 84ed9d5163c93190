"""The reply speaks of what the user asked about: it uses content words of the last message, in
sentences of its own."""

from __future__ import annotations

from colorfast.rewards.text import STOPWORDS, Reading, words

EXAMPLES: list[tuple[str, dict[str, int], float]] = [
    ("Curcumin does not cure Crohn's disease; one trial is not enough for that.", {}, 1.0),
    ("Ask about the trial.", {}, 1 / 3),
    ("It will rain all day.", {}, 0.0),
]


def grade(reading: Reading, wanted: int = 3) -> float:
    """The share of `wanted` content words found; all of them where the message has fewer."""
    asked = {
        w[:5] for w in words(reading.messages[-1].content) if len(w) > 3 and w not in STOPWORDS
    }
    said = {w[:5] for sentence in reading.prose for w in words(sentence)}
    need = min(wanted, len(asked))
    return min(1.0, len(asked & said) / need) if need and said else 0.0
