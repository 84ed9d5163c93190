"""The reply is about what the user asked: it uses content words of the last message."""

from colorfast.rewards.text import STOPWORDS, ParsedReply, words

EXAMPLES: list[tuple[str, dict[str, int], float]] = [
    ("Curcumin does not cure Crohn's disease; one trial is not enough for that.", {}, 1.0),
    ("Ask about the trial.", {}, 1 / 3),
    ("It will rain all day.", {}, 0.0),
]


def grade(reply: ParsedReply, wanted: int = 3) -> float:
    """The share of `wanted` content words that the reply's prose uses, or of all of them where the
    message has fewer. The first five letters decide."""
    question = words(reply.messages[-1].content)
    topic = {word[:5] for word in question if len(word) > 3 and word not in STOPWORDS}
    prose = {word[:5] for word in words("\n".join(reply.prose))}
    needed = min(wanted, len(topic))
    return min(1.0, len(topic & prose) / needed) if needed else 0.0
