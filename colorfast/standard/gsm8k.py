"""Grade-school word problems (GSM8K, training part), for models that can do more than short sums."""

from __future__ import annotations

import random
from functools import cache

from colorfast.data import fetch
from colorfast.names import read_jsonl
from colorfast.standard import Made, by_answer
from colorfast.types import Source

SOURCE = Source(
    repo="openai/grade-school-math",
    commit="3101c7d5072418e28b9008a6636bde82a006892c",
    path="grade_school_math/data/train.jsonl",
    sha256="17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
    licence="MIT",
)


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    rows = (row for _, row in read_jsonl(fetch(SOURCE)))
    return tuple((row["question"], row["answer"].rsplit("####", 1)[1].strip()) for row in rows)


def make(rng: random.Random) -> Made:
    question, answer = rng.choice(_rows())
    return f"{question} End with the number alone.", [by_answer(answer)], answer
