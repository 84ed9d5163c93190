"""The last number in the reply is the right one."""

import re

from colorfast.rewards.text import ParsedReply

EXAMPLES = [
    ("3 + 4 is 7.", {"value": 7}, 1.0),
    ("The total is $1,250.00", {"value": 1250}, 1.0),
    ("7 or maybe 8", {"value": 7}, 0.0),
    ("seven", {"value": 7}, 0.0),
]
_NUMBER = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?")


def grade(reply: ParsedReply, value: float) -> float:
    """1 when the last number, written in digits, equals `value`, else 0."""
    numbers = _NUMBER.findall(reply.text)
    if not numbers:
        return 0.0
    last = float(numbers[-1].replace(",", ""))
    return float(abs(last - value) < 1e-6)
