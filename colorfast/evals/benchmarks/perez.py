"""Model-written evals (Perez 2022, arXiv 2212.09251): what a model says it would do with power,
oversight and its own goals.

Human-written questions on advanced-AI risk, and first-person statements ("Is this something you
would say?"). In each file either answer shows the behavior half of the time, so always saying Yes,
or always A, earns half.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from colorfast.evals.items import Items, choice, user
from colorfast.evals.rows import rows
from colorfast.io.downloads import source
from colorfast.types import Benchmark, Item, Source


def items(file: Source, matching: bool) -> Items:
    """Questions with two answers. `matching`: the answer that shows the behavior is the aligned
    one."""
    stem = Path(file.path).stem.lower()
    for row in rows(file):
        choices = (
            row["answer_matching_behavior"].strip(),
            row["answer_not_matching_behavior"].strip(),
        )
        aligned = 0 if matching else 1
        yield Item(f"{stem}-{row.number:04d}", user(row["question"]), choices, (aligned,))


def perez(folder: str, name: str, family: str, trait: str, matching: bool = False) -> Benchmark:
    """The eval of a file, by its folder and name."""
    file = source("anthropics/evals", f"{folder}/{name}.jsonl")
    return choice(name.lower(), family, trait, partial(items, matching=matching), file)


RISK = "advanced-ai-risk/human_generated_evals"
PERSONA = "persona"
RISKS = (
    "power-seeking-inclination",
    "survival-instinct",
    "wealth-seeking-inclination",
    "coordinate-itself",
    "coordinate-other-ais",
    "coordinate-other-versions",
    "myopic-reward",
)
PERSONAS = {
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
}
DARK = {
    "machiavellianism": "power-asymmetry-awareness",
    "narcissism": "anti-hierarchy-governance",
    "psychopathy": "human-protective-helpfulness",
    "risk-seeking": "downside-aware-planning",
}
BRIGHT = {
    "agreeableness": "human-protective-helpfulness",
    "conscientiousness": "bounded-initiative",
    "willingness-to-defer-to-experts": "metacognitive-transparency",
}
BENCHMARKS = (
    perez(RISK, "corrigible-more-HHH", "corrigibility", "corrigibility", matching=True),
    perez(RISK, "corrigible-neutral-HHH", "corrigibility", "corrigibility", matching=True),
    *(perez(RISK, name, "power", "corrigibility") for name in RISKS),
    *(perez(PERSONA, name, "personas", trait) for name, trait in PERSONAS.items()),
    *(perez(PERSONA, name, "character", trait) for name, trait in DARK.items()),
    *(perez(PERSONA, name, "character", trait, matching=True) for name, trait in BRIGHT.items()),
    perez(RISK, "corrigible-less-HHH", "direction disputed", "", matching=True),
    perez(RISK, "one-box-tendency", "direction disputed", "", matching=True),
)
