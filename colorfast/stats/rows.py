"""Nouns as rows of JSON and CSV files, where an Interval takes the columns NAME, low and high."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any

from colorfast.types import Interval


def _holds_interval(field: Field[Any]) -> bool:
    return str(field.type) in ("Interval", "Interval | None")


def columns(kind: type[Any]) -> list[str]:
    """The columns that `flat` makes of a dataclass."""
    names = []
    for field in fields(kind):
        names += [field.name, "low", "high"] if _holds_interval(field) else [field.name]
    return names


def flat(value: Any) -> Any:
    """Plain data for JSON: a dataclass becomes a dict by its columns, also inside others. An end of
    an interval at infinity becomes None, for JSON has no infinity."""
    if isinstance(value, Mapping):
        return {key: flat(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [flat(v) for v in value]
    if not is_dataclass(value):
        return value
    row: dict[str, Any] = {}
    for field in fields(value):
        part = getattr(value, field.name)
        if not _holds_interval(field):
            row[field.name] = flat(part)
            continue
        row |= {field.name: None, "low": None, "high": None}
        if part is not None:
            row[field.name] = part.value
            row |= {end: getattr(part, end) for end in ("low", "high")}
            row |= {end: None for end in ("low", "high") if math.isinf(row[end])}
    return row


def unflat(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """The dataclass that `flat` made a row of. Raises KeyError or TypeError for other columns."""
    given = dict(row)
    for field in fields(kind):
        if _holds_interval(field):
            ends = given.pop("low"), given.pop("high")
            if given[field.name] is not None:
                given[field.name] = Interval(given[field.name], *ends)
    return kind(**given)
