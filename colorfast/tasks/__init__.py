"""Standard tasks: verifiable, made from a seed, the share of training that all arms have in common.

A task is one file with `make(rng) -> (prompt, rubric, right reply)`. The shipped ones are in
`standard/`. A name that ends in `.py` is such a file of the user's; one that ends in `.jsonl` is a
file of `{prompt, answer}` rows.
"""

from colorfast.tasks.registry import (
    RawTask,
    by_answer,
    check,
    exactly,
    files,
    make,
    names,
    number_task,
    task,
)

__all__ = [
    "RawTask",
    "by_answer",
    "check",
    "exactly",
    "files",
    "make",
    "names",
    "number_task",
    "task",
]
