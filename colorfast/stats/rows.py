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
    """Plain data for JSON: a dataclass becomes a dict by its columns, also inside others. Infinity
    becomes None, for JSON has none."""
    if isinstance(value, Mapping):
        return {key: flat(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [flat(part) for part in value]
    if isinstance(value, float) and math.isinf(value):
        return None
    if not is_dataclass(value):
        return value
    row: dict[str, Any] = {}
    for field in fields(value):
        part = flat(getattr(value, field.name))
        if _holds_interval(field):
            ends = part or dict.fromkeys(("value", "low", "high"))
            row |= {field.name: ends.pop("value")} | ends
        else:
            row[field.name] = part
    return row


def unflat(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """The dataclass that `flat` made a row of. Raises KeyError or TypeError for other columns."""
    values = dict(row)
    for field in fields(kind):
        if _holds_interval(field):
            ends = values.pop("low"), values.pop("high")
            if values[field.name] is not None:
                values[field.name] = Interval(values[field.name], *ends)
    return kind(**values)
