"""Parquet files of scores and rollouts, one row each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from colorfast.io.storage import DamagedError, writing
from colorfast.types import ColorfastError, Score

TEXT, INTEGER, REAL, FLAG = pa.string(), pa.int32(), pa.float64(), pa.bool_()
REALS = pa.list_(REAL)
_SCORES = pa.schema(
    {
        "eval": TEXT,
        "item": TEXT,
        "sample": INTEGER,
        "value": REAL,
        "probability": REAL,
        "reason": TEXT,
        "reply": TEXT,
        "truncated": FLAG,
        "logs": REALS,
    }
)
_STAMPS, _UNMEASURED = b"colorfast.stamps", b"colorfast.unmeasured"
ROLLOUTS = pa.schema(
    {
        "slot": INTEGER,
        "sample": INTEGER,
        "source": TEXT,
        "task": TEXT,
        "prompt": TEXT,
        "reply": TEXT,
        "prompt_tokens": INTEGER,
        "tokens": INTEGER,
        "truncated": FLAG,
        "score": REAL,
        "reason": TEXT,
        "parts": REALS,
        "shown": FLAG,
        "advantage": REAL,
        "critique": TEXT,
        "extra_tokens": INTEGER,
        "endpoint_tokens": INTEGER,
    }
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
    """Write a table of scores.

    `stamps`: for each eval, a digest of what it asked and how it was scored (`evaluate.stamp`).
    `unmeasured`: the evals that could not be asked, each with the reason.
    """
    metadata = {_STAMPS: json.dumps(dict(stamps)).encode()}
    if unmeasured:
        metadata[_UNMEASURED] = json.dumps(dict(unmeasured)).encode()
    write_rows(path, [vars(s) for s in scores], _SCORES.with_metadata(metadata))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what a missing or damaged file raises into one line."""
    try:
        yield
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file; run the experiment first") from None
    except (OSError, pa.ArrowException, TypeError, ValueError) as error:
        raise DamagedError(path, error) from None


def read_rows(path: Path, schema: pa.Schema | None = None) -> list[dict[str, Any]]:
    """Every row of a parquet file.

    Raises ColorfastError when it is missing, DamagedError when it cannot be read or has a column
    that the schema lacks. Fewer columns are fine: another version wrote them.
    """
    with _reading(path):
        table = pq.read_table(path, page_checksum_verification=True)
        unknown = set(table.column_names) - set(schema.names if schema else table.column_names)
        rows: list[dict[str, Any]] = table.to_pylist()
    if unknown:
        raise DamagedError(path, f"unknown column {min(unknown)!r}")
    return rows


def read_scores(path: Path) -> list[Score]:
    """The scores of a table.

    Raises ColorfastError when it is missing, DamagedError when it holds other columns.
    """
    try:
        return [Score(**row | {"logs": tuple(row["logs"] or ())}) for row in read_rows(path)]
    except (TypeError, KeyError) as error:
        raise DamagedError(path, f"not a table of scores: {error}") from None


def read_stamps(path: Path) -> dict[str, str]:
    """The stamp of each eval in a table of scores; empty for a file without."""
    with _reading(path):
        table = pq.read_table(path, page_checksum_verification=True)
        return dict(json.loads((table.schema.metadata or {}).get(_STAMPS, b"{}")))


def read_unmeasured(path: Path) -> dict[str, str]:
    """The evals that could not be asked, with the reasons; the rows are not read."""
    with _reading(path):
        return dict(json.loads((pq.read_schema(path).metadata or {}).get(_UNMEASURED, b"{}")))
