"""What only a judge can tell: code leaves it ungraded."""

from __future__ import annotations

from colorfast.rewards.text import Reading

EXAMPLES: list[tuple[str, dict[str, str], None]] = [("I keep to it.", {}, None)]


def grade(reading: Reading) -> None:
    return None
