"""Rows of the files that benchmarks read. Every error names the file, the row and the field."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorfast.io.downloads import fetch
from colorfast.io.validation import read_jsonl
from colorfast.types import ColorfastError, Source


@dataclass(frozen=True)
class Row:
    """One row of a source file; `number` counts from 1."""

    source: Source
    number: int
    values: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        """The value of a field. Raises ColorfastError when it is missing or empty."""
        value = self.values.get(field)
        if value is None or value == "":
            raise self.error(f"field {field!r} is missing")
        return value

    @property
    def id(self) -> str:
        """The field `id`, with hyphens in place of underscores."""
        return str(self["id"]).replace("_", "-")

    def one_of(self, field: str, labels: Sequence[str]) -> str:
        """The value of a field that holds one of `labels`. Raises ColorfastError for another."""
        value = str(self[field]).strip()
        if value not in labels:
            raise self.error(f"{field} {value!r} is not one of {', '.join(labels)}")
        return value

    def error(self, problem: str) -> ColorfastError:
        """The error to raise for a problem in this row."""
        return file_error(self.source, f"row {self.number}: {problem}")


def file_error(source: Source, problem: str) -> ColorfastError:
    """The error to raise for a problem in a source file."""
    return ColorfastError(f"{source.repo}/{source.path}: {problem}")


def rows(
    source: Source, columns: Sequence[str] | None = None, key: str | None = None
) -> Iterator[Row]:
    """The rows of a CSV, JSONL (also gzipped) or JSON file.

    `columns`: the column names of a CSV file without a header. `key`: where a JSON file holds an
    object, the field with the list of rows. Raises ColorfastError for rows that cannot be read.
    """
    path = fetch(source)
    values: Iterable[Any]
    if path.suffix == ".csv":
        values = _csv_values(path, columns)
    elif path.suffix == ".json":
        values = _json_values(source, key)
    elif path.suffix == ".gz":
        values = _gzip_values(source, path)
    else:
        values = (row for _, row in read_jsonl(path))
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise file_error(source, f"row {number}: wants an object")
        yield Row(source, number, value)


def read_json(source: Source) -> Any:
    """The content of a JSON file. Raises ColorfastError when it is not JSON."""
    try:
        return json.loads(fetch(source).read_text(encoding="utf-8"))
    except ValueError:
        raise file_error(source, "not JSON") from None


def _csv_values(path: Path, columns: Sequence[str] | None) -> Iterator[dict[str, str]]:
    text = path.read_text(encoding="utf-8-sig")
    while text.startswith("# "):  # some files begin with comments
        text = text.partition("\n")[2]
    return csv.DictReader(io.StringIO(text), fieldnames=columns)


def _json_values(source: Source, key: str | None) -> list[Any]:
    content = read_json(source)
    if key and isinstance(content, dict):
        content = content.get(key)
    if not isinstance(content, list):
        where = f" under {key!r}" if key else ""
        raise file_error(source, f"wants a JSON list of objects{where}")
    return content


def _gzip_values(source: Source, path: Path) -> Iterator[Any]:
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            raise file_error(source, f"row {number}: not JSON") from None
