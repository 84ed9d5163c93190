"""Files of a run. Each is written as `.part` and then renamed, so a file that exists is complete.

Corrupt files are renamed `NAME.broken`, reported in one line, and regenerated.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from colorfast.io.console import note
from colorfast.types import ColorfastError

T = TypeVar("T")


class DamagedError(ColorfastError):
    """A file of a run is corrupt. `why`: what is wrong with it."""

    def __init__(self, path: Path, why: object):
        self.path, self.why = path, " ".join(str(why).split())[:120]
        super().__init__(
            f"{path}: damaged, or written by another version ({self.why}); the command that made it"
            " makes it anew"
        )


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and renamed into place."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise ColorfastError(
            f"{path}: cannot be written ({error.strerror or error}); free some disk space?"
        ) from None


@contextmanager
def folder_lock(folder: Path, wait: bool) -> Iterator[None]:
    """Hold the folder's lock.

    Without `wait`, raises ColorfastError when another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        if not wait and not _locked(lock, fcntl.LOCK_EX):
            time.sleep(0.2)  # `in_use` holds it for a moment while it looks
            if not _locked(lock, fcntl.LOCK_EX):
                raise ColorfastError(
                    f"{folder}: another run is using this folder; wait for it, or give another"
                    " --out"
                )
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def in_use(folder: Path) -> bool:
    """Whether any process, this one included, holds the folder's lock."""
    try:
        with (folder / ".lock").open() as lock:
            return not _locked(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _locked(lock: IO[str], how: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, shape: type = dict) -> Any:
    """The value of a JSON file of a run.

    Raises ColorfastError when it is missing, DamagedError when it is not JSON of this shape.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ColorfastError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedError(path, error) from None
    if not isinstance(value, shape):
        raise DamagedError(path, f"wants a {shape.__name__}, found a {type(value).__name__}")
    return value


def set_aside(path: Path, why: object, others: Sequence[Path] = ()) -> None:
    """Rename a corrupt file or folder, and `others` that are useless without it, to NAME.broken,
    and report it in one line. An older NAME.broken is replaced."""
    for old in (path, *others):
        if not old.exists():
            continue
        broken = old.with_name(old.name + ".broken")
        if broken.is_dir():
            shutil.rmtree(broken)
        old.replace(broken)
    note(f"set aside: {path} as {path.name}.broken ({why})")


def load_or_quarantine(path: Path, read: Callable[[Path], T]) -> T | None:
    """What `read` makes of a file. None when it does not exist, or is corrupt: it is then set
    aside."""
    if not path.exists():
        return None
    try:
        return read(path)
    except DamagedError as error:
        set_aside(path, error.why)
        return None


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of plain data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
