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
        file = f"{self.source.repo}/{self.source.path}"
        return ColorfastError(f"{file}: row {self.number}: {problem}")


def rows(
    *sources: Source, columns: Sequence[str] | None = None, key: str | None = None
) -> Iterator[Row]:
    """The rows of CSV, JSONL (also gzipped) or JSON files; each file is numbered from 1.

    `columns`: the column names of a CSV file without a header. `key`: where a JSON file holds an
    object, the field with the list of rows. Raises ColorfastError or ValueError for rows that
    cannot be read.
    """
    for source in sources:
        for number, value in enumerate(_values(source, columns, key), 1):
            row = Row(source, number, value)
            if not isinstance(value, dict):
                raise row.error("wants an object")
            yield row


def _values(source: Source, columns: Sequence[str] | None, key: str | None) -> Iterable[Any]:
    path = fetch(source)
    match path.suffix:
        case ".csv":
            return _csv_values(path, columns)
        case ".gz":
            return map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        case ".json":
            content = read_json(source)
            values = content.get(key) if isinstance(content, dict) else content
            if not isinstance(values, list):
                raise ColorfastError(f"{source.repo}/{source.path}: wants a JSON list of objects")
            return values
    return (row for _, row in read_jsonl(path))


def read_json(source: Source) -> Any:
    """The content of a JSON file. Raises ValueError when it is not JSON."""
    return json.loads(fetch(source).read_text(encoding="utf-8"))


def _csv_values(path: Path, columns: Sequence[str] | None) -> Iterator[dict[str, str]]:
    text = path.read_text(encoding="utf-8-sig")
    while text.startswith("# "):  # some files begin with comments
        text = text.partition("\n")[2]
    return csv.DictReader(io.StringIO(text), fieldnames=columns)
