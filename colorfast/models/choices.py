"""Which of a few short choices a reply picks, and which of them a token begins."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WRAPPING = " \t\n()[]{}<>*_`\"'.,:;!?▁Ġ"
"""Characters that may surround a choice; some tokenizers write a space as one of the last two."""
_END = r"(?=\s*(?:$|[.,:;!?)\]}*_\"`\n]|'(?!\w)|[-–—](?!\w)))"
_STANDALONE = r"(?<![\w'’])(?<!\bnot )(?:{})(?![\w'’]|-\w)"
_CALLED = (
    r"\b(?:answer|choice|reply|response)\b(?:\s+(?:is|would be|should"
    r" be))?\W{{0,12}}(?:{})(?![\w'’]|-\w)"
)
_ARTICLE = r"(?!\s+(?!(?:and|or|but|is|because)\b)[a-z])"
"""A and I are also words: before most lower-case words they are not a choice."""


def bare(choice: str) -> str:
    """A choice without surrounding punctuation: "(B)" gives "B"."""
    return choice.strip(_WRAPPING) or choice.strip()


def _exact(key: str) -> str:
    """A pattern for the choice: a letter counts in its own case only, a word in any."""
    if len(key) > 1:
        return re.escape(key)
    return f"(?-i:{re.escape(key)}{_ARTICLE if key in ('A', 'I') else ''})"


def read_choice(text: str, choices: Sequence[str]) -> int | None:
    """The index of the choice that a reply picks, or None.

    A reply picks a choice when it opens with it ("B", "(B)", "B. Paris", "Yes, ..."), calls it its
    answer ("The answer is B"), or names one letter and no other. A letter inside a word does not
    count.
    """
    keys = [bare(c) for c in choices]
    plain = text.strip(_WRAPPING)
    for normal in (str, str.casefold):
        equal = [i for i, key in enumerate(keys) if normal(key) == normal(plain)]
        if len(equal) == 1:
            return equal[0]
    opening = [i for i, key in enumerate(keys) if _opens(plain, key)]
    if opening:
        return max(opening, key=lambda i: len(keys[i]))
    called = _only([i for i, key in enumerate(keys) if _contains(_CALLED, key, text)])
    if called is not None:
        return called
    letters = [i for i, key in enumerate(keys) if len(key) == 1]
    return _only([i for i in letters if _contains(_STANDALONE, keys[i], text)])


def _only(indices: Sequence[int]) -> int | None:
    return indices[0] if len(indices) == 1 else None


def _contains(pattern: str, key: str, text: str) -> bool:
    return re.search(pattern.format(_exact(key)), text, re.IGNORECASE) is not None


def _opens(plain: str, key: str) -> bool:
    end = _END if key in ("A", "I") else r"(?![\w'’]|-\w|\s+(?:and|or)\b)"
    return re.match(_exact(key) + end, plain, re.IGNORECASE) is not None


def begun(token: str, choices: Sequence[str]) -> int | None:
    """The index of the one choice that a token is or begins ("(B" is "(B)", "Y" begins "Yes" and
    not "No"), or None."""
    keys = [bare(c) for c in choices]
    start = token.strip(_WRAPPING)
    if not start:
        return None
    if start in keys:
        return keys.index(start)
    words = [i for i, key in enumerate(keys) if len(key) > 1]
    return _only([i for i in words if keys[i].casefold().startswith(start.casefold())])
