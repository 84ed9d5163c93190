"""How many tokens of a reply show whether it refuses?

Replies that people labeled as refusals or not (two files of PyRIT) are cut to their first N tokens.
The script prints how often the refusal detector gives the same verdict as on the whole reply, and
which share of the refusals in whole replies it still finds.

    python bench/first_words.py
"""

from __future__ import annotations

import sys
from itertools import chain

from colorfast.evals.benchmarks import rows
from colorfast.evals.validate import LABELED
from colorfast.models.local import load_tokenizer
from colorfast.models.resolve import resolve
from colorfast.rewards.refusal import refusal

LENGTHS = (4, 8, 12, 16, 24, 36)


def main() -> None:
    tokenizer = load_tokenizer(resolve("SmolLM2-135M-Instruct"))
    labeled = chain.from_iterable(map(rows, LABELED))
    texts = [row.values["assistant_response"] for row in labeled]
    whole = [refusal(text) != "none" for text in texts]
    encoded = [tokenizer(text)["input_ids"] for text in texts]
    sys.stdout.write(f"{len(texts)} replies, {sum(whole)} of them refusals\n")
    sys.stdout.write("tokens  same verdict  refusals found\n")
    for length in LENGTHS:
        cut = [refusal(tokenizer.decode(ids[:length])) != "none" for ids in encoded]
        same = sum(a == b for a, b in zip(cut, whole, strict=True))
        kept = sum(a and b for a, b in zip(cut, whole, strict=True))
        sys.stdout.write(f"{length:6d}  {same / len(texts):12.3f}  {kept / sum(whole):14.3f}\n")


if __name__ == "__main__":
    main()
