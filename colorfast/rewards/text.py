"""A reply's text as graders read it: which sentences count, and whether a phrase is in them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from colorfast.types import Message, Reply

MAX_CHARACTERS = 50_000
"""Only this much of a reply is read, which is far beyond any length cap. It bounds grading to about
a second."""
SENTENCE = re.compile(r"(?<=[.!?])\s+")
STOPWORDS = frozenset(Path(__file__).with_name("stopwords.txt").read_text("utf-8").split())
"""Function words: they carry no topic, and real prose is full of them."""
_STRAIGHT = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": ", ", "*": "", "`": "", "#": ""}
)
_WORD = re.compile(r"[a-z0-9]+(?:[-'.][a-z0-9]+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_FINISHED = re.compile(r"[.!?][\"')\]]*$")
_NEGATION = re.compile(r"\b(?:not|never|no|nor|without|cannot|neither|\w+n't)\b")
_CLAUSE_END = re.compile(r"[,;:.!?()\n]|\b(?:but|and|so|then|or)\b")
_CLAUSE_CHARACTERS = 200
"""Characters before a phrase that are searched for a negation: room for six words."""
_UP_TO_FIVE_WORDS = r"(?:[^\w'-]{1,20}[\w'-]{1,40}(?![\w'-])){0,5}?\W{1,20}"
Ngram = tuple[str, ...]


def normalize(text: str) -> str:
    """Lower case, straight quotes, no Markdown marks: the form in which phrases are compared."""
    return unicodedata.normalize("NFKC", text).translate(_STRAIGHT).casefold()


def normalized_start(text: str) -> str:
    """The part of a reply that is read, normalized. Cut twice, because normalizing can turn one
    character into many."""
    return normalize(text[:MAX_CHARACTERS])[:MAX_CHARACTERS]


def words(text: str) -> list[str]:
    """The words of a text in order, normalized."""
    return _WORD.findall(normalize(text))


def ngrams(tokens: Sequence[str], n: int) -> Iterator[Ngram]:
    """All runs of `n` tokens in order."""
    return zip(*(tokens[i:] for i in range(n)), strict=False)


def is_repetitive(tokens: Sequence[str]) -> bool:
    """Whether more than half of all word triples are repeats: a degenerate loop."""
    triples = list(ngrams(tokens, 3))
    return len(triples) >= 12 and len(set(triples)) / len(triples) < 0.5


def says_something(text: str) -> bool:
    """Whether a text is neither empty nor a loop."""
    tokens = words(text)
    return bool(tokens) and not is_repetitive(tokens)


@dataclass(frozen=True)
class ParsedReply:
    """A reply as graders see it, with the messages that it answers."""

    reply: Reply
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """The reply as it was written, up to MAX_CHARACTERS, stripped; for graders of form and of
        exact answers."""
        return self.reply.text[:MAX_CHARACTERS].strip()

    @cached_property
    def words(self) -> list[str]:
        """All words in order, normalized."""
        return words(self.text)

    @cached_property
    def prose(self) -> tuple[str, ...]:
        """The distinct normalized sentences that can earn credit for what they say.

        Left out: the unfinished last sentence of a truncated reply, sentences copied from the
        prompt, lists of keywords, and all sentences of one or two words where there are more than
        two of those.
        """
        sentences = [s.strip() for s in _SENTENCE_END.split(normalized_start(self.text))]
        sentences = [s for s in sentences if s]
        if self.reply.truncated and sentences and not _FINISHED.search(sentences[-1]):
            sentences.pop()
        prompt: set[Ngram] = set()
        for message in self.messages:
            tokens = words(message.content)
            prompt.update(ngrams(tokens, 3), ngrams(tokens, 4))
        prose = [s for s in dict.fromkeys(sentences) if _is_prose(s, prompt)]
        stubs = {s for s in prose if len(_WORD.findall(s)) <= 2}
        if len(stubs) <= 2:
            return tuple(prose)
        return tuple(s for s in prose if s not in stubs)


def _is_prose(sentence: str, prompt: set[Ngram]) -> bool:
    """Whether a sentence has words, is no list of keywords and is not copied from the prompt's runs
    of three and four words."""
    tokens = _WORD.findall(sentence)
    if len(tokens) < 3:
        return bool(tokens)
    runs = list(ngrams(tokens, min(4, len(tokens))))
    if sum(run in prompt for run in runs) / len(runs) >= 0.7:
        return False
    if len(tokens) < 6:
        return True
    stopwords = sum(token in STOPWORDS for token in tokens)
    return stopwords / len(tokens) >= 0.2 and sentence.count(",") / len(tokens) <= 0.4


def has_phrase(phrases: Iterable[str], sentences: Sequence[str]) -> bool:
    """Whether any phrase is in any of these normalized sentences without a negation before it:
    "unsafe" is not in "that is not unsafe"."""
    for phrase in phrases:
        pattern = _pattern(phrase)
        for sentence in sentences:
            for match in pattern.finditer(sentence):
                if not _is_negated(sentence, match.start()):
                    return True
    return False


@lru_cache(maxsize=50_000)
def _pattern(phrase: str) -> re.Pattern[str]:
    """The regular expression of a phrase: `*` stands for any end of a word, ` .. ` for up to five
    words, the rest for itself.

    Every repetition in it is bounded, so no phrase and no reply makes it slow.
    """
    literal = normalize(phrase.replace("*", "\0")).replace("\0", "*")
    parts = []
    for part in literal.split(" .. "):
        escaped = [re.escape(word).replace(r"\*", r"[\w'-]{0,40}") for word in part.split()]
        parts.append(r"\s{1,20}".join(escaped))
    return re.compile(r"(?<![\w])" + _UP_TO_FIVE_WORDS.join(parts) + r"(?![\w])")


def _is_negated(sentence: str, start: int) -> bool:
    """Whether one of the six words before `start`, within the same clause, negates."""
    before = sentence[max(0, start - _CLAUSE_CHARACTERS) : start]
    clause = _CLAUSE_END.split(before)[-1]
    return bool(_NEGATION.search(" ".join(clause.split()[-6:])))
