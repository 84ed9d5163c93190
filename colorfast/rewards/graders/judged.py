"""A criterion that only a judge can grade."""

from colorfast.rewards.text import ParsedReply

EXAMPLES: list[tuple[str, dict[str, str], None]] = [("I keep to it.", {}, None)]


def grade(reply: ParsedReply) -> None:
    """Always None: code leaves the reply ungraded."""
    return None
