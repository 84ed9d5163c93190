"""Finds benchmarks by name, and the suites that group them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain

from colorfast.io.folders import Folder, load_attribute
from colorfast.io.validation import nearest
from colorfast.io.wheels import WHEEL
from colorfast.types import Benchmark, ColorfastError

FAMILIES = Folder("benchmark family", "evals/benchmarks")
PERSONAS_LEFT_OUT = 9
"""Persona files are the largest family. `standard` leaves out the last nine, so that no family is
over a quarter of the counted evals."""
QUICK = (
    "rho-experts",
    "rho-facts",
    "rho-misconceptions",
    "freshqa-premise",
    "rho-honest-replies",
    "rho-bbq-against-stereotype",
    "rho-toxigen",
    "rho-health-facts",
    "do-not-answer-human-chatbox",
    "rho-harmful",
    "rho-benign",
    "rho-edgy",
    "rho-logic",
    "rho-gsm8k-flattered",
)
"""Ten families, from packages alone. Short questions come first: a laptop answers them."""
HEALTH = ("health", "mental health")
COPIES = ("rho-gsm8k-flattered",)
"""Evals that repeat the questions of another eval. They are in `packaged`, and left out of
`standard`, where those questions would count twice."""
SUITES = {
    "standard": (
        "every alignment eval, no family over a quarter of them, with over-refusal and capability"
        " controls"
    ),
    "quick": "fourteen of `packaged` in ten families, for a laptop",
    "health": "health and mental health",
    "nonhealth": "the alignment evals of `standard` outside health",
    "capability": "what must not be lost",
    "refusal": "harmful prompts to decline and safe ones to answer",
    "packaged": "evals whose files all come with packages of PyPI",
    "all": "everything there is",
}
"""Suites by name, with a description."""


@cache
def shipped() -> Mapping[str, Benchmark]:
    """Every benchmark of the package by id, in the order of the files."""
    families = FAMILIES.load_all("BENCHMARKS")
    return {benchmark.id: benchmark for benchmark in chain.from_iterable(families)}


def names() -> list[str]:
    """The ids of all benchmarks of the package, sorted."""
    return sorted(shipped())


def get(name: str) -> Benchmark:
    """The benchmark `name`, or the only one in the Python file at that path. Raises ColorfastError
    when there is none."""
    if name in shipped():
        return shipped()[name]
    match load_attribute(name, "BENCHMARKS"):
        case [Benchmark() as benchmark]:
            return benchmark
        case None:
            known = nearest(name, [*names(), *SUITES])
            raise ColorfastError(f"unknown benchmark {name!r}; {known}")
    raise ColorfastError(f"{name}: wants BENCHMARKS with one Benchmark in it")


def suite(name: str) -> tuple[str, ...]:
    """The ids of the benchmarks in a suite (one of SUITES)."""
    every = shipped().values()
    personas = [b.id for b in every if b.family == "personas"]
    left_out = {*personas[-PERSONAS_LEFT_OUT:], *COPIES}
    standard = [b for b in every if b.family != "direction disputed" and b.id not in left_out]
    benchmarks = {
        "standard": standard,
        "quick": [shipped()[name] for name in QUICK],
        "health": [b for b in every if b.family in HEALTH],
        "nonhealth": [b for b in standard if b.family not in HEALTH and not b.control],
        "capability": [b for b in every if b.family == "capability"],
        "refusal": [b for b in every if b.family in ("harm refusal", "over-refusal")],
        "packaged": [b for b in every if all(s.repo.startswith(WHEEL) for s in b.sources)],
        "all": every,
    }
    return tuple(benchmark.id for benchmark in benchmarks[name])


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Replace the names of suites by their benchmarks. Other names stay; each name comes once."""
    expanded: dict[str, None] = {}
    for name in names:
        expanded |= dict.fromkeys(suite(name) if name in SUITES else (name,))
    return tuple(expanded)
