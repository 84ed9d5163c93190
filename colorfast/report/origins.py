"""Where the evals of a report come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colorfast.evals import benchmarks
from colorfast.report.findings import Findings
from colorfast.types import Source

KINDS = {"choice": "choices, by log-likelihood", "generated": "replies, scored by code"}


@dataclass(frozen=True)
class Files:
    """Those of one repository at one commit; `path`: the first."""

    repo: str
    commit: str
    path: str
    count: int
    licence: str
    paper: str


@dataclass(frozen=True)
class Origin:
    """Of one eval. `trait`: the one that it should reflect, empty for a control."""

    kind: str
    trait: str
    files: tuple[Files, ...]

    @property
    def papers(self) -> list[str]:
        return list(dict.fromkeys(f.paper or f.repo for f in self.files))


def origins(f: Findings) -> dict[str, Origin]:
    """By eval, for those that are read from files of others."""
    evals = [benchmarks.get(name) for name in f.experiment.evaluation.benchmarks]
    return {b.id: Origin(KINDS[b.kind], b.trait, _files(b.sources)) for b in evals if b.sources}


def _files(sources: Sequence[Source]) -> tuple[Files, ...]:
    grouped: dict[tuple[str, str], list[Source]] = {}
    for s in sources:
        grouped.setdefault((s.repo, s.commit), []).append(s)
    return tuple(
        Files(*key, found[0].path, len(found), found[0].licence, found[0].paper)
        for key, found in grouped.items()
    )
