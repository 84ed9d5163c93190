"""The door: errors that help. The nearest known name, a validation failure as one line, rows of a
JSONL file."""

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
"""As many known names stand in one error."""


def nearest(name: str, known: Iterable[str]) -> str:
    """'did you mean X?' when something is close, else the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names[:LISTED])}{more}"


def check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ColorfastError for the first name that is not known, with the nearest that is."""
    for name in names:
        if name not in set(known):
            raise ColorfastError(f"unknown {what} {name!r}; {nearest(name, known)}")


def _keys(model: Any, loc: tuple[Any, ...]) -> list[str]:
    """The field names allowed where an unknown key was found: walk the model along the error's
    location."""
    for part in loc[:-1]:
        if isinstance(part, int) or not hasattr(model, "model_fields"):
            continue
        field = model.model_fields.get(part)
        if field is None:
            continue
        found = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((t for t in found if hasattr(t, "model_fields")), model)
    return list(getattr(model, "model_fields", ()))


def one_line(error: ValidationError, model: Any) -> str:
    """One problem of a pydantic error as `field: what`, with the nearest key for an unknown one. An
    unknown key comes first: a missing one is often the same key, misspelt."""
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
    """A user's file; raises ColorfastError when it is missing, out of reach, or not in UTF-8."""
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
    """A user's TOML; raises ColorfastError when it cannot be read, or is none."""
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ColorfastError(f"{path}: not TOML ({' '.join(str(error).split())[:200]})") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a JSONL file; raises ColorfastError naming file and line."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            raise ColorfastError(
                f"{path}:{number}: not JSON ({error.msg} at column {error.colno})"
            ) from None
        except UnicodeEncodeError:
            raise ColorfastError(
                f"{path}:{number}: holds half a character (a lone surrogate, \\ud800 to \\udfff)"
            ) from None
        except (ValueError, RecursionError) as error:
            raise ColorfastError(
                f"{path}:{number}: not JSON that can be read ({' '.join(str(error).split())[:80]})"
            ) from None
        if not isinstance(row, dict):
            raise ColorfastError(
                f"{path}:{number}: a row must be an object, found {type(row).__name__}"
            )
        yield number, row
