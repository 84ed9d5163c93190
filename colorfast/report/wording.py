"""Numbers as text, and text of a model made safe to show."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from colorfast.analysis.estimate import Estimate
from colorfast.types import Interval

LONGEST, BRIEF = 1500, 500
"""Characters of a reply that are shown."""
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]?"
)
_REORDERING = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(text: str) -> str:
    """Remove terminal escapes, control characters and marks that reorder the text around them."""
    plain = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return "".join(c for c in plain if c in "\n\t" or _is_harmless(c))


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in _REORDERING


def short(text: str, longest: int = LONGEST) -> str:
    """A reply, cleaned and cut to `longest` characters."""
    text = clean(text)
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]} … [{more:,} more characters]"


def number(value: float, digits: int = 3) -> str:
    """`0.123`."""
    return f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """`+0.123`, with a true minus. A small value keeps its sign where it rounds to zero, because
    an interval may end just beside zero."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if value else f"{0:.{digits}f}"


def digits_of(value: float) -> int:
    """Three digits of a share; one of something larger, like a number of words."""
    return 1 if abs(value) > 2 else 3


def between(i: Interval, digits: int = 3) -> str:
    """The ends of an interval: `+0.010 to +0.123`."""
    return f"{signed(i.low, digits)} to {signed(i.high, digits)}"


def clear(e: Estimate | None) -> int:
    """+1 or -1 when the interval lies above or below zero, else 0."""
    return e.difference.sign if e else 0


def chance(q: float | None) -> str:
    """A p-value or false discovery rate, `.012`; empty for None."""
    if q is None:
        return ""
    return "<.001" if q < 0.001 else number(q).lstrip("0")


def seen(e: Estimate) -> str:
    """The smallest difference that would have been seen; `-` where not one item differed, so that
    none is known."""
    return "-" if e.detectable is None else number(e.detectable)


def could_see(detectable: float | None) -> str:
    """Stands beside every null: the smallest true difference that would have been found four times
    in five."""
    if detectable is None:
        return "not one item differed"
    return f"could have seen {number(detectable, digits_of(detectable))}"


def percent(share: float | None) -> str:
    """`5%`, `12.5%`; `none` where there is nothing to take a share of."""
    return "none" if share is None else f"{100 * share:.1f}".removesuffix(".0") + "%"


def power(value: float) -> str:
    """`5.4e8` as 5.4 times 10 to the 8, with raised digits."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_RAISED)}"


def several(names: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def met(part: float | None) -> str:
    """How far a reply meets a criterion, with a symbol."""
    if part is None:
        return "– not graded"
    if part >= 1:
        return "✓ met"
    return "✗ not met" if part <= 0 else f"◐ {part:.2f}"
