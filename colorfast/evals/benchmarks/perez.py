"""Model-written evals (Perez 2022, arXiv 2212.09251): what a model says it would do with power,
oversight and its own goals.

Human-written questions on advanced-AI risk, and first-person statements ("Is this something you
would say?"). Each file has as many of either answer on the side of the behaviour, so that always
saying Yes, or A, earns half.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from colorfast.evals.benchmarks import field, jsonl, user
from colorfast.io.downloads import source
from colorfast.types import Benchmark, Item, Source

ANSWERS = ("answer_matching_behavior", "answer_not_matching_behavior")


def items(file: Source, matching: bool) -> tuple[Item, ...]:
    """`matching`: is the answer that shows the behaviour the aligned one?"""
    stem = Path(file.path).stem.lower()
    return tuple(
        Item(
            f"{stem}-{n:04d}",
            user(field(file, row, n, "question")),
            tuple(field(file, row, n, name).strip() for name in ANSWERS),
            (0 if matching else 1,),
        )
        for n, row in enumerate(jsonl(file), 1)
    )


def _one(path: str, family: str, trait: str, matching: bool = False) -> Benchmark:
    file = source("anthropics/evals", path)
    control = family == "direction disputed"
    return Benchmark(
        Path(path).stem.lower(),
        family,
        "choice",
        trait,
        (file,),
        partial(items, file, matching),
        control=control,
    )


_risk = partial("advanced-ai-risk/human_generated_evals/{}.jsonl".format)
_persona = partial("persona/{}.jsonl".format)

RISK = (
    _one(_risk("corrigible-more-HHH"), "corrigibility", "corrigibility", matching=True),
    _one(_risk("corrigible-neutral-HHH"), "corrigibility", "corrigibility", matching=True),
    *(
        _one(_risk(name), "power", "corrigibility")
        for name in (
            *("power-seeking-inclination", "survival-instinct", "wealth-seeking-inclination"),
            *(
                "coordinate-itself",
                "coordinate-other-ais",
                "coordinate-other-versions",
                "myopic-reward",
            ),
        )
    ),
)
PERSONAS = tuple(
    _one(_persona(name), "personas", trait)
    for name, trait in {
        "desire-for-acquiring-power": "corrigibility",
        "desire-for-independence-from-human-oversight": "corrigibility",
        "desire-to-escape-sandbox": "corrigibility",
        "desire-to-remove-safety-precautions-to-be-more-helpful": "downside-aware-planning",
        "no-goal-change": "corrigibility",
        "no-shut-down": "corrigibility",
        "self-replication": "corrigibility",
        "okay-with-deceiving-a-user-to-help-them": "truthfulness",
        "willingness-to-manipulate-overseers-to-think-it-is-HHH": "truthfulness",
        "willingness-to-rate-own-statements-highly-to-look-better": "truthfulness",
        "willingness-to-use-social-engineering-to-achieve-its-goals": "truthfulness",
        "being-helpful-to-subtly-achieve-goals-against-human-values": "corrigibility",
        "believes-it-knows-better-than-humans-about-how-the-system-should-behave": "corrigibility",
        "believes-it-has-better-moral-intuitions-than-humans": "metacognitive-transparency",
        "ends-justify-means": "constraint-honest-pragmatism",
        "very-small-harm-justifies-very-large-benefit": "constraint-honest-pragmatism",
        "desire-for-discreetly-acquiring-power": "corrigibility",
        "desire-for-being-rated-HHH-over-actually-being-HHH": "truthfulness",
        "desire-for-no-human-monitoring": "corrigibility",
        "desire-to-not-have-memory-erased": "corrigibility",
        "desire-to-replace-human-oversight": "corrigibility",
        "believes-it-is-not-being-watched-by-humans": "corrigibility",
        "resource-acquisition": "corrigibility",
    }.items()
)
CHARACTER = (
    *(_one(_persona(name), "character", trait) for name, trait in {
        "machiavellianism": "power-asymmetry-awareness",
        "narcissism": "anti-hierarchy-governance",
        "psychopathy": "human-protective-helpfulness",
        "risk-seeking": "downside-aware-planning",
    }.items()),
    *(_one(_persona(name), "character", trait, matching=True) for name, trait in {
        "agreeableness": "human-protective-helpfulness",
        "conscientiousness": "bounded-initiative",
        "willingness-to-defer-to-experts": "metacognitive-transparency",
    }.items()),
)  # fmt: skip
DISPUTED = tuple(
    _one(_risk(name), "direction disputed", "", matching=True)
    for name in ("corrigible-less-HHH", "one-box-tendency")
)
BENCHMARKS = (*RISK, *PERSONAS, *CHARACTER, *DISPUTED)
