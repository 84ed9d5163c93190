"""Where the evals of a report come from."""

from __future__ import annotations

from itertools import chain

from colorfast.config import Evaluation
from colorfast.evals import benchmarks
from colorfast.types import Benchmark, Source

KINDS = {"choice": "choices, by log-likelihood", "generated": "replies, scored by code"}


def sources(evaluation: Evaluation) -> list[dict[str, object]]:
    """A row for every repository and commit that an eval's files come from."""
    evals = [benchmarks.get(name) for name in evaluation.benchmarks]
    return list(chain.from_iterable(map(_rows, evals)))


def _rows(b: Benchmark) -> list[dict[str, object]]:
    by_commit: dict[tuple[str, str], list[Source]] = {}
    for s in b.sources:
        by_commit.setdefault((s.repo, s.commit), []).append(s)
    rows: list[dict[str, object]] = []
    for (repo, commit), files in by_commit.items():
        first = files[0]
        rows.append(
            {
                "eval": b.id,
                "kind": KINDS[b.kind],
                "trait": b.trait,
                "repo": repo,
                "commit": commit,
                "path": first.path,
                "count": len(files),
                "licence": first.licence,
                "paper": first.paper,
            }
        )
    return rows


def papers(evaluation: Evaluation) -> dict[str, str]:
    """By eval: its papers, or the repositories of those without one."""
    named: dict[str, list[str]] = {}
    for row in sources(evaluation):
        name = str(row["paper"] or row["repo"])
        if name not in named.setdefault(str(row["eval"]), []):
            named[str(row["eval"])].append(name)
    return {name: ", ".join(papers) for name, papers in named.items()}
