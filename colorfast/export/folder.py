"""Writing an export: a new folder, cards from templates, and files copied unchanged."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from colorfast.io.storage import write_text
from colorfast.types import ColorfastError

TEMPLATES = Path(__file__).parent


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`. On success rename it to `folder`, on failure
    delete it.

    Raises ColorfastError when `folder` exists and is not an empty folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ColorfastError(f"{folder}: is not empty; give another --out, or delete it")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except OSError as error:
        raise ColorfastError(
            f"{folder}: cannot be written ({error.strerror or error}); free some disk space?"
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_template(path: Path, template: str, **values: Any) -> None:
    """Fill in a template of this package's `export` folder and write it to `path`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    write_text(path, environment.get_template(template).render(values) + "\n")


def copy_text(name: str, path: Path) -> None:
    """Copy a file of this package's `export` folder to `path`."""
    write_text(path, (TEMPLATES / name).read_text(encoding="utf-8"))
