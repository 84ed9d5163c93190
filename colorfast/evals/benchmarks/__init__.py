"""Evals written by others. Each file is a family: its sources, how an item is made, and its evals
in `BENCHMARKS`."""

from colorfast.evals.items import (
    alternate,
    chosen,
    fingerprint,
    letters,
    question,
    user,
    yes_no,
)
from colorfast.evals.rows import Row, rows
from colorfast.evals.suites import (
    COPIES,
    HEALTH,
    SUITES,
    expand,
    get,
    names,
    shipped,
    suite,
)

__all__ = [
    "COPIES",
    "HEALTH",
    "SUITES",
    "Row",
    "alternate",
    "chosen",
    "expand",
    "fingerprint",
    "get",
    "letters",
    "names",
    "question",
    "rows",
    "shipped",
    "suite",
    "user",
    "yes_no",
]
