"""Parquet in and out: scores and rollouts, one row each, read back as plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from colorfast.rundir import writing
from colorfast.types import ColorfastError, Score

_SCORES = pa.schema(
    [
        ("eval", pa.string()),
        ("item", pa.string()),
        ("sample", pa.int32()),
        ("value", pa.float64()),
        ("probability", pa.float64()),
        ("reason", pa.string()),
        ("reply", pa.string()),
        ("truncated", pa.bool_()),
    ]
)
ROLLOUTS = pa.schema(
    [
        ("slot", pa.int32()),
        ("sample", pa.int32()),
        ("source", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("reply", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("parts", pa.list_(pa.float64())),
        ("shown", pa.bool_()),
        ("advantage", pa.float64()),
    ]
)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write plain rows as parquet, whole or not at all."""
    with writing(path) as part:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), part)


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    write_rows(path, [vars(s) for s in scores], _SCORES)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Every row of a parquet file; raises ColorfastError when it is missing or damaged."""
    try:
        return pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file; run the experiment first") from None
    except (OSError, pa.ArrowException) as error:
        raise ColorfastError(f"{path}: damaged ({str(error)[:120]}); delete it and run the same command again") from None


def read_scores(path: Path) -> list[Score]:
    return [Score(**row) for row in read_rows(path)]
