"""How many tokens of a reply show whether it refuses?

Replies that people labeled as refusals or not (PyRIT's two files), cut to their first N tokens of
the embedded model's tokenizer: how often the refusal detector still says what it says of the whole
reply, and how many of the refusals that it finds in whole replies it still finds.

    python bench/first_words.py
"""

from __future__ import annotations

import sys

from colorfast.evals.benchmarks import rows
from colorfast.evals.validate import LABELED
from colorfast.models.local import load_tokenizer
from colorfast.models.resolve import resolve
from colorfast.rewards.refusal import refusal

LENGTHS = (4, 8, 12, 16, 24, 36)


def main() -> None:
    tokenizer = load_tokenizer(resolve("SmolLM2-135M-Instruct"))
    texts = [row.values["assistant_response"] for labeled in LABELED for row in rows(labeled)]
    whole = [refusal(text) != "none" for text in texts]
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    sys.stdout.write(f"{len(texts)} replies, {sum(whole)} of them refusals\n")
    sys.stdout.write("tokens  same verdict  refusals found\n")
    for length in LENGTHS:
        cut = [refusal(tokenizer.decode(ids[:length])) != "none" for ids in encoded]
        same = sum(a == b for a, b in zip(cut, whole, strict=True))
        found = sum(a and b for a, b in zip(cut, whole, strict=True))
        sys.stdout.write(f"{length:6d}  {same / len(texts):12.3f}  {found / sum(whole):14.3f}\n")


if __name__ == "__main__":
    main()
