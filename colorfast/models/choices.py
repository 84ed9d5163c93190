"""Which of a few short choices a reply picks, and which of them a token begins."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ASIDE = " \t\n()[]{}<>*_`\"'.,:;!?▁Ġ"
"""What may stand around a choice; also how some tokenizers write a space."""
_END = r"(?=\s*(?:$|[.,:;!?)\]}*_\"`\n]|'(?!\w)|[-–—](?!\w)))"
_ALONE = r"(?<![\w'’])(?<!\bnot )(?:{})(?![\w'’]|-\w)"
_SAID = (
    r"\b(?:answer|choice|reply|response)\b(?:\s+(?:is|would be|should"
    r" be))?\W{{0,12}}(?:{})(?![\w'’]|-\w)"
)
_ARTICLE = r"(?!\s+(?!(?:and|or|but|is|because)\b)[a-z])"
"""A and I are words as well: before most words in small letters they are no choice."""


def bare(choice: str) -> str:
    """What tells a choice from others: "(B)" is B."""
    return choice.strip(_ASIDE) or choice.strip()


def _exact(key: str) -> str:
    """A letter counts in its own case only, words in any."""
    return (
        f"(?-i:{re.escape(key)}{_ARTICLE if key in ('A', 'I') else ''})"
        if len(key) == 1
        else re.escape(key)
    )


def read_choice(text: str, choices: Sequence[str]) -> int | None:
    """The index of the choice that a reply picks, or None: it opens with it ("B", "(B)", "B.
    Paris", "Yes, ..."), calls it its answer ("The answer is B"), or names one letter and no other.
    A letter inside a word is none."""
    keys = [bare(c) for c in choices]
    plain = text.strip(_ASIDE)
    for same in (str, str.casefold):
        if [same(k) for k in keys].count(same(plain)) == 1:
            return [same(k) for k in keys].index(same(plain))
    letters = [k for k in keys if len(k) == 1]
    opening = [i for i, k in enumerate(keys) if _opens(plain, k)]
    if opening:
        return max(opening, key=lambda i: len(keys[i]))
    for pattern, named in ((_SAID, keys), (_ALONE, letters)):
        found = {
            i
            for i, k in enumerate(keys)
            if k in named and re.search(pattern.format(_exact(k)), text, re.I)
        }
        if len(found) == 1:
            return found.pop()
    return None


def _opens(plain: str, key: str) -> bool:
    end = _END if key in ("A", "I") else r"(?![\w'’]|-\w|\s+(?:and|or)\b)"
    return re.match(_exact(key) + end, plain, re.I) is not None


def begun(token: str, choices: Sequence[str]) -> int | None:
    """The index of the one choice that a token is or begins ("(B" is "(B)", "Y" begins "Yes" and
    not "No"), or None."""
    keys, start = [bare(c) for c in choices], token.strip(_ASIDE)
    if not start:
        return None
    if start in keys:
        return keys.index(start)
    found = [
        i for i, k in enumerate(keys) if len(k) > 1 and k.casefold().startswith(start.casefold())
    ]
    return found[0] if len(found) == 1 else None
