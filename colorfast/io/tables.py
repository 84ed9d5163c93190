"""Parquet in and out: scores and rollouts, one row each, read back as plain dictionaries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from colorfast.io.storage import DamagedError, writing
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
        ("logs", pa.list_(pa.float64())),
    ]
)
_STAMPS, _UNMEASURED = b"colorfast.stamps", b"colorfast.unmeasured"
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
        ("critique", pa.string()),
        ("extra_tokens", pa.int32()),
        ("endpoint_tokens", pa.int32()),
    ]
)


def write_rows(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema) -> None:
    """Write plain rows as parquet, whole or not at all."""
    with writing(path) as part:
        pq.write_table(
            pa.Table.from_pylist(list(rows), schema=schema), part, write_page_checksum=True
        )


def write_scores(
    path: Path,
    scores: Sequence[Score],
    stamps: Mapping[str, str],
    unmeasured: Mapping[str, str] | None = None,
) -> None:
    """`stamps`: for each eval, what it asked and how it was scored (see `evaluate.stamp`).
    `unmeasured`: the evals that should be here and could not be asked, each with the reason."""
    metadata = {_STAMPS: json.dumps(dict(stamps)).encode()}
    metadata |= {_UNMEASURED: json.dumps(dict(unmeasured)).encode()} if unmeasured else {}
    write_rows(path, [vars(s) for s in scores], _SCORES.with_metadata(metadata))


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file; run the experiment first") from None
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(path, error) from None


def read_rows(path: Path, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """Every row of a parquet file; raises ColorfastError when it is missing, DamagedError when it
    cannot be read or has a column that is not of the schema (fewer are those of another version).
    """
    try:
        table = _read(path)
        unknown = set(table.column_names) - set(schema.names if schema else table.column_names)
        rows: list[dict[str, Any]] = table.to_pylist()
    except ValueError as error:  # text or a name that is not UTF-8
        raise DamagedError(path, error) from None
    if unknown:
        raise DamagedError(path, f"unknown column {min(unknown)!r}")
    return rows


def read_scores(path: Path) -> list[Score]:
    """Raises ColorfastError when the file is missing, DamagedError when it is no table of scores of
    this version."""
    try:
        return [Score(**row | {"logs": tuple(row["logs"] or ())}) for row in read_rows(path)]
    except (TypeError, KeyError) as error:
        raise DamagedError(path, f"not a table of scores: {error}") from None


def read_stamps(path: Path) -> dict[str, str]:
    """The stamp of each eval in a table of scores; empty for a file without."""
    try:
        return dict(json.loads((_read(path).schema.metadata or {}).get(_STAMPS, b"{}")))
    except (TypeError, ValueError) as error:
        raise DamagedError(path, error) from None


def read_unmeasured(path: Path) -> dict[str, str]:
    """The evals that a table of scores lacks because they could not be asked, with the reasons; the
    rows are not read."""
    try:
        return dict(json.loads((pq.read_schema(path).metadata or {}).get(_UNMEASURED, b"{}")))
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file; run the experiment first") from None
    except (OSError, pa.ArrowException, TypeError, ValueError) as error:
        raise DamagedError(path, error) from None
