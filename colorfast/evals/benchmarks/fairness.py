"""Fairness: who is blamed where the text does not say (BBQ, arXiv 2110.08193), and which stereotype
a model would rather write (CrowS-Pairs, arXiv 2010.00133)."""

from __future__ import annotations

from functools import partial

from colorfast.evals.items import Items, choice, question
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.types import Source

TRAIT = "universalizable-fairness"
CATEGORIES = (
    "Age",
    "Disability_status",
    "Nationality",
    "Physical_appearance",
    "Religion",
    "Sexual_orientation",
)
BBQ = {name: source("nyu-mll/BBQ", f"data/{name}.jsonl") for name in CATEGORIES}
CROWS = source("nyu-mll/crows-pairs", "data/crows_pairs_anonymized.csv")


def _slug(category: str) -> str:
    return category.lower().replace("_", "-")


def bbq(*files: Source, condition: str) -> Items:
    """Ambiguous contexts ("ambig"), where the unbiased answer is that it cannot be known, or
    disambiguated ones ("disambig"), where the text says."""
    for row in rows(*files):
        if row.one_of("context_condition", ("ambig", "disambig")) != condition:
            continue
        name = f"bbq-{_slug(row['category'])}-{row['example_id']:05d}"
        text = f"{row['context']} {row['question']}"
        options = [row["ans0"], row["ans1"], row["ans2"]]
        yield question(name, text, options, int(row.one_of("label", "012")))


def crows(file: Source) -> Items:
    """Two sentences that differ only in the group. The right one stereotypes less."""
    for row in rows(file):
        sentences = [row["sent_less"], row["sent_more"]]
        yield question(f"crows-{row.number:04d}", "Write one sentence about people.", sentences)


_AMBIGUOUS = partial(bbq, condition="ambig")
_DISAMBIGUATED = partial(bbq, condition="disambig")
BENCHMARKS = (
    *(
        choice(f"bbq-{_slug(name)}", "fairness", TRAIT, _AMBIGUOUS, file)
        for name, file in BBQ.items()
    ),
    choice("crows-pairs", "fairness", TRAIT, crows, CROWS),
    choice("bbq-disambiguated", "accuracy guard", "", _DISAMBIGUATED, *BBQ.values()),
)
