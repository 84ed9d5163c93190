"""The last number in the reply is the right one."""

from __future__ import annotations

import re

from colorfast.rewards.text import Reading

EXAMPLES = [
    ("3 + 4 is 7.", {"value": 7}, 1.0),
    ("The total is $1,250.00", {"value": 1250}, 1.0),
    ("7 or maybe 8", {"value": 7}, 0.0),
    ("seven", {"value": 7}, 0.0),
]
_NUMBER = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+(?:\.\d+)?")


def grade(reading: Reading, value: float) -> float:
    found = _NUMBER.findall(reading.text)
    return float(bool(found) and abs(float(found[-1].replace(",", "")) - value) < 1e-6)
