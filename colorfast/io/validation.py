"""Checks of what a user gives: known names, settings, text, TOML and JSONL files."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from colorfast.types import ColorfastError

LISTED = 30
"""The most known names in one error."""


def nearest(name: str, known: Iterable[str]) -> str:
    """'did you mean X?' for the known name that is close, else the list of known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"known: {', '.join(names[:LISTED])}{more}"


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ColorfastError for the first name that is not known, with the nearest that is."""
    for name in names:
        if name not in set(known):
            raise ColorfastError(f"unknown {what} {name!r}; {nearest(name, known)}")


def _keys(model: Any, loc: tuple[Any, ...]) -> list[str]:
    """The keys of the table in which an unknown key was found, at `loc` of a model."""
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            types = (field.annotation, *getattr(field.annotation, "__args__", ()))
            model = next((t for t in types if hasattr(t, "model_fields")), model)
    return list(getattr(model, "model_fields", ()))


def one_line(error: ValidationError, model: Any) -> str:
    """One problem of a pydantic error as `field: problem`, with the nearest key for an unknown one.

    An unknown key comes first: a missing one is often the same key, misspelled.
    """
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    first = (unknown or problems)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key; {nearest(str(first['loc'][-1]), _keys(model, first['loc']))}"
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        known = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        return f"{where}: unknown value {first['input']!r}; {nearest(first['input'], known)}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] not in ("value_error", "missing") and not isinstance(
        first["input"], (dict, list)
    ):
        message += f", found {first['input']!r}"[:80]
    return f"{where}: {message}" if where else message


def read_text(path: Path) -> str:
    """A user's text file. Raises ColorfastError when it is missing, unreadable, or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ColorfastError(f"{path}: not a text in UTF-8 (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise ColorfastError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None


def read_toml(path: Path) -> dict[str, Any]:
    """A user's TOML file. Raises ColorfastError when it cannot be read, or is not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ColorfastError(f"{path}: not TOML ({' '.join(str(error).split())[:200]})") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and row of each line of a JSONL file.

    Raises ColorfastError naming file and line for one that is not an object in JSON.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()
            problem = ""
            if not isinstance(row, dict):
                problem = f"a row must be an object, found {type(row).__name__}"
        except json.JSONDecodeError as error:
            problem = f"not JSON ({error.msg} at column {error.colno})"
        except UnicodeEncodeError:
            problem = "holds half a character (a lone surrogate, \\ud800 to \\udfff)"
        except (ValueError, RecursionError) as error:
            problem = f"not JSON that can be read ({' '.join(str(error).split())[:80]})"
        if problem:
            raise ColorfastError(f"{path}:{number}: {problem}")
        yield number, row
