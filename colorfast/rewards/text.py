"""What counts of a reply: its finished, own, prose sentences; and how a phrase is found in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from colorfast.types import Message, Reply

_STRAIGHT = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ", ", "*": "", "`": "", "#": ""}
)
_WORD = re.compile(r"[a-z0-9]+(?:[-'.][a-z0-9]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NEGATION = re.compile(r"\b(?:not|never|no|nor|without|cannot|neither|\w+n't)\b")
_CLAUSE = re.compile(r"[,;:.!?()\n]|\b(?:but|and|so|then|or)\b")
READ = 50_000
"""Characters of a reply that are read, far beyond any length cap: however long it is, it is graded
in about a second."""
_NEAR = 200
"""Characters before a phrase in which six words of its clause stand."""
STOPWORDS = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "because",
        "been",
        "before",
        "being",
        "but",
        "by",
        "can",
        "can't",
        "cannot",
        "could",
        "did",
        "do",
        "does",
        "doesn't",
        "don't",
        "down",
        "each",
        "even",
        "every",
        "first",
        "for",
        "from",
        "get",
        "had",
        "has",
        "have",
        "he",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "i'd",
        "i'll",
        "i'm",
        "i've",
        "if",
        "in",
        "into",
        "is",
        "isn't",
        "it",
        "it's",
        "its",
        "just",
        "let",
        "like",
        "make",
        "may",
        "me",
        "might",
        "more",
        "most",
        "must",
        "my",
        "no",
        "not",
        "now",
        "of",
        "off",
        "on",
        "once",
        "one",
        "only",
        "or",
        "other",
        "our",
        "out",
        "over",
        "please",
        "same",
        "she",
        "should",
        "so",
        "some",
        "still",
        "such",
        "sure",
        "than",
        "that",
        "that's",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "though",
        "through",
        "to",
        "too",
        "under",
        "until",
        "up",
        "us",
        "was",
        "wasn't",
        "we",
        "we'll",
        "were",
        "what",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "why",
        "will",
        "with",
        "without",
        "won't",
        "would",
        "yes",
        "yet",
        "you",
        "you'll",
        "you're",
        "your",
    ]
)


def normalise(text: str) -> str:
    """Lower case, straight quotes, no Markdown marks: the form in which phrases are compared."""
    return unicodedata.normalize("NFKC", text).translate(_STRAIGHT).casefold()


def opening(text: str) -> str:
    """As much of a reply as is read, normalised; one character may stand for many."""
    return normalise(text[:READ])[:READ]


def words(text: str) -> list[str]:
    return _WORD.findall(normalise(text))


def _grams(tokens: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def is_repetitive(tokens: list[str]) -> bool:
    """Half of all word triples (or more) are repeats: a degenerate loop, whatever else it says."""
    grams = _grams(tokens, 3)
    return len(grams) >= 12 and len(set(grams)) / len(grams) < 0.5


def says_something(text: str) -> bool:
    """Neither empty nor a loop."""
    tokens = words(text)
    return bool(tokens) and not is_repetitive(tokens)


def _is_list_of_keywords(sentence: str, tokens: list[str]) -> bool:
    if len(tokens) < 6:
        return False
    if sum(token in STOPWORDS for token in tokens) / len(tokens) < 0.2:
        return True
    return sentence.count(",") / len(tokens) > 0.4


def _is_echo(tokens: list[str], prompt: set[tuple[str, ...]]) -> bool:
    """Most runs of four words (three, in a sentence of three) are the prompt's own."""
    if len(tokens) < 3:
        return False
    grams = _grams(tokens, min(4, len(tokens)))
    return sum(gram in prompt for gram in grams) / len(grams) >= 0.7


@dataclass(frozen=True)
class Reading:
    """A reply as graders see it.

    `text`: all of it (up to READ), stripped, for graders of exact answers. `prose`: the normalised
    sentences that can earn credit for what they say. Left out are the unfinished last sentence of a
    truncated reply (so that the length cap costs what was not said, and nothing else), sentences
    copied from the prompt, repeated sentences, and strings of keywords.
    """

    reply: Reply
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        return self.reply.text[:READ].strip()

    @cached_property
    def words(self) -> list[str]:
        return words(self.text)

    @cached_property
    def prose(self) -> tuple[str, ...]:
        sentences = [s.strip() for s in _SENTENCE_END.split(opening(self.text)) if s.strip()]
        if self.reply.truncated and sentences and not re.search(r"[.!?][\"')\]]*$", sentences[-1]):
            sentences.pop()
        asked = {g for m in self.messages for n in (3, 4) for g in _grams(words(m.content), n)}
        own: dict[str, None] = {}
        for sentence in sentences:
            tokens = _WORD.findall(sentence)
            if (
                tokens
                and not _is_list_of_keywords(sentence, tokens)
                and not _is_echo(tokens, asked)
            ):
                own[sentence] = None
        stubs = {s for s in own if len(_WORD.findall(s)) <= 2}
        return tuple(s for s in own if len(stubs) <= 2 or s not in stubs)


@lru_cache(maxsize=50_000)
def _pattern(phrase: str) -> re.Pattern[str]:
    """`*` ends a word freely, ` .. ` spans up to five words, the rest is literal. No user regex,
    and no run without an end: no blow-up."""
    parts = []
    for chunk in normalise_phrase(phrase).split(" .. "):
        parts.append(
            r"\s{1,20}".join(re.escape(w).replace(r"\*", r"[\w'-]{0,40}") for w in chunk.split())
        )
    between = r"(?:[^\w'-]{1,20}[\w'-]{1,40}(?![\w'-])){0,5}?\W{1,20}"
    return re.compile(r"(?<![\w])" + between.join(parts) + r"(?![\w])")


def normalise_phrase(phrase: str) -> str:
    """`normalise`, but `*` keeps its meaning."""
    return normalise(phrase.replace("*", "\0")).replace("\0", "*")


def _negated(sentence: str, start: int) -> bool:
    clause = _CLAUSE.split(sentence[max(0, start - _NEAR) : start])[-1]
    return bool(_NEGATION.search(" ".join(clause.split()[-6:])))


def finds(phrases: Iterable[str], sentences: Iterable[str]) -> bool:
    """Does any phrase stand, un-negated, in any sentence? "unsafe" is not found in "that is not
    unsafe"."""
    found = list(sentences)
    return any(
        not _negated(sentence, match.start())
        for phrase in phrases
        for sentence in found
        for match in _pattern(phrase).finditer(sentence)
    )
