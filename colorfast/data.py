"""Files written by others: read from the mirror or downloaded at a pinned commit, refused when a byte differs."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

from colorfast.console import progress
from colorfast.rundir import file_sha256, writing
from colorfast.types import ColorfastError, Source


def cache_dir() -> Path:
    """Where models and data are kept between runs: COLORFAST_CACHE, or `colorfast` in the user's cache folder."""
    home = os.environ.get("COLORFAST_CACHE")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "colorfast"


def fetch(source: Source) -> Path:
    """The file's path, its sha256 checked.

    With COLORFAST_MIRROR set the file is `MIRROR/repo/path`; otherwise it is downloaded once into the cache.
    Raises ColorfastError when it is missing, unreachable or changed.
    """
    mirror = os.environ.get("COLORFAST_MIRROR")
    if mirror:
        path = Path(mirror) / source.repo / source.path
        if not path.is_file():
            raise ColorfastError(f"{path}: not in the mirror; unset COLORFAST_MIRROR to download it, or complete the mirror")
        _check(path, source)
        return path
    path = cache_dir() / "data" / source.repo / source.commit / source.path
    if not path.is_file():
        _download(source, path)
    _check(path, source)
    return path


def _check(path: Path, source: Source) -> None:
    found = file_sha256(path)
    if found != source.sha256:
        raise ColorfastError(f"{path}: wrong sha256 {found[:12]}..., wants {source.sha256[:12]}...; delete it and fetch it again")


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
